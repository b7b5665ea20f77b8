"""An event's page in a browser: read without script, from this address alone."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from ops.stack import Stack
from tests.api.published import Published, publish
from tests.browser.conftest import PHONE_WIDTH_PX

NAME = "</script><script>document.title='broken'</script> First Light"


@pytest.fixture(scope="module")
def published(stack: Stack) -> Iterator[Published]:
    """A public event with a name that tries to get out of its place."""
    with (
        httpx.Client(base_url=stack.base_url, timeout=30) as http,
        ThreadPoolExecutor() as elsewhere,  # Playwright's event loop runs in this thread
    ):
        made = elsewhere.submit(publish, stack, http, NAME).result(60)
        yield made
        made.desk.http.close()


@pytest.fixture(scope="module")
def address(stack: Stack, published: Published) -> str:
    """Where the page is."""
    return f"{stack.base_url}/events/{published.ids['event']}"


def test_it_can_be_read_without_script(address: str, plain_person: Page) -> None:
    """Name, who performs, when, where, whether there are tickets, and the way to a calendar."""
    plain_person.goto(address)
    expect(plain_person.locator("h1")).to_have_text(NAME)
    date = plain_person.locator("ol.dates > li")
    expect(date).to_have_count(1)
    expect(date).to_contain_text("Wednesday, 1 July 2099")
    expect(date).to_contain_text("20:00 to 22:00 CEST, doors 19:00")
    expect(date).to_contain_text("Riethsporthalle, Essener Str. 20, 99089 Erfurt, Germany")
    expect(date.locator(".state")).to_have_text("On sale")
    link = plain_person.get_by_role("link", name="Subscribe to all dates").get_attribute("href")
    assert link is not None
    assert link.endswith("/calendar.ics")


def test_nothing_of_it_runs_and_no_policy_is_broken(
    address: str, new_context: Callable[..., BrowserContext]
) -> None:
    """With script on: a name does not become one, and the JSON-LD is data that browsers let be."""
    page = new_context().new_page()
    told: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.route("https://cdn.example/**", lambda route: route.fulfill(status=200, body=b""))
    page.goto(address)
    assert page.title() == NAME
    scripts = page.locator("script")
    expect(scripts).to_have_count(1)
    assert msgspec.json.decode(scripts.text_content() or "")["name"] == NAME
    assert told == []
    ours = urlsplit(address).netloc
    assert {urlsplit(url).netloc for url in asked} <= {ours, "cdn.example"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(
    address: str, new_context: Callable[..., BrowserContext], scheme: str
) -> None:
    """Nothing is wider than 320 px, in light and in dark."""
    size = {"width": PHONE_WIDTH_PX, "height": 640}
    page = new_context(viewport=size, color_scheme=scheme).new_page()
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH_PX


def test_a_page_that_is_not_there_says_so(address: str, person: Page) -> None:
    """In words, for people."""
    answer = person.goto(address[:-3] + "zzz")
    assert answer is not None
    assert answer.status == 404
    expect(person.locator("h1")).to_have_text("No such event")
