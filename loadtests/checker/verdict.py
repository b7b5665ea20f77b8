"""What a check has found: violations that a person can follow, as text and as JSON."""

from collections.abc import Iterable
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from loadtests.checker.history import Answer, Bought, Call, Held, Refused, Released, Returned

Kind = Literal[
    "area-oversold",
    "blocked-seat-differs",
    "blocked-seat-sold",
    "blocked-seat-taken",
    "buyer-over-limit",
    "confirmed-not-in-ledger",
    "conservation",
    "ended-early",
    "hold-came-back",
    "hold-from-nowhere",
    "hold-lost",
    "hold-of-two-keys",
    "hold-of-two-orders",
    "hold-overdue",
    "key-of-two-holds",
    "key-of-two-orders",
    "no-such-seat",
    "order-differs",
    "order-from-nowhere",
    "order-of-two-holds",
    "partial-hold",
    "recording-lost",
    "refused-open-area",
    "refused-open-seat",
    "refused-otherwise",
    "refused-own-hold",
    "released-after-sale",
    "return-from-nowhere",
    "return-refused",
    "returned-not-in-ledger",
    "sale-from-nowhere",
    "sold-after-deadline",
    "store-differs",
    "store-differs-from-ledger",
    "two-orders-one-seat",
    "two-owners",
]
"""What can be violated; docs/CHECKER.md tells which check finds it."""

CALLS_KEPT: Final = 200
"""Of a violation's history, the last so many calls."""

_MS_NS: Final = 1_000_000


class Violation(Struct, frozen=True, kw_only=True):
    """One thing that no single correct box office could have done.

    `because` is the shortest explanation, a line each; `calls` is the history of the `subject`
    (a seat, area, hold, buyer or order), by invocation.
    """

    kind: Kind
    subject: str
    says: str
    because: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()


class Verdict(Struct, frozen=True, kw_only=True):
    """The judgement on one history."""

    show: str
    operations: int
    ambiguous: int
    violations: tuple[Violation, ...]
    undecided: tuple[str, ...]
    """What the search gave up on; with any of these and no violation nothing is decided."""

    @property
    def word(self) -> Literal["ok", "undecided", "violated"]:
        """Return the judgement in a word."""
        if self.violations:
            return "violated"
        return "undecided" if self.undecided else "ok"

    def as_text(self) -> str:
        """Return it for people."""
        summary = (
            f"{self.word}: show {self.show}, {self.operations} operations, "
            f"{self.ambiguous} of them ambiguous, {len(self.violations)} violations, "
            f"{len(self.undecided)} undecided"
        )
        lines = [summary]
        for violation in self.violations:
            lines += ["", f"{violation.kind}: {violation.subject}: {violation.says}"]
            lines += [f"  because  {line}" for line in violation.because]
            lines += [f"  history  {tell_call(call)}" for call in violation.calls]
        lines += [f"undecided: {subject}" for subject in self.undecided]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object, for programs."""
        return {"verdict": self.word, **msgspec.to_builtins(self)}


class Findings:
    """Collects what one check after the other finds."""

    def __init__(self) -> None:
        """Begin without any."""
        self.violations: list[Violation] = []
        self.undecided: list[str] = []

    def add(
        self,
        kind: Kind,
        subject: str,
        says: str,
        *,
        because: Iterable[str] = (),
        calls: Iterable[Call] = (),
    ) -> None:
        """Note a violation."""
        by_time = sorted(calls, key=lambda call: call.invoked_ns)[-CALLS_KEPT:]
        self.violations.append(
            Violation(
                kind=kind, subject=subject, says=says, because=tuple(because), calls=tuple(by_time)
            )
        )


def tell_call(call: Call) -> str:
    """Return a call in a line."""
    asked = " ".join([*call.seats, *(f"{count}x{area}" for area, count in call.areas.items())])
    about = " ".join(part for part in (call.key, call.hold, asked) if part)
    ends = "..." if call.completed_ns is None else tell_time(call.completed_ns)
    when = f"{tell_time(call.invoked_ns)} to {ends}"
    return f"{when}  {call.op} {call.kind} {about} for {call.buyer}: {_tell_answer(call.answer)}"


def tell_time(at_ns: int) -> str:
    """Return a time of the history's clock in ms."""
    return f"{at_ns / _MS_NS:.3f} ms"


def _tell_answer(answer: Answer) -> str:
    match answer:
        case Held():
            places = [*answer.seats, *(f"{n}x{area}" for area, n in answer.areas.items())]
            until = "" if answer.deadline_ns is None else f" until {tell_time(answer.deadline_ns)}"
            return f"held as {answer.hold} {' '.join(places)}{until}"
        case Bought():
            return f"{answer.state} as {answer.order}"
        case Released():
            return "released"
        case Returned():
            return "returned"
        case Refused():
            return " ".join(["refused,", answer.reason, *answer.seats])
        case _:
            return f"ambiguous, {answer.why}"
