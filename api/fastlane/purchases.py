"""Purchases in the fast lane; documented with its route in `api.purchases`."""

from typing import Final

import msgspec

from api.answers import tell_order
from api.fastlane.call import Call
from api.fastlane.replies import Headers, Reply, reply_problem
from api.inputs import PurchaseBody
from api.outcomes import problem_of, purchase_failed
from engine.inventory.shows import Show
from engine.sales.asking import Asked
from engine.sales.orders import OrderState
from engine.sales.views import OrderView

_encode: Final = msgspec.json.Encoder().encode


async def purchase_hold(call: Call) -> Reply:
    """Turn a hold into an order."""
    key = call.key()
    show = await call.show()
    body = await call.body(PurchaseBody)
    return await tell_purchase(call, show, await ask_purchase(call, show, key, body), body)


async def ask_purchase(call: Call, show: Show, key: str, body: PurchaseBody) -> Asked:
    """Put a purchase into the show's lane.

    Raises:
        ProblemError: `hold-not-found`.
    """
    hold = call.hold(show, body.hold)
    return await call.runtime.box_office.ask_purchase(
        show, hold, key, body.fingerprint(), body.payment_reference
    )


async def tell_purchase(call: Call, show: Show, asked: Asked, body: PurchaseBody) -> Reply:
    """Tell what became of a purchase, once its row is committed or takes too long.

    It ends the pass that it came with: the next in line gets the place in checkout.
    """
    runtime = call.runtime
    outcome = await runtime.box_office.tell_purchase(show, asked)
    if not isinstance(outcome, OrderView):
        return reply_problem(problem_of(outcome, show))
    answer = tell_order(outcome, runtime.ids)
    location = f"/v1/orders/{answer.order}"
    if outcome.status is OrderState.FAILED:
        return reply_problem(purchase_failed(answer.order, location))
    if body.queue_pass and show.has_queue:
        await runtime.waiting_room.end_pass(show, body.queue_pass, outcome.buyer)
    headers: Headers = (("location", location),)
    if outcome.status is OrderState.RECORDING:
        return Reply(202, _encode(answer), (*headers, ("retry-after", "1")))
    return Reply(201, _encode(answer), headers)
