"""Webhooks over HTTP: endpoints, secrets, a test event, deliveries, telling again."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from msgspec import Struct
from standardwebhooks.webhooks import Webhook

from ops.stack import Stack
from tests.api.conftest import new_key
from tests.api.front_desk import FrontDesk, problem

PATH = "/v1/webhook-endpoints"
Json = dict[str, Any]


class Shop(Struct):
    """A reseller's server, which answers as it is told to."""

    port: int
    answers: list[int]
    messages: list[tuple[dict[str, str], bytes]]

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}/hooks"


@pytest.fixture(scope="module")
def private_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A platform that may tell this machine."""
    environment = {"ONSALE_WEBHOOK_PRIVATE": "on"}
    with Stack(tmp_path_factory.mktemp("webhooks"), environment=environment) as stack:
        yield stack


@pytest.fixture
def seller(private_stack: Stack) -> Iterator[FrontDesk]:
    """A reseller there, without endpoints."""
    key = asyncio.run(new_key(private_stack.settings, "Hooked Tickets"))
    desk = FrontDesk(private_stack.base_url, key)
    with desk.http:
        yield desk


@pytest.fixture
def other(private_stack: Stack) -> Iterator[FrontDesk]:
    """Another one."""
    key = asyncio.run(new_key(private_stack.settings, "Rival Tickets"))
    desk = FrontDesk(private_stack.base_url, key)
    with desk.http:
        yield desk


@pytest.fixture
def shop() -> Iterator[Shop]:
    """The reseller's server: 200, unless told otherwise."""
    messages: list[tuple[dict[str, str], bytes]] = []
    answers: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            messages.append(({name.lower(): text for name, text in self.headers.items()}, body))
            self.send_response(answers.pop(0) if answers else 200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Shop(server.server_address[1], answers, messages)
    server.shutdown()
    server.server_close()
    thread.join()


def make(desk: FrontDesk, **body: Any) -> Json:  # noqa: ANN401 - any field
    """Make an endpoint."""
    response = desk.post(PATH, body)
    assert response.status_code == 201, response.text
    return response.json()


def wait_for(found: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever it is
    """Return what is found, once it is."""
    deadline = time.monotonic() + 20
    while not (there := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return there


def sell(desk: FrontDesk) -> str:
    """Sell a seat of a new show; return the order."""
    show = desk.new_show()
    bought = show.purchase(show.held("B-1"))
    assert bought.status_code == 201, bought.text
    return bought.json()["order"]


def test_a_sale_arrives_and_is_verified(seller: FrontDesk, shop: Shop) -> None:
    """By the official package; the delivery is listed with its attempt."""
    made = make(seller, url=shop.url, types=["order.confirmed"])
    order = sell(seller)
    headers, body = wait_for(lambda: shop.messages)[0]
    told = Webhook(made["secrets"][0]["secret"]).verify(body, headers)
    assert (told["type"], told["object"]) == ("order.confirmed", order)
    assert headers["webhook-id"] == told["id"]
    path = f"{PATH}/{made['endpoint']}"
    [listed] = wait_for(
        lambda: seller.get(f"{path}/deliveries?state=delivered").json()["deliveries"]
    )
    assert (listed["fact"], listed["object"], listed["attempts"]) == (told["id"], order, 1)
    looked = seller.get(f"{path}/deliveries/{listed['delivery']}").json()
    assert [(one["number"], one["status"]) for one in looked["log"]] == [(1, 200)]
    assert seller.get(f"{path}/deliveries?type=seats.sold").json()["deliveries"] == []
    assert len(shop.messages) == 1


def test_a_ping_tells_what_came_of_it(seller: FrontDesk, shop: Shop) -> None:
    """Signed like a fact; a bad answer and a dead server are told too."""
    made = make(seller, url=shop.url)
    path = f"{PATH}/{made['endpoint']}/ping"
    shop.answers[:] = [200, 500, 302]
    said = [seller.http.post(path).json() for _ in range(3)]
    assert [(one["delivered"], one["status"]) for one in said] == [
        (True, 200),
        (False, 500),
        (False, 302),
    ]
    assert said[0]["response"] == "ok"
    headers, body = shop.messages[0]
    told = Webhook(made["secrets"][0]["secret"]).verify(body, headers)
    assert (told["type"], told["object"]) == ("ping", made["endpoint"])
    seller.http.patch(f"{PATH}/{made['endpoint']}", json={"url": "http://127.0.0.1:9/"})
    dead = seller.http.post(path).json()
    assert (dead["delivered"], dead["status"]) == (False, None)
    assert dead["error"] == "no connection to be had"


def test_secrets_are_rotated_with_an_overlap(seller: FrontDesk, shop: Shop) -> None:
    """Both verify meanwhile; only the new one when there is no overlap."""
    made = make(seller, url=shop.url)
    path = f"{PATH}/{made['endpoint']}"
    old = made["secrets"][0]["secret"]
    rotated = seller.post(f"{path}/rotate-secret", {"overlap_s": 60}, key="once")
    again = seller.post(f"{path}/rotate-secret", {"overlap_s": 60}, key="once")
    assert rotated.json() == again.json()
    new, before = rotated.json()["secrets"]
    assert (before["secret"], new["until"]) == (old, None)
    assert before["until"] is not None
    seller.http.post(f"{path}/ping")
    headers, body = shop.messages[-1]
    for secret in (old, new["secret"]):
        Webhook(secret).verify(body, headers)
    assert seller.post(f"{path}/rotate-secret", {"overlap_s": 0}).status_code == 200
    [only] = seller.get(f"{path}/secret").json()["secrets"]
    assert only["secret"] not in {old, new["secret"]}


def test_facts_are_told_again(seller: FrontDesk, shop: Shop) -> None:
    """One, or a range, also to an endpoint that was made after they happened."""
    sell(seller)
    facts = wait_for(lambda: seller.get("/v1/facts").json()["facts"])
    order = wait_for(
        lambda: [
            fact
            for fact in seller.get("/v1/facts").json()["facts"]
            if fact["type"] == "order.confirmed"
        ]
    )[0]
    made = make(seller, url=shop.url, types=["order.confirmed", "seats.sold"])
    path = f"{PATH}/{made['endpoint']}"
    one = seller.post(f"{path}/replay", {"fact": order["id"]})
    assert one.json() == {"replayed": 1, "next_cursor": None}
    wait_for(lambda: shop.messages)
    assert facts
    several = seller.post(f"{path}/replay", {"since": "2020-01-01T00:00:00Z"})
    assert several.json()["replayed"] >= 1
    wait_for(lambda: len(shop.messages) >= 1 + several.json()["replayed"])
    ids = [headers["webhook-id"] for headers, _ in shop.messages]
    assert ids[0] == order["id"]
    assert problem(seller.post(f"{path}/replay", {"fact": "fct_dev_00000000ffffffff"})) == (
        "fact-not-found"
    )
    assert problem(seller.post(f"{path}/replay", {})) == "invalid-request"
    assert problem(seller.post(f"{path}/replay", {"after": "cur_dev_00"})) == "invalid-request"


def test_an_endpoint_is_changed_disabled_and_deleted(seller: FrontDesk, shop: Shop) -> None:
    """What is left out stays; null wants every type."""
    made = make(seller, url=shop.url, types=["seats.sold"], description="mine")
    path = f"{PATH}/{made['endpoint']}"
    assert seller.http.patch(path, json={"types": None}).json()["types"] is None
    off = seller.http.patch(path, json={"enabled": False}).json()
    assert (off["status"], off["reason"], off["description"]) == ("disabled", "asked", "mine")
    on = seller.http.patch(path, json={"enabled": True}).json()
    assert (on["status"], on["reason"]) == ("enabled", None)
    assert [e["endpoint"] for e in seller.get(PATH).json()["endpoints"]] == [made["endpoint"]]
    assert seller.http.delete(path).status_code == 204
    for refused in (seller.get(path), seller.http.delete(path), seller.get(f"{path}/secret")):
        assert (refused.status_code, problem(refused)) == (404, "endpoint-not-found")


def test_the_same_key_makes_one_endpoint(seller: FrontDesk, shop: Shop) -> None:
    """And its secrets are in the answer again."""
    first, second = (seller.post(PATH, {"url": shop.url}, key="k") for _ in range(2))
    assert first.json() == second.json()
    assert len(seller.get(PATH).json()["endpoints"]) == 1


def test_there_are_twenty_at_most(seller: FrontDesk, shop: Shop) -> None:
    """A deleted one makes room."""
    made = [make(seller, url=shop.url) for _ in range(20)]
    refused = seller.post(PATH, {"url": shop.url})
    assert (refused.status_code, problem(refused)) == (409, "too-many-endpoints")
    seller.http.delete(f"{PATH}/{made[0]['endpoint']}")
    make(seller, url=shop.url)


@pytest.mark.parametrize(
    "body",
    [
        {"url": "http://shop.example.com/"},
        {"url": "https://10.0.0.1/"},
        {"url": "https://user:pass@shop.example.com/"},
        {"url": "https://localhost:8443@metadata.google.internal/"},
        {"url": "https://shop.example.com/", "types": ["no.such"]},
        {"url": "https://shop.example.com/", "types": []},
        {"url": "https://shop.example.com/", "secret": "mine"},
        {"url": ""},
        {},
    ],
)
def test_what_does_not_fit_is_refused(seller: FrontDesk, body: Json) -> None:
    """With a fault that names the field."""
    refused = seller.post(PATH, body)
    assert (refused.status_code, problem(refused)) == (422, "invalid-request")


def test_other_peoples_endpoints_are_unknown(
    seller: FrontDesk, other: FrontDesk, shop: Shop
) -> None:
    """Every route answers exactly as for one that never was."""
    path = f"{PATH}/{make(seller, url=shop.url)['endpoint']}"
    never = f"{PATH}/whe_dev_0123456789abcdef"

    def ask(at: str) -> list[tuple[int, str]]:
        answers = [
            other.get(at),
            other.http.patch(at, json={"enabled": False}),
            other.http.delete(at),
            other.get(f"{at}/secret"),
            other.post(f"{at}/rotate-secret", {}),
            other.http.post(f"{at}/ping"),
            other.get(f"{at}/deliveries"),
            other.get(f"{at}/deliveries/whd_dev_{'0' * 15}1{'0' * 15}1"),
            other.post(f"{at}/replay", {"fact": "fct_dev_0000000000000001"}),
        ]
        return [(answer.status_code, answer.text) for answer in answers]

    assert ask(path) == ask(never)
    assert {code for code, _ in ask(path)} == {404}
    assert other.get(PATH).json()["endpoints"] == []
    assert seller.get(path).json()["status"] == "enabled"
    assert shop.messages == []


def test_the_ends_of_bundles_are_told(seller: FrontDesk, shop: Shop) -> None:
    """Bought or given back: each is a message about the bundle, which names no show."""
    types = ["bundle.purchased", "bundle.released"]
    secret = make(seller, url=shop.url, types=types)["secrets"][0]["secret"]
    shows = [seller.new_show(), seller.new_show()]
    bundles: list[str] = []
    for seat in ("A-1", "A-2"):
        wanted = [{"show": show.id, "seats": [seat]} for show in shows]
        held = seller.post("/v1/bundles", {"buyer": "b-1", "shows": wanted})
        assert held.status_code == 201, held.text
        bundles.append(held.json()["bundle"])
    paid = {"payment_reference": "pay-7"}
    bought = seller.post(f"/v1/bundles/{bundles[0]}/purchase", paid)
    assert bought.status_code == 201, bought.text
    assert seller.http.delete(f"/v1/bundles/{bundles[1]}").status_code == 204
    wait_for(lambda: len(shop.messages) >= 2)
    told = [Webhook(secret).verify(body, headers) for headers, body in shop.messages]
    by_bundle = {fact["object"]: fact for fact in told}
    assert {name: fact["type"] for name, fact in by_bundle.items()} == dict(
        zip(bundles, types, strict=True)
    )
    assert {fact["show"] for fact in told} == {None}
    purchased, released = (by_bundle[name]["data"] for name in bundles)
    assert purchased == {
        "orders": [one["order"] for one in bought.json()["shows"]],
        "currency": "EUR",
        "total": bought.json()["price"]["total"],
        "payment_reference": "pay-7",
    }
    assert released == {"reason": "cancelled", "refused": {}}
    assert seller.get(f"/v1/facts?object={bundles[0]}").json()["facts"] == [by_bundle[bundles[0]]]
