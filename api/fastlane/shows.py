"""Own shows in the fast lane; the calls are documented with their routes in `api.shows`."""

from urllib.parse import parse_qsl

import msgspec

from api.answers import for_seller, tell_listed_show
from api.fastlane.call import Call
from api.fastlane.replies import Reply
from api.paging import read_cursor, read_limit
from api.shows import ShowPage, tell_now
from engine.catalog.show_looks import list_shows
from engine.platform.errors import store_failures
from engine.platform.ids import Prefix

_encode = msgspec.json.Encoder().encode


async def list_own(call: Call) -> Reply:
    """List the asking reseller's shows."""
    asked = dict(parse_qsl(call.scope.query_string, keep_blank_values=True))
    runtime, limit = call.runtime, read_limit(asked.get("limit"))
    after = read_cursor(runtime.ids, Prefix.SHOW, asked.get("cursor"))
    # One more than asked for tells whether there is a next page.
    with store_failures():
        found = await list_shows(runtime.own_reads, call.reseller, after=after, limit=limit + 1)
    page = [tell_listed_show(show, runtime.ids) for show in found[:limit]]
    return Reply(200, _encode(ShowPage(page, page[-1].show if len(found) > limit else None)))


async def look(call: Call) -> Reply:
    """Tell one of the asking reseller's shows, or one of which places were released to them."""
    show = await call.show()
    told = await tell_now(call.runtime, show)
    return Reply(200, _encode(told if show.seller is None else for_seller(told)))
