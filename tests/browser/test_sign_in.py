"""People at the pages that they sign in by, without JavaScript, at a real platform."""

import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from pyotp.totp import TOTP

from engine.tenancy.invitations import Invitation, invite
from engine.tenancy.mails import MailKind
from engine.tenancy.principals import EVERY_SCOPE, Role
from engine.tenancy.resets import ask_for_reset
from ops.stack import Stack
from tests.api.people import Account
from tests.browser.conftest import PHONE_WIDTH_PX
from tests.engine.account_ground import HERE, PASSWORD, AccountGround, fresh_email

_NEW = "eleven green kettles"


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


def sign_in(person: Page, account: Account, password: str = PASSWORD, query: str = "") -> None:
    """Fill the form in and send it."""
    person.goto(f"{account.base_url}/sign-in{query}")
    person.get_by_label("Mail address").fill(account.email)
    person.get_by_label("Password").fill(password)
    person.get_by_role("button", name="Sign in").click()


def test_somebody_signs_in_and_out(account: Account, plain_person: Page) -> None:
    """A wrong password first; what was typed as address stays."""
    sign_in(plain_person, account, "not the one at all")
    expect(plain_person.get_by_role("alert")).to_contain_text("do not belong together")
    expect(plain_person.get_by_label("Mail address")).to_have_value(account.email)
    sign_in(plain_person, account)
    expect(plain_person.locator("h1")).to_have_text("Your log-in")
    [cookie] = [c for c in plain_person.context.cookies() if c.get("name") == "onsale_session"]
    assert cookie.get("httpOnly")
    assert cookie.get("sameSite") == "Lax"
    plain_person.get_by_role("link", name="Sign out").click()
    plain_person.get_by_role("button", name="Sign out here").click()
    expect(plain_person.get_by_role("status")).to_have_text("You are signed out.")
    plain_person.goto(f"{account.base_url}/security")
    expect(plain_person.locator("h1")).to_have_text("Sign in")


def test_signing_out_everywhere_ends_the_other_browser_too(
    account: Account, plain_person: Page, person: Page
) -> None:
    """At once."""
    sign_in(plain_person, account)
    sign_in(person, account)
    plain_person.goto(f"{account.base_url}/sign-out")
    plain_person.get_by_role("button", name="Sign out everywhere").click()
    person.goto(f"{account.base_url}/security")
    expect(person.locator("h1")).to_have_text("Sign in")


@pytest.mark.parametrize(
    ("target", "arrives"),
    [
        ("/sign-out?x=1", "/sign-out?x=1"),
        *((evil, "/security") for evil in (
            "//evil.example/", "https://evil.example/", "/\\evil.example", "javascript:alert(1)",
            "/%0d%0aSet-Cookie:x=1" + "\n", "", "\\\\evil.example", "/\t/evil.example",
        )),
    ],
)  # fmt: skip
def test_signing_in_leads_on_to_this_site_only(account: Account, target: str, arrives: str) -> None:
    """Whatever the link says."""
    with httpx.Client(base_url=account.base_url, timeout=30) as browser:
        page = browser.get("/sign-in", params={"next": target})
        form = {"form": browser.cookies["onsale_form"], "next": target}
        form |= {"email": account.email, "password": PASSWORD}
        assert "evil" not in page.text
        answer = browser.post("/sign-in", data=form)
    assert answer.status_code == 303
    assert answer.headers["location"] == arrives


def test_a_second_factor_is_set_up_asked_for_and_taken_away(
    account: Account, plain_person: Page
) -> None:
    """With the app's codes, and one for recovery."""
    sign_in(plain_person, account)
    plain_person.get_by_role("button", name="Turn it on").click()
    app = TOTP(plain_person.locator(".secret").inner_text())
    plain_person.get_by_label("Code").fill(app.at(time.time() - 30))
    plain_person.get_by_role("button", name="Turn it on").click()
    expect(plain_person.locator(".codes li")).to_have_count(10)
    recovery = plain_person.locator(".codes li").first.inner_text()
    plain_person.context.clear_cookies()
    sign_in(plain_person, account, query="?next=/sign-out")
    expect(plain_person.locator("h1")).to_have_text("Second step")
    plain_person.get_by_label("Code").fill("000 000")
    plain_person.get_by_role("button", name="Sign in").click()
    expect(plain_person.get_by_role("alert")).to_contain_text("not right")
    plain_person.get_by_label("Code").fill(app.now())
    plain_person.get_by_role("button", name="Sign in").click()
    expect(plain_person.locator("h1")).to_have_text("Sign out")
    plain_person.goto(f"{account.base_url}/security")
    plain_person.get_by_text("Turn it off").first.click()
    plain_person.get_by_label("A code of your app").fill(recovery)
    plain_person.get_by_role("button", name="Turn it off").click()
    expect(plain_person.get_by_role("status")).to_contain_text("is off")


def test_somebody_is_invited_and_joins(account: Account, plain_person: Page) -> None:
    """From the mail's link to a log-in."""

    async def send(ground: AccountGround) -> tuple[str, str]:
        email, reseller = fresh_email(), account.made.reseller
        sent = await invite(ground.door, reseller, email, Role.SUPPORT, held=EVERY_SCOPE)
        assert isinstance(sent, Invitation)
        return email, await ground.token(reseller, MailKind.INVITATION)

    email, token = account.on_ground(send)
    plain_person.goto(f"{account.base_url}/invitation?token={token}")
    expect(plain_person.locator("h1")).to_have_text("Join Erfurt Tickets GmbH")
    plain_person.get_by_label("Your name").fill("Bo Becker")
    plain_person.get_by_label("New password").fill("qwertyuiopas")
    plain_person.get_by_role("button", name="Join").click()
    expect(plain_person.locator(".fault")).to_contain_text("tried first")
    plain_person.get_by_label("New password").fill(_NEW)
    plain_person.get_by_role("button", name="Join").click()
    expect(plain_person.locator("h1")).to_have_text("Welcome")
    plain_person.goto(f"{account.base_url}/invitation?token={token}")
    expect(plain_person.locator("h1")).to_have_text("This link is over")
    account.email = email
    sign_in(plain_person, account, _NEW)
    expect(plain_person.get_by_text("Bo Becker")).to_be_visible()


def test_a_forgotten_password_is_replaced_by_mail(account: Account, plain_person: Page) -> None:
    """The page says the same for every address."""
    for email in (fresh_email(), account.email):
        plain_person.goto(f"{account.base_url}/sign-in")
        plain_person.get_by_role("link", name="Forgot your password?").click()
        plain_person.get_by_label("Mail address").fill(email)
        plain_person.get_by_role("button", name="Send the link").click()
        expect(plain_person.get_by_role("status")).to_contain_text("If this address has a log-in")

    async def send(ground: AccountGround) -> str:
        await ask_for_reset(ground.door, account.email, HERE)
        await ground.door.errands.settle()
        return await ground.token(account.made.reseller, MailKind.RESET)

    token = account.on_ground(send)
    plain_person.goto(f"{account.base_url}/reset-password?token={token}")
    plain_person.get_by_label("New password").fill(_NEW)
    plain_person.get_by_role("button", name="Set it").click()
    expect(plain_person.locator("h1")).to_have_text("Your password is changed")
    sign_in(plain_person, account, _NEW)
    expect(plain_person.locator("h1")).to_have_text("Your log-in")


def test_a_password_is_changed_by_who_knows_it(account: Account, plain_person: Page) -> None:
    """And this browser stays signed in."""
    sign_in(plain_person, account)
    plain_person.get_by_text("Change it").first.click()
    plain_person.get_by_label("Old password").fill(PASSWORD)
    plain_person.get_by_label("New password").fill(_NEW)
    plain_person.get_by_role("button", name="Change it").click()
    expect(plain_person.get_by_role("status")).to_contain_text("Your password is changed")


_FORMS = (
    *("/sign-in", "/sign-in/code", "/sign-out", "/confirm", "/invitation", "/reset-password"),
    *("/security/password", "/security/second-factor", "/security/second-factor/confirm"),
    "/security/second-factor/off",
)


@pytest.mark.parametrize("path", _FORMS)
def test_a_form_from_elsewhere_does_nothing(account: Account, path: str) -> None:
    """Without our token, with another's, or from another site's page."""
    with httpx.Client(base_url=account.base_url, timeout=30) as browser:
        browser.get("/sign-in")
        own = browser.cookies["onsale_form"]
        for form, headers in (
            ({}, {}),
            ({"form": "x" * 43}, {}),
            ({"form": ""}, {}),
            ({"form": own}, {"Sec-Fetch-Site": "cross-site"}),
            ({"form": own}, {"Sec-Fetch-Site": "same-site"}),
            ({"form": own}, {"Origin": "https://evil.example"}),
            ({"form": own}, {"Origin": "null"}),
        ):
            answer = browser.post(path, data=form, headers=headers)
            assert answer.status_code == 403, (form, headers)
            assert "onsale_session" not in answer.headers.get("set-cookie", "")
        without = httpx.post(f"{account.base_url}{path}", data={"form": own}, timeout=30)
        assert without.status_code == 403


@pytest.mark.parametrize("path", ["/sign-in", "/confirm?token=x", "/reset-password", "/security"])
def test_pages_run_no_script_and_are_kept_by_nobody(account: Account, path: str) -> None:
    """Their policy allows styles of ours and forms to us."""
    page = httpx.get(f"{account.base_url}{path}", follow_redirects=True, timeout=30)
    assert page.headers["cache-control"] == "no-store"
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'")
    assert "script" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script" not in page.text
    assert "style=" not in page.text


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", '"><img src=x>', "\x00", "%00%ff", "\ud7ff" * 500]
)
def test_whatever_is_typed_is_text(account: Account, text: str) -> None:
    """In every field of the form."""
    with httpx.Client(base_url=account.base_url, timeout=30) as browser:
        browser.get("/sign-in")
        form = {"form": browser.cookies["onsale_form"]}
        answer = browser.post(
            "/sign-in", data=form | {"email": text, "password": text, "next": text}
        )
        assert answer.status_code == 403
        assert "<script" not in answer.text
        assert "<img" not in answer.text
        for path in ("/invitation", "/reset-password", "/confirm"):
            assert "<script" not in browser.get(path, params={"token": text}).text
        huge = browser.post("/sign-in", data=form | {"password": "x" * 20_000})
        assert huge.status_code == 413


def test_the_page_does_not_tell_who_has_an_account(account: Account) -> None:
    """Byte by byte, but for what was typed; and in the same time."""
    with httpx.Client(base_url=account.base_url, timeout=30) as browser:
        browser.get("/sign-in")
        form = {"form": browser.cookies["onsale_form"], "password": "not the one at all"}
        unknown = fresh_email()
        took: dict[str, list[float]] = {account.email: [], unknown: []}
        pages: dict[str, str] = {}
        for _ in range(7):
            for email, times in took.items():
                begun = time.perf_counter()
                answer = browser.post("/sign-in", data=form | {"email": email})
                times.append(time.perf_counter() - begun)
                assert answer.status_code == 403
                pages[email] = answer.text.replace(email, "")
    assert pages[account.email] == pages[unknown]
    ratio = statistics.median(took[account.email]) / statistics.median(took[unknown])
    assert 0.5 < ratio < 2, took


def test_five_hundred_log_ins_at_once_are_all_answered(account: Account) -> None:
    """By a refusal, or by when to come again; what sells goes on meanwhile."""
    desk = account.desk(sandbox=True)
    show = desk.new_show()
    with httpx.Client(base_url=account.base_url, timeout=30) as browser:
        browser.get("/sign-in")
        cookies = {"onsale_form": browser.cookies["onsale_form"]}
    form = {"form": cookies["onsale_form"], "password": "not the one at all"}
    limits = httpx.Limits(max_connections=500)
    with (
        httpx.Client(base_url=account.base_url, timeout=60, cookies=cookies, limits=limits) as many,
        ThreadPoolExecutor(100) as crowd,
    ):

        def knock(n: int) -> int:
            email = account.email if n % 5 == 0 else fresh_email()
            return many.post("/sign-in", data=form | {"email": email}).status_code

        knocks = [crowd.submit(knock, n) for n in range(500)]
        holds = [show.hold(buyer=f"b-{n}", areas={"floor": 1}) for n in range(5)]
        answers = [one.result(60) for one in knocks]
    assert {one.status_code for one in holds} == {201}
    assert set(answers) <= {403, 429, 503}
    assert answers.count(403) >= 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone(
    account: Account, new_context: Callable[..., BrowserContext], pictures: Path, scheme: str
) -> None:
    """Nothing is cut off sideways; fields have names; a picture of each to look at."""
    context = new_context(
        color_scheme=scheme,
        viewport={"width": PHONE_WIDTH_PX, "height": 700},
        java_script_enabled=True,
    )
    page = context.new_page()

    def look(name: str) -> None:
        page.screenshot(path=str(pictures / f"{name}-{scheme}.png"), full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE_WIDTH_PX
        nameless = "input:not([type=hidden])"
        for field in page.locator(nameless).all():
            assert field.evaluate("field => field.labels.length") == 1
        assert page.locator("h1").count() == 1

    page.goto(f"{account.base_url}/sign-in")
    look("sign-in")
    sign_in(page, account, "not the one at all")
    look("refused")
    sign_in(page, account)
    look("security")
    page.get_by_role("button", name="Turn it on").click()
    look("second-factor")
    app = TOTP(page.locator(".secret").inner_text())
    page.get_by_label("Code").fill(app.at(time.time() - 30))
    page.get_by_role("button", name="Turn it on").click()
    look("recovery-codes")
    page.goto(f"{account.base_url}/sign-out")
    look("sign-out")
    context.clear_cookies()
    sign_in(page, account)
    look("code")
    page.goto(f"{account.base_url}/reset-password")
    look("reset")
    assert re.search("New password", page.title())
