"""A reseller keeps who their buyers are, finds, exports and forgets them over HTTP."""

from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import text

from ops.stack import Stack
from tests.api.by_hand import change_by_hand
from tests.api.front_desk import FrontDesk, ShowDesk, problem

_ADA = {"name": "Ada Lovelace", "email": "Ada@Example.org", "phone": "+44 20 1234"}


def keep(desk: FrontDesk, buyer: str, body: dict[str, Any]) -> dict[str, Any]:
    """Keep a buyer."""
    answer = desk.http.put(f"/v1/buyers/{quote(buyer, safe='')}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_buyer_is_kept_looked_at_and_found(desk: FrontDesk, rival: FrontDesk) -> None:
    """By their reseller, in any letter case of the address."""
    kept = keep(desk, "b-ada", _ADA)
    assert kept["email"] == "Ada@example.org"
    assert kept["created_at"].endswith("Z")
    assert desk.get("/v1/buyers/b-ada").json() == kept
    found = desk.http.get("/v1/buyers", params={"email": "ADA@EXAMPLE.ORG"}).json()
    assert found == {"buyers": [kept], "next_cursor": None}
    assert problem(rival.get("/v1/buyers/b-ada")) == "buyer-not-found"
    assert rival.http.get("/v1/buyers", params={"email": "ada@example.org"}).json() == {
        "buyers": [],
        "next_cursor": None,
    }


@pytest.mark.parametrize("buyer", ["b 17", "Zoë", "客户-1", "a&b=c?d#e", "x" * 64])
def test_a_buyers_reference_may_be_what_orders_take(desk: FrontDesk, buyer: str) -> None:
    """Percent-encoded in the path."""
    assert keep(desk, buyer, {"name": "N"})["buyer"] == buyer
    assert desk.get(f"/v1/buyers/{quote(buyer, safe='')}").json()["buyer"] == buyer


@pytest.mark.parametrize("buyer", ["x" * 65, "%01", "%20"])
def test_what_no_order_can_name_is_nobody(desk: FrontDesk, buyer: str) -> None:
    """Whatever is asked."""
    assert problem(desk.get(f"/v1/buyers/{buyer}")) == "buyer-not-found"
    assert problem(desk.http.put(f"/v1/buyers/{buyer}", json={})) == "buyer-not-found"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "nobody"}, "/email"),
        ({"email": "a@b"}, "/email"),
        ({"email": "a@b.example\n"}, "/email"),
        ({"email": ""}, "/email"),
        ({"name": ""}, "/name"),
        ({"name": "\u0007"}, "/name"),
        ({"phone": "call me"}, "/phone"),
        ({"nick": "x"}, "/nick"),
    ],
)
def test_a_contact_that_does_not_fit_is_refused(
    desk: FrontDesk, body: dict[str, str], pointer: str
) -> None:
    """With the field named."""
    answer = desk.http.put("/v1/buyers/b-1", json=body)
    assert problem(answer) == "invalid-request"
    assert answer.json()["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize(
    "query", ["", "email=nobody", "email=a@b.example&cursor=x", "email=a@b.example&limit=0"]
)
def test_a_search_that_cannot_be_meant_is_refused(desk: FrontDesk, query: str) -> None:
    """All buyers are listed to nobody."""
    assert problem(desk.get(f"/v1/buyers?{query}")) == "invalid-request"


def test_pages_of_buyers_follow_each_other(desk: FrontDesk) -> None:
    """A family with one address."""
    for n in range(5):
        keep(desk, f"b-family-{n}", {"email": "family@example.org"})
    found: list[str] = []
    cursor: str | None = None
    while True:
        query = {"email": "family@example.org", "limit": "2"} | (
            {"cursor": cursor} if cursor else {}
        )
        page = desk.http.get("/v1/buyers", params=query).json()
        found += [one["buyer"] for one in page["buyers"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert sorted(found) == [f"b-family-{n}" for n in range(5)]


def test_an_export_has_all_and_a_forgotten_buyer_has_nothing(
    desk: FrontDesk, rival: FrontDesk, stack: Stack
) -> None:
    """Contact, orders with tickets, and holds; then the show is over, and nothing of them."""
    show = desk.new_show()
    keep(desk, "b-leaver", _ADA)
    order = show.purchase(show.held("A-1", "A-2", buyer="b-leaver")).json()["order"]
    show.held("B-1", buyer="b-leaver")
    exported = desk.get("/v1/buyers/b-leaver/export").json()
    assert exported["contact"]["name"] == "Ada Lovelace"
    [bought] = exported["orders"]
    assert bought["order"] == order
    assert [ticket["label"] for ticket in bought["tickets"]] == ["A-1", "A-2"]
    [held] = exported["holds"]
    assert (held["show"], held["tickets"]) == (show.id, 1)
    assert problem(rival.get("/v1/buyers/b-leaver/export")) == "buyer-not-found"
    done = desk.http.delete("/v1/buyers/b-leaver").json()
    assert done == {
        "buyer": "b-leaver",
        "had_contact": True,
        "orders_changed": 0,
        "orders_left": 1,
    }
    later = desk.get("/v1/buyers/b-leaver/export").json()
    assert later["contact"] is None
    assert later["asked_to_forget_at"]
    end(stack, show)
    done = desk.http.delete("/v1/buyers/b-leaver").json()
    assert (done["had_contact"], done["orders_changed"], done["orders_left"]) == (False, 1, 0)
    told = desk.get(f"/v1/orders/{order}").json()
    assert told["buyer"].startswith("erased-")
    assert told["status"] == "confirmed"
    assert len(told["tickets"]) == 2


def end(stack: Stack, show: ShowDesk) -> None:
    """Let a show be over."""
    over = text("UPDATE shows SET starts_at = now() - interval '2 days' WHERE id = :show")
    change_by_hand(stack.settings, over.bindparams(show=int(show.id[-16:], 16)))


def test_somebody_unknown_is_forgotten_already(desk: FrontDesk) -> None:
    """And there is nothing to export of them."""
    assert desk.http.delete("/v1/buyers/b-nobody").json() == {
        "buyer": "b-nobody",
        "had_contact": False,
        "orders_changed": 0,
        "orders_left": 0,
    }
    assert problem(desk.get("/v1/buyers/b-nobody/export")) == "buyer-not-found"
