"""The inventory in plain Python: what `lua/batch.lua` must answer, and what it must leave behind.

Written from the issue and from the scripts' headers. It keeps only what cannot be computed: the
holds, what the house withholds, and the purchase keys. Seats, counts and buyers follow from them,
so that nothing can be counted twice here. It is slow, and it is meant to be obviously right.

Where several answers are legal, which is so for seats together only, it looks at what the script
told and checks it against the specification.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from msgspec import structs

from engine.inventory.commands import (
    AlreadyPurchased,
    Answer,
    Areas,
    AreaShort,
    Commit,
    Committing,
    Done,
    Expired,
    Held,
    Hold,
    KeyReused,
    LedgerBehind,
    Look,
    Malformed,
    NoneTogether,
    NotOnSale,
    OfBundle,
    OverBuyerLimit,
    OverHoldLimit,
    Purchase,
    Purchased,
    Release,
    Released,
    Replace,
    SalesEnded,
    SeatsTaken,
    Selection,
    TooEarly,
    Unknown,
)
from engine.inventory.edits import MapEdit
from engine.inventory.facts import SeatsSold, StreamId
from engine.inventory.manifest import Manifest
from engine.inventory.records import AreaCounts
from engine.platform.ids import HoldId
from tests.lua.show_room import BACKLOG_MAX, Raw, Rules

MINUTE_MS: Final = 60_000
KEPT_MS: Final = 10 * MINUTE_MS
"""How long a key is remembered after its hold's deadline."""
UNKNOWN_KEPT_MS: Final = 70 * MINUTE_MS
"""How long the release of a hold that never was keeps that hold from being made."""
TEXT_BYTES_MAX: Final = 512


@dataclass(frozen=True)
class Sale:
    """What a purchase adds to its hold."""

    key: str
    body: int
    reference: str
    at: StreamId
    sold_at_ms: int
    returned: bool = False


@dataclass(frozen=True)
class Claim:
    """A live or a purchased hold."""

    buyer: str
    deadline_ms: int
    fingerprint: int
    selection_fingerprint: int
    price_version: int
    seats: tuple[int, ...]
    areas: Areas
    types: str = ""
    sale: Sale | None = None
    bundle: str = ""
    committing: bool = False
    """Whether its bundle is about to buy it: its deadline is not the one that its buyer's share."""

    @property
    def tickets(self) -> int:
        """How many tickets it is for."""
        return len(self.seats) + sum(count for _, count in self.areas)


@dataclass(frozen=True)
class Ended:
    """What is remembered of a hold that was released or has expired; `None` matches any body."""

    outcome: Released | Expired
    forgotten_at_ms: int
    fingerprint: int | None


@dataclass
class ReferenceInventory:
    """One show."""

    manifest: Manifest
    rules: Rules
    epoch: int = 1
    price_version: int = 1
    backlog_max: int = BACKLOG_MAX
    recorded: int = 0
    """How many sales of the epoch the ledger has, as far as the store was told."""
    returns: int = 0
    """How many orders were returned."""
    holds: dict[bytes, Claim | Ended] = field(default_factory=dict[bytes, "Claim | Ended"])
    deadlines: dict[str, int] = field(default_factory=dict[str, int])
    """Which the holds of a buyer share, whatever became of the one that it was made for."""
    level_of: dict[int, int] = field(default_factory=dict[int, int])
    """Of every seat, also of those that are taken out, once the map was edited."""
    blocked_seats: set[int] = field(default_factory=set[int])
    blocked_places: dict[int, int] = field(default_factory=dict[int, int])
    keys: dict[str, bytes] = field(default_factory=dict[str, bytes])
    facts: list[tuple[StreamId, SeatsSold]] = field(
        default_factory=list[tuple[StreamId, SeatsSold]]
    )

    # ------------------------------------------------------------ what follows from the holds

    def claims(self) -> Iterator[Claim]:
        """Yield all live and purchased holds, but for those whose order was returned."""
        claims = (hold for hold in self.holds.values() if isinstance(hold, Claim))
        return (claim for claim in claims if claim.sale is None or not claim.sale.returned)

    def seats(self) -> str:
        """Return the seats string."""
        seats = list(self.manifest.layout)
        for position in self.blocked_seats:
            if seats[position] == "o":  # else it is taken out, and comes back blocked
                seats[position] = "b"
        for claim in self.claims():
            for position in claim.seats:
                assert seats[position] == "o", f"two own seat {position}"
                seats[position] = "s" if claim.sale else "h"
        return "".join(seats)

    def areas(self) -> dict[int, AreaCounts]:
        """Return the places of every area by state."""
        counts: dict[int, AreaCounts] = {}
        for index, area in enumerate(self.manifest.areas):
            held = self._places(index, sold=False)
            sold = self._places(index, sold=True)
            blocked = self.blocked_places.get(index, 0)
            is_open = area.capacity - held - sold - blocked
            assert is_open >= 0, f"area {index} is oversold"
            counts[index] = AreaCounts(is_open, held, sold, blocked)
        return counts

    def _places(self, index: int, *, sold: bool) -> int:
        return sum(
            count
            for claim in self.claims()
            if (claim.sale is not None) == sold
            for area, count in claim.areas
            if area == index
        )

    def buyers(self) -> dict[str, tuple[int, int, int]]:
        """Return the tickets held, the tickets bought, and the shared deadline of every buyer."""
        return {name: self._buyer(name) for name in {claim.buyer for claim in self.claims()}}

    def _buyer(self, name: str) -> tuple[int, int, int]:
        own = [claim for claim in self.claims() if claim.buyer == name]
        live = [claim for claim in own if claim.sale is None]
        deadlines = {claim.deadline_ms for claim in live if not claim.committing}
        shared = self.deadlines.get(name, 0)
        assert deadlines <= {shared}, f"the holds of {name} have several deadlines"
        held = sum(claim.tickets for claim in live)
        bought = sum(claim.tickets for claim in own) - held
        return held, bought, shared if live else 0

    def expiry(self) -> dict[bytes, int]:
        """Return when each hold that time will change is due."""
        return {
            hold: what.forgotten_at_ms if isinstance(what, Ended) else what.deadline_ms
            for hold, what in self.holds.items()
            if isinstance(what, Ended) or what.sale is None
        }

    # ------------------------------------------------------------ time and the house

    def pass_time(self, now_ms: int) -> None:
        """End what is overdue at the start of a batch, and forget what was kept long enough."""
        for hold, what in list(self.holds.items()):
            if isinstance(what, Claim) and what.sale is None and what.deadline_ms <= now_ms:
                self.holds[hold] = Ended(Expired(), what.deadline_ms + KEPT_MS, what.fingerprint)
        for hold, what in list(self.holds.items()):
            if isinstance(what, Ended) and what.forgotten_at_ms <= now_ms:
                del self.holds[hold]

    def change(
        self, block: Iterable[int], unblock: Iterable[int], areas: Iterable[tuple[int, int]]
    ) -> bool:
        """Withhold and give back, all or nothing; return whether it could be done."""
        seats = self.seats()
        blocked, places = set(self.blocked_seats), dict(self.blocked_places)
        for position in block:
            if seats[position] not in "ob":
                return False
            blocked.add(position)
        blocked -= {position for position in unblock if seats[position] == "b"}
        for index, count in areas:
            places[index] = places.get(index, 0) + count
            if places[index] < 0:
                return False
            sold_and_held = self._places(index, sold=True) + self._places(index, sold=False)
            if places[index] + sold_and_held > self.manifest.areas[index].capacity:
                return False
        self.blocked_seats = blocked
        self.blocked_places = {index: count for index, count in places.items() if count}
        return True

    def edit(self, wanted: MapEdit) -> bool:
        """Edit the map, all or nothing; return whether it could be done."""
        manifest, seats, layout = self.manifest, self.seats(), list(self.manifest.layout)
        level_of = self.level_of or {p: manifest.level_of(p) for p in manifest.positions()}
        moved = [p for p, level in wanted.levels.items() if level_of[p] != level]
        is_taken = any(seats[p] in "hs" for p in (*moved, *wanted.take_out))
        capacities = {n: area.capacity for n, area in enumerate(manifest.areas)}
        capacities |= wanted.capacities
        in_use = {n: held + sold + blocked for n, (_, held, sold, blocked) in self._counts()}
        if is_taken or any(in_use[n] > capacity for n, capacity in capacities.items()):
            return False
        self.level_of = level_of | dict(wanted.levels)
        for position in wanted.take_out:
            layout[position] = "|"
        for position in wanted.put_back:
            layout[position] = "o"
        self.manifest = structs.replace(
            manifest,
            layout="".join(layout),
            levels=tuple(
                structs.replace(level, ranges=tuple(self._ranges(n, layout)))
                for n, level in enumerate(manifest.levels)
            ),
            areas=tuple(
                structs.replace(area, capacity=capacities[n])
                for n, area in enumerate(manifest.areas)
            ),
        )
        return True

    def _counts(self) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
        for n, area in self.areas().items():
            yield n, (area.open, area.held, area.sold, area.blocked)

    def _ranges(self, level: int, layout: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Yield where seats of a level stand next to each other."""
        mine = [p for p, byte in enumerate(layout) if byte == "o" and self.level_of[p] == level]
        for start in (p for p in mine if p - 1 not in mine):
            end = start
            while end in mine:
                end += 1
            yield start, end

    def take_back(self, hold: bytes) -> None:
        """Let a purchased hold's places be anybody's."""
        claim = self.holds[hold]
        assert isinstance(claim, Claim)
        assert claim.sale is not None
        self.holds[hold] = replace(claim, sale=replace(claim.sale, returned=True))
        self.returns += 1

    def was_rebuilt(self, epoch: int) -> None:
        """Take on a recovery's epoch; the ledger keeps an order's seats by position."""
        self.epoch, self.recorded = epoch, 0
        live = [claim for claim in self.claims() if claim.sale is None]
        self.deadlines = {claim.buyer: claim.deadline_ms for claim in live if not claim.committing}
        for hold, what in self.holds.items():
            if isinstance(what, Claim) and what.sale is not None:
                self.holds[hold] = replace(what, seats=tuple(sorted(what.seats)))

    # ------------------------------------------------------------ commands

    def decide(  # noqa: PLR0911 -- one for each command
        self,
        command: Hold | Replace | Release | Purchase | Look | Commit | Raw,
        now_ms: int,
        told: Answer,
    ) -> Answer:
        """Decide a command and return what must be answered, given what was `told`.

        Raises:
            AssertionError: seats together were told that the specification does not allow.
        """
        match command:
            case Hold():
                return self._hold(command, now_ms, told)
            case Replace():
                return self._replace(command, now_ms, told)
            case Release():
                return self._release(command, now_ms)
            case Purchase():
                return self._purchase(command, now_ms)
            case Commit():
                return self._commit(command, now_ms)
            case Look():
                what = self.holds.get(command.hold)
                return _tell(what) if isinstance(what, Claim) else _tell_ended(what)
            case Raw():
                return Malformed()

    def _hold(self, command: Hold, now_ms: int, told: Answer) -> Answer:
        if not (
            0 < len(command.buyer.encode()) <= TEXT_BYTES_MAX
            and command.ttl_ms >= 1
            and self._is_well_formed(command.selection)
        ):
            return Malformed()
        known = self.holds.get(command.hold)
        if known is not None:
            if known.fingerprint not in {None, command.fingerprint}:
                return KeyReused()
            return _tell(known) if isinstance(known, Claim) else known.outcome
        held, bought, deadline_ms = self._buyer(command.buyer)
        taken = self._select(command.selection, now_ms, held + bought, None, told)
        if not isinstance(taken, tuple):
            return taken
        if deadline_ms <= now_ms:
            deadline_ms = now_ms + command.ttl_ms
        self.deadlines[command.buyer] = deadline_ms
        claim = Claim(
            buyer=command.buyer,
            deadline_ms=deadline_ms,
            fingerprint=command.fingerprint,
            selection_fingerprint=command.fingerprint,
            price_version=self.price_version,
            seats=taken,
            areas=command.selection.areas,
            types=command.selection.types,
            bundle=command.bundle,
        )
        self.holds[command.hold] = claim
        return _tell(claim)

    def _commit(self, command: Commit, now_ms: int) -> Answer:
        known = self.holds.get(command.hold)
        if not isinstance(known, Claim):
            return _tell_ended(known)
        if known.sale is not None:
            return AlreadyPurchased()
        if known.bundle != command.bundle:
            return OfBundle(known.bundle or command.bundle)
        if not known.committing:
            if self._unrecorded() >= self.backlog_max:
                return LedgerBehind()
            known = replace(known, committing=True, deadline_ms=now_ms + MINUTE_MS)
            self.holds[command.hold] = known
        return Committing(known.deadline_ms)

    def _replace(  # noqa: PLR0911 -- one for each answer
        self, command: Replace, now_ms: int, told: Answer
    ) -> Answer:
        if not self._is_well_formed(command.selection):
            return Malformed()
        known = self.holds.get(command.hold)
        if not isinstance(known, Claim):
            return _tell_ended(known)
        if known.sale is not None:
            return AlreadyPurchased()
        if known.bundle:
            return OfBundle(known.bundle)
        if known.selection_fingerprint == command.fingerprint:
            return _tell(known)
        held, bought, _ = self._buyer(known.buyer)
        others = held + bought - known.tickets
        taken = self._select(command.selection, now_ms, others, command.hold, told)
        if not isinstance(taken, tuple):
            return taken
        claim = replace(
            known,
            selection_fingerprint=command.fingerprint,
            price_version=self.price_version,
            seats=taken,
            areas=command.selection.areas,
            types=command.selection.types,
        )
        self.holds[command.hold] = claim
        return _tell(claim)

    def _release(self, command: Release, now_ms: int) -> Answer:
        known = self.holds.get(command.hold)
        if known is None:
            self.holds[command.hold] = Ended(Released(), now_ms + UNKNOWN_KEPT_MS, None)
        elif isinstance(known, Claim):
            if known.sale is not None:
                return AlreadyPurchased()
            if known.bundle != command.bundle:
                return OfBundle(known.bundle or command.bundle)
            forgotten_at_ms = known.deadline_ms + KEPT_MS
            self.holds[command.hold] = Ended(Released(), forgotten_at_ms, known.fingerprint)
        return Done()

    def _purchase(  # noqa: PLR0911 -- one for each answer
        self, command: Purchase, now_ms: int
    ) -> Answer:
        if not command.key or max(map(_bytes, (command.key, command.payment_reference))) > 512:
            return Malformed()
        if self.keys.get(command.key, command.hold) != command.hold:
            return KeyReused()
        known = self.holds.get(command.hold)
        if not isinstance(known, Claim):
            return _tell_ended(known)
        if known.sale is not None:
            return _repeat(known, known.sale, command)
        if known.bundle != command.bundle or (known.bundle and not known.committing):
            return OfBundle(known.bundle or command.bundle)
        if self._unrecorded() >= self.backlog_max:
            return LedgerBehind()
        of_epoch = [at for at, _ in self.facts if at.epoch == self.epoch]
        sale = Sale(
            key=command.key,
            body=command.fingerprint,
            reference=command.payment_reference,
            at=StreamId(self.epoch, len(of_epoch)),
            sold_at_ms=now_ms,
        )
        sold = replace(known, sale=sale)
        self.holds[command.hold] = sold
        self.keys[command.key] = command.hold
        self.facts.append((sale.at, _fact(command.hold, sold, sale)))
        return _tell(sold)

    # ------------------------------------------------------------ selections

    def _unrecorded(self) -> int:
        """Return how many sales of the epoch the ledger is behind."""
        return sum(at.epoch == self.epoch for at, _ in self.facts) - self.recorded

    def _is_well_formed(self, selection: Selection) -> bool:
        areas = [index for index, _ in selection.areas]
        return (
            all(self.manifest.is_seat(position) for position in selection.seats)
            and len(set(selection.seats)) == len(selection.seats)
            and all(0 <= index < len(self.manifest.areas) for index in areas)
            and len(set(areas)) == len(areas)
            and all(0 <= level < len(self.manifest.levels) for level, _ in selection.best)
            and all(count > 0 for _, count in (*selection.areas, *selection.best))
            and _count(selection) > 0
        )

    def _select(
        self,
        selection: Selection,
        now_ms: int,
        others: int,
        instead_of: bytes | None,
        told: Answer,
    ) -> tuple[int, ...] | Answer:
        """Return the seats taken, or why they are not; `others` are the buyer's other tickets."""
        refused = self._refuse(_count(selection), now_ms, others)
        if refused is not None:
            return refused
        without = replace(self, holds={k: v for k, v in self.holds.items() if k != instead_of})
        seats, places = without.seats(), without.areas()
        taken = tuple(position for position in selection.seats if seats[position] != "o")
        short = tuple(
            (index, places[index].open)
            for index, wanted in selection.areas
            if places[index].open < wanted
        )
        if taken or short:
            return SeatsTaken(taken) if taken else AreaShort(short)
        free = {n for n, byte in enumerate(seats) if byte == "o"} - set(selection.seats)
        if self._is_stopped(selection, instead_of) and not isinstance(told, NoneTogether):
            assert self._fits(selection.best, free), f"told {told} for {selection}"
            return LedgerBehind()
        return self._select_together(selection, free, told)

    def _is_stopped(self, selection: Selection, instead_of: bytes | None) -> bool:
        """Tell whether the ledger is too far behind for a hold that asks for more than before."""
        before = self.holds.get(instead_of) if instead_of else None
        grows = not isinstance(before, Claim) or _count(selection) > before.tickets
        return grows and 10 * self._unrecorded() >= 9 * self.backlog_max

    def _select_together(
        self, selection: Selection, free: set[int], told: Answer
    ) -> tuple[int, ...] | Answer:
        """Return the seats taken, if those that were told together are legal."""
        if not selection.best:
            return selection.seats
        if isinstance(told, Held):
            return selection.seats + self._check_together(selection, free, told.seats)
        failures = set(self._failures(selection.best, free))
        assert failures, f"told {told}, but seats were to be had for {selection}"
        if isinstance(told, NoneTogether) and (told.level, told.count) in failures:
            return told
        return NoneTogether(*min(failures))

    def _refuse(self, count: int, now_ms: int, others: int) -> Answer | None:
        """Return what the rules of the sale say against it, if anything."""
        rules = self.rules
        has_closed = bool(rules.closes_at_ms) and now_ms >= rules.closes_at_ms
        answers: tuple[tuple[bool, Answer], ...] = (
            (rules.sale_state != "on_sale", NotOnSale(rules.sale_state)),
            (now_ms < rules.opens_at_ms, TooEarly(rules.opens_at_ms)),
            (has_closed, SalesEnded(rules.closes_at_ms)),
            (count > rules.max_per_hold, OverHoldLimit(rules.max_per_hold)),
            (others + count > rules.max_per_buyer, OverBuyerLimit(rules.max_per_buyer, others)),
        )
        return next((answer for is_so, answer in answers if is_so), None)

    def _check_together(
        self, selection: Selection, free: set[int], told: tuple[int, ...]
    ) -> tuple[int, ...]:
        """Check the seats told for `best`, which come after the asked ones, and return them."""
        rest = told[len(selection.seats) :]
        checked: tuple[int, ...] = ()
        for level, count in selection.best:
            together, rest = rest[:count], rest[count:]
            legal = list(self.placements(level, count, free))
            assert together in legal, f"told {together} of level {level}, legal are {legal}"
            free = free - set(together)
            checked += together
        return checked

    def _failures(
        self, best: tuple[tuple[int, int], ...], free: set[int]
    ) -> Iterator[tuple[int, int]]:
        """Yield every pair that can be the first that cannot be had, however those before fell."""
        if not best:
            return
        (level, count), *others = best
        placements = list(self.placements(level, count, free))
        if not placements:
            yield level, count
        for placement in placements:
            yield from self._failures(tuple(others), free - set(placement))

    def _fits(self, best: tuple[tuple[int, int], ...], free: set[int]) -> bool:
        """Tell whether all pairs can be had, if those before fall well."""
        if not best:
            return True
        (level, count), *others = best
        return any(
            self._fits(tuple(others), free - set(placement))
            for placement in self.placements(level, count, free)
        )

    def placements(self, level: int, count: int, free: set[int]) -> Iterator[tuple[int, ...]]:
        """Yield all legal seats together: nothing if there are none.

        They lie in the first run, best first, that can give them without leaving a single seat
        alone, and leave none alone there; if no run of the level can, in the first that has them.
        """
        runs = [run for run in self._runs(level, free) if len(run) >= count]
        kind = [run for run in runs if len(run) != count + 1]
        if kind:
            run = kind[0]
            for start in range(len(run) - count + 1):
                if start != 1 and len(run) - count - start != 1:
                    yield run[start : start + count]
        elif runs:
            yield runs[0][:count]
            yield runs[0][1:]

    def _runs(self, level: int, free: set[int]) -> Iterator[tuple[int, ...]]:
        """Yield the runs of neighbouring open seats of a level, best first."""
        for start, end in self.manifest.levels[level].ranges:
            run: tuple[int, ...] = ()
            for position in range(start, end + 1):
                if position < end and position in free:
                    run += (position,)
                elif run:
                    yield run
                    run = ()


def _bytes(text: str) -> int:
    return len(text.encode())


def _count(selection: Selection) -> int:
    return len(selection.seats) + sum(count for _, count in (*selection.areas, *selection.best))


def _tell(claim: Claim) -> Held | Purchased:
    if claim.sale is None:
        return Held(
            claim.buyer,
            claim.deadline_ms,
            claim.price_version,
            claim.seats,
            claim.areas,
            claim.types,
        )
    return Purchased(
        claim.buyer,
        *claim.sale.at,
        claim.sale.sold_at_ms,
        claim.price_version,
        claim.seats,
        claim.areas,
        returned=claim.sale.returned,
        types=claim.types,
    )


def _repeat(known: Claim, sale: Sale, command: Purchase) -> Answer:
    if sale.key != command.key:
        return AlreadyPurchased()
    return _tell(known) if sale.body == command.fingerprint else KeyReused()


def _tell_ended(what: Ended | None) -> Unknown | Released | Expired:
    return what.outcome if what else Unknown()


def _fact(hold: HoldId, claim: Claim, sale: Sale) -> SeatsSold:
    return SeatsSold(
        hold=hold,
        buyer=claim.buyer,
        seats=claim.seats,
        areas=claim.areas,
        price_version=claim.price_version,
        sold_at_ms=sale.sold_at_ms,
        purchase_key=sale.key,
        body_fp=sale.body,
        payment_reference=sale.reference,
        hold_fp=claim.fingerprint,
        types=claim.types,
    )
