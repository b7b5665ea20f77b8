"""Holds in the fast lane; what each call does is documented with its route in `api.holds`."""

from typing import Final

import msgspec

from api.answers import tell_hold
from api.fastlane.call import Call
from api.fastlane.replies import Reply, reply_problem
from api.inputs import HoldBody, SelectionBody
from api.outcomes import problem_of
from api.reading import body_fingerprint
from engine.inventory.commands import Done, Refusal
from engine.inventory.shows import Show
from engine.sales.box_office import Asked, HoldView
from engine.sales.wanted import UnknownPlaces

Begun = Asked | UnknownPlaces | Refusal
"""A command in its lane, or why it did not get there."""

_CREATED: Final = 201
_OK: Final = 200
_RELEASED: Final = Reply(204)
_encode: Final = msgspec.json.Encoder().encode


async def hold_places(call: Call) -> Reply:
    """Hold a selection for a buyer."""
    key = call.key()
    show = call.known_show() or await call.show()
    return await tell_new_hold(call, show, ask_hold(call, show, key, await call.body(HoldBody)))


def ask_hold(call: Call, show: Show, key: str, body: HoldBody) -> Begun:
    """Put a hold into the show's lane."""
    return call.runtime.box_office.ask_hold(
        show,
        key,
        buyer=body.buyer,
        ttl_ms=body.ttl_s * 1000,
        wanted=body.wanted(),
        fingerprint=body_fingerprint(body),
    )


async def tell_new_hold(call: Call, show: Show, begun: Begun) -> Reply:
    """Tell what became of a hold that was asked for."""
    return await _tell(call, show, begun, _CREATED)


async def look_at_hold(call: Call) -> Reply:
    """Tell how a hold stands."""
    show = await call.show()
    hold = call.hold(show, call.tail)
    return await _tell(call, show, call.runtime.box_office.ask_look(show, hold), _OK)


async def replace_selection(call: Call) -> Reply:
    """Put another selection in the place of a hold's."""
    show = await call.show()
    hold = call.hold(show, call.tail)
    body = await call.body(SelectionBody)
    begun = call.runtime.box_office.ask_replace(show, hold, body.wanted(), body_fingerprint(body))
    return await _tell(call, show, begun, _OK)


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


async def _tell(call: Call, show: Show, begun: Begun, status: int) -> Reply:
    if not isinstance(begun, Asked):
        return reply_problem(problem_of(begun, show))
    outcome = await call.runtime.box_office.tell(show, begun)
    if not isinstance(outcome, HoldView):
        assert not isinstance(outcome, Done)  # noqa: S101 - only a release is answered so
        return reply_problem(problem_of(outcome, show))
    answer = tell_hold(outcome, call.runtime.ids)
    if status != _CREATED:
        return Reply(status, _encode(answer))
    location = f"/v1/shows/{answer.show}/holds/{answer.hold}"
    return Reply(status, _encode(answer), (("location", location),))
