"""Live seats: a stream of what changes, and the tokens that browsers watch with."""

from datetime import UTC, datetime
from typing import Annotated

from litestar import Response, Router, get, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_201_CREATED
from msgspec import Meta, Struct

from api.context import ApiRequest, find_show, runtime_of, served_in_front
from api.documents import describe
from api.inputs import Body
from api.problems import ProblemKind
from api.reading import check_query, read_body
from engine.tenancy.principals import Scope
from engine.tenancy.watch_tokens import MAX_AGE_S

_AGE_S = 3600
_AGE_S_MIN = 60


class WatchTokenBody(Body, frozen=True):
    """For how long the token is good."""

    ttl_s: Annotated[int, Meta(ge=_AGE_S_MIN, le=MAX_AGE_S)] = _AGE_S


class WatchTokenAnswer(Struct, frozen=True):
    """A token, good for one show: `GET {url}` watches with it."""

    token: str
    expires_at: datetime
    url: str


@get(
    "/{show:str}/live",
    summary="Live seats",
    media_type="text/event-stream",
    operation_class=describe(
        scope=Scope.SHOWS_READ,
        problems=(
            ProblemKind.SHOW_NOT_FOUND,
            ProblemKind.WATCH_TOKEN_INVALID,
            ProblemKind.HTTP_VERSION,
        ),
    ),
)
async def watch_show(show: FromPath[str]) -> str:
    """Tell as server-sent events how the seats change: `snapshot`, `delta`, `gone`.

    A browser, which can send no header, watches with `token=`. `seats=` (labels, separated by
    commas), `level=` or `zone=` tell of a part only. `Last-Event-ID`, or `last_event_id=`, goes on
    where a stream was cut off. docs/LIVE.md has the events.
    """
    raise served_in_front(show)


@post(
    "/{show:str}/live/tokens",
    summary="Watch token",
    status_code=HTTP_201_CREATED,
    operation_class=describe(
        scope=Scope.SHOWS_READ,
        body=WatchTokenBody,
        problems=(ProblemKind.SHOW_NOT_FOUND,),
    ),
)
async def make_watch_token(request: ApiRequest, show: FromPath[str]) -> Response[WatchTokenAnswer]:
    """Give out what a browser watches this show with, for a while; nothing keeps it."""
    check_query(request)
    found = await find_show(request, show)
    body = await read_body(request, WatchTokenBody)
    tokens = runtime_of(request).watch_tokens
    token, until_s = tokens.sign(found.reseller, found.id, body.ttl_s)
    answer = WatchTokenAnswer(
        token, datetime.fromtimestamp(until_s, UTC), f"/v1/shows/{show}/live?token={token}"
    )
    return Response(answer, status_code=HTTP_201_CREATED)


router = Router(path="/v1/shows", tags=["live"], route_handlers=[watch_show, make_watch_token])
