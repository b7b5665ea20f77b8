"""What a history is: one record for each call that a client made, as JSON lines.

Times are ns on one monotonic clock that all clients share (`CLOCK_MONOTONIC` of one machine), from
which the deadlines that the API tells in UTC are reckoned too.
"""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, Self

import msgspec
from msgspec import Struct

Kind = Literal["hold", "replace", "release", "purchase", "return", "look"]

HOLD_RELEASED: Final = "hold-released"
HOLD_EXPIRED: Final = "hold-expired"
UNDER_WAY_MAX: Final = 100_000


class Held(Struct, frozen=True, tag="held"):
    """The hold stands, on just these places."""

    hold: str
    seats: tuple[str, ...] = ()
    areas: dict[str, int] = {}
    deadline_ns: int | None = None


class Bought(Struct, frozen=True, tag="bought"):
    """The hold became an order: confirmed, still being recorded, or given back since.

    Places only where told.
    """

    order: str
    state: Literal["confirmed", "recording", "returned"]
    seats: tuple[str, ...] = ()
    areas: dict[str, int] = {}


class Released(Struct, frozen=True, tag="released"):
    """The hold was given back, now or before."""


class Returned(Struct, frozen=True, tag="returned"):
    """The order that the hold became was given back, now or before."""


class Refused(Struct, frozen=True, tag="refused"):
    """Nothing was done: `reason` is the problem's slug, with the seats and areas that it names.

    Of an area it tells how many places were left.
    """

    reason: str
    seats: tuple[str, ...] = ()
    areas: dict[str, int] = {}


class Ambiguous(Struct, frozen=True, tag="ambiguous"):
    """It may have had its effect, may have it yet, or never: no answer, or one in doubt."""

    why: str


Answer = Held | Bought | Released | Returned | Refused | Ambiguous

_ANSWERS: Final[dict[Kind, tuple[type[Answer], ...]]] = {
    "hold": (Held, Bought, Refused, Ambiguous),
    "replace": (Held, Refused, Ambiguous),
    "release": (Released, Refused, Ambiguous),
    "purchase": (Bought, Refused, Ambiguous),
    "return": (Returned, Refused, Ambiguous),
    "look": (Held, Bought, Refused, Ambiguous),
}


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asks of a show.

    `key` is the `Idempotency-Key` of a hold or a purchase, `hold` the id that all others name.
    Seats are labels, areas slugs with counts. Best available is not part of it: who records such a
    call repeats it until it is answered, and records the seats of the answer as asked for.
    """

    client: str
    kind: Kind
    show: str
    buyer: str
    key: str | None = None
    hold: str | None = None
    seats: tuple[str, ...] = ()
    areas: dict[str, int] = {}
    ttl_ns: int | None = None


class Call(Request, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A request with what became of it; `completed_ns` is None if no answer came."""

    op: str
    invoked_ns: int
    completed_ns: int | None
    answer: Answer


class HistoryError(ValueError):
    """A history can't be read; the message has the line and what is wrong with it."""


class Recorder:
    """Writes each call when it has ended, and on closing those that never did, as ambiguous.

    Every record is flushed by itself, so that a run that is killed leaves all that had ended.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], int] = time.monotonic_ns,
        under_way_max: int = UNDER_WAY_MAX,
    ) -> None:
        """Open the file anew; `under_way_max` bounds how many calls are kept in memory."""
        self._file = path.open("wb")
        self._clock = clock
        self._under_way_max = under_way_max
        self._under_way: dict[str, tuple[Request, int]] = {}
        self._begun: Counter[str] = Counter()
        self._encoder = msgspec.json.Encoder()

    def begin(self, request: Request) -> str:
        """Note that a call is about to be sent; return its id, unique in this history.

        Raises:
            RuntimeError: too many calls are under way.
        """
        if len(self._under_way) >= self._under_way_max:
            message = f"{self._under_way_max} calls are under way: end some before beginning more"
            raise RuntimeError(message)
        op = f"{request.client}-{self._begun[request.client]}"
        self._begun[request.client] += 1
        self._under_way[op] = request, self._clock()
        return op

    def end(self, op: str, answer: Answer) -> Call:
        """Write what became of a call that was begun.

        Raises:
            KeyError: it never was, or has ended already.
        """
        completed_ns = self._clock()
        request, invoked_ns = self._under_way.pop(op)
        return self._write(op, request, invoked_ns, completed_ns, answer)

    def close(self) -> None:
        """Write what is still under way as ambiguous, and close the file; harmless twice."""
        if self._file.closed:
            return
        for op, (request, invoked_ns) in self._under_way.items():
            self._write(op, request, invoked_ns, None, Ambiguous("no answer by the end"))
        self._under_way.clear()
        self._file.close()

    def _write(
        self, op: str, request: Request, invoked_ns: int, completed_ns: int | None, answer: Answer
    ) -> Call:
        call = Call(
            **msgspec.structs.asdict(request),
            op=op,
            invoked_ns=invoked_ns,
            completed_ns=completed_ns,
            answer=answer,
        )
        self._file.write(self._encoder.encode(call) + b"\n")
        self._file.flush()
        return call

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


def read_history(path: Path) -> list[Call]:
    """Return a history's calls, by the time of their invocation.

    Raises:
        HistoryError: a line is cut off, not of the format, at odds with itself, or an id is used
            twice.
    """
    decoder = msgspec.json.Decoder(Call)
    calls: list[Call] = []
    lines: dict[str, int] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{path.name}, line {number}"
            if not line.endswith(b"\n"):
                message = f"{where}: cut off; the run was stopped while it was written"
                raise HistoryError(message)
            try:
                call = decoder.decode(line)
            except msgspec.MsgspecError as error:
                message = f"{where}: {error}"
                raise HistoryError(message) from error
            complaint = complaint_of(call)
            if call.op in lines:
                complaint = f"operation {call.op} was told in line {lines[call.op]} already"
            if complaint is not None:
                message = f"{where}: {complaint}"
                raise HistoryError(message)
            lines[call.op] = number
            calls.append(call)
    return sorted(calls, key=lambda call: call.invoked_ns)


def complaint_of(call: Call) -> str | None:
    """Return in which way a record is at odds with itself, if it is."""
    chooses = call.kind in {"hold", "replace"}
    rules = (
        (bool(call.key) == (call.kind in {"hold", "purchase"}), "a key is for hold and purchase"),
        (bool(call.hold) == (call.kind != "hold"), "every kind but hold names a hold"),
        (bool(call.seats or call.areas) == chooses, "hold and replace ask for places, no other"),
        (len(set(call.seats)) == len(call.seats), "a seat is asked for twice"),
        (all(count > 0 for count in call.areas.values()), "a count is not above zero"),
        (call.completed_ns is None or call.completed_ns >= call.invoked_ns, "it ends too early"),
        (
            call.completed_ns is not None or isinstance(call.answer, Ambiguous),
            "an answer without the time when it came",
        ),
        (isinstance(call.answer, _ANSWERS[call.kind]), "its kind is never answered so"),
    )
    return next((f"{call.op}: {says}" for holds, says in rules if not holds), None)
