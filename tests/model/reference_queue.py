"""What the waiting room's scripts do, in plain Python: one queue, in dictionaries and sets."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import floor
from typing import Any

from engine.waitingroom.commands import (
    Answer,
    Check,
    Claim,
    Command,
    Full,
    Issued,
    Join,
    Joined,
    Known,
    Leave,
    Left,
    Look,
    NoPass,
    NotYet,
    Over,
    Shut,
    Spent,
    Waits,
)


@dataclass
class ReferenceQueue:
    """A queue that is open on its server; all times are in ms."""

    now: int
    epoch: int = 1
    next: int = 0
    ceiling: int = 0
    serving: int = 0
    stock: float = 0.0
    issued: int = 0
    claims: int = 0
    lag: int = 0
    checkout_max: int = 0
    pass_ttl: int = 0
    state: str = "running"
    joins: str = "open"
    holder: str = ""
    step: int = 0
    count: int | None = None
    passes: dict[int, tuple[int, str]] = field(default_factory=dict[int, tuple[int, str]])
    """Deadline and buyer, by number."""
    used: set[int] = field(default_factory=set[int])
    waiting: dict[int, int] = field(default_factory=dict[int, int])
    """Places, by number."""
    seen: dict[int, int] = field(default_factory=dict[int, int])
    identities: dict[bytes, int] = field(default_factory=dict[bytes, int])
    spent: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])

    # ------------------------------------------------------------ serving

    def serve(self, plain: int, commands: Sequence[Command]) -> tuple[bool, int, int, list[Answer]]:
        """Return whether people may join, the first number given, how many, and the answers."""
        self._end_overdue()
        first, given = self.next, 0
        if self.joins == "open":
            given = max(0, min(plain, self.ceiling - self.next))
            self.next += given
        refused = [self._enter(one) if isinstance(one, Claim) else None for one in commands]
        answers = [early or self._serve(one) for one, early in zip(commands, refused, strict=True)]
        self.stock = round(self.stock, 6)
        return self.joins == "open", first, given, answers

    def _serve(self, command: Command) -> Answer:
        match command:
            case Join():
                return self._join(command)
            case Claim():
                return self._claim(command)
            case Leave(number):
                if number < self.next:
                    for kept in (self.passes, self.waiting, self.seen):
                        kept.pop(number, None)
                    self.used.add(number)
                return Left()
            case Look(number):
                return self._look(number) or NoPass()
            case Check(number, buyer):
                return self._look(number, buyer) or Over()

    def _join(self, command: Join) -> Answer:
        if command.identity in self.identities:
            return Known(self.identities[command.identity])
        if self.joins != "open":
            return Shut()
        if command.proof in self.spent:
            return Spent()
        if self.next >= self.ceiling:
            return Full()
        number, self.next = self.next, self.next + 1
        if command.identity is not None:
            self.identities[command.identity] = number
        if command.proof is not None:
            self.spent.add(command.proof)
        return Joined(number)

    def _enter(self, claim: Claim) -> Answer | None:
        standing = self._look(claim.number, claim.buyer)
        if standing:
            return standing
        is_admitting = self.state in {"running", "passthrough"}
        if claim.number >= self.next or claim.place >= self.serving or not is_admitting:
            return NotYet()
        if claim.number not in self.waiting:
            self.waiting[claim.number] = claim.place
            self.claims += 1
            self.lag += self.serving - claim.place
        self.seen[claim.number] = self.now
        return None

    def _claim(self, claim: Claim) -> Answer:
        if claim.number not in self.waiting:
            standing = self._look(claim.number, claim.buyer)
            assert standing
            return standing
        before = sum(place < claim.place for place in self.waiting.values())
        if before >= floor(self.stock) or len(self.passes) >= self.checkout_max:
            return Waits(before)
        del self.waiting[claim.number], self.seen[claim.number]
        self.passes[claim.number] = (self.now + self.pass_ttl, claim.buyer)
        self.used.add(claim.number)
        self.stock -= 1
        self.issued += 1
        return Issued(self.now + self.pass_ttl, self.pass_ttl)

    def _look(self, number: int, buyer: str | None = None) -> Issued | Over | None:
        if number in self.passes:
            deadline, owner = self.passes[number]
            if buyer not in {None, owner}:
                return Over()
            return Issued(deadline, deadline - self.now)
        return Over() if number in self.used else None

    def _end_overdue(self) -> None:
        self.passes = {
            number: (deadline, buyer)
            for number, (deadline, buyer) in self.passes.items()
            if deadline > self.now
        }

    # ------------------------------------------------------------ steering

    def steer(  # noqa: PLR0913 - a step's parts, by name
        self,
        *,
        holder: str,
        step: int,
        epoch: int,
        credit: float,
        stock_max: float,
        serving: int,
        ceiling: int,
        replaced: str,
        waited_for_ms: int,
        **fields: str,
    ) -> list[Any]:
        """Return what the step is told."""
        if epoch != self.epoch:
            return ["stale", self.epoch]
        status = "steered"
        if holder != self.holder:
            if self.holder and replaced != f"{self.holder} {self.step}":
                return ["held", f"{self.holder} {self.step}"]
            status, credit = "taken", 0.0
        elif step <= self.step:
            return ["late", self.step]
        self._end_overdue()
        for number in [n for n, at in self.seen.items() if at <= self.now - waited_for_ms]:
            del self.seen[number], self.waiting[number]
        self.stock = round(min(self.stock + credit, stock_max), 6)
        self.serving = max(self.serving, min(serving, self.next))
        self.ceiling = max(self.ceiling, ceiling)
        self.holder, self.step = holder, step
        self.state = fields.get("state", self.state)
        self.joins = fields.get("joins", self.joins)
        self.checkout_max = int(fields.get("checkout_max", self.checkout_max))
        self.pass_ttl = int(fields.get("pass_ttl", self.pass_ttl))
        return [
            status,
            self.now,
            self.next,
            self.ceiling,
            self.serving,
            f"{self.stock:.6f}",
            self.issued,
            len(self.passes),
            len(self.waiting),
            self.claims,
            self.lag,
            -1 if self.count is None else self.count,
        ]

    # ------------------------------------------------------------ opening, closing

    def open(self, epoch: int, next_number: int, fields: dict[str, str]) -> list[Any]:
        """Open it anew, on a server that has all that it had."""
        if self.epoch >= epoch:
            return ["superseded", self.epoch]
        self.epoch, self.next, self.stock = epoch, next_number, 0.0
        self.holder, self.step = "", 0
        self.ceiling, self.serving = int(fields["ceiling"]), int(fields["serving"])
        self.waiting, self.seen = {}, {}
        return ["opened", self.now]

    def close_entries(self, epoch: int) -> list[Any]:
        """Count the entries, once."""
        if epoch != self.epoch:
            return ["stale", self.epoch]
        if self.count is None:
            self.count = self.next
        return ["closed", self.count]
