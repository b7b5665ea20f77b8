"""The waiting room in a browser as most people have it."""

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, Request, expect

from tests.browser.conftest import ToldRoom
from web.room import Wait
from web.words import people_ahead, wait_range

_SHOP = "https://shop.example"


@pytest.fixture(autouse=True)
def complaints(person: Page) -> list[str]:
    """What the browser's console says: violations of the page's policy among it."""
    said: list[str] = []
    person.on("console", lambda message: said.append(message.text))
    person.on("pageerror", lambda error: said.append(str(error)))
    return said


def _join(person: Page, room: ToldRoom, query: str = "") -> None:
    person.goto(room.address + query)
    person.get_by_role("button").first.click()
    expect(person.locator("#queue")).not_to_have_attribute("data-stage", "outside")


def test_the_numbers_move_without_a_new_page(
    room: ToldRoom, person: Page, complaints: list[str]
) -> None:
    """From the shared document, and in the words that the server says them in."""
    room.tell(next=700, wait=[9, 9])
    _join(person, room)
    asked: list[Request] = []
    person.on("request", lambda request: asked.append(request))  # noqa: PLW0108 - not a built-in
    for serving in (0, 350, 580, 699, 700):
        room.tell(serving=serving)
        ahead = 700 - serving
        expect(person.locator("#ahead")).to_have_text(people_ahead(ahead))
        expect(person.locator("#bar")).to_have_js_property("value", serving)
        # The stand-in's pace: 2 to 5 places a second.
        expect(person.locator("#wait")).to_have_text(
            wait_range(Wait(ahead // 5, -(-ahead // 2))), timeout=8000
        )
    expect(person).to_have_title("(0 ahead) First night")
    assert {request.url.rpartition("/")[2] for request in asked} == {"serving"}
    assert complaints == []


def test_numbers_that_nobody_has_are_not_people_ahead(room: ToldRoom, person: Page) -> None:
    """A fail-over skips them: from the first to before the last."""
    room.tell(next=100, skipped=[[10, 20], [90, 300]], serving=15)
    _join(person, room)
    room.tell(serving=16)
    expect(person.locator("#ahead")).to_have_text(people_ahead(100 - 16 - 4 - 10))


def test_each_state_shows_itself(room: ToldRoom, person: Page, complaints: list[str]) -> None:
    """As it comes; and a reader of screens hears of it."""
    room.tell(state="pre-queue", draws_in_s=90)
    _join(person, room)
    heading = person.get_by_role("heading", level=2)
    expect(heading).to_have_text("You are in the draw")
    expect(person.get_by_role("timer")).to_contain_text("In 01:2")
    room.tell(state="drawn", drawn=True, place_shift=7, opens_in_s=30)
    expect(heading).to_have_text("Your place is drawn")
    expect(person.locator("#say")).to_have_text("Your place is drawn")
    expect(person.get_by_role("main")).to_contain_text("as drawn: 7")
    room.tell(state="paused")
    expect(heading).to_have_text("The line is paused")
    room.tell(state="running", serving=2)
    expect(heading).to_have_text("You are in line")
    room.tell(state="sold-out")
    expect(heading).to_have_text("Sold out")
    room.tell(state="closed")
    expect(heading).to_have_text("The sale has ended")
    assert complaints == []


def test_who_is_admitted_is_taken_to_the_shop_with_a_pass(
    room: ToldRoom, person: Page, complaints: list[str]
) -> None:
    """By itself, since they look at the page; the form's redirect fits the page's policy."""
    shop = str(room.http.base_url).rstrip("/").replace("127.0.0.1", "localhost")
    room.tell(next=3, return_addresses=[shop])
    _join(person, room, f"?return={shop}/shop?lang=de")
    room.tell(serving=4)
    expect(person.get_by_role("heading", level=1)).to_have_text("Shop")
    given = f"onsale_pass=pass-3&onsale_show={room.show}&onsale_buyer=q-1f"
    arrived = f"{shop}/shop?lang=de&{given}"
    assert person.url == arrived
    person.go_back()
    expect(person.get_by_role("heading", level=2)).to_have_text("You are in: continue to tickets")
    expect(person.get_by_role("timer")).to_contain_text("Time left: 04:")
    link = person.get_by_role("link", name="Continue to tickets")
    expect(link).to_have_attribute("href", arrived)
    assert complaints == []


def test_a_turn_waits_for_who_does_not_look(room: ToldRoom, person: Page) -> None:
    """A pass has a deadline, which must not begin in a tab behind others."""
    person.add_init_script(
        "window.looks = 'hidden';"
        "Object.defineProperty(document, 'visibilityState', {get: () => window.looks});"
    )
    room.tell(serving=9)
    _join(person, room)
    expect(person.get_by_role("heading", level=2)).to_have_text("It is your turn")
    person.wait_for_timeout(4000)
    expect(person.get_by_role("heading", level=2)).to_have_text("It is your turn")
    person.evaluate(
        "window.looks = 'visible'; document.dispatchEvent(new Event('visibilitychange'))"
    )
    expect(person.locator("#pass")).to_have_text("pass-0")


def test_an_address_that_is_not_named_is_not_gone_to(room: ToldRoom, person: Page) -> None:
    """The pass is shown instead, and what the matter is."""
    room.tell(serving=9, return_addresses=[_SHOP])
    _join(person, room, "?return=https://evil.example/")
    expect(person.locator("#pass")).to_have_text("pass-0")
    expect(person.get_by_text("You will not be sent there")).to_be_visible()
    assert person.url.startswith(room.address)


def test_a_pass_that_is_not_ready_comes_in_time(room: ToldRoom, person: Page) -> None:
    """Passes are given out at a rate: the page tries again when it was told to."""
    room.tell(serving=9, turn_in_s=1)
    _join(person, room)
    expect(person.get_by_text("steady pace")).to_be_visible()
    room.tell(turn_in_s=0)
    expect(person.locator("#pass")).to_have_text("pass-0")


def test_a_pass_that_ends_says_so_and_a_new_number_is_to_be_had(
    room: ToldRoom, person: Page
) -> None:
    """At its deadline, not a minute later."""
    room.tell(serving=9, pass_s=6, poll_after_s=50)
    _join(person, room)
    heading = person.get_by_role("heading", level=2)
    expect(heading).to_have_text("You are in: continue to tickets")
    expect(heading).to_have_text("Your pass has ended", timeout=15_000)
    room.tell(serving=1)
    person.get_by_role("button", name="Join the line again").click()
    expect(person.locator(".number strong")).to_have_text("1")


def test_two_tabs_and_a_new_day_show_one_place(room: ToldRoom, person: Page) -> None:
    """The place is the browser's, not the tab's."""
    room.tell(next=12, serving=2)
    _join(person, room)
    second = person.context.new_page()
    second.goto(room.address)
    expect(second.locator(".number strong")).to_have_text("12")
    second.close()
    person.close()
    later = second.context.new_page()
    later.goto(room.address)
    expect(later.locator("#ahead")).to_have_text("10 people are ahead of you.")
    (cookie,) = later.context.cookies(room.address)
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Lax")
    assert (cookie.get("expires") or 0) > 0  # it outlives the browser


def test_a_network_that_is_lost_loses_no_place(room: ToldRoom, person: Page) -> None:
    """It says that it reconnects, goes on by itself, and never shows the browser's own error."""
    room.tell(next=12, serving=2)
    _join(person, room)
    person.context.set_offline(True)
    expect(person.get_by_text("Reconnecting")).to_be_visible(timeout=20_000)
    expect(person.locator("#ahead")).to_have_text("10 people are ahead of you.")
    room.tell(serving=5)
    person.context.set_offline(False)
    expect(person.locator("#ahead")).to_have_text("7 people are ahead of you.")
    expect(person.get_by_text("Reconnecting")).to_be_hidden()


def test_without_the_shared_document_whole_pages_do(room: ToldRoom, person: Page) -> None:
    """As without JavaScript: somebody's filter may stop the one and not the other."""
    person.route("**/queue/serving", lambda route: route.abort())
    room.tell(next=12, serving=2)
    _join(person, room)
    room.tell(serving=5)
    expect(person.locator("#ahead")).to_have_text("7 people are ahead of you.", timeout=20_000)


def test_a_room_that_is_down_for_a_while_is_waited_for(room: ToldRoom, person: Page) -> None:
    """Its 503 is not shown in the place of the page."""
    room.tell(next=12, serving=2)
    _join(person, room)
    room.tell(is_down=True)
    expect(person.get_by_text("Reconnecting")).to_be_visible(timeout=20_000)
    expect(person.locator("#ahead")).to_be_visible()
    room.tell(is_down=False, serving=12)
    expect(person.locator("#ahead")).to_have_text("You are next.", timeout=30_000)


def test_an_impatient_second_click_costs_nobody_their_number(room: ToldRoom, person: Page) -> None:
    """The first number counts, not a later one."""
    room.tell(join_takes_s=1.5)
    person.goto(room.address)
    person.evaluate(
        "const button = document.querySelector('button');"
        "for (const after of [100, 600]) setTimeout(() => button.click(), after);"
    )
    expect(person.locator(".number strong")).to_have_text("0")


def test_a_proof_is_solved_while_one_waits(room: ToldRoom, person: Page) -> None:
    """By the script that the sale's own gate is served with."""
    room.tell(proof=["challenge", 8])
    _join(person, room)
    expect(person.get_by_role("heading", level=2)).to_have_text("You are in line")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_can_be_read_and_used_by_everybody(
    room: ToldRoom, new_context: Callable[..., BrowserContext], scheme: str
) -> None:
    """Contrast, landmarks, names, focus, and nothing wider than a small phone."""
    room.tell(next=12345, serving=2, wait=[600, 1200], draws_in_s=4)
    person = new_context(
        color_scheme=scheme, viewport={"width": 320, "height": 640}, reduced_motion="reduce"
    ).new_page()
    _join(person, room)
    assert person.evaluate("document.documentElement.scrollWidth") <= 320
    assert person.evaluate(_POOR_CONTRAST) == []
    for landmark in ("banner", "main", "contentinfo"):
        expect(person.get_by_role(landmark)).to_have_count(1)
    expect(person.get_by_role("heading", level=1)).to_have_count(1)
    expect(person.get_by_role("progressbar")).to_have_accessible_name(
        "The line: your place is at its end"
    )
    assert person.locator("html").get_attribute("lang") == "en"
    person.keyboard.press("Tab")
    focused = person.locator(":focus")
    expect(focused).to_have_text("Check the draw yourself")
    assert focused.evaluate("(e) => getComputedStyle(e).outlineStyle") == "solid"
    assert person.locator("progress").evaluate("(e) => getComputedStyle(e).animationName") == "none"


# WCAG 2.2, 1.4.3: 4.5 to 1, or 3 to 1 for large text. Grounds are plain colours here.
_POOR_CONTRAST = """() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => {
    v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) {
    const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0) return c; }
    return [255, 255, 255]; };
  const poor = [];
  for (const e of document.body.querySelectorAll("*")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility()) continue;
    const style = getComputedStyle(e), px = parseFloat(style.fontSize);
    const large = px >= 24 || (px >= 18.66 && Number(style.fontWeight) >= 700);
    const [a, b] = [light(rgb(style.color)), light(ground(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5)) poor.push([e.tagName, e.textContent.trim(), ratio]);
  }
  return poor;
}"""
