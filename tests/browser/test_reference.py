"""The API's page: made of the document, read without script, filtered with it."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect

from ops.contract.files import made
from ops.stack import Stack

_DOCUMENT = made()


@pytest.fixture(scope="module")
def address(stack: Stack) -> str:
    """Where the page is."""
    return f"{stack.base_url}/docs"


def test_it_has_every_call_and_every_problem(address: str) -> None:
    """Each with an anchor of its own."""
    page = httpx.get(address).text
    for methods in _DOCUMENT["paths"].values():
        for operation in methods.values():
            assert page.count(f'<article id="{operation["operationId"]}"') == 1
    for name in _DOCUMENT["webhooks"]:
        assert f'<article id="fact_{name.replace(".", "_")}"' in page
    for slug in _DOCUMENT["components"]["examples"]:
        assert page.count(f'<article id="problem-{slug}"') == 1


def test_it_is_made_once_compressed_and_kept_by_its_etag(address: str) -> None:
    """From this address alone: nothing is fetched from elsewhere."""
    first = httpx.get(address)
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in first.headers["content-security-policy"]
    again = httpx.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    plain = httpx.get(address, headers={"Accept-Encoding": "identity"})
    assert (plain.text, "content-encoding" in plain.headers) == (first.text, False)
    assert httpx.head(address).status_code == 200


def test_the_filter_leaves_what_fits(address: str, person: Page) -> None:
    """By words of method, address, summary and scope; and all of it again when it is cleared."""
    faults: list[str] = []
    asked: list[str] = []
    person.on("pageerror", lambda error: faults.append(str(error)))
    person.on("console", lambda message: faults.append(message.text))
    person.on("request", lambda request: asked.append(request.url))
    person.goto(address)
    person.keyboard.press("/")
    person.keyboard.type("hold post")
    expect(person.locator("#holds_hold_places")).to_be_visible()
    expect(person.locator("#holds_look_at_hold")).to_be_hidden()
    expect(person.locator("#shows_create")).to_be_hidden()
    expect(person.locator("#found")).to_contain_text(" of ")
    person.keyboard.press("Escape")
    expect(person.locator("#shows_create")).to_be_visible()
    assert faults == []
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(address).netloc}


def test_it_can_be_read_without_script(address: str, plain_person: Page) -> None:
    """The filter is not there; links, members and examples are."""
    plain_person.goto(f"{address}#holds_hold_places")
    expect(plain_person.locator("#search")).to_be_hidden()
    article = plain_person.locator("#holds_hold_places")
    expect(article).to_contain_text("curl -X POST")
    article.get_by_text("Body", exact=True).click()
    expect(article).to_contain_text("best_available.price_level")
    article.get_by_text("Problems", exact=True).click()
    article.get_by_role("link", name="seats-taken").click()
    expect(plain_person.locator("#problem-seats-taken")).to_be_in_viewport()


@pytest.mark.parametrize(
    ("face", "width"), [("light", 1200), ("dark", 1200), ("light", 320), ("dark", 400)]
)
def test_it_fits_and_can_be_told_apart(
    address: str,
    new_context: Callable[..., BrowserContext],
    pictures: Path,
    face: str,
    width: int,
) -> None:
    """No sideways scrolling, headings in their order, one main part, links with names."""
    size = {"width": width, "height": 900}
    page = new_context(viewport=size, color_scheme=face).new_page()
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    bare = page.evaluate("[...document.links].filter(a => !a.textContent.trim()).length")
    assert bare == 0
    doubled = page.evaluate(
        "(() => { const ids = [...document.querySelectorAll('[id]')].map(e => e.id);"
        " return ids.filter((id, n) => ids.indexOf(id) !== n); })()"
    )
    assert doubled == [], json.dumps(doubled)
    page.screenshot(path=pictures / f"reference-{face}-{width}.png")
    page.goto(f"{address}#holds_hold_places")
    page.evaluate(
        "document.querySelectorAll('#holds_hold_places details').forEach(d => d.open = true)"
    )
    page.screenshot(path=pictures / f"reference-call-{face}-{width}.png")
