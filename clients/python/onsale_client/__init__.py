"""The client of Onsale's API: typed, sync and async, and it repeats safely.

    from onsale_client import Onsale

    with Onsale("onsale_...", base_url="http://127.0.0.1:8000") as onsale:
        hold = onsale.holds.create(show, buyer="b-17", seats=["A-1-1", "A-1-2"])
        order = onsale.orders.purchase(show, hold.hold, payment_reference="pay_8731")

`AsyncOnsale` has the same methods, to be awaited. Whatever was not answered is repeated with the
same idempotency key, so that it happens once; what the API refuses is raised as a `ProblemError`.
"""

from onsale_client.asynchronous import AsyncOnsale
from onsale_client.calls import Sheet
from onsale_client.errors import (
    ForbiddenError,
    InvalidRequestError,
    NoAnswerError,
    NotFoundError,
    OnsaleError,
    OverError,
    ProblemError,
    RefusedError,
    UnauthorizedError,
    UnavailableError,
)
from onsale_client.models import (
    Availability,
    Fact,
    Hold,
    Order,
    Seat,
    Show,
    WebhookEndpoint,
)
from onsale_client.offer_models import Allotment, Bundle, ImportedSheet, PublishedPrices, SearchPage
from onsale_client.repeating import Repeats
from onsale_client.synchronous import Onsale
from onsale_client.webhooks import SignatureError, read_webhook
from onsale_client.wire import API_VERSION, Request, Response

__all__ = (
    "API_VERSION",
    "Allotment",
    "AsyncOnsale",
    "Availability",
    "Bundle",
    "Fact",
    "ForbiddenError",
    "Hold",
    "ImportedSheet",
    "InvalidRequestError",
    "NoAnswerError",
    "NotFoundError",
    "Onsale",
    "OnsaleError",
    "Order",
    "OverError",
    "ProblemError",
    "PublishedPrices",
    "RefusedError",
    "Repeats",
    "Request",
    "Response",
    "SearchPage",
    "Seat",
    "Sheet",
    "Show",
    "SignatureError",
    "UnauthorizedError",
    "UnavailableError",
    "WebhookEndpoint",
    "read_webhook",
)
