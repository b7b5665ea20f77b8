"""The page in front of a waiting room of plain Python, which tests put into any state.

`POST /stand-in/{show}` changes what the room says; everything else is the real page. Only for what
a real queue shows rarely or late: the way through one is tested against the whole platform.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import msgspec
from litestar import Litestar, Response, get, post
from litestar.params import FromPath
from litestar.types import ASGIApp
from msgspec import Struct

from api.edge import Edge
from engine.platform.errors import StoreUnavailableError
from web.queue_page import ROOM, queue_router
from web.room import (
    CameFrom,
    ClaimOutcome,
    IdentityRefused,
    Joined,
    JoinOutcome,
    NotYourTurn,
    OtherCheck,
    Pass,
    PassEnded,
    PassState,
    ProofRequired,
    Queue,
    QueueShut,
    Standing,
    State,
    TokenRefused,
    TooManyJoins,
    Wait,
)


class Told(Struct, kw_only=True):
    """What a room says."""

    state: State = State.RUNNING
    serving: int = 0
    next: int = 0
    drawn: bool = False
    place_shift: int = 0
    """Place less number."""
    draws_in_s: float | None = None
    opens_in_s: float = 3600
    return_addresses: tuple[str, ...] = ()
    skipped: tuple[tuple[int, int], ...] = ()
    proof: tuple[str, int] | None = None
    """The challenge, and its bits."""
    join_fails: str = ""
    join_takes_s: float = 0
    turn_in_s: int = 0
    """Above 0: no pass yet."""
    pass_s: float = 300
    wait: tuple[int, int] | None = None
    poll_after_s: float = 1
    named: bool = False
    is_down: bool = False
    breaks: bool = False
    """An error that nobody foresaw."""
    name: str = "First night"


_REFUSALS: dict[str, JoinOutcome] = {
    "identity": IdentityRefused(),
    "check": OtherCheck(),
    "often": TooManyJoins(7),
    "shut": QueueShut(),
}


class StandInRoom:
    """The waiting rooms of all shows whose id begins with `shw_`."""

    def __init__(self) -> None:
        """Begin without any."""
        self.told: dict[str, Told] = {}
        self.passes: dict[str, Pass | None] = {}
        """By token; None: it has ended."""

    def of(self, show: str) -> Told:
        """Return what a show's room says."""
        told = self.told[show]
        if told.is_down:
            raise StoreUnavailableError(show)
        if told.breaks:
            raise LookupError(show)
        return told

    async def queue(self, show: str) -> Queue | None:
        """As web.room.Room."""
        if show not in self.told:
            return None
        told, now = self.of(show), datetime.now(UTC)
        draws_at = None if told.draws_in_s is None else now + timedelta(seconds=told.draws_in_s)
        return Queue(
            show=show,
            name=told.name,
            venue="Riethsporthalle, Erfurt",
            starts_at=datetime(2099, 5, 1, 18, tzinfo=UTC),
            opens_at=now + timedelta(seconds=told.opens_in_s),
            sale_opens_at=now + timedelta(seconds=told.opens_in_s),
            draws_at=draws_at,
            state=told.state,
            serving=told.serving,
            next=told.next,
            drawn=told.drawn,
            has_draw=told.drawn or draws_at is not None,
            return_addresses=told.return_addresses,
        )

    async def join(
        self, show: str, came_from: CameFrom, *, identity: str | None, proof: str | None
    ) -> JoinOutcome:
        """As web.room.Room."""
        told = self.of(show)
        assert came_from.address
        if told.join_fails:
            return _REFUSALS[told.join_fails]
        if told.proof and not (proof or "").startswith(told.proof[0] + "."):
            return ProofRequired(*told.proof)
        if identity is not None:
            return Joined(f"{show}.{identity}")
        number, told.next = told.next, told.next + 1
        await asyncio.sleep(told.join_takes_s)
        return Joined(f"{show}.{number}")

    async def position(self, show: str, token: str) -> Standing | TokenRefused:
        """As web.room.Room."""
        told = self.of(show)
        owner, _, number = token.partition(".")
        if owner != show or not number.isdigit():
            return TokenRefused()
        is_entry = told.state is State.PRE_QUEUE
        place = None if is_entry else int(number) + told.place_shift
        passed = PassState.NONE
        if token in self.passes:
            given = self.passes[token]
            lives = given is not None and given.expires_at > datetime.now(UTC)
            passed = PassState.LIVE if lives else PassState.ENDED
        return Standing(
            number=int(number),
            place=place,
            ahead=None if place is None else max(0, place - told.serving),
            admitted=place is not None and place < told.serving,
            wait=None if told.wait is None else Wait(*told.wait),
            poll_after_s=told.poll_after_s,
            passed=passed,
            named=told.named,
        )

    async def claim(self, show: str, token: str) -> ClaimOutcome:
        """As web.room.Room."""
        told = self.of(show)
        standing = await self.position(show, token)
        if isinstance(standing, TokenRefused):
            return standing
        if token in self.passes:
            return self.passes[token] or PassEnded()
        if told.turn_in_s or not standing.admitted:
            return NotYourTurn(told.turn_in_s or 5)
        ends = datetime.now(UTC) + timedelta(seconds=told.pass_s)
        given = Pass(text=f"pass-{standing.number}", buyer="q-1f", expires_at=ends)
        self.passes[token] = given
        return given

    async def leave(self, show: str, token: str) -> None:
        """As web.room.Room."""
        self.of(show)
        self.passes[token] = None


_room = StandInRoom()


@post("/stand-in/{show:str}", status_code=204)
async def tell(show: FromPath[str], data: dict[str, Any]) -> None:
    """Change what a show's room says; `end` names tokens whose pass ends."""
    for token in data.pop("end", ()):
        _room.passes[token] = None
    known = msgspec.to_builtins(_room.told.get(show, Told()))
    _room.told[show] = msgspec.convert(known | data, Told)


@get("/shop", media_type="text/html")
async def shop() -> str:
    """Be where people are sent on to: as `localhost` another origin than the page's."""
    return "<h1>Shop</h1>"


@get("/v1/shows/{show:str}/queue/serving")
async def serving(show: FromPath[str]) -> Response[dict[str, object]]:
    """Tell what everybody is told."""
    told = _room.of(show)
    pace = {"slow": 2.0, "fast": 5.0} if told.wait else None
    return Response(
        {
            "show": show,
            "state": told.state,
            "serving": told.serving,
            "next": told.next,
            "drawn": told.drawn,
            "server_time": datetime.now(UTC).isoformat(),
            "pace": pace,
            "count": None,
            "skipped": told.skipped,
        },
        headers={"Cache-Control": "public, max-age=1"},
    )


_litestar = Litestar(route_handlers=[queue_router(), shop, tell, serving], logging_config=None)
_litestar.state[ROOM] = _room
app = Edge(cast("ASGIApp", _litestar))
