"""Somebody lets an app in, in a browser without JavaScript: from the app, by sign-in, and back."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from ops.stack import Stack
from tests.api.oauth_desk import CALLBACK, authorize_address, new_verifier
from tests.api.people import Account
from tests.browser.conftest import PHONE_WIDTH_PX
from tests.engine.account_ground import PASSWORD


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A platform behind a proxy, which tells where each browser is."""
    environment = {"ONSALE_TRUSTED_PROXIES": "1"}
    with Stack(tmp_path_factory.mktemp("people"), environment=environment) as stack:
        yield stack


@pytest.fixture
def account(stack: Stack) -> Iterator[Account]:
    """An account of the test's own."""
    account = Account(stack.settings, stack.base_url)
    yield account
    account.close()


def register(account: Account) -> str:
    """Return the name of a public client."""
    made = account.desk().post(
        "/v1/oauth-clients",
        {
            "name": "Till app",
            "kind": "public",
            "grant_types": ["authorization_code"],
            "redirect_uris": [CALLBACK],
            "scopes": ["shows:read", "holds:write", "orders:read", "buyers:read"],
        },
    )
    assert made.status_code == 201, made.text
    return made.json()["client"]


def arrive(person: Page, account: Account, client: str) -> None:
    """Come from an app, and sign in."""
    _, challenge = new_verifier()
    person.goto(account.base_url + authorize_address(client, challenge))
    person.get_by_label("Mail address").fill(account.email)
    person.get_by_label("Password").fill(PASSWORD)
    person.get_by_role("button", name="Sign in").click()
    expect(person.locator("h1")).to_contain_text("Till app")


@pytest.mark.parametrize(("button", "outcome"), [("Let it in", "code="), ("No", "access_denied")])
def test_somebody_decides(account: Account, plain_person: Page, button: str, outcome: str) -> None:
    """And is sent back to the app, past the page's own content security policy."""
    arrive(plain_person, account, register(account))
    expect(plain_person.locator("main")).to_contain_text("Erfurt Tickets GmbH")
    expect(plain_person.get_by_role("listitem")).to_have_count(4)
    # There is no such app: that the browser goes there is all that can be seen.
    with plain_person.expect_request(lambda request: request.url.startswith(CALLBACK)) as sent:
        plain_person.get_by_role("button", name=button).click()
    assert outcome in sent.value.url


def test_the_page_can_be_looked_at(
    account: Account, new_context: Callable[..., BrowserContext], pictures: Path
) -> None:
    """Nothing is wider than a phone; in light and in dark."""
    client = register(account)
    for scheme in ("light", "dark"):
        viewport = {"width": PHONE_WIDTH_PX, "height": 640}
        context = new_context(color_scheme=scheme, viewport=viewport)
        page = context.new_page()
        arrive(page, account, client)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= PHONE_WIDTH_PX
        page.screenshot(path=str(pictures / f"consent-{scheme}.png"), full_page=True)
