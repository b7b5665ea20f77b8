"""The one table: every answer of the engine that is a refusal, and the problem that it becomes."""

from typing import get_args

import msgspec
import pytest

from api.outcomes import Refused, problem_of
from engine.inventory import commands
from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.edits import EditRefused, TooManyEdits, VersionPassed
from engine.inventory.house import BlocksRefused
from engine.inventory.keys import show_keys
from engine.inventory.manifest import Manifest
from engine.inventory.seating_plan import read_plan
from engine.inventory.shows import Show
from engine.platform.ids import EntityId
from engine.sales.chosen_types import TypeFault, TypesRefused
from engine.sales.orders import OrderState
from engine.sales.returns import Compensated, NotConfirmed
from engine.sales.views import HoldOfBundle, OrderUndecided
from engine.sales.wanted import UnknownPlaces
from tests.api.front_desk import small_plan

# Positions: the VIP row A stands first, at 1.
_ROWS: list[tuple[Refused, str, int, dict[str, object]]] = [
    (UnknownPlaces(seats=("Z",)), "unknown-seats", 422, {"seats": ["Z"]}),
    (UnknownPlaces(areas=("pit",)), "unknown-areas", 422, {"areas": ["pit"]}),
    (
        UnknownPlaces(price_levels=("gold",)),
        "unknown-price-levels",
        422,
        {"price_levels": ["gold"]},
    ),
    (
        TypesRefused((TypeFault("/ticket_types/child", "at most 2 in one hold"),)),
        "ticket-types-refused",
        422,
        {"errors": [{"pointer": "/ticket_types/child", "reason": "at most 2 in one hold"}]},
    ),
    (commands.NotOnSale("paused"), "not-on-sale", 409, {"state": "paused"}),
    (
        commands.TooEarly(4_000_000_000_000),
        "too-early",
        409,
        {"opens_at": "2096-10-02T07:06:40Z"},
    ),
    (commands.SalesEnded(1_600_000_000_000), "sales-ended", 409, {}),
    (commands.OverHoldLimit(4), "over-hold-limit", 422, {"most": 4}),
    (commands.OverBuyerLimit(4, 3), "over-buyer-limit", 409, {"most": 4, "has": 3}),
    (commands.SeatsTaken((1,)), "seats-taken", 409, {"seats": ["A-1"]}),
    (commands.AreaShort(((0, 2),)), "area-short", 409, {"areas": {"floor": 2}}),
    (commands.NoneTogether(0, 7), "none-together", 409, {"price_level": "vip", "quantity": 7}),
    (commands.KeyReused(), "key-reused", 422, {}),
    (commands.Malformed(), "invalid-request", 422, {}),
    (commands.AlreadyPurchased(), "already-purchased", 409, {}),
    (commands.Unknown(), "hold-not-found", 404, {}),
    (commands.Released(), "hold-released", 410, {}),
    (commands.Expired(), "hold-expired", 410, {}),
    (EditRefused((1,), ((0, 3),)), "edits-refused", 409, {"seats": ["A-1"], "areas": {"floor": 3}}),
    (VersionPassed(7), "inventory-changed", 409, {"inventory_version": 7}),
    (TooManyEdits(9), "too-many-edits", 409, {"most": 9}),
    (BlocksRefused((1,), (0,)), "blocks-refused", 409, {"seats": ["A-1"], "areas": ["floor"]}),
    (HoldOfBundle("bnd_dev_1"), "hold-of-bundle", 409, {"bundle": "bnd_dev_1"}),
    (OrderUndecided(), "in-doubt", 503, {}),
    (NotConfirmed(OrderState.FAILED), "order-not-confirmed", 409, {"order_status": "failed"}),
    (Compensated("credit"), "order-compensated", 409, {"choice": "credit"}),
    (commands.Recovering(), "show-recovering", 503, {}),
    (commands.InDoubt(), "in-doubt", 503, {}),
    (commands.Overloaded(), "overloaded", 503, {}),
    (commands.LedgerBehind(), "overloaded", 503, {}),
]


@pytest.mark.parametrize(("outcome", "slug", "status", "members"), _ROWS)
def test_an_outcome_becomes_its_problem(
    outcome: Refused, slug: str, status: int, members: dict[str, object]
) -> None:
    """In the words of the show: labels and slugs, no positions; 503 says when to come back."""
    problem = problem_of(outcome, _show())
    told = msgspec.json.decode(problem.body())
    assert (told["type"], told["status"]) == (f"urn:onsale:problem:{slug}", status)
    assert told["detail"].endswith(".")
    assert {name: told[name] for name in members} == members
    assert ("Retry-After" in problem.headers) == (status == 503 or slug == "too-early")


def test_every_outcome_has_a_row() -> None:
    """Here as in the table."""
    assert {type(outcome) for outcome, *_ in _ROWS} == set(get_args(Refused))


def _show() -> Show:
    manifest: Manifest = compile_manifest(read_plan(msgspec.json.encode(small_plan())))
    assert manifest.label_of(1) == "A-1"
    assert manifest.levels[0].slug == "vip"
    return Show(
        id=EntityId(1),
        reseller=EntityId(1),
        manifest_id=1,
        name="First night",
        venue="Small hall",
        starts_at_ms=0,
        opens_at_ms=0,
        closes_at_ms=None,
        state="on_sale",
        currency="EUR",
        tax_bps=1900,
        fee_bps=350,
        fee_fixed=79,
        max_per_hold=10,
        max_per_buyer=10,
        epoch=1,
        inventory_version=1,
        price_version=1,
        manifest=manifest,
        keys=show_keys(1),
    )
