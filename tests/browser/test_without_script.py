"""The waiting room in a browser whose JavaScript is off: links, forms and a page that reloads."""

import re

from playwright.sync_api import Page, expect

from tests.browser.conftest import ToldRoom


def test_the_whole_way_through(room: ToldRoom, plain_person: Page) -> None:
    """From the pre-queue to the shop, by three presses of a button."""
    room.tell(state="pre-queue", draws_in_s=3600)
    plain_person.goto(room.address)
    expect(plain_person.locator("h1")).to_have_text("First night")
    expect(plain_person.locator("h1")).to_have_count(1)
    plain_person.get_by_role("button", name="Join the draw").click()
    expect(plain_person).to_have_url(room.address)
    expect(plain_person.get_by_role("heading", level=2)).to_have_text("You are in the draw")
    expect(plain_person.get_by_role("main")).to_contain_text(
        "The order of arrival does not matter until then"
    )
    room.tell(state="running", drawn=True, place_shift=41, serving=20, wait=[240, 540])
    plain_person.reload()
    expect(plain_person.get_by_role("main")).to_contain_text("21 people are ahead of you.")
    expect(plain_person.get_by_role("main")).to_contain_text("Estimated wait: 4 to 9 minutes")
    expect(plain_person.get_by_role("progressbar")).to_have_attribute("value", "20")
    room.tell(serving=42)
    plain_person.reload()
    plain_person.get_by_role("button", name="Continue to tickets").click()
    expect(plain_person.locator("#pass")).to_have_text("pass-0")
    room.tell(end=[room.token(0)])
    plain_person.reload()
    expect(plain_person.get_by_role("heading", level=2)).to_have_text("Your pass has ended")


def test_a_room_that_opens_later_opens_by_itself(room: ToldRoom, plain_person: Page) -> None:
    """It says when; near that moment the page looks often."""
    room.tell(state="off", opens_in_s=3600)
    plain_person.goto(room.address)
    heading = plain_person.get_by_role("heading", level=2)
    expect(heading).to_have_text("The waiting room is not open yet")
    expect(plain_person.get_by_role("main")).to_contain_text("It opens on ")
    expect(plain_person.get_by_role("button")).to_have_count(0)
    room.tell(opens_in_s=1)
    plain_person.reload()
    room.tell(state="running")
    expect(heading).to_have_text("There is a line", timeout=15_000)


def test_the_page_loads_itself_again(room: ToldRoom, plain_person: Page) -> None:
    """After 5 seconds at the soonest: the refresh is really followed."""
    room.tell(poll_after_s=1)
    plain_person.goto(room.address)
    plain_person.get_by_role("button").click()
    expect(plain_person.locator("#ahead")).to_have_text("You are next.")
    room.tell(serving=1)
    heading = plain_person.get_by_role("heading", level=2)
    expect(heading).to_have_text("It is your turn", timeout=15_000)
    room.tell(poll_after_s=4000)
    plain_person.reload()
    content = plain_person.locator("meta[http-equiv=refresh]").get_attribute("content")
    assert content == f"60; url={room.path}"


def test_a_sale_that_needs_a_proof_says_that_it_needs_javascript(
    room: ToldRoom, plain_person: Page
) -> None:
    """Instead of a puzzle that nobody solves."""
    room.tell(proof=["challenge", 4])
    plain_person.goto(room.address)
    plain_person.get_by_role("button", name="Join the line").click()
    expect(plain_person.get_by_text("This sale needs JavaScript to join")).to_be_visible()
    expect(plain_person.get_by_text("solves a small puzzle")).to_be_hidden()


def test_leaving_takes_two_steps(room: ToldRoom, plain_person: Page) -> None:
    """Nobody gives their place up by one slip."""
    plain_person.goto(room.address)
    plain_person.get_by_role("button").click()
    button = plain_person.get_by_role("button", name="Give up my place")
    expect(button).to_be_hidden()
    plain_person.get_by_text("Leave the line").click()
    button.click()
    expect(plain_person.get_by_role("button")).to_have_text(re.compile("Join the line"))
