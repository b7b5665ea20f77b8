"""Live seats as server-sent events; documented with its route in `api.live`."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qsl

import structlog

from api.context import parse_show
from api.credentials import Credentials, check_scope
from api.edge import NO_STORE, SECURITY_HEADERS
from api.fastlane.call import Visit
from api.fastlane.live_audience import Watcher
from api.fastlane.unread import peer_of
from api.outcomes import show_not_found
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.reading import check_parameters
from engine.inventory.facts import StreamId
from engine.inventory.live_blocks import (
    SEATS_WATCHED_MAX,
    Block,
    NoSuchBlock,
    price_level,
    some_seats,
    whole_show,
    zone,
)
from engine.inventory.shows import Show, UnknownShowError
from engine.platform.ids import EntityId, IdError
from engine.tenancy.principals import Scope
from engine.tenancy.watch_tokens import WatchTokenError

_PARAMETERS: Final = ("token", "last_event_id", "seats", "level", "zone")
_FILTERS: Final = frozenset({"seats", "level", "zone"})
_LAST_EVENT_CHARACTERS_MAX: Final = 40
_HEADERS: Final = [
    ("content-type", "text/event-stream"),
    ("x-accel-buffering", "no"),
    ("access-control-allow-origin", "*"),
    *((name.decode(), value.decode()) for name, value in (*SECURITY_HEADERS, NO_STORE)),
]
_log = structlog.stdlib.get_logger(__name__)


async def watch_show(visit: Visit, credentials: Credentials) -> None:
    """Tell how the seats of a show change, until the stream is over.

    Raises:
        ProblemError: before anything was sent.
    """
    if not visit.scope.http_version.startswith("1"):
        raise ProblemError(
            ProblemKind.HTTP_VERSION, "This stream is told over HTTP/1.1 only; a proxy may differ."
        )
    asked = _read_query(visit)
    reseller, until_s = await _reseller(visit, credentials, asked.get("token"))
    show = await _show(visit, reseller)
    block = _block(show, asked)
    last = _last_event(asked.get("last_event_id") or visit.headers.get("last-event-id"))
    live = visit.live
    with live.streams(visit.runtime.settings).opened(visit.address(), reseller):
        live.check_room(show, block)
        ended = asyncio.get_running_loop().create_future()
        gone = asyncio.ensure_future(visit.exchange.client_disconnect())
        transport = visit.exchange.response_stream(200, _HEADERS)
        port = int(visit.scope.server.rpartition(":")[2])
        watcher = Watcher(transport, (peer_of(visit.scope.client), port), ended, until_s)
        gone.add_done_callback(lambda _: watcher.end())
        try:
            await live.watch(visit.runtime.live, show, block, watcher, last)
        except Exception:  # noqa: BLE001 - the last net, since `FastLane` can answer no more
            _log.exception("stream ended")
        finally:
            gone.cancel()


async def _reseller(
    visit: Visit, credentials: Credentials, token: str | None
) -> tuple[EntityId, float]:
    """Return whose show it may be, and for how many seconds it may be watched.

    Raises:
        ProblemError: `unauthorized`, `insufficient-scope`.
    """
    authorization = visit.headers.get("authorization")
    if token is None:
        principal = credentials.recall(authorization) or await credentials.identify(authorization)
        check_scope(principal, Scope.SHOWS_READ)
        return principal.reseller, float("inf")
    if authorization is not None:
        raise invalid(Fault("came beside an Authorization header", parameter="token"))
    runtime = visit.runtime
    try:
        found = runtime.watch_tokens.read(parse_show(runtime.ids, visit.show_text), token)
    except (IdError, WatchTokenError) as error:
        detail = str(error) if isinstance(error, WatchTokenError) else "This is no watch token."
        raise ProblemError(ProblemKind.WATCH_TOKEN_INVALID, detail) from None
    return found.reseller, found.until_s - time.time()


async def _show(visit: Visit, reseller: EntityId) -> Show:
    runtime = visit.runtime
    try:
        return await runtime.box_office.show(reseller, parse_show(runtime.ids, visit.show_text))
    except (IdError, UnknownShowError):
        raise show_not_found() from None


def _read_query(visit: Visit) -> dict[str, str]:
    given = parse_qsl(visit.scope.query_string, keep_blank_values=True)
    check_parameters([name for name, _ in given], *_PARAMETERS)
    asked = dict(given)
    filters = _FILTERS & asked.keys()
    if len(filters) > 1:
        raise invalid(*(Fault("only one of them", parameter=name) for name in sorted(filters)))
    return asked


def _block(show: Show, asked: dict[str, str]) -> Block:
    """Return the part of the show that is asked for.

    Raises:
        ProblemError: `invalid-request`: there is no such part.
    """
    manifest = show.manifest
    name = next(iter(_FILTERS & asked.keys()), None)
    if name is None:
        return whole_show(manifest)
    value = asked[name]
    if name == "seats":
        found = some_seats(manifest, _labels(value))
    else:
        found = (price_level if name == "level" else zone)(manifest, value)
    if isinstance(found, NoSuchBlock):
        told = ", ".join(found.names[:5])[:200]
        raise invalid(Fault(f"the show has no such thing: {told}", parameter=name))
    return found


def _labels(value: str) -> Sequence[str]:
    labels = [label for label in value.split(",") if label]
    if not 0 < len(labels) <= SEATS_WATCHED_MAX:
        reason = f"1 to {SEATS_WATCHED_MAX} labels, separated by commas"
        raise invalid(Fault(reason, parameter="seats"))
    return labels


def _last_event(text: str | None) -> StreamId | None:
    """Return where a stream was cut off; None for whatever was never told: it begins anew."""
    if text is None or len(text) > _LAST_EVENT_CHARACTERS_MAX:
        return None
    epoch, _, n = text.partition("-")
    if not (epoch.isascii() and epoch.isdigit() and n.isascii() and n.isdigit()):
        return None
    return StreamId(int(epoch), int(n))
