"""Signing up: everything wrong is told at once, and nothing of who has an account."""

import asyncio
import secrets
from typing import Any

import httpx
import pytest

from engine.platform.ids import Ids, Prefix
from engine.tenancy.accounts import Account, find_account
from engine.tenancy.mails import MailKind
from ops.stack import Stack
from tests.api.front_desk import FrontDesk, Json, problem
from tests.api.people import on_ground, sign_up_body
from tests.engine.account_ground import PASSWORD, fresh_email


def sign_up(stack: Stack, body: Json, **headers: str) -> httpx.Response:
    """Send a sign-up."""
    return httpx.post(f"{stack.base_url}/v1/sign-up", json=body, headers=headers, timeout=30)


def faults(response: httpx.Response) -> dict[str, str]:
    """Return what does not fit, by pointer."""
    assert problem(response) == "invalid-request", response.text
    return {fault["pointer"]: fault["reason"] for fault in response.json()["errors"]}


def test_a_reseller_signs_up_and_sells_in_its_sandbox_at_once(stack: Stack) -> None:
    """The sandbox's key works; the live one waits for an operator."""
    response = sign_up(stack, sign_up_body())
    assert response.status_code == 201, response.text
    assert response.headers["cache-control"] == "no-store"
    made = response.json()
    assert set(made) == {"reseller", "sandbox", "status", "sandbox_key"}
    assert made["status"] == "pending"
    assert made["sandbox_key"].startswith("onsale_dev_test_")
    desk = FrontDesk(stack.base_url, made["sandbox_key"])
    with desk.http:
        show = desk.new_show()
        assert show.purchase(show.held("A-1")).status_code == 201
        assert problem(desk.get("/v1/account")) == "no-account", "a sandbox has none"


def test_an_address_that_has_an_account_is_answered_like_any_other(stack: Stack) -> None:
    """The same status, headers, members and lengths; and both sandboxes work."""
    account, email = on_ground(stack.settings, lambda ground: ground.account())
    answers = [sign_up(stack, sign_up_body(email=one)) for one in (email, fresh_email())]
    known, unknown = answers
    assert known.status_code == unknown.status_code == 201
    volatile = {"x-request-id", "date"}
    headers = [
        {name: value for name, value in one.headers.items() if name not in volatile}
        for one in answers
    ]
    assert headers[0] == headers[1]
    shape = [{k: (len(v), v[:8]) for k, v in one.json().items()} for one in answers]
    assert shape[0] == shape[1]
    for answer in answers:
        desk = FrontDesk(stack.base_url, answer.json()["sandbox_key"])
        with desk.http:
            assert desk.get("/v1/shows").json()["shows"] == []
    assert account.reseller is not None


def test_the_mail_of_a_second_sign_up_makes_no_second_log_in(stack: Stack) -> None:
    """Who reads the mail is told; the first log-in stays as it was."""
    _, email = on_ground(stack.settings, lambda ground: ground.account())
    made = sign_up(stack, sign_up_body(email=email, password=fresh_email())).json()
    ids = Ids(stack.settings.region, stack.settings.secret.encode())
    reseller = ids.parse_entity(Prefix.RESELLER, made["reseller"])
    token = on_ground(stack.settings, lambda ground: ground.token(reseller, MailKind.CONFIRM))
    with httpx.Client(base_url=stack.base_url, timeout=30) as browser:
        page = browser.get("/confirm", params={"token": token})
        form = {"form": browser.cookies["onsale_form"], "token": token}
        assert page.status_code == 200
        answer = browser.post("/confirm", data=form)
    assert answer.status_code == 409
    assert "has a log-in already" in answer.text
    on_ground(stack.settings, lambda ground: ground.signed_in(email))


def test_the_same_request_again_gets_the_same_answer(stack: Stack) -> None:
    """Key and all; another body under the same key is another sign-up, of somebody else."""
    body, key = sign_up_body(), secrets.token_hex(8)
    first = sign_up(stack, body, **{"Idempotency-Key": key})
    assert first.status_code == 201
    assert sign_up(stack, body, **{"Idempotency-Key": key}).content == first.content
    reordered = dict(reversed(body.items()))
    assert sign_up(stack, reordered, **{"Idempotency-Key": key}).content == first.content
    other = sign_up(stack, body | {"password": "a wholly other one"}, **{"Idempotency-Key": key})
    assert other.json()["reseller"] != first.json()["reseller"]


async def test_the_same_request_many_times_at_once_makes_one_account(stack: Stack) -> None:
    """All get the one answer."""
    body, key = sign_up_body(), {"Idempotency-Key": secrets.token_hex(8)}
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=30) as client:
        answers = await asyncio.gather(
            *(client.post("/v1/sign-up", json=body, headers=key) for _ in range(5))
        )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1


def test_everything_wrong_is_told_at_once(stack: Stack) -> None:
    """By pointer."""
    response = sign_up(
        stack,
        {
            "legal_name": " ",
            "address": {"line_1": "", "city": "Er\u202efurt"},
            "country": "XX",
            "currency": "EURO",
            "tax_id": "DE1",
            "payout_account": {"iban": "DE00 3704"},
            "owner_name": "Ada\u200b",
            "email": "ada@",
            "password": "short",
        },
    )
    assert set(faults(response)) == {
        *("/legal_name", "/address/line_1", "/address/city", "/country", "/currency"),
        *("/payout_account/iban", "/owner_name", "/email", "/password"),
    }


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"tax_id": "DE136695977"}, "/tax_id"),
        ({"tax_id": None}, "/tax_id"),
        ({"tax_id": "FR40303265045"}, "/tax_id"),
        ({"country": "de"}, "/country"),
        ({"country": "EU"}, "/country"),
        ({"currency": "eur"}, "/currency"),
        ({"currency": "ABC"}, "/currency"),
        ({"payout_account": {"iban": "DE89370400440532013001"}}, "/payout_account/iban"),
        ({"payout_account": {}}, "/payout_account/iban"),
        ({"payout_account": {"account_number": "12345", "bank_code": "111000025"}},
         "/payout_account/iban"),
        ({"payout_account": {"iban": "DE89370400440532013000", "bank_code": "1"}},
         "/payout_account"),
        ({"country": "US", "tax_id": "536-90-4399",
          "payout_account": {"account_number": "12345", "bank_code": "111000026"}},
         "/payout_account/bank_code"),
        ({"email": "ada@localhost"}, "/email"),
        ({"email": "ada@x.com\n"}, "/email"),
        ({"password": "passwordpassword"}, "/password"),
        ({"password": "Ada Abendroth"}, "/password"),
        ({"password": "x" * 257}, "/password"),
        ({"owner_name": "Ada\ufeff"}, "/owner_name"),
        ({"owner_name": "\u2066Ada\u2069"}, "/owner_name"),
        ({"owner_name": "Ada\x00"}, "/owner_name"),
        ({"owner_name": "\u3164"}, "/owner_name"),
        ({"legal_name": "x" * 201}, "/legal_name"),
    ],
)  # fmt: skip
def test_what_can_not_be_true_is_refused(stack: Stack, changes: Json, pointer: str) -> None:
    """One fault each."""
    body = sign_up_body() | {k: v for k, v in changes.items() if v is not None}
    for name, value in changes.items():
        if value is None:
            del body[name]
    assert set(faults(sign_up(stack, body))) == {pointer}


@pytest.mark.parametrize(
    "changes",
    [
        {"country": "US", "currency": "USD", "tax_id": "536-90-4399",
         "payout_account": {"account_number": "000123456789", "bank_code": "111000025"}},
        {"country": "HK", "currency": "HKD", "tax_id": None,
         "payout_account": {"account_number": "12345678", "bank_code": "004"}},
        {"country": "GR", "tax_id": "EL094259216",
         "payout_account": {"iban": "GR16 0110 1250 0000 0001 2300 695"}},
    ],
)  # fmt: skip
def test_other_countries_have_other_forms(stack: Stack, changes: dict[str, Any]) -> None:
    """A tax id where there is one, an IBAN where there are some."""
    response = sign_up(stack, sign_up_body(**changes))
    assert response.status_code == 201, response.text


def test_names_are_kept_composed(stack: Stack) -> None:
    """NFC, single spaces."""
    made = sign_up(stack, sign_up_body(legal_name="Ko\u0308ln   Nord  e.K.")).json()
    ids = Ids(stack.settings.region, stack.settings.secret.encode())
    reseller = ids.parse_entity(Prefix.RESELLER, made["reseller"])

    account = on_ground(stack.settings, lambda ground: find_account(ground.door, reseller))
    assert isinstance(account, Account)
    assert account.legal.legal_name == "K\u00f6ln Nord e.K."
    assert PASSWORD not in str(made)
