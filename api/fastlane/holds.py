"""Holds in the fast lane; what each call does is documented with its route in `api.holds`."""

from typing import Final

import msgspec

from api.answers import tell_hold
from api.fastlane.call import Call
from api.fastlane.replies import Reply, reply_problem
from api.inputs import HoldBody, SelectionBody
from api.outcomes import problem_of
from api.reading import body_fingerprint
from engine.inventory.commands import Done
from engine.inventory.shows import Show
from engine.sales.box_office import Asked, HoldView

CREATED: Final = 201
_OK: Final = 200
_RELEASED: Final = Reply(204)
_encode: Final = msgspec.json.Encoder().encode


async def hold_places(call: Call) -> Reply:
    """Hold a selection for a buyer."""
    key = call.key()
    show = call.known_show() or await call.show()
    asked = ask_hold(call, show, key, await call.body(HoldBody))
    return asked if isinstance(asked, Reply) else await tell(call, show, asked, CREATED)


def ask_hold(call: Call, show: Show, key: str, body: HoldBody) -> Asked | Reply:
    """Put a hold into the show's lane, or refuse it."""
    asked = call.runtime.box_office.ask_hold(
        show,
        key,
        buyer=body.buyer,
        ttl_ms=body.ttl_s * 1000,
        wanted=body.wanted(),
        fingerprint=lambda: body_fingerprint(body.alone()),
    )
    return asked if isinstance(asked, Asked) else reply_problem(problem_of(asked, show))


async def look_at_hold(call: Call) -> Reply:
    """Tell how a hold stands."""
    show = await call.show()
    hold = call.hold(show, call.tail)
    return await tell(call, show, call.runtime.box_office.ask_look(show, hold), _OK)


async def replace_selection(call: Call) -> Reply:
    """Put another selection in the place of a hold's."""
    show = await call.show()
    hold = call.hold(show, call.tail)
    body = await call.body(SelectionBody)
    asked = call.runtime.box_office.ask_replace(show, hold, body.wanted(), body_fingerprint(body))
    if not isinstance(asked, Asked):
        return reply_problem(problem_of(asked, show))
    return await tell(call, show, asked, _OK)


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


async def tell(call: Call, show: Show, asked: Asked, status: int) -> Reply:
    """Tell what became of a hold that was asked for, with this status if it stands."""
    outcome = await call.runtime.box_office.tell(show, asked)
    if not isinstance(outcome, HoldView):
        assert not isinstance(outcome, Done)  # noqa: S101 - only a release is answered so
        return reply_problem(problem_of(outcome, show))
    answer = tell_hold(outcome, call.show_text, call.runtime.ids)
    if status != CREATED:
        return Reply(status, _encode(answer))
    location = f"/v1/shows/{answer.show}/holds/{answer.hold}"
    return Reply(status, _encode(answer), (("location", location),))
