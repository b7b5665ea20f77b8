"""Availability in the fast lane; the call is documented with its route in `api.availability`."""

from collections import OrderedDict
from typing import Final

import msgspec
from msgspec import Struct

from api.availability import tell_availability
from api.compressing import gzipped
from api.fastlane.call import Call
from api.fastlane.kept import ASK_EACH_TIME, Kept, takes_gzip
from api.fastlane.replies import Reply, reply_problem
from api.outcomes import problem_of
from api.rights import check_guess
from engine.inventory.allotments import Rights
from engine.inventory.availability import InventoryState
from engine.inventory.commands import Recovering

AVAILABLE: Final = "onsale-available"
"""How many places are open, for who wants no more than that: `HEAD`."""

_REMEMBERED_MAX: Final = 64


class _Written(Struct, frozen=True):
    etag: str
    content: bytes
    compressed: bytes


# By show, what was written last: while nobody buys, everybody gets the same bytes.
_written: OrderedDict[int, _Written] = OrderedDict()


async def show_availability(call: Call) -> Reply:
    """Tell counts and the seat map."""
    show = await call.show()
    office, shown = call.runtime.box_office, call.shown()
    check_guess(call.runtime, call.principal, show, shown)
    state = await office.inventory(show)
    if isinstance(state, Recovering):
        return reply_problem(problem_of(state, show))
    rights = office.rights(state.show, shown)
    state = state.seen_by(rights)
    version = f".{state.show.inventory_version}.{state.show.price_version}{_word(rights)}"
    if state.show.seller is not None:
        version = ""  # of the rest, which is not theirs to know: what they are told is of a moment
    etag = f'W/"{state.sequence}{version}"'
    kept = Kept(etag, ASK_EACH_TIME, ((AVAILABLE, str(state.open)),))
    if kept.is_had_by(call):
        return kept.unchanged()
    # Only what anybody is told is kept: of who has a right there are few.
    written = None if rights else _written.get(show.id)
    if written is None or written.etag != etag:
        written = await _write(call, state, etag)
        if not rights:
            _keep(show.id, written)
    is_gzip = takes_gzip(call)
    return kept.reply(written.compressed if is_gzip else written.content, is_gzip=is_gzip)


async def _write(call: Call, state: InventoryState, etag: str) -> _Written:
    show, runtime = state.show, call.runtime
    tariff = await runtime.box_office.prices(show, show.price_version)
    content = msgspec.json.encode(tell_availability(state, tariff, runtime.ids))
    return _Written(etag, content, gzipped(content))


def _keep(show: int, written: _Written) -> None:
    _written[show] = written
    _written.move_to_end(show)
    while len(_written) > _REMEMBERED_MAX:
        _written.popitem(last=False)


def _word(rights: Rights) -> str:
    """Return what tells answers apart that differ by who asks."""
    return "".join(f".{n}" for n in sorted(rights))
