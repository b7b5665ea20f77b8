"""The account over HTTP: what is shown of it, and what is never."""

from collections.abc import Iterator

import pytest

from engine.tenancy.mails import MailKind
from engine.tenancy.principals import Scope
from ops.stack import Stack
from tests.api.front_desk import FrontDesk, problem
from tests.api.people import Account


@pytest.fixture(scope="module")
def account(stack: Stack) -> Iterator[Account]:
    """An account."""
    account = Account(stack.settings, stack.base_url)
    yield account
    account.close()


@pytest.fixture
def owner(account: Account) -> FrontDesk:
    """A connection that may do everything there."""
    return account.desk()


def test_an_account_is_shown_without_what_is_worth_stealing(
    account: Account, owner: FrontDesk
) -> None:
    """The end of tax id and IBAN."""
    response = owner.get("/v1/account")
    assert response.status_code == 200, response.text
    told = response.json()
    assert told["reseller"] == account.reseller
    assert told["status"] == "approved"
    assert told["legal_name"] == "Erfurt Tickets GmbH"
    assert told["tax_id_ending"] == "5976"
    assert told["payout_account"] == {
        "iban_ending": "3000",
        "account_number_ending": None,
        "bank_code": None,
    }
    assert "37040044" not in response.text
    assert "136695976" not in response.text


def test_what_is_named_changes_and_the_rest_stays(account: Account, owner: FrontDesk) -> None:
    """All of it or nothing; owners are told of a new payout account."""
    before = owner.get("/v1/account").json()
    changed = owner.http.patch("/v1/account", json={"legal_name": "Erfurt Tickets AG"})
    assert changed.status_code == 200, changed.text
    volatile = {"changed_at": changed.json()["changed_at"], "legal_name": "Erfurt Tickets AG"}
    assert changed.json() == before | volatile
    assert owner.http.patch("/v1/account", json={}).json()["legal_name"] == "Erfurt Tickets AG"
    refused = owner.http.patch("/v1/account", json={"country": "FR", "legal_name": "X"})
    assert problem(refused) == "invalid-request"
    assert [fault["pointer"] for fault in refused.json()["errors"]] == ["/tax_id"]
    assert owner.get("/v1/account").json()["legal_name"] == "Erfurt Tickets AG"
    moved = owner.http.patch(
        "/v1/account", json={"payout_account": {"iban": "FR1420041010050500013M02606"}}
    )
    assert moved.json()["payout_account"]["iban_ending"] == "2606"
    mails = account.on_ground(lambda ground: ground.mails(account.made.reseller, MailKind.CHANGED))
    assert [mail.address for mail in mails] == [account.email]
    assert "FR14" not in mails[0].text


def test_a_tax_id_can_be_cleared_only_where_there_is_none(owner: FrontDesk) -> None:
    """`null` clears."""
    refused = owner.http.patch("/v1/account", json={"tax_id": None})
    assert problem(refused) == "invalid-request"


def test_an_account_needs_its_scopes(account: Account) -> None:
    """Reading and changing are two."""
    reader = account.desk(Scope.ACCOUNT_READ)
    assert reader.get("/v1/account").status_code == 200
    assert problem(reader.http.patch("/v1/account", json={})) == "insufficient-scope"
    other = account.desk(Scope.SHOWS_READ)
    assert problem(other.get("/v1/account")) == "insufficient-scope"


def test_who_has_no_account_is_told_so(account: Account, desk: FrontDesk) -> None:
    """A sandbox, and a reseller that an operator made by hand."""
    for without in (account.desk(sandbox=True), desk):
        assert problem(without.get("/v1/account")) == "no-account"
        assert problem(without.http.patch("/v1/account", json={})) == "no-account"
        invited = without.http.post(
            "/v1/invitations", json={"email": "bo@tickets.example.com", "role": "support"}
        )
        assert problem(invited) == "no-account"
        assert without.get("/v1/users").json() == {"users": [], "next_cursor": None}
