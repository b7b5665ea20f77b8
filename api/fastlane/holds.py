"""Holds in the fast lane; what each call does is documented with its route in `api.holds`."""

from typing import Final

import msgspec

from api.answers import tell_hold
from api.fastlane.admission import admitted_ttl_ms
from api.fastlane.call import Call
from api.fastlane.replies import Reply, reply_problem
from api.inputs import HoldBody, SelectionBody
from api.outcomes import Refused, problem_of
from api.rights import check_guess
from engine.inventory.commands import Done
from engine.inventory.shows import Show
from engine.platform.ids import HoldId
from engine.sales.asking import Asked
from engine.sales.hold_answers import Decided
from engine.sales.views import HoldView

_RELEASED: Final = Reply(204)
_encode: Final = msgspec.json.Encoder().encode


async def hold_places(call: Call) -> Reply:
    """Hold a selection for a buyer."""
    key = call.key()
    show = call.known_show() or await call.show()
    body = await call.body(HoldBody, show=show)
    show = call.known_show() or await call.show()  # it may have got a waiting room meanwhile
    if body.ticket_types:
        show = await call.runtime.box_office.newest_for(show, body.wanted())
    ttl_ms = body.ttl_ms(show.hold_ttl_s)
    if show.has_queue:
        ttl_ms = await admitted_ttl_ms(call.runtime, show, call.show_text, body)
    asked = ask_hold(call, show, key, body, ttl_ms)
    if isinstance(asked, Reply):
        return asked
    return tell_new_hold(call, show, await call.runtime.box_office.tell(show, asked))


def ask_hold(call: Call, show: Show, key: str, body: HoldBody, ttl_ms: int) -> Asked | Reply:
    """Put a hold into the show's lane, or refuse it."""
    shown = body.shown(body.buyer)
    check_guess(call.runtime, call.principal, show, shown)
    asked = call.runtime.box_office.ask_hold(
        show,
        key,
        buyer=body.buyer,
        ttl_ms=ttl_ms,
        wanted=body.wanted(),
        fingerprint=body.fingerprint,
        shown=shown,
    )
    return asked if isinstance(asked, Asked) else reply_problem(problem_of(asked, show))


async def look_at_hold(call: Call) -> Reply:
    """Tell how a hold stands."""
    show = await call.show()
    hold = call.hold(show, call.tail)
    office = call.runtime.box_office
    return _tell_standing(call, show, await office.tell(show, office.ask_look(show, hold)))


async def replace_selection(call: Call) -> Reply:
    """Put another selection in the place of a hold's."""
    show = await call.show()
    hold = call.hold(show, call.tail)
    body = await call.body(SelectionBody)
    office, wanted = call.runtime.box_office, body.wanted()
    if wanted.types:
        show = await office.newest_for(show, wanted)
    shown = body.shown(await _buyer_of(call, show, hold, body))
    check_guess(call.runtime, call.principal, show, shown)
    asked = office.ask_replace(show, hold, wanted, body.fingerprint(), shown)
    if not isinstance(asked, Asked):
        return reply_problem(problem_of(asked, show))
    return _tell_standing(call, show, await office.tell(show, asked))


async def _buyer_of(call: Call, show: Show, hold: HoldId, body: SelectionBody) -> str:
    """Return whose hold it is, where a code may be good for one buyer; empty: nobody's."""
    if not body.access_code or not show.allotments.has_personal_codes:
        return ""
    office = call.runtime.box_office
    found = await office.tell(show, office.ask_look(show, hold))
    return found.buyer if isinstance(found, HoldView) else ""


async def release_hold(call: Call) -> Reply:
    """Give a hold's places back."""
    show = await call.show()
    hold = call.hold(show, call.tail)
    return await tell_release(call, show, call.runtime.box_office.ask_release(show, hold))


async def tell_release(call: Call, show: Show, asked: Asked) -> Reply:
    """Tell what became of a release."""
    outcome = await call.runtime.box_office.tell(show, asked)
    if isinstance(outcome, Done):
        return _RELEASED
    assert not isinstance(outcome, HoldView)  # noqa: S101 - batch.lua answers no release so
    return reply_problem(problem_of(outcome, show))


def tell_new_hold(call: Call, show: Show, outcome: Decided | Done) -> Reply:
    """Tell what became of a hold that was asked for."""
    if not isinstance(outcome, HoldView):
        return _tell_refused(show, outcome)
    answer = tell_hold(outcome, call.show_text, call.runtime.ids)
    location = f"/v1/shows/{answer.show}/holds/{answer.hold}"
    return Reply(201, _encode(answer), (("location", location),))


def _tell_standing(call: Call, show: Show, outcome: Decided | Done) -> Reply:
    if not isinstance(outcome, HoldView):
        return _tell_refused(show, outcome)
    return Reply(200, _encode(tell_hold(outcome, call.show_text, call.runtime.ids)))


def _tell_refused(show: Show, outcome: Refused | Done) -> Reply:
    assert not isinstance(outcome, Done)  # noqa: S101 - only a release is answered so
    return reply_problem(problem_of(outcome, show))
