"""The client in Python and the API's contract: what one has the other has, or is known to lack."""

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest
from onsale_client import NoAnswerError, Onsale, Repeats, Request, Response
from onsale_client.noun import Noun
from onsale_client.wire import TransportError

from ops.places import ROOT

Do = Callable[[Onsale], object]

_LINE: Final = "let through"
_SELECTION: Final[dict[str, Any]] = {
    "seats": ["A-1"],
    "areas": {"floor": 1},
    "best_available": ("vip", 2),
    "ticket_types": {"child": {"seats": ["A-1"]}},
    "access_code": "FANS",
    "channel": "desk",
}
_RIGHT: Final[dict[str, Any]] = {"access_code": "FANS", "channel": "desk", "buyer": "b"}
_FOUND: Final[dict[str, Any]] = {
    "search": "a",
    "performer": "a",
    "venue": "a",
    "city": "a",
    "country": "AT",
    "kind": "concert",
    "since": "2026-01-01",
    "until": "2026-02-01",
    "near": (1.0, 2.0),
    "within_km": 3.0,
    "price_min": 1,
    "price_max": 2,
    "currency": "EUR",
    "available": True,
    "reseller": "r",
    "sort": "date",
    "facets": False,
    "cursor": "c",
    "limit": 5,
}

_METHODS: Final[dict[tuple[str, str], tuple[str, Do]]] = {
    ("events", "find"): ("GET /v1/events", lambda o: o.events.find(**_FOUND)),
    ("shows", "create"): ("POST /v1/shows", lambda o: o.shows.create({})),
    ("shows", "get"): ("GET /v1/shows/{show}", lambda o: o.shows.get("s")),
    ("shows", "all"): ("GET /v1/shows", lambda o: next(o.shows.all())),
    ("shows", "seats"): (
        "GET /v1/shows/{show}/seats",
        lambda o: next(o.shows.seats("s", status="open", price_level="vip", price_max=1, **_RIGHT)),
    ),
    ("shows", "seating_plan"): (
        "GET /v1/shows/{show}/seating-plan",
        lambda o: o.shows.seating_plan("s"),
    ),
    ("shows", "availability"): (
        "GET /v1/shows/{show}/availability",
        lambda o: o.shows.availability("s", **_RIGHT),
    ),
    ("shows", "availability_since"): (
        "GET /v1/shows/{show}/availability",
        lambda o: o.shows.availability_since("s", "e", **_RIGHT),
    ),
    ("shows", "withhold"): (
        "POST /v1/shows/{show}/blocks",
        lambda o: o.shows.withhold("s", seats=["A-1"], areas={"floor": 1}, reason="r"),
    ),
    ("shows", "give_back"): (
        "POST /v1/shows/{show}/blocks/release",
        lambda o: o.shows.give_back("s", seats=["A-1"], areas={"floor": 1}, reason="r"),
    ),
    ("shows", "batch"): ("POST /v1/shows/{show}/batch", lambda o: o.shows.batch("s", [])),
    ("prices", "get"): ("GET /v1/shows/{show}/prices", lambda o: o.prices.get("s")),
    ("prices", "publish"): (
        "PUT /v1/shows/{show}/prices",
        lambda o: o.prices.publish("s", {"vip": 1}, after_version=1, ticket_types={}),
    ),
    ("prices", "ticket_types"): (
        "GET /v1/shows/{show}/ticket-types",
        lambda o: o.prices.ticket_types("s"),
    ),
    ("prices", "set_ticket_types"): (
        "PUT /v1/shows/{show}/ticket-types",
        lambda o: o.prices.set_ticket_types("s", []),
    ),
    ("prices", "steps"): ("GET /v1/shows/{show}/price-steps", lambda o: o.prices.steps("s")),
    ("prices", "set_steps"): (
        "PUT /v1/shows/{show}/price-steps",
        lambda o: o.prices.set_steps("s", []),
    ),
    ("allotments", "create"): (
        "POST /v1/shows/{show}/allotments",
        lambda o: o.allotments.create("s", "n", places={}, rights=[], since="t", until="t"),
    ),
    ("allotments", "get"): ("GET /v1/allotments/{allotment}", lambda o: o.allotments.get("a")),
    ("allotments", "of_show"): (
        "GET /v1/shows/{show}/allotments",
        lambda o: next(o.allotments.of_show("s")),
    ),
    ("allotments", "codes"): (
        "POST /v1/allotments/{allotment}/codes",
        lambda o: o.allotments.codes("a", ["b"]),
    ),
    ("allotments", "end"): ("DELETE /v1/allotments/{allotment}", lambda o: o.allotments.end("a")),
    ("holds", "create"): (
        "POST /v1/shows/{show}/holds",
        lambda o: o.holds.create("s", buyer="b", ttl_s=60, queue_pass=_LINE, **_SELECTION),
    ),
    ("holds", "get"): ("GET /v1/shows/{show}/holds/{hold}", lambda o: o.holds.get("s", "h")),
    ("holds", "replace"): (
        "PUT /v1/shows/{show}/holds/{hold}",
        lambda o: o.holds.replace("s", "h", **_SELECTION),
    ),
    ("holds", "release"): (
        "DELETE /v1/shows/{show}/holds/{hold}",
        lambda o: o.holds.release("s", "h"),
    ),
    ("bundles", "create"): (
        "POST /v1/bundles",
        lambda o: o.bundles.create([], buyer="b", ttl_s=60),
    ),
    ("bundles", "get"): ("GET /v1/bundles/{bundle}", lambda o: o.bundles.get("b")),
    ("bundles", "purchase"): (
        "POST /v1/bundles/{bundle}/purchase",
        lambda o: o.bundles.purchase("b", payment_reference="p"),
    ),
    ("bundles", "release"): ("DELETE /v1/bundles/{bundle}", lambda o: o.bundles.release("b")),
    ("orders", "purchase"): (
        "POST /v1/shows/{show}/purchases",
        lambda o: o.orders.purchase("s", "h", payment_reference="p", queue_pass=_LINE),
    ),
    ("orders", "get"): ("GET /v1/orders/{order}", lambda o: o.orders.get("o")),
    ("orders", "of_show"): (
        "GET /v1/shows/{show}/orders",
        lambda o: next(o.orders.of_show("s", state="confirmed", since="t", until="t")),
    ),
    ("orders", "wait"): ("GET /v1/orders/{order}", lambda o: o.orders.wait("o")),
    ("orders", "take_back"): (
        "POST /v1/orders/{order}/return",
        lambda o: o.orders.take_back("o"),
    ),
    ("sheets", "import_shows"): (
        "POST /v1/imports/shows",
        lambda o: o.sheets.import_shows(b"x", dry_run=True),
    ),
    ("sheets", "import_prices"): (
        "POST /v1/imports/prices",
        lambda o: o.sheets.import_prices(b"x", form="xlsx"),
    ),
    ("sheets", "export_shows"): (
        "GET /v1/exports/shows",
        lambda o: o.sheets.export_shows(form="xlsx", cursor="c"),
    ),
    ("sheets", "export_prices"): (
        "GET /v1/exports/prices",
        lambda o: o.sheets.export_prices(show="s", cursor="c"),
    ),
    ("facts", "page"): (
        "GET /v1/facts",
        lambda o: o.facts.page(after="a", kind="t", object_id="o", show="s", wait_s=1),
    ),
    ("facts", "since"): ("GET /v1/facts", lambda o: next(o.facts.since("a"))),
    ("webhooks", "create"): (
        "POST /v1/webhook-endpoints",
        lambda o: o.webhooks.create("u", types=["t"], description="d"),
    ),
    ("webhooks", "all"): ("GET /v1/webhook-endpoints", lambda o: o.webhooks.all()),
    ("webhooks", "ping"): (
        "POST /v1/webhook-endpoints/{endpoint}/ping",
        lambda o: o.webhooks.ping("e"),
    ),
    ("webhooks", "delete"): (
        "DELETE /v1/webhook-endpoints/{endpoint}",
        lambda o: o.webhooks.delete("e"),
    ),
}
"""Each method with all that it takes, and the operation that it is."""

_HAS_MORE: Final = {
    "shows.create": "a body of the caller's",
    "facts.since": "of all facts",
}
"""Methods that do not tell all that their operation takes, and why."""

_CURSORS: Final = {"cursor"}
"""Not sent with the first page of those that go through all pages by themselves."""

_LEFT_OUT: Final[dict[str, tuple[str, ...]]] = {
    "of the process and the deployment": (
        "GET /",
        "GET /.well-known/jwks.json",
        "GET /.well-known/oauth-authorization-server",
        "GET /health/live",
        "GET /health/ready",
        "GET /v1/cells",
    ),
    "whoever logs in, and what a reseller's own people do in the console": (
        "POST /oauth/introspect",
        "POST /oauth/revoke",
        "POST /oauth/token",
        "GET /v1/account",
        "PATCH /v1/account",
        "GET /v1/buyers",
        "GET /v1/buyers/{buyer}",
        "PUT /v1/buyers/{buyer}",
        "DELETE /v1/buyers/{buyer}",
        "GET /v1/buyers/{buyer}/export",
        "GET /v1/invitations",
        "POST /v1/invitations",
        "POST /v1/invitations/accept",
        "DELETE /v1/invitations/{invitation}",
        "GET /v1/keys",
        "POST /v1/keys",
        "GET /v1/keys/{key}",
        "DELETE /v1/keys/{key}",
        "PATCH /v1/keys/{key}",
        "POST /v1/keys/{key}/rotate",
        "GET /v1/oauth-clients",
        "POST /v1/oauth-clients",
        "GET /v1/oauth-clients/{client}",
        "DELETE /v1/oauth-clients/{client}",
        "PATCH /v1/oauth-clients/{client}",
        "POST /v1/oauth-clients/{client}/rotate-secret",
        "POST /v1/sign-up",
        "GET /v1/trail",
        "GET /v1/users",
        "GET /v1/users/{user}",
        "DELETE /v1/users/{user}",
        "PATCH /v1/users/{user}",
        "POST /v1/users/{user}/log-out",
    ),
    "kept by hand or by an import: venues, their configurations, performers, pages of events": (
        "GET /v1/configurations/{configuration}",
        "PATCH /v1/configurations/{configuration}",
        "POST /v1/configurations/{configuration}/archive",
        "POST /v1/configurations/{configuration}/conflicts",
        "POST /v1/configurations/{configuration}/copies",
        "GET /v1/configurations/{configuration}/differences",
        "POST /v1/configurations/{configuration}/restore",
        "GET /v1/configurations/{configuration}/versions",
        "POST /v1/configurations/{configuration}/versions",
        "GET /v1/configurations/{configuration}/versions/{version_no}",
        "GET /v1/configurations/{configuration}/versions/{version_no}/seating-plan",
        "POST /v1/events",
        "GET /v1/events/mine",
        "GET /v1/events/{event}",
        "PATCH /v1/events/{event}",
        "POST /v1/events/{event}/archive",
        "GET /v1/events/{event}/calendar.ics",
        "POST /v1/events/{event}/restore",
        "GET /v1/events/{event}/schema.json",
        "GET /v1/events/{event}/shows",
        "GET /v1/feeds/on-sales.json",
        "GET /v1/feeds/on-sales.rss",
        "GET /v1/performers",
        "POST /v1/performers",
        "GET /v1/performers/{performer}",
        "PATCH /v1/performers/{performer}",
        "POST /v1/performers/{performer}/archive",
        "GET /v1/performers/{performer}/calendar.ics",
        "POST /v1/performers/{performer}/restore",
        "GET /v1/shows/{show}/calendar.ics",
        "GET /v1/venues",
        "POST /v1/venues",
        "GET /v1/venues/{venue}",
        "PATCH /v1/venues/{venue}",
        "POST /v1/venues/{venue}/archive",
        "GET /v1/venues/{venue}/calendar",
        "GET /v1/venues/{venue}/calendar.ics",
        "GET /v1/venues/{venue}/configurations",
        "POST /v1/venues/{venue}/configurations",
        "POST /v1/venues/{venue}/restore",
    ),
    "streams, and what browsers do in the line": (
        "GET /v1/shows/{show}/live",
        "POST /v1/shows/{show}/live/tokens",
        "GET /v1/shows/{show}/queue",
        "PUT /v1/shows/{show}/queue",
        "POST /v1/shows/{show}/queue",
        "GET /v1/shows/{show}/queue/draw",
        "GET /v1/shows/{show}/queue/events",
        "POST /v1/shows/{show}/queue/pass",
        "DELETE /v1/shows/{show}/queue/pass",
        "GET /v1/shows/{show}/queue/position",
        "GET /v1/shows/{show}/queue/serving",
    ),
    "steps in a show's life and edits of it, which somebody decides at a desk": (
        "PATCH /v1/shows/{show}",
        "POST /v1/shows/{show}/announce",
        "POST /v1/shows/{show}/archive",
        "POST /v1/shows/{show}/cancel",
        "GET /v1/shows/{show}/choices",
        "POST /v1/shows/{show}/choices/{order}",
        "POST /v1/shows/{show}/close",
        "POST /v1/shows/{show}/dates",
        "GET /v1/shows/{show}/edits",
        "POST /v1/shows/{show}/edits",
        "POST /v1/shows/{show}/open",
        "POST /v1/shows/{show}/pause",
        "POST /v1/shows/{show}/reschedule",
        "POST /v1/shows/{show}/resume",
    ),
    "looking after webhooks": (
        "GET /v1/webhook-endpoints/{endpoint}",
        "PATCH /v1/webhook-endpoints/{endpoint}",
        "GET /v1/webhook-endpoints/{endpoint}/deliveries",
        "GET /v1/webhook-endpoints/{endpoint}/deliveries/{delivery}",
        "POST /v1/webhook-endpoints/{endpoint}/replay",
        "POST /v1/webhook-endpoints/{endpoint}/rotate-secret",
        "GET /v1/webhook-endpoints/{endpoint}/secret",
    ),
    "what is listed for somebody who looks at it": ("GET /v1/allotments/received",),
}
"""Operations that are sent by `request`, and why."""


class _Recorder:
    """Notes what is sent, and answers nothing."""

    def __init__(self) -> None:
        self.sent: list[Request] = []

    def send(self, request: Request) -> Response:
        """Note a request."""
        self.sent.append(request)
        raise TransportError(request.path)

    def close(self) -> None:
        """Nothing is open."""


def _operations() -> dict[str, dict[str, Any]]:
    contract = json.loads((ROOT / "docs/openapi.json").read_text())
    return {
        f"{method.upper()} {path}": _resolved(operation, contract)
        for path, methods in contract["paths"].items()
        for method, operation in methods.items()
    }


def _resolved(operation: dict[str, Any], contract: dict[str, Any]) -> dict[str, Any]:
    """Return the names of an operation's query parameters and of its body's members."""
    told = [one for one in operation.get("parameters", ()) if one.get("in") == "query"]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = body.get("schema", {}).get("$ref", "").rpartition("/")[2]
    members: dict[str, Any] = {}
    if name:
        members = contract["components"]["schemas"][name]["properties"]
    return {"query": {one["name"] for one in told}, "body": set(members)}


_OPERATIONS: Final = _operations()


def _told() -> Iterator[tuple[str, str, Request]]:
    """Yield each method, its operation, and what it sends first."""
    for (noun, method), (operation, act) in _METHODS.items():
        recorder = _Recorder()
        with suppress(NoAnswerError):
            act(Onsale("k", transport=recorder, repeats=Repeats(tries=1)))
        yield f"{noun}.{method}", operation, recorder.sent[0]


_TOLD: Final = {name: (operation, request) for name, operation, request in _told()}


def test_each_operation_has_a_method_or_is_known_to_have_none() -> None:
    """A new one is decided upon; one that goes leaves no method behind."""
    covered = {operation for operation, _ in _TOLD.values()}
    left_out = [one for operations in _LEFT_OUT.values() for one in operations]
    assert len(left_out) == len(set(left_out))
    assert covered | set(left_out) == set(_OPERATIONS)
    assert not covered & set(left_out)


def test_each_method_of_the_client_is_looked_at() -> None:
    """Of all its nouns."""
    nouns = {name: noun for name, noun in vars(Onsale("k")).items() if isinstance(noun, Noun)}
    methods = {
        (name, method)
        for name, noun in nouns.items()
        for method, _ in inspect.getmembers(type(noun), inspect.isfunction)
        if not method.startswith("_")
    }
    assert methods == set(_METHODS)


@pytest.mark.parametrize("name", _TOLD)
def test_a_method_sends_to_its_operation_all_that_this_takes(name: str) -> None:
    """Each query parameter, and each member of the body: none else, none left out."""
    operation, request = _TOLD[name]
    method, _, pattern = operation.partition(" ")
    path = urlsplit(request.path)
    parts, wanted = path.path.split("/"), pattern.split("/")
    assert (request.method, len(parts)) == (method, len(wanted))
    assert all(b.startswith("{") or a == b for a, b in zip(parts, wanted, strict=True))
    if name in _HAS_MORE:
        return
    takes = _OPERATIONS[operation]
    query = {given for given, _ in parse_qsl(path.query)}
    assert query - takes["query"] == set()
    assert takes["query"] - query <= _CURSORS
    is_json = request.headers.get("Content-Type") == "application/json"
    content = (is_json and request.content) or b"{}"
    body = msgspec.json.decode(content, type=dict[str, Any])
    assert set(body) == takes["body"]
