"""The people of an account over HTTP: invited, given roles, logged out, removed."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from engine.tenancy.mails import MailKind
from engine.tenancy.principals import SCOPES_OF_ROLE, Role, Scope
from ops.stack import Stack
from tests.api.front_desk import FrontDesk, problem
from tests.api.people import Account
from tests.engine.account_ground import PASSWORD, fresh_email


@pytest.fixture
def account(stack: Stack) -> Iterator[Account]:
    """An account of the test's own."""
    account = Account(stack.settings, stack.base_url)
    yield account
    account.close()


@pytest.fixture
def owner(account: Account) -> FrontDesk:
    """A connection that may do everything there."""
    return account.desk()


def accept(desk: FrontDesk, token: str, **changes: str) -> httpx.Response:
    """Accept an invitation, without any credential."""
    body = {"token": token, "name": "Bo Becker", "password": PASSWORD} | changes
    return httpx.post(f"{desk.http.base_url}/v1/invitations/accept", json=body, timeout=30)


def mailed(account: Account) -> str:
    """Return the secret of the newest invitation."""
    return account.on_ground(
        lambda ground: ground.token(account.made.reseller, MailKind.INVITATION)
    )


def test_somebody_is_invited_and_joins_once(account: Account, owner: FrontDesk) -> None:
    """The secret is good once; the invitation is gone from the list."""
    email = fresh_email()
    invited = owner.http.post("/v1/invitations", json={"email": email, "role": "support"})
    assert invited.status_code == 201, invited.text
    assert invited.json()["email"] == email
    listed = owner.get("/v1/invitations").json()
    assert listed == {"invitations": [invited.json()], "next_cursor": None}
    token = mailed(account)
    refused = accept(owner, token, name="Bo\u200f", password="bo" * 6)
    assert {fault["pointer"] for fault in refused.json()["errors"]} == {"/name", "/password"}
    joined = accept(owner, token)
    assert joined.status_code == 201, joined.text
    assert joined.json()["role"] == "support"
    assert joined.json()["email"] == email
    assert problem(accept(owner, token)) == "invitation-not-found"
    assert owner.get("/v1/invitations").json()["invitations"] == []
    names = [user["name"] for user in owner.get("/v1/users").json()["users"]]
    assert sorted(names) == ["Ada Abendroth", "Bo Becker"]
    again = owner.http.post("/v1/invitations", json={"email": email, "role": "owner"})
    assert problem(again) == "user-exists"


def test_an_invitation_accepted_by_many_at_once_makes_one_user(
    account: Account, owner: FrontDesk
) -> None:
    """One row, one delete."""
    owner.http.post("/v1/invitations", json={"email": fresh_email(), "role": "scanner"})
    token = mailed(account)
    with ThreadPoolExecutor(6) as crowd:
        asked = [crowd.submit(accept, owner, token) for _ in range(6)]
        answers = [one.result(30).status_code for one in asked]
    assert sorted(answers) == [201, 404, 404, 404, 404, 404]


def test_a_revoked_or_replaced_invitation_is_over(account: Account, owner: FrontDesk) -> None:
    """As is one that never was."""
    email = fresh_email()
    first = owner.http.post("/v1/invitations", json={"email": email, "role": "support"}).json()
    old = mailed(account)
    second = owner.http.post("/v1/invitations", json={"email": email, "role": "finance"}).json()
    assert problem(accept(owner, old)) == "invitation-not-found"
    path = f"/v1/invitations/{second['invitation']}"
    assert owner.http.delete(path).status_code == 204
    assert problem(owner.http.delete(path)) == "invitation-not-found"
    assert problem(owner.http.delete(f"/v1/invitations/{first['invitation']}"))
    assert problem(accept(owner, mailed(account))) == "invitation-not-found"
    assert problem(accept(owner, "x" * 43)) == "invitation-not-found"


def test_inviting_does_not_tell_who_has_a_log_in_elsewhere(
    account: Account, owner: FrontDesk
) -> None:
    """Only who reads the mail learns that the address can't have a second one."""
    _, elsewhere = account.on_ground(lambda ground: ground.account())
    known, unknown = (
        owner.http.post("/v1/invitations", json={"email": email, "role": "support"})
        for email in (elsewhere, fresh_email())
    )
    assert known.status_code == unknown.status_code == 201
    assert set(known.json()) == set(unknown.json())
    owner.http.post("/v1/invitations", json={"email": elsewhere, "role": "support"})
    assert problem(accept(owner, mailed(account))) == "address-taken"


def test_the_last_owner_stays_one(account: Account, owner: FrontDesk) -> None:
    """However they are to go; with a second one the first may."""
    [first] = [user["user"] for user in owner.get("/v1/users").json()["users"]]
    assert problem(owner.http.delete(f"/v1/users/{first}")) == "last-owner"
    demoted = owner.http.patch(f"/v1/users/{first}", json={"role": "manager"})
    assert problem(demoted) == "last-owner"
    assert owner.http.patch(f"/v1/users/{first}", json={"role": "owner"}).status_code == 200
    second = account.colleague(Role.OWNER)
    with ThreadPoolExecutor(2) as both:
        asked = [both.submit(owner.http.delete, f"/v1/users/{one}") for one in (first, second)]
        answers = [one.result(30).status_code for one in asked]
    assert sorted(answers) == [204, 409]


def test_a_removed_user_is_gone_and_nothing_says_who_they_were(
    account: Account, owner: FrontDesk
) -> None:
    """And their address is free again."""
    user = account.colleague(Role.SUPPORT)
    email = owner.get(f"/v1/users/{user}").json()["email"]
    assert owner.http.delete(f"/v1/users/{user}").status_code == 204
    assert problem(owner.get(f"/v1/users/{user}")) == "user-not-found"
    assert problem(owner.http.delete(f"/v1/users/{user}")) == "user-not-found"
    assert user not in owner.get("/v1/users").text
    invited = owner.http.post("/v1/invitations", json={"email": email, "role": "support"})
    assert invited.status_code == 201
    assert accept(owner, mailed(account)).status_code == 201


def test_nobody_gives_or_takes_what_they_lack(account: Account, owner: FrontDesk) -> None:
    """A key that manages users and has a support role's scopes reaches as far as that."""
    few = account.desk(Scope.USERS_MANAGE, *SCOPES_OF_ROLE[Role.SUPPORT])
    [first] = [user["user"] for user in owner.get("/v1/users").json()["users"]]
    scanner, support = account.colleague(Role.SCANNER), account.colleague(Role.SUPPORT)
    for refused in (
        few.http.post("/v1/invitations", json={"email": fresh_email(), "role": "owner"}),
        few.http.post("/v1/invitations", json={"email": fresh_email(), "role": "scanner"}),
        few.http.patch(f"/v1/users/{support}", json={"role": "manager"}),
        few.http.patch(f"/v1/users/{scanner}", json={"role": "support"}),
        few.http.delete(f"/v1/users/{first}"),
        few.http.post(f"/v1/users/{first}/log-out"),
    ):
        assert problem(refused) == "insufficient-scope"
    changed = few.http.patch(f"/v1/users/{support}", json={"role": "read-only"})
    assert changed.json()["role"] == "read-only"
    invited = few.http.post("/v1/invitations", json={"email": fresh_email(), "role": "support"})
    assert invited.status_code == 201


def test_users_come_in_pages(account: Account, owner: FrontDesk) -> None:
    """Each once, by a cursor."""
    made = {account.colleague(Role.SCANNER) for _ in range(4)}
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        query = f"&cursor={cursor}" if cursor else ""
        page = owner.get(f"/v1/users?limit=2{query}").json()
        assert len(page["users"]) <= 2
        seen += [user["user"] for user in page["users"]]
        cursor = page["next_cursor"]
    assert len(seen) == len(set(seen)) == 5
    assert made < set(seen)
    assert problem(owner.get("/v1/users?cursor=x")) == "invalid-request"


def test_another_accounts_people_are_like_nobody(stack: Stack, owner: FrontDesk) -> None:
    """The same answers as for ids that never were."""
    other = Account(stack.settings, stack.base_url)
    theirs = other.colleague(Role.SUPPORT)
    nobody = f"{theirs[:-4]}0000"
    for path, method in (("", "GET"), ("", "DELETE"), ("", "PATCH"), ("/log-out", "POST")):
        body = {"role": "support"} if method == "PATCH" else None
        answers = [
            owner.http.request(method, f"/v1/users/{user}{path}", json=body)
            for user in (theirs, nobody, "usr_dev_x")
        ]
        assert len({(one.status_code, one.content) for one in answers}) == 1
        assert problem(answers[0]) == "user-not-found"


def test_a_user_is_logged_out_everywhere(account: Account, owner: FrontDesk) -> None:
    """By who manages users."""
    [first] = [user["user"] for user in owner.get("/v1/users").json()["users"]]
    form = {"email": account.email, "password": PASSWORD}
    with httpx.Client(base_url=str(owner.http.base_url), timeout=30) as browser:
        browser.get("/sign-in")
        form["form"] = browser.cookies["onsale_form"]
        assert browser.post("/sign-in", data=form).headers["location"] == "/security"
        assert browser.get("/security").status_code == 200
        assert owner.http.post(f"/v1/users/{first}/log-out").status_code == 204
        assert browser.get("/security").headers["location"].startswith("/sign-in")
