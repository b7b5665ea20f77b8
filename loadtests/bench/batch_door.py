"""A reseller's system at the batch endpoint: commands in, one answer for each out."""

import http
import http.client
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec
from msgspec import Struct
from onsale_client.wire import path_of

from loadtests.auditor.hall import read_hall
from loadtests.bench.measurement import Site

COMMANDS_MAX: Final = 500
"""In one request."""

TTL_S: Final = 3600
"""The longest that the API allows: nothing expires while it is measured."""

_TIMEOUT_S: Final = 60
_TOLD_ABOUT: Final = 300


class BestAvailable(Struct, frozen=True):
    """So many seats together, at a price level."""

    price_level: str
    quantity: int


class Hold(Struct, frozen=True, kw_only=True, tag="hold", tag_field="op", omit_defaults=True):
    """Claim seats for a buyer."""

    key: str
    buyer: str
    seats: tuple[str, ...] = ()
    best_available: BestAvailable | None = None
    ttl_s: int = 600


class Purchase(Struct, frozen=True, kw_only=True, tag="purchase", tag_field="op"):
    """Turn a hold into an order."""

    key: str
    hold: str
    payment_reference: str = ""


class Release(Struct, frozen=True, kw_only=True, tag="release", tag_field="op"):
    """Give a hold back."""

    hold: str


Command = Hold | Purchase | Release


class Answer(Struct, frozen=True):
    """What became of one command."""

    status: int
    body: dict[str, Any] | None = None


class _Request(Struct, frozen=True):
    commands: Sequence[Command]


class _Answers(Struct, frozen=True):
    answers: list[Answer]


class UnexpectedAnswerError(Exception):
    """The API answered something else than what the measurement needs."""


class BatchDoor:
    """One connection to a show's batch endpoint."""

    def __init__(self, site: Site, show: str) -> None:
        """Connect when first asked; a context manager that closes."""
        self._connection = http.client.HTTPConnection(
            urlsplit(site.base_url).netloc, timeout=_TIMEOUT_S
        )
        self._path = path_of("shows", show, "batch")
        self._headers = {
            "Authorization": f"Bearer {site.api_key}",
            "Content-Type": "application/json",
        }
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(_Answers).decode

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._connection.close()

    def ask(self, commands: Sequence[Command], *, expect: Sequence[int]) -> list[Answer]:
        """Send one request and return an answer for each command.

        Raises:
            UnexpectedAnswerError: an answer, or the whole, has another status than expected.
            OSError: the API can't be reached.
        """
        self._connection.request(
            "POST", self._path, self._encode(_Request(commands)), self._headers
        )
        response = self._connection.getresponse()
        content = response.read()
        if response.status != http.HTTPStatus.OK:
            msg = f"the batch: {response.status} {content[:_TOLD_ABOUT].decode(errors='replace')}"
            raise UnexpectedAnswerError(msg)
        answers = self._decode(content).answers
        for command, answer in zip(commands, answers, strict=True):
            if answer.status not in expect:
                msg = f"{command}: {answer.status} {answer.body}"
                raise UnexpectedAnswerError(msg)
        return answers

    # ------------------------------------------------------------ in words

    def hold(self, holds: Sequence[Hold]) -> list[str]:
        """Have these held, all of them; return the holds' ids."""
        return [_hold_of(answer) for answer in self.ask(holds, expect=[http.HTTPStatus.CREATED])]

    def purchase(self, holds: Sequence[str]) -> None:
        """Have these holds bought, each under a key of its own."""
        self.ask(
            [Purchase(key=str(uuid4()), hold=hold) for hold in holds],
            expect=[http.HTTPStatus.CREATED, http.HTTPStatus.ACCEPTED],
        )

    def release(self, holds: Sequence[str]) -> None:
        """Have these holds given back."""
        self.ask([Release(hold=hold) for hold in holds], expect=[http.HTTPStatus.NO_CONTENT])


def hold_seats(seats: Sequence[str]) -> Hold:
    """Return a hold of named seats under a key and for a buyer that nobody had before."""
    return Hold(key=str(uuid4()), buyer=fresh_buyer(), seats=tuple(seats), ttl_s=TTL_S)


def hold_best(price_level: str, quantity: int) -> Hold:
    """Return a hold of seats together under a key and for a buyer that nobody had before."""
    best = BestAvailable(price_level, quantity)
    return Hold(key=str(uuid4()), buyer=fresh_buyer(), best_available=best, ttl_s=TTL_S)


def fresh_buyer() -> str:
    """Return the name of a buyer, such as `b-5f1c9a3e`."""
    return f"b-{uuid4().hex[:8]}"


def runs_of(plan: bytes) -> list[list[str]]:
    """Return the labels of a plan's seats: neighbours in order, a list from aisle to aisle."""
    runs: dict[int, list[str]] = {}
    for label, (run, _) in read_hall(plan).place_of.items():
        runs.setdefault(run, []).append(label)
    return list(runs.values())


def in_batches(commands: Sequence[Hold], size: int) -> list[Sequence[Hold]]:
    """Cut commands into batches; what does not fill one is left out."""
    return [commands[n : n + size] for n in range(0, len(commands) - size + 1, size)]


def _hold_of(answer: Answer) -> str:
    if answer.body is None:
        msg = "a hold was answered without a body"
        raise UnexpectedAnswerError(msg)
    return str(answer.body["hold"])
