"""The page of docs/LIVE.md: its own lines, in a browser, on another origin than the API."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Page

from ops.places import ROOT
from ops.resellers import make_reseller
from ops.stack import Stack
from tests.api.front_desk import FrontDesk

_EXAMPLE = re.compile(r"^```js\n(.*?)^```", re.MULTILINE | re.DOTALL)
_WATCH = """
([script, url]) => {
  const watchShow = new Function(`${script}; return watchShow;`)();
  window.source = watchShow(url, (states) => { window.states = states; });
}
"""
_WITHIN_MS = 30_000


@pytest.fixture(scope="module")
def desk(stack: Stack) -> Iterator[FrontDesk]:
    """A reseller."""
    with ThreadPoolExecutor() as elsewhere:  # Playwright's event loop runs in this thread
        key = elsewhere.submit(asyncio.run, make_reseller(stack.settings, "Live")).result(30)
    desk = FrontDesk(stack.base_url, key.text)
    with desk.http:
        yield desk


class _Shop(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Shop</title>")

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    """Another origin. Of this machine too: a page from elsewhere may not reach its servers."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Shop) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join(timeout=5)


def test_the_example_of_the_guide_follows_a_show(desk: FrontDesk, person: Page, shop: str) -> None:
    """Held, sold, and held again after the stream was cut off."""
    show = desk.new_show()
    show.availability()
    seats = desk.get(f"{show.path}/seats").json()["seats"]
    position = {seat["seat"]: seat["position"] for seat in seats}
    token = desk.post(f"{show.path}/live/tokens", {}).json()
    example = _EXAMPLE.search((ROOT / "docs" / "LIVE.md").read_text())
    assert example is not None
    person.goto(shop)
    person.evaluate(_WATCH, [example[1], f"{desk.http.base_url}{token['url']}"])

    def shows(label: str, state: str) -> None:
        person.wait_for_function(
            "([position, state]) => window.states?.get(position) === state",
            arg=[position[label], state],
            timeout=_WITHIN_MS,
        )

    shows("A-1", "open")
    hold = show.held("A-1")
    shows("A-1", "held")
    show.purchase(hold)
    shows("A-1", "sold")
    person.context.set_offline(True)
    person.context.set_offline(False)
    show.held("B-1", buyer="b-2")
    shows("B-1", "held")
