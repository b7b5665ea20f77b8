"""The client in Python, sync and async, at a real server; some answers are lost on purpose."""

import importlib.util
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from onsale_client import (
    AsyncOnsale,
    InvalidRequestError,
    NoAnswerError,
    NotFoundError,
    Onsale,
    ProblemError,
    RefusedError,
    Repeats,
    Request,
    Response,
    UnauthorizedError,
    UnavailableError,
)
from onsale_client.asynchronous import AsyncHttpxTransport
from onsale_client.synchronous import HttpxTransport
from onsale_client.wire import TransportError

from ops.places import ROOT
from ops.stack import Stack
from tests.api.conftest import new_key
from tests.api.front_desk import show_body

_QUICK = Repeats(tries=4, total_s=10, first_pause_s=0.01, pause_s_max=0.05)


class Lossy:
    """Carries requests, and loses the answers to some tries after they had their effect."""

    def __init__(self, base_url: str, lost: set[int]) -> None:
        """Take which tries are answered in vain, counted from 1."""
        self._way = HttpxTransport(base_url, 10)
        self._lost = lost
        self.sent: list[Request] = []

    def send(self, request: Request) -> Response:
        """Send a request once."""
        self.sent.append(request)
        response = self._way.send(request)
        if len(self.sent) in self._lost:
            raise TransportError(request.path)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._way.close()


class Scripted:
    """Answers what it was told to, and notes when it was asked."""

    def __init__(self, *answers: Response | TransportError) -> None:
        """Take the answers in their order; the last is for all that follow."""
        self._answers = list(answers)
        self.asked_at: list[float] = []

    def send(self, _: Request) -> Response:
        """Answer."""
        self.asked_at.append(time.monotonic())
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, TransportError):
            raise answer
        return answer

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(scope="module")
async def key(stack: Stack) -> str:
    """A reseller's API key."""
    return await new_key(stack.settings, "Client Tickets")


@pytest.fixture
def onsale(stack: Stack, key: str) -> Iterator[Onsale]:
    """The client that is not awaited."""
    with Onsale(key, base_url=stack.base_url) as opened:
        yield opened


@pytest.fixture
async def awaited(stack: Stack, key: str) -> AsyncIterator[AsyncOnsale]:
    """The client that is."""
    async with AsyncOnsale(key, base_url=stack.base_url) as opened:
        yield opened


def test_a_show_is_sold_from_without_awaiting(onsale: Onsale) -> None:
    """Put on sale, looked at, held, changed, bought, taken back: typed all the way."""
    show = onsale.shows.create(show_body())
    assert show.show in {listed.show for listed in onsale.shows.all(page=2)}
    assert [seat.seat for seat in onsale.shows.seats(show.show, page=7)][:2] == ["A-1", "A-2"]
    hold = onsale.holds.create(show.show, buyer="b-1", seats=["B-1", "B-2"], areas={"floor": 1})
    changed = onsale.holds.replace(show.show, hold.hold, best_available=("vip", 2))
    assert len(changed.seats) == 2
    assert onsale.holds.get(show.show, hold.hold) == changed
    assert changed.price.total == sum(line.total for line in changed.price.lines)
    order = onsale.orders.wait(onsale.orders.purchase(show.show, hold.hold).order)
    assert (order.status, len(order.tickets)) == ("confirmed", 2)
    assert onsale.orders.take_back(order.order).status == "returned"
    assert onsale.shows.withhold(show.show, seats=["B-3"], reason="camera").seats == ["B-3"]
    assert onsale.shows.availability(show.show).total.blocked == 1
    assert onsale.shows.give_back(show.show, seats=["B-3"]).seats == ["B-3"]
    assert onsale.shows.seating_plan(show.show)["name"] == "Small hall"


async def test_a_show_is_sold_from_by_awaiting(awaited: AsyncOnsale) -> None:
    """The same methods."""
    show = await awaited.shows.create(show_body())
    assert (await awaited.shows.get(show.show)).capacity == show.capacity
    seats = [seat.seat async for seat in awaited.shows.seats(show.show, page=7)]
    hold = await awaited.holds.create(show.show, buyer="b-1", seats=seats[:2], ttl_s=60)
    order = await awaited.orders.purchase(show.show, hold.hold, payment_reference="pay_1")
    assert (await awaited.orders.wait(order.order)).status == "confirmed"
    first = await awaited.shows.availability_since(show.show, None)
    assert first.value is not None
    assert first.value.total.sold == 2
    again = await awaited.shows.availability_since(show.show, first.etag)
    assert (again.value, again.etag) == (None, first.etag)


_CHILD = {"ticket_type": "child", "name": "Child", "kind": "child"}


def test_ticket_types_are_priced_held_and_bought(onsale: Onsale) -> None:
    """Of a price version of their own; later prices come by themselves."""
    show = onsale.shows.create(show_body()).show
    assert [one.ticket_type for one in onsale.prices.set_ticket_types(show, [_CHILD])] == ["child"]
    assert onsale.prices.ticket_types(show)[0].name == "Child"
    before = onsale.prices.get(show)
    half = {"child": {"share_bps": 5000}}
    published = onsale.prices.publish(
        show, before.prices, after_version=before.price_version, ticket_types=half
    )
    assert (published.price_version, published.ticket_types["child"].share_bps) == (2, 5000)
    steps = onsale.prices.set_steps(show, [{"after_sold": 30, "prices": {"vip": 9_900}}])
    assert steps == onsale.prices.steps(show)
    hold = onsale.holds.create(
        show, buyer="b-1", seats=["A-1", "A-2"], ticket_types={"child": {"seats": ["A-2"]}}
    )
    assert hold.ticket_types["child"].seats == ["A-2"]
    assert {line.ticket_type for line in hold.price.lines} == {"standard", "child"}
    order = onsale.orders.wait(onsale.orders.purchase(show, hold.hold).order)
    assert [one.ticket_type for one in order.tickets if one.seat == "A-2"] == ["child"]
    assert [one.order for one in onsale.orders.of_show(show, state="confirmed")] == [order.order]


def test_places_of_an_allotment_are_for_who_shows_its_code(onsale: Onsale) -> None:
    """Looked at, held and bought by it; then it ends."""
    show = onsale.shows.create(show_body()).show
    made = onsale.allotments.create(
        show,
        "Fans",
        places={"seats": ["B-1", "B-2"]},
        rights=[{"code": "FANCLUB-27"}, {"personal_codes": True}, {"channel": "desk"}],
    )
    (personal,) = onsale.allotments.codes(made.allotment, ["b-1"])
    everybody = {one.seat: one.status for one in onsale.shows.seats(show)}
    assert (everybody["B-1"], everybody["B-3"]) == ("blocked", "open")
    by_code: dict[str, Any] = {"access_code": personal.code, "buyer": "b-1"}
    by_channel: dict[str, Any] = {"channel": "desk"}
    for right in (by_code, by_channel):
        seen = {one.seat for one in onsale.shows.seats(show, status="open", **right)}
        assert {"B-1", "B-2"} <= seen
        assert onsale.shows.availability(show, **right).total.blocked == 0
    with pytest.raises(RefusedError):
        onsale.holds.create(show, buyer="b-1", seats=["B-1"])
    hold = onsale.holds.create(show, buyer="b-1", seats=["B-1"], access_code="FANCLUB-27")
    changed = onsale.holds.replace(show, hold.hold, seats=["B-2"], channel="desk")
    assert changed.seats == ["B-2"]
    counts = onsale.allotments.get(made.allotment).counts
    assert counts is not None
    assert (counts.held, counts.open) == (1, 1)
    assert onsale.allotments.end(made.allotment).ended_by is not None
    assert [one.allotment for one in onsale.allotments.of_show(show)] == [made.allotment]


def test_a_bundle_is_held_and_bought_as_one(onsale: Onsale) -> None:
    """And another one is given back."""
    shows = [onsale.shows.create(show_body()).show for _ in range(2)]
    wanted = [{"show": show, "seats": ["A-1"]} for show in shows]
    bundle = onsale.bundles.create(wanted, buyer="b-1", ttl_s=60)
    assert (bundle.state, {one.show for one in bundle.shows}) == ("held", set(shows))
    bought = onsale.bundles.purchase(bundle.bundle, payment_reference="pay_1")
    until = time.monotonic() + 10
    while bought.state == "purchasing" and time.monotonic() < until:
        bought = onsale.bundles.get(bundle.bundle)
    assert bought.state == "purchased"
    assert all(one.order for one in bought.shows)
    other = onsale.bundles.create([one | {"seats": ["A-2"]} for one in wanted], buyer="b-2")
    onsale.bundles.release(other.bundle)
    assert onsale.bundles.get(other.bundle).state == "released"


async def test_sheets_go_out_and_come_in_again(awaited: AsyncOnsale) -> None:
    """As files; a dry run tells what is wrong with them by line and column."""
    show = (await awaited.shows.create(show_body())).show
    prices = await awaited.sheets.export_prices(show=show)
    assert show.encode() in prices.content
    tried = await awaited.sheets.import_prices(prices.content, dry_run=True)
    assert (tried.dry_run, tried.problems, tried.unchanged) == (True, [], 3)
    wrong = await awaited.sheets.import_prices(
        prices.content.replace(show.encode(), b"shw_dev_0000000000000001"), dry_run=True
    )
    assert wrong.problems[0].line > 1
    shows = await awaited.sheets.export_shows(form="xlsx")
    assert shows.content.startswith(b"PK")
    again = await awaited.sheets.import_shows(shows.content, form="xlsx", dry_run=True)
    assert again.dry_run


def test_events_are_found_by_all_that_a_search_takes(onsale: Onsale, stack: Stack) -> None:
    """By anybody, or of one's own; facets are told if they are asked for."""
    name = secrets.token_hex(8)  # like no other word, or another show is found until it is listed
    show = onsale.shows.create(show_body() | {"name": name}).show
    until = time.monotonic() + 10
    with Onsale(None, base_url=stack.base_url) as anybody:
        for one in (onsale, anybody):
            found = one.events.find(search=name, since="2020-01-01", until="9999-12-31")
            while (not found.events or found.corrected) and time.monotonic() < until:
                found = one.events.find(search=name, facets=True, available=True, limit=5)
            assert [event.show.show for event in found.events] == [show]
            assert found.events[0].show.duration_min is None
        with_facets = anybody.events.find(search=name, facets=True, sort="price")
        assert with_facets.facets is not None
        nowhere = anybody.events.find(search=name, near=(0.0, 0.0), within_km=1.5, country="AT")
        assert nowhere.events == []


async def test_a_batch_is_answered_command_by_command(awaited: AsyncOnsale) -> None:
    """With the status and the body that each would have had alone."""
    show = (await awaited.shows.create(show_body())).show
    commands = [
        {"op": "hold", "key": secrets.token_hex(8), "buyer": buyer, "seats": ["B-1"]}
        for buyer in ("b-1", "b-2")
    ]
    won, lost = await awaited.shows.batch(show, commands)
    assert (won.status, won.slug) == (201, "")
    assert (lost.status, lost.slug) == (409, "seats-taken")


def test_what_was_lost_is_repeated_with_its_key_and_happens_once(stack: Stack, key: str) -> None:
    """Two answers in a row are lost after the seats were held."""
    transport = Lossy(stack.base_url, lost={2, 3})
    onsale = Onsale(key, transport=transport, repeats=_QUICK)
    show = onsale.shows.create(show_body()).show
    hold = onsale.holds.create(show, buyer="b-1", best_available=("vip", 2))
    holds = transport.sent[1:]
    assert len(holds) == 3
    assert len({request.key for request in holds}) == 1
    assert onsale.shows.availability(show).total.held == 2
    assert onsale.holds.get(show, hold.hold) == hold
    onsale.close()


def test_who_gives_up_is_told_the_key_to_ask_again_with(stack: Stack, key: str) -> None:
    """And learns by it what had happened."""
    transport = Lossy(stack.base_url, lost={2, 3, 4, 5})
    onsale = Onsale(key, transport=transport, repeats=_QUICK)
    show = onsale.shows.create(show_body()).show
    with pytest.raises(NoAnswerError) as raised:
        onsale.holds.create(show, buyer="b-1", seats=["B-1"])
    assert (raised.value.tries, raised.value.key) == (4, transport.sent[-1].key)
    hold = onsale.holds.create(show, buyer="b-1", seats=["B-1"], key=raised.value.key)
    assert onsale.shows.availability(show).total.held == 1
    assert hold.seats == ["B-1"]
    onsale.close()


def test_what_is_not_safe_to_repeat_is_sent_once() -> None:
    """A POST without a key, whether nothing comes back or a 503."""
    for answer in (TransportError("cut"), Response(503, {}, b"")):
        transport = Scripted(answer)
        onsale = Onsale(None, transport=transport, repeats=_QUICK)
        if isinstance(answer, TransportError):
            with pytest.raises(NoAnswerError):
                onsale.request("POST", "/v1/anything", {})
        else:
            assert onsale.request("POST", "/v1/anything", {}).status == 503
        assert len(transport.asked_at) == 1


def test_repetitions_are_bounded_in_tries_and_in_time() -> None:
    """And the answer to the last of them is raised as what it tells."""
    transport = Scripted(Response(503, {"content-type": "text/plain"}, b"away"))
    onsale = Onsale("k", transport=transport, repeats=_QUICK)
    with pytest.raises(UnavailableError, match="away"):
        onsale.shows.get("shw_dev_0123456789abcdef")
    assert len(transport.asked_at) == 4
    hasty = Scripted(TransportError("cut"))
    short = Repeats(tries=1000, total_s=0.2, first_pause_s=0.05, pause_s_max=0.05)
    with pytest.raises(NoAnswerError):
        Onsale("k", transport=hasty, repeats=short).shows.get("shw_dev_0123456789abcdef")
    assert hasty.asked_at[-1] - hasty.asked_at[0] <= 0.25


def test_a_time_to_come_again_is_obeyed_up_to_a_bound() -> None:
    """`Retry-After` of a second is waited for; one of an hour is cut to the longest pause."""
    for told, least, most in (("1", 1.0, 2.5), ("3600", 1.9, 3.5)):
        body = b'{"type":"urn:onsale:problem:overloaded","detail":"later"}'
        headers = {"content-type": "application/problem+json", "retry-after": told}
        transport = Scripted(Response(503, headers, body), Response(204, {}, b""))
        repeats = Repeats(tries=3, total_s=10, pause_s_max=2)
        Onsale("k", transport=transport, repeats=repeats).holds.release("shw_x", "hld_x")
        assert least <= transport.asked_at[1] - transport.asked_at[0] <= most


def test_what_the_api_refuses_is_raised_as_what_it_is(onsale: Onsale, stack: Stack) -> None:
    """With slug, detail, the kind's own members and the request's id."""
    show = onsale.shows.create(show_body()).show
    onsale.holds.create(show, buyer="b-1", seats=["B-1"])
    with pytest.raises(RefusedError) as refused:
        onsale.holds.create(show, buyer="b-2", seats=["B-1"])
    assert refused.value.slug == "seats-taken"
    assert refused.value.members["seats"] == ["B-1"]
    assert refused.value.request_id
    with pytest.raises(InvalidRequestError) as invalid:
        onsale.holds.create(show, buyer="", seats=["B-1"])
    assert invalid.value.errors[0]["pointer"] == "/buyer"
    with pytest.raises(NotFoundError):
        onsale.shows.get("shw_dev_0123456789abcdef")
    with pytest.raises(UnauthorizedError), Onsale("nobody", base_url=stack.base_url) as nobody:
        nobody.shows.get(show)


def test_an_answer_that_is_no_problem_document_is_told_as_it_came() -> None:
    """As from a proxy in between."""
    page = Response(418, {"content-type": "text/html"}, b"<h1>teapot</h1>")
    broken = Response(422, {"content-type": "application/problem+json"}, b"{")
    for answer in (page, broken):
        with pytest.raises(ProblemError) as raised:
            Onsale("k", transport=Scripted(answer), repeats=_QUICK).shows.get("shw_x")
        assert raised.value.slug == ""
        assert raised.value.detail == answer.body.decode()


async def test_an_api_that_is_not_there_is_no_answer() -> None:
    """By both transports, after all tries."""
    nowhere = "http://127.0.0.1:9"
    with pytest.raises(NoAnswerError), Onsale("k", base_url=nowhere, repeats=_QUICK) as client:
        client.shows.get("shw_x")
    async with AsyncOnsale("k", base_url=nowhere, repeats=_QUICK) as awaited:
        with pytest.raises(NoAnswerError):
            await awaited.shows.get("shw_x")
    transport = AsyncHttpxTransport(nowhere, 1)
    with pytest.raises(TransportError):
        await transport.send(Request("GET", "/"))
    await transport.aclose()


def test_both_clients_are_one_source() -> None:
    """What is not awaited is what `make_synchronous.py` makes of what is."""
    made = _load(ROOT / "clients/python/make_synchronous.py").made()
    assert {path.name for path in made} == {"synchronous.py", "noun.py", "nouns.py", "offers.py"}
    for path, text in made.items():
        assert path.read_text() == text
        assert "await " not in text


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
