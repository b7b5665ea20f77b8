"""Whoever may read the audit trail sees who did what by the API, and from where."""

import hashlib
import itertools
import json
from typing import Any

import pytest
from litestar.routes import HTTPRoute

from api.acting import actor_of, note_visitor
from engine.platform.ids import EntityId, Ids
from engine.tenancy.principals import EVERY_SCOPE, Principal, PrincipalKind
from tests.api.front_desk import FrontDesk, ShowDesk, problem
from web.app import compose

_IDS = Ids("eu", b"x" * 32)


def trail(desk: FrontDesk, **query: object) -> list[dict[str, Any]]:
    """Return entries, the newest first."""
    answer = desk.http.get("/v1/trail", params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()["entries"]


def test_every_change_by_the_api_is_told_with_its_key_and_address(
    desk: FrontDesk, show: ShowDesk
) -> None:
    """A show, a block and its end, a waiting room's rules, a return."""
    order = show.purchase(show.held("A-1")).json()["order"]
    desk.post(f"{show.path}/blocks", {"seats": ["B-1", "B-2"], "reason": "camera"})
    desk.post(f"{show.path}/blocks/release", {"seats": ["B-1"]})
    desk.post(f"/v1/orders/{order}/return", {})
    told = trail(desk, object=show.id)
    assert [(entry["table"], entry["action"]) for entry in told[::-1]] == [
        ("shows", "created"),
        ("price_versions", "created"),
        ("seat_blocks", "created"),
        ("seat_blocks", "removed"),
        ("orders", "changed"),
    ]
    for entry in told:
        assert entry["actor"].startswith("key:key_dev_")
        assert entry["address"] == "127.0.0.1"
    assert told[0]["object"] == order
    assert told[1]["object"] == show.id
    assert trail(desk, object=order) == told[:1]
    assert "buyer" not in told[0]["before"]
    [manifest] = [entry for entry in trail(desk) if entry["table"] == "manifests"][:1]
    assert manifest["after"]["plan"].startswith("sha256:")


def test_an_outsider_can_recompute_the_chain(desk: FrontDesk, show: ShowDesk) -> None:
    """From what the API tells alone, as docs/TRAIL.md says."""
    desk.post(f"{show.path}/blocks", {"seats": ["B-1"], "reason": 'ü " \\ \u2028'})
    told = trail(desk, limit=20)
    for newer, older in itertools.pairwise(told):
        assert newer["previous"] == older["hash"]
        assert newer["no"] == older["no"] + 1
    for entry in told:
        content = {name: value for name, value in entry.items() if name not in ("hash", "object")}
        written = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(written.encode()).hexdigest() == entry["hash"]


def test_no_actor_is_unknown(desk: FrontDesk, show: ShowDesk) -> None:
    """Of what these tests did by the API, whichever routes they took."""
    desk.http.put(f"{show.path}/queue", json={"opens_at": "2030-01-01T10:00:00Z"})
    cursor = None
    made_first = {"resellers", "api_keys"}  # by the test's own hands
    while True:
        answer = desk.http.get("/v1/trail", params={"cursor": cursor} if cursor else {}).json()
        for entry in answer["entries"]:
            assert entry["actor"] != "unknown" or entry["table"] in made_first, entry
        cursor = answer["next_cursor"]
        if cursor is None:
            return


def test_pages_follow_each_other(desk: FrontDesk, show: ShowDesk) -> None:
    """Without a gap, and filters stay."""
    for seat in ("B-1", "B-2", "B-3"):
        desk.post(f"{show.path}/blocks", {"seats": [seat]})
    first = desk.http.get("/v1/trail", params={"object": show.id, "limit": "2"}).json()
    second = desk.http.get(
        "/v1/trail",
        params={"object": show.id, "limit": "200", "cursor": first["next_cursor"]},
    ).json()
    assert len(first["entries"]) == 2
    assert second["next_cursor"] is None
    assert [*first["entries"], *second["entries"]] == trail(desk, object=show.id)


def test_times_bound_what_is_told(desk: FrontDesk, show: ShowDesk) -> None:
    """`from` is within, `to` is not."""
    told = trail(desk, object=show.id)
    newest = told[0]["at"]
    assert trail(desk, object=show.id, **{"from": newest}) == told[:1]
    assert trail(desk, object=show.id, to=newest) == told[1:]


def test_nobody_sees_anothers_trail(desk: FrontDesk, rival: FrontDesk, show: ShowDesk) -> None:
    """By the object's id neither."""
    assert trail(desk, object=show.id)
    assert trail(rival, object=show.id) == []


@pytest.mark.parametrize(
    "query",
    [
        "object=nothing",
        "object=shw_eu_0123456789abcdef",
        "object=ord_dev_0",
        "from=yesterday",
        "from=2026-01-01T00:00:00",
        "cursor=0",
        "cursor=x",
        "limit=0",
        "actor=%00",
        "actr=x",
    ],
)
def test_what_cannot_be_meant_is_refused(desk: FrontDesk, query: str) -> None:
    """With the parameter named."""
    answer = desk.http.get(f"/v1/trail?{query}")
    assert problem(answer) == "invalid-request"
    assert answer.json()["errors"][0]["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("kind", "user", "told"),
    [
        (PrincipalKind.KEY, None, "key:key_eu_00000000000000aa"),
        (PrincipalKind.TOKEN, None, "token:oac_eu_00000000000000aa"),
        (
            PrincipalKind.TOKEN,
            EntityId(0xBB),
            "user:usr_eu_00000000000000bb token:oac_eu_00000000000000aa",
        ),
    ],
)
def test_a_principal_is_told_by_ids(kind: PrincipalKind, user: EntityId | None, told: str) -> None:
    """A person by themselves and the client that they came through."""
    principal = Principal(EntityId(1), kind, EntityId(0xAA), EVERY_SCOPE, user)
    assert str(actor_of(principal, _IDS, "192.0.2.7")) == told


def test_every_route_says_who_acts_before_anything_else() -> None:
    """Pages too; so nobody's change is told of as `unknown`, whichever route is added.

    The fast lane's routes write nothing that has a trail: holds and sales are the stores'.
    """
    handlers = [
        handler
        for route in compose().routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
    ]
    assert len(handlers) > 20
    for handler in handlers:
        assert handler.resolve_guards()[:1] == [note_visitor], handler
