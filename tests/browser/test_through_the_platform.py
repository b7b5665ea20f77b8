"""A person's way through a real queue: page, API, worker and both stores."""

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Page, expect

from ops.resellers import make_reseller
from ops.stack import Stack
from tests.api.front_desk import FrontDesk, Json, ShowDesk

_OPEN_WITHIN_S = 15
_OPENED = (datetime.now(UTC) - timedelta(hours=1)).isoformat()


@pytest.fixture(scope="module")
def desk(stack: Stack) -> Iterator[FrontDesk]:
    """A reseller."""
    with ThreadPoolExecutor() as elsewhere:  # Playwright's event loop runs in this thread
        key = elsewhere.submit(asyncio.run, make_reseller(stack.settings, "Queues")).result(30)
    desk = FrontDesk(stack.base_url, key.text)
    with desk.http:
        yield desk


def _with_queue(desk: FrontDesk, opens_at: str = _OPENED, **rules: object) -> ShowDesk:
    """Return a show with a waiting room that a worker has opened."""
    show = desk.new_show(name="First night & friends", opens_at=opens_at)
    joins_from = _OPENED if opens_at == _OPENED else datetime.now(UTC).isoformat()
    body: Json = {"opens_at": joins_from, "rate": 50, "checkout_max": 10, "pass_ttl_s": 60}
    made = desk.http.put(f"{show.path}/queue", json=body | rules)
    assert made.status_code == 200, made.text
    ends = time.monotonic() + _OPEN_WITHIN_S
    while 'data-state="off"' in (page := desk.get(f"/queue/{show.id}")).text or page.is_error:
        assert time.monotonic() < ends
        time.sleep(0.1)
    return show


def _shop(desk: FrontDesk) -> str:
    """Return an origin of this machine that is not the page's own."""
    return str(desk.http.base_url).rstrip("/").replace("127.0.0.1", "localhost")


def test_a_person_gets_from_the_line_to_a_ticket(desk: FrontDesk, person: Page) -> None:
    """Join, wait, be admitted, go to the shop, which holds and buys with the pass."""
    shop = _shop(desk)
    show = _with_queue(desk, return_addresses=[shop])
    ends = time.monotonic() + _OPEN_WITHIN_S
    while (refused := show.hold("A-1")).status_code == 503 and time.monotonic() < ends:
        time.sleep(0.1)
    assert refused.status_code == 403, refused.text
    person.goto(f"{desk.http.base_url}/queue/{show.id}?return={shop}/health/live")
    expect(person.locator("h1")).to_have_text("First night & friends")
    person.get_by_role("button").click()
    person.wait_for_url(f"{shop}/health/live?*", timeout=30_000)
    given = {name: values[0] for name, values in parse_qs(urlsplit(person.url).query).items()}
    assert given["onsale_show"] == show.id
    pass_and_buyer: dict[str, object] = {
        "pass": given["onsale_pass"],
        "buyer": given["onsale_buyer"],
    }
    hold = show.held("A-1", **pass_and_buyer)
    person.go_back()
    expect(person.get_by_role("heading", level=2)).to_have_text("You are in: continue to tickets")
    bought = desk.post(
        f"{show.path}/purchases",
        {"hold": hold, "payment_reference": "p", "pass": given["onsale_pass"]},
    )
    assert bought.status_code == 201, bought.text
    person.reload()
    expect(person.get_by_role("heading", level=2)).to_have_text("Your pass has ended")


def test_the_draw_comes_while_people_look(desk: FrontDesk, person: Page) -> None:
    """They see their entry, then their place, and can check it."""
    now = datetime.now(UTC)
    show = _with_queue(
        desk,
        opens_at=(now + timedelta(seconds=12)).isoformat(),
        draws_at=(now + timedelta(seconds=8)).isoformat(),
    )
    person.goto(f"{desk.http.base_url}/queue/{show.id}")
    person.get_by_role("button", name="Join the draw").click()
    heading = person.get_by_role("heading", level=2)
    expect(heading).to_have_text("You are in the draw")
    # Drawn, and since the sale has begun, admitted and given the pass.
    expect(person.locator("#pass")).to_be_visible(timeout=40_000)
    person.get_by_role("link", name="Check the draw yourself").click()
    expect(person.get_by_role("heading", level=1)).to_be_visible()


def test_a_paused_line_says_so_and_moves_on(desk: FrontDesk, plain_person: Page) -> None:
    """As the reseller decides; without JavaScript."""
    show = _with_queue(desk, paused=True)
    plain_person.goto(f"{desk.http.base_url}/queue/{show.id}")
    plain_person.get_by_role("button", name="Join the line").click()
    heading = plain_person.get_by_role("heading", level=2)
    expect(heading).to_have_text("The line is paused")
    body: Json = {"opens_at": _OPENED, "rate": 50, "checkout_max": 10}
    desk.http.put(f"{show.path}/queue", json=body).raise_for_status()
    expect(heading).to_have_text("It is your turn", timeout=30_000)
    plain_person.get_by_role("button", name="Continue to tickets").click()
    expect(plain_person.locator("#pass")).to_be_visible()


def test_a_proof_is_solved_for_the_sale_that_asks_for_one(desk: FrontDesk, person: Page) -> None:
    """By the person's own browser, in front of the engine's own gate."""
    show = _with_queue(desk, paused=True, proof_of_work_bits=10)
    person.goto(f"{desk.http.base_url}/queue/{show.id}")
    person.get_by_role("button", name="Join the line").click()
    expect(person.get_by_role("heading", level=2)).to_have_text("The line is paused")


def test_shows_without_a_waiting_room_have_no_page(desk: FrontDesk, plain_person: Page) -> None:
    """Nor has what is no show."""
    for show in (desk.new_show().id, "shw_dev_0000000000000000", "nothing"):
        answer = plain_person.goto(f"{desk.http.base_url}/queue/{show}")
        assert answer is not None
        assert answer.status == 404
        expect(plain_person.locator("h1")).to_have_text("No waiting room here")


def test_a_forged_token_is_no_place(desk: FrontDesk) -> None:
    """The page offers to join, and a new number comes."""
    show = _with_queue(desk, paused=True)
    forged = {"Cookie": "onsale-queue=" + "A" * 60}
    page = desk.get(f"/queue/{show.id}", forged)
    assert 'data-stage="outside"' in page.text
    joined = desk.http.post(f"/queue/{show.id}", headers=forged)
    assert joined.headers["set-cookie"].startswith("onsale-queue=")
    desk.http.cookies.clear()
