"""The calls of a reseller's system, each sent once and recorded as the checker wants it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from loadtests.checker.history import (
    Ambiguous,
    Answer,
    Bought,
    Held,
    Recorder,
    Refused,
    Released,
    Request,
    Returned,
)
from loadtests.torture.wire import Answer as Reply
from loadtests.torture.wire import LostError, NotSentError, Wire, path_of

NOTHING_DONE: Final = frozenset({"show-recovering", "overloaded", "unsent"})
"""Refusals that only say: not now."""

_REFUSALS: Final = frozenset(
    {
        *("seats-taken", "area-short", "none-together", "over-buyer-limit", "hold-released"),
        *("hold-expired", "hold-not-found", "already-purchased", "purchase-failed", "key-reused"),
        *("order-not-found", "order-not-confirmed"),
    }
)
"""What a buyer here may be refused with; any other answer is one that should not be."""

_UNDECIDED: Final = frozenset({"in-doubt", "unavailable", "internal-error", ""})
"""Problems that leave open whether something was done: of a 503 the API promises no more."""

_NS: Final = 1_000_000_000
_OK: Final = 200
_CREATED: Final = 201
_ACCEPTED: Final = 202
_NO_CONTENT: Final = 204
_SERVER_ERROR: Final = 500


class StrangeAnswerError(Exception):
    """An answer that the API does not document."""


class BoxOffice:
    """One show's API as a client sees it; what is told in UTC is put on the history's clock."""

    def __init__(self, wire: Wire, recorder: Recorder, show: str, utc_offset_ns: int) -> None:
        """Take the way there, where calls are recorded, and the monotonic clock's lead over UTC."""
        self._wire = wire
        self._recorder = recorder
        self._show = show
        self._utc_offset_ns = utc_offset_ns
        self.strange: list[str] = []

    async def call(self, request: Request) -> Answer:
        """Send one call and record it; return what its client knows now."""
        method, path, body = _address(request)
        op = self._recorder.begin(request)
        try:
            reply = await self._wire.ask(method, path, body, key=request.key)
            answer = self._read(request, reply)
        except NotSentError:
            answer = Refused("unsent")
        except LostError as error:
            answer = Ambiguous(str(error))
        except (StrangeAnswerError, msgspec.ValidationError, KeyError) as error:
            self.strange.append(f"{request.kind}: {error!r}")
            answer = Ambiguous(f"strange: {error!r}")
        self._recorder.end(op, answer)
        return answer

    def _read(self, request: Request, reply: Reply) -> Answer:
        body = reply.body
        if reply.status >= _SERVER_ERROR:
            if reply.problem in _UNDECIDED or reply.problem not in NOTHING_DONE:
                if reply.problem in {"internal-error", ""}:
                    self.strange.append(f"{request.kind}: {reply.status} {body}")
                return Ambiguous(reply.problem or str(reply.status))
            return Refused(reply.problem)
        if reply.problem:
            return _read_refusal(reply)
        match request.kind, reply.status:
            case ("hold", 201) | ("replace", 200) | ("look", 200):
                return self._read_hold(body)
            case ("release", 204) | ("return", 200):
                return Released() if request.kind == "release" else _read_return(body)
            case "purchase", 201 | 202:
                return _read_order(body)
            case _:
                raise StrangeAnswerError(f"{reply.status} {body}")  # noqa: EM102, TRY003 -- only noted

    def _read_hold(self, body: Mapping[str, Any]) -> Held | Bought:
        seats = tuple(sorted(body["seats"]))
        if body["status"] == "purchased":
            # A hold's answer says that it was bought, and leaves open whether that is recorded.
            return Bought(body["order"], "recording", seats, body["areas"])
        deadline = datetime.fromisoformat(body["expires_at"])
        deadline_ns = round(deadline.timestamp() * _NS) + self._utc_offset_ns
        return Held(body["hold"], seats, body["areas"], deadline_ns)


def _address(request: Request) -> tuple[str, str, object]:
    """Return a request's method, path and body."""
    selection: dict[str, object] = {}
    if request.seats:
        selection["seats"] = list(request.seats)
    if request.areas:
        selection["areas"] = request.areas
    show = ("shows", request.show)
    match request.kind:
        case "hold":
            ttl_s = (request.ttl_ns or 0) // _NS
            return (
                "POST",
                path_of(*show, "holds"),
                selection
                | {
                    "buyer": request.buyer,
                    "ttl_s": ttl_s,
                },
            )
        case "purchase":
            return "POST", path_of(*show, "purchases"), {"hold": request.hold}
        case "return":
            return "POST", path_of("orders", _order_of(request), "return"), None
        case "replace":
            return "PUT", path_of(*show, "holds", request.hold or ""), selection
        case "release":
            return "DELETE", path_of(*show, "holds", request.hold or ""), None
        case "look":
            return "GET", path_of(*show, "holds", request.hold or ""), None


def _order_of(request: Request) -> str:
    """Return the id of the order that a hold becomes, as docs/API.md does not promise."""
    _, region, show = request.show.split("_")
    return f"ord_{region}_{show}{(request.hold or '').rpartition('_')[2]}"


def _read_order(body: Mapping[str, Any]) -> Bought:
    state: Literal["confirmed", "recording", "returned"] = body["status"]
    if state not in {"confirmed", "recording", "returned"}:
        raise StrangeAnswerError(f"an order that is {state}")  # noqa: EM102, TRY003 -- only noted
    areas: dict[str, int] = {}
    for ticket in body["tickets"]:
        if ticket["area"] is not None:
            areas[ticket["area"]] = areas.get(ticket["area"], 0) + 1
    seats = tuple(sorted(one["seat"] for one in body["tickets"] if one["seat"] is not None))
    return Bought(body["order"], state, seats, areas)


def _read_return(body: Mapping[str, Any]) -> Returned:
    if body["status"] != "returned":
        raise StrangeAnswerError(f"returned, and {body['status']}")  # noqa: EM102, TRY003 -- only noted
    return Returned()


def _read_refusal(reply: Reply) -> Refused:
    body = reply.body
    if reply.problem not in _REFUSALS:
        raise StrangeAnswerError(f"{reply.status} {body}")  # noqa: EM102, TRY003 -- only noted
    return Refused(
        reply.problem,
        tuple(body.get("seats", ())) if reply.problem == "seats-taken" else (),
        dict(body.get("areas", {})) if reply.problem == "area-short" else {},
    )
