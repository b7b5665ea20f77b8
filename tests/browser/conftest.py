"""A browser, and the page in front of a waiting room that does as it is told."""

import http.client
import os
import secrets
from collections.abc import Callable, Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from ops.child import Child, Plan
from ops.places import HOME
from ops.port import Port
from ops.serving import serve_command
from tests.browser.chromium import NoBrowserError, find_browser
from tests.plain_http import NO_CERTIFICATES

PHONE_WIDTH_PX = 320

_WITHIN_MS = 30_000
"""Pages change by themselves within seconds; on a busy machine it takes longer."""

expect.set_options(timeout=_WITHIN_MS)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for a module's tests; each has a profile of its own.

    No longer than that: while Playwright is there, no other event loop runs in this thread.
    """
    try:
        found = find_browser(HOME / "tools" / "chromium")
    except NoBrowserError as error:
        pytest.skip(str(error))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found.program,
            args=list(found.arguments),
            env={**os.environ, **found.environment},
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the stand-in serves."""
    directory = tmp_path_factory.mktemp("page")
    with Port("127.0.0.1", 0) as port:
        command = serve_command("127.0.0.1", port.number, 1, app="tests.browser.stand_in:app")
        plan = Plan(
            name="page",
            command=lambda: command,
            environment={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            log=directory / "page.log",
            is_ready=lambda _: _answers(port.number),
        )
        child = Child(plan, lambda _: None)
        child.start()
        yield f"http://127.0.0.1:{port.number}"
        child.stop()


class ToldRoom:
    """One show's waiting room, which does as it is told."""

    def __init__(self, base_url: str, http_client: httpx.Client) -> None:
        """Open one."""
        self.show = f"shw_dev_{secrets.token_hex(8)}"
        self.http = http_client
        self.path = f"/queue/{self.show}"
        self.address = base_url + self.path
        self.tell()

    def tell(self, **told: object) -> None:
        """Change what it says: see stand_in.Told."""
        self.http.post(f"/stand-in/{self.show}", json=told).raise_for_status()

    def token(self, number: int) -> str:
        """Return a number's token."""
        return f"{self.show}.{number}"


@pytest.fixture
def room(page_url: str) -> Iterator[ToldRoom]:
    """A room of the test's own."""
    forgets = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    with httpx.Client(
        base_url=page_url, timeout=10, cookies=forgets, verify=NO_CERTIFICATES
    ) as http_client:
        yield ToldRoom(page_url, http_client)


@pytest.fixture
def new_context(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Make people's browsers: contexts with the options of Playwright."""
    made: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        # Where a proxy is trusted: what is throttled by address is not what others did there.
        address = f"198.51.{secrets.randbelow(256)}.{secrets.randbelow(256)}"
        options.setdefault("extra_http_headers", {"X-Forwarded-For": address})
        made.append(browser.new_context(**options))  # pyright: ignore[reportArgumentType] - as given
        made[-1].set_default_timeout(_WITHIN_MS)
        return made[-1]

    yield make
    for context in made:
        context.close()


@pytest.fixture
def person(new_context: Callable[..., BrowserContext]) -> Page:
    """Somebody with a browser as most have it."""
    return new_context(locale="en-GB", timezone_id="Europe/Berlin").new_page()


@pytest.fixture
def plain_person(new_context: Callable[..., BrowserContext]) -> Page:
    """Somebody without JavaScript."""
    return new_context(java_script_enabled=False).new_page()


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go."""
    return tmp_path_factory.mktemp("pictures")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/queue/static/queue.css")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
