"""Whoever works on a bundle may be gone at any step: it is bought everywhere, or nowhere."""

import asyncio
import itertools
import re
import secrets
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from msgspec import structs

from engine.catalog.life import Stores
from engine.inventory.commands import AlreadyPurchased, Purchase, Purchased, SeatsTaken
from engine.inventory.sweeping import sweep
from engine.inventory.tending import tended_shows
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, Prefix, entity_hex
from engine.sales.bundle_finishing import BundleFinishing
from engine.sales.bundle_ledger import BundleLedger
from engine.sales.bundles import ENDED, TRANSITIONS, Bundle, BundleState, find_due, key_of, move
from engine.sales.bundling import BundleRefused, Bundling, Wish
from engine.sales.choices import Choice, OrderChoice, choose, list_choices
from engine.sales.upheavals import Offer, cancel_show
from loadtests.auditor import audit
from ops.places import ROOT
from ops.stack import Stack
from tests.engine.bundle_ground import REFERENCE, Ground, KilledError, open_ground
from workers import bundles as bundles_module
from workers.bundles import finish_due, forget_old_bundles

_STEPS_MAX = 40


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """Two shows without a worker."""
    async with open_ground(servers.settings) as ground:
        yield ground


def test_the_table_in_the_guide_is_the_one_that_the_engine_goes_by() -> None:
    """Every state with its followers; those that have none have ended."""
    guide = (Path(ROOT) / "docs" / "BUNDLES.md").read_text()
    rows = re.findall(r"^\| `([a-z]+)` \| (.*?) \|", guide, re.MULTILINE)
    told = {state: set(re.findall(r"`([a-z]+)`", after)) for state, after in rows}
    assert told == {state.value: set(after) for state, after in TRANSITIONS.items()}
    assert set(told) == set(BundleState)
    assert {state.value for state in ENDED} == {"purchased", "released", "failed"}


async def test_no_state_leads_anywhere_but_where_the_table_says(ground: Ground) -> None:
    """Whoever asks for another is refused before the ledger is asked; an ended one never moves."""
    bundle = await ground.hold()
    async with tenant_transaction(ground.serving.app_engine, ground.reseller) as connection:
        for state, to in itertools.product(BundleState, repeat=2):
            if to not in TRANSITIONS[state]:
                found = structs.replace(bundle, state=state)
                with pytest.raises(ValueError, match="does not lead"):
                    await move(connection, found, to)
    assert (await ground.bundling.find(ground.reseller, bundle.id)) == bundle


async def test_a_purchase_that_is_killed_at_any_step_is_finished(ground: Ground) -> None:
    """Its successor, too, may be killed at any of its own: in the end all is sold, or all open."""
    before = await ground.open_seats()
    sold = 0
    for dies_at in range(_STEPS_MAX):
        bundle = await ground.hold()
        try:
            await ground.purchase(bundle, ground.mortal(dies_at))
        except KilledError:
            is_killed = True
        else:
            is_killed = False
        try:
            # It need not get as far as that.
            await ground.mortal(dies_at // 2).finish(ground.reseller, bundle.id, within_s=20)
        except KilledError:
            assert is_killed
        ended = await ground.take_up(bundle)
        assert ended.has_ended, (dies_at, ended)
        where = await ground.where(bundle)
        assert len(set(where)) == 1, (dies_at, where)
        assert (where[0] == "sold") == (ended.state is BundleState.PURCHASED)
        assert ended.state in {BundleState.PURCHASED, BundleState.RELEASED}
        sold += where[0] == "sold"
        if not is_killed:
            break
    else:
        pytest.fail("it was killed at each of its steps")
    assert dies_at > 10
    assert await ground.open_seats() == [count - sold for count in before]


async def test_holding_that_is_killed_leaves_nothing_held(ground: Ground) -> None:
    """What was got is released, by whoever comes when its coordinator is silent."""
    before = await ground.open_seats()
    key = secrets.token_hex(8)
    with pytest.raises(KilledError):
        await ground.mortal(0).hold(ground.reseller, key, 7, ground.wishes())
    held = await ground.open_seats()
    assert held == [count - 1 for count in before]
    bundle = ground.serving.ids.derive_bundle(ground.reseller, key)
    ended = await ground.working.finishing.take_up(ground.reseller, bundle, within_s=20)
    assert ended is not None
    assert (ended.state, ended.reason) == (BundleState.RELEASED, "abandoned")
    assert await ground.open_seats() == before
    again = await ground.bundling.hold(ground.reseller, key, 7, ground.wishes())
    assert again == ended


async def test_several_who_finish_one_bundle_at_once_come_to_one_end(ground: Ground) -> None:
    """The API, a worker, and another worker."""
    bundle = await ground.hold()
    await ground.bundling.begin_purchase(bundle, bytes(32), 1, "pay-1")
    ends = await asyncio.gather(
        ground.take_up(bundle), ground.take_up(bundle), ground.purchase(bundle)
    )
    assert {one.state for one in ends} == {BundleState.PURCHASED}
    assert await ground.where(bundle) == ["sold", "sold"]


async def test_what_is_committing_ends_by_itself_after_a_minute(ground: Ground) -> None:
    """Not before, though its hold would have ended long ago or lasts much longer."""
    bundle = await ground.hold()
    with pytest.raises(KilledError):
        await ground.purchase(bundle, ground.mortal(6))
    assert await ground.where(bundle) == ["held", "held"]
    for seconds, state in ((50, "held"), (11, "open")):
        for show in ground.shows:
            await ground.pass_time(show, seconds)
            tended = {one.id: one for one in await tended_shows(ground.working.recorder_engine)}
            assert await sweep(ground.working.redis, tended[show.id], 0)
        assert await ground.where(bundle) == [state, state]
    ended = await ground.take_up(bundle)
    assert ended.state is BundleState.RELEASED
    assert {one.refused for one in ended.shows} == {"expired"}


async def test_nothing_is_decided_while_a_show_can_not_commit(ground: Ground) -> None:
    """It is asked again until it can, and the others keep what they have committed."""
    bundle = await ground.hold()
    meta = ground.shows[1].keys.meta
    run_id = await ground.raw.hget(meta, "run_id")
    await ground.raw.hset(meta, "run_id", "another server's")
    await ground.bundling.begin_purchase(bundle, bytes(32), 1, "pay-1")
    found = await ground.bundling.finish(ground.reseller, bundle.id, within_s=0.2)
    assert found is not None
    assert found.state is BundleState.COMMITTING
    assert await ground.where(bundle) == ["held", "held"]
    await ground.raw.hset(meta, "run_id", run_id)
    assert (await ground.take_up(bundle)).state is BundleState.PURCHASED


async def test_what_is_committing_outlives_a_recovery(ground: Ground) -> None:
    """Opened as it stands, or built anew; and the auditor finds nothing wrong with it."""
    bundle = await ground.hold()
    with pytest.raises(KilledError):
        await ground.purchase(bundle, ground.mortal(6))
    show = ground.shows[0]
    for anew in (False, True):
        recovered = await ground.working.recoverer.recover(show.id, "test", anew=anew)
        assert recovered is not None
        assert (recovered.holds_kept, recovered.holds_voided) == (1, 0)
        result = await audit(ground.settings, show=show.id, grace_s=1.0, pause_s=0.05)
        assert result.is_clean, result.findings
    assert await ground.where(bundle) == ["held", "held"]
    assert (await ground.take_up(bundle)).state is BundleState.PURCHASED


async def test_a_show_that_lost_its_hold_after_the_decision_has_the_others_given_back(
    ground: Ground,
) -> None:
    """The bundle has failed, and says which show it was."""
    before = await ground.open_seats()
    bundle = await ground.hold()
    committed = ground.mortal(9)
    with pytest.raises(KilledError):
        await ground.purchase(bundle, committed)
    found = await ground.bundling.find(ground.reseller, bundle.id)
    assert found is not None
    assert found.state is BundleState.PURCHASING
    await ground.pass_time(ground.shows[1], 61)
    ended = await ground.take_up(bundle)
    assert (ended.state, ended.reason) == (BundleState.FAILED, "refused")
    assert [one.refused for one in ended.shows] == [None, "expired"]
    assert await ground.where(bundle) == ["returned", "open"]
    assert (await ground.open_seats())[1] == before[1]


async def test_what_a_failed_bundle_bought_is_given_back_whatever_was_chosen(
    ground: Ground,
) -> None:
    """Its money is not captured: credit for a part of it would be for nothing."""
    bundle = await ground.hold()
    with pytest.raises(KilledError):
        await ground.purchase(bundle, ground.mortal(9))
    # The first show sells on, and is cancelled, while the second one's hold is gone.
    await ground.pass_time(ground.shows[1], 61)
    show, order = ground.shows[0], bundle.shows[0].hold
    await _buy_first(ground, bundle)
    stores = Stores(ground.serving.app_engine, ground.serving.redis, ground.serving.ids, 60)
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    offered = (Choice.REFUND, Choice.CREDIT)
    offer = Offer(offered=offered, default=Choice.REFUND, choose_by=in_an_hour)
    await cancel_show(stores, show.reseller, show.id, offer)
    chosen = await choose(stores, show.reseller, show.id, order, Choice.CREDIT)
    assert isinstance(chosen, OrderChoice)
    assert (await ground.take_up(bundle)).state is BundleState.FAILED
    assert await ground.where(bundle) == ["returned", "open"]
    _, told = await list_choices(stores, show.reseller, show.id, after=None, limit=9)
    assert [one.choice for one in told] == [Choice.REFUND]


async def _buy_first(ground: Ground, bundle: Bundle) -> None:
    """Buy a decided bundle's first show, and wait until it is recorded."""
    first, office = bundle.shows[0], ground.serving.box_office
    show = await office.show(ground.reseller, first.show)
    named = entity_hex(bundle.id)
    purchase = Purchase(first.hold, key_of(bundle.id), bundle.body_fp, REFERENCE, named)
    assert isinstance(await office.ask(show, purchase), Purchased | AlreadyPurchased)
    ledger = BundleLedger(ground.serving.app_engine, ground.serving.ids)
    async with asyncio.timeout(20):
        while not await ledger.recorded(bundle, [first]):
            await ground.working.recorder.record(first.show)


async def test_a_bundle_is_not_decided_when_its_holds_could_end_meanwhile(ground: Ground) -> None:
    """Forty seconds after the intent it is released instead."""
    bundle = await ground.hold()
    with pytest.raises(KilledError):
        await ground.purchase(bundle, ground.mortal(2))
    await ground.sql(
        "UPDATE bundles SET committing_at = committing_at - interval '41 seconds' WHERE id = :id",
        id=bundle.id,
    )
    ended = await ground.take_up(bundle)
    assert (ended.state, ended.reason) == (BundleState.RELEASED, "too-late")
    assert await ground.where(bundle) == ["open", "open"]


async def test_a_refusal_releases_what_the_other_show_gave(ground: Ground) -> None:
    """And says who refused; both shows have their places back when it is told."""
    before = await ground.open_seats()
    wishes = ground.wishes()
    taken = await ground.hold(wishes=[wishes[1], wishes[0]])
    again = ground.wishes(seats=7)
    again[0] = ground.wishes()[0]
    refused = await ground.bundling.hold(ground.reseller, secrets.token_hex(8), 7, again)
    assert isinstance(refused, BundleRefused)
    assert [show.id for show, _ in refused.refusals] == [ground.shows[1].id]
    assert (refused.bundle.state, refused.bundle.reason) == (BundleState.RELEASED, "refused")
    assert [one.refused for one in refused.bundle.shows] == [None, "over-hold-limit"]
    assert await ground.open_seats() == [count - 1 for count in before]
    assert taken.state is BundleState.HELD


class _Behind(Bundling):
    """A coordinator that knows less of the shows: it refuses what another has just held."""

    first: asyncio.Task[object]

    async def _hold_one(self, bundle: Bundle, name: str, wish: Wish) -> SeatsTaken:
        del bundle, name, wish
        await self.first
        return SeatsTaken((1,))


async def test_nobody_is_told_that_nothing_is_held_when_it_is(ground: Ground) -> None:
    """A repeated request that is refused in one process and held in another is held."""
    key, wishes = secrets.token_hex(8), ground.wishes()
    behind = ground.coordinator(_Behind)
    behind.first = asyncio.create_task(ground.bundling.hold(ground.reseller, key, 7, wishes))
    second = await behind.hold(ground.reseller, key, 7, wishes)
    assert second == await behind.first
    assert isinstance(second, Bundle)
    assert second.state is BundleState.HELD


async def test_the_end_of_a_bundle_is_told_once_however_often_it_was_killed(
    ground: Ground,
) -> None:
    """In the transaction that ends it: with its orders, what is to be captured, and why not."""
    ids = ground.serving.ids
    for dies_at in range(_STEPS_MAX):
        bundle = await ground.hold()
        try:
            await ground.purchase(bundle, ground.mortal(dies_at))
        except KilledError:
            is_killed = True
        else:
            is_killed = False
        told = await ground.told(bundle)
        found = await ground.bundling.find(ground.reseller, bundle.id)
        assert found is not None
        assert bool(told) == found.has_ended, dies_at
        ended = (await asyncio.gather(*(ground.take_up(bundle) for _ in range(2))))[0]
        [(type_, data)] = await ground.told(bundle)
        assert type_ == f"bundle.{ended.state}", dies_at
        if ended.state is BundleState.PURCHASED:
            orders = [ids.order(one.show, one.hold) for one in ended.shows]
            assert (data["orders"], data["payment_reference"]) == (orders, REFERENCE)
            assert (data["currency"], data["total"]) == ("EUR", await ground.paid(bundle))
            assert data["total"] > 0
        else:
            assert data == {"reason": "expired", "refused": {}}
        if not is_killed:
            break
    else:
        pytest.fail("it was killed at each of its steps")


async def test_of_a_bundle_that_failed_it_is_told_what_was_given_back(ground: Ground) -> None:
    """And which show it was; each order tells of itself before."""
    bundle = await ground.hold()
    with pytest.raises(KilledError):
        await ground.purchase(bundle, ground.mortal(9))
    await ground.pass_time(ground.shows[1], 61)
    assert (await ground.take_up(bundle)).state is BundleState.FAILED
    ids, (first, second) = ground.serving.ids, bundle.shows
    [(type_, data)] = await ground.told(bundle)
    assert (type_, data) == (
        "bundle.failed",
        {
            "orders": [ids.order(first.show, first.hold)],
            "payment_reference": REFERENCE,
            "refused": {ids.entity(Prefix.SHOW, second.show): "expired"},
        },
    )


async def test_of_a_bundle_that_was_never_held_nothing_is_told(ground: Ground) -> None:
    """Whoever asked for it was answered so; of one that was held and given back it is."""
    refused = await ground.bundling.hold(
        ground.reseller, secrets.token_hex(8), 7, ground.wishes(seats=7)
    )
    assert isinstance(refused, BundleRefused)
    assert await ground.told(refused.bundle) == []
    held = await ground.hold()
    await ground.bundling.begin_release(held)
    assert await ground.told(held) == []
    await ground.bundling.finish(ground.reseller, held.id, within_s=20)
    assert await ground.told(held) == [("bundle.released", {"reason": "cancelled", "refused": {}})]


async def test_what_was_released_is_forgotten_after_two_days(ground: Ground) -> None:
    """Then its key is new; until then it gets the same answer. What was bought stays."""
    before = await ground.open_seats()
    keys = {name: secrets.token_hex(8) for name in ("young", "old", "bought", "failed")}
    made: dict[str, Bundle] = {}
    for name, key in keys.items():
        found = await ground.bundling.hold(ground.reseller, key, 7, ground.wishes())
        assert isinstance(found, Bundle)
        made[name] = found
    assert (await ground.purchase(made["bought"])).state is BundleState.PURCHASED
    with pytest.raises(KilledError):
        await ground.purchase(made["failed"], ground.mortal(9))
    await ground.pass_time(ground.shows[1], 61)
    assert (await ground.take_up(made["failed"])).state is BundleState.FAILED
    for name in ("young", "old"):
        assert (await ground.take_up(made[name])).state is BundleState.RELEASED
    for name, hours in (("young", 47), ("old", 49), ("bought", 49), ("failed", 49)):
        await ground.sql(
            "UPDATE bundles SET ended_at = ended_at - make_interval(hours => :hours)"
            " WHERE id = :id",
            hours=hours,
            id=made[name].id,
        )
    await forget_old_bundles({"working": ground.working})
    for name, bundle in made.items():
        kept = await ground.bundling.find(ground.reseller, bundle.id)
        assert (kept is None) == (name == "old"), name
        if kept is not None:
            again = await ground.bundling.hold(ground.reseller, keys[name], 7, ground.wishes())
            assert again == kept
    # Its tombstones are gone by then, too.
    for show in ground.shows:
        await ground.pass_time(show, 1300)
        tended = {one.id: one for one in await tended_shows(ground.working.recorder_engine)}
        await sweep(ground.working.redis, tended[show.id], 0)
    anew = await ground.bundling.hold(ground.reseller, keys["old"], 7, ground.wishes())
    assert isinstance(anew, Bundle)
    assert (anew.id, anew.state) == (made["old"].id, BundleState.HELD)
    assert (await ground.open_seats())[1] == before[1] - 2
    # Whoever slept since the first one of its key moves nothing of the second.
    async with tenant_transaction(ground.serving.app_engine, ground.reseller) as connection:
        assert not await move(connection, made["old"], BundleState.RELEASING)


async def test_a_released_bundle_that_became_an_order_is_not_forgotten(ground: Ground) -> None:
    """Its key could not hold again: it gets the answer that it got before, for good."""
    bundle = await ground.hold()
    bought = await ground.purchase(bundle)
    await ground.sql(
        "UPDATE bundles SET state = 'released', ended_at = ended_at - interval '49 hours'"
        " WHERE id = :id",
        id=bought.id,
    )
    await forget_old_bundles({"working": ground.working})
    assert await ground.bundling.find(ground.reseller, bundle.id) is not None


async def test_workers_take_only_what_is_due(ground: Ground) -> None:
    """Not what somebody works on, nor what is held until then."""
    held, left = await ground.hold(), await ground.hold()
    with pytest.raises(KilledError):
        await ground.purchase(left, ground.mortal(6))
    due = await _due(ground)
    assert not {held.id, left.id} & due
    await ground.sql(
        "UPDATE bundles SET lease_until = now() - interval '1 second' WHERE id IN (:a, :b)",
        a=held.id,
        b=left.id,
    )
    assert {held.id, left.id} <= await _due(ground)
    await finish_due(ground.working)
    assert not {held.id, left.id} & await _due(ground)
    assert await ground.where(left) == ["sold", "sold"]
    assert await ground.where(held) == ["open", "open"]
    expired = await ground.bundling.find(ground.reseller, held.id)
    assert expired is not None
    assert (expired.state, expired.reason) == (BundleState.RELEASED, "expired")


async def test_what_the_store_keeps_for_a_while_only_comes_first(ground: Ground) -> None:
    """By when that ends, however long others have been due; once it has ended, as they do."""
    held, over = await ground.hold(), await ground.hold()
    first, second = await ground.hold(), await ground.hold()
    for bundle, ago_s in ((second, 10), (first, 30), (over, 61)):
        await ground.bundling.begin_purchase(bundle, bytes(32), 1, REFERENCE)
        intent = "committing_at = clock_timestamp() - make_interval(secs => :ago)"
        await ground.sql(f"UPDATE bundles SET {intent} WHERE id = :id", id=bundle.id, ago=ago_s)  # noqa: S608 - our own words
    for since_s, bundle in ((900, held), (800, over), (2, second), (1, first)):
        await _let_fall_due(ground, bundle, since_s)
    mine = {held.id, over.id, first.id, second.id}
    async with ground.working.recorder_engine.connect() as connection:
        due = [bundle for bundle, _ in await find_due(connection, 1000) if bundle in mine]
    assert due == [first.id, second.id, held.id, over.id]
    await finish_due(ground.working)
    assert not mine & await _due(ground)


class _Noting:
    """Notes which bundles are taken up; the first lets another fall due."""

    def __init__(self, ground: Ground, then: Bundle) -> None:
        self._ground = ground
        self._then = then
        self.taken: list[int] = []

    async def take_up(self, reseller: EntityId, bundle: int, *, within_s: float) -> Bundle | None:
        """Take one up."""
        self.taken.append(bundle)
        if len(self.taken) == 1:
            await _let_fall_due(self._ground, self._then, 1)
        return await self._ground.working.finishing.take_up(reseller, bundle, within_s=within_s)


async def test_what_falls_due_meanwhile_does_not_wait_for_what_is_less_urgent(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker asks what is the most urgent each time that it has a hand free."""
    monkeypatch.setattr(bundles_module, "_AT_ONCE", 1)
    while await finish_due(ground.working):
        pass  # what other tests have left
    held, later, urgent = await ground.hold(), await ground.hold(), await ground.hold()
    await ground.bundling.begin_purchase(urgent, bytes(32), 1, REFERENCE)
    await _let_fall_due(ground, held, 900)
    await _let_fall_due(ground, later, 800)
    noting = _Noting(ground, urgent)
    await finish_due(structs.replace(ground.working, finishing=cast("BundleFinishing", noting)))
    assert noting.taken == [held.id, urgent.id, later.id]


async def _let_fall_due(ground: Ground, bundle: Bundle, since_s: int) -> None:
    since = "lease_until = clock_timestamp() - make_interval(secs => :since)"
    await ground.sql(f"UPDATE bundles SET {since} WHERE id = :id", id=bundle.id, since=since_s)  # noqa: S608 - our own words


async def _due(ground: Ground) -> set[int]:
    async with ground.working.recorder_engine.connect() as connection:
        return {bundle for bundle, _ in await find_due(connection, 1000)}
