"""Sales of one reseller's show by another: both stores, recoveries, and processes that lag."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from datetime import UTC, datetime

import pytest
from msgspec import Struct

from engine.catalog.allotment_ends import end_allotment
from engine.catalog.allotments import AllotmentRow, ledger_of
from engine.catalog.allotting import NewAllotment, make_allotment
from engine.catalog.released import FRESH_S, Grants
from engine.inventory.commands import OverBuyerLimit, Recovering, SeatsTaken
from engine.inventory.shows import Show, UnknownShowError
from engine.platform.database import Transaction, create_engine, tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.settings import OWNER_ROLE
from engine.runtime import Serving, open_serving
from engine.sales.asking import Asked
from engine.sales.views import HoldView, OrderView
from engine.sales.wanted import Wanted
from engine.tenancy.accounts import Status, set_status
from engine.tenancy.resellers import create_reseller
from ops.stack import Stack
from tests.engine.auditor_ground import TTL_MS, Ground, open_ground


class Released(Struct, frozen=True):
    """A show, places of which another reseller sells."""

    ground: Ground
    seller: EntityId
    made: AllotmentRow

    async def show(self, serving: Serving | None = None) -> Show:
        """Return the show as the seller sees it."""
        office = (serving or self.ground.serving).box_office
        return await office.show_to_sell(self.seller, self.ground.show.id)

    async def end(self) -> None:
        """End it."""
        serving, show = self.ground.serving, self.ground.show
        ended = await end_allotment(
            ledger_of(serving.app_engine, show.reseller),
            *(serving.redis, serving.book, serving.ids),
            show=show.id,
            allotment=self.made.id,
            by="request",
        )
        assert ended is None


async def _keep_nothing(_transaction: Transaction, _made: AllotmentRow) -> None:
    """Nobody repeats it."""


async def _release(ground: Ground, seller: EntityId, seats: Collection[int]) -> AllotmentRow:
    serving = ground.serving
    new = NewAllotment(
        name="Rest",
        seats=tuple(seats),
        areas=((0, 4),),
        asked={},
        code_digests=frozenset(),
        channels=frozenset(),
        is_personal=False,
        sellers=frozenset({seller}),
        begins_at=None,
        ends_at=None,
    )
    stores = (serving.app_engine, serving.redis, serving.book, serving.ids)
    made = await make_allotment(*stores, ground.show, new, _keep_nothing)
    assert isinstance(made, AllotmentRow)
    return made


@pytest.fixture
async def released(servers: Stack) -> AsyncGenerator[Released]:
    """Four of a show's seats and four of its places, for another reseller."""
    owner = create_engine(servers.settings, OWNER_ROLE)
    try:
        seller = (await create_reseller(owner, servers.settings.region, "seller")).reseller
    finally:
        await owner.dispose()
    async with open_ground(servers.settings) as ground:
        made = await _release(ground, seller, [ground.seat(n) for n in range(8, 12)])
        yield Released(ground, seller, made)


async def _hold(serving: Serving, show: Show, key: str, buyer: str, *seats: str) -> object:
    """Hold, again while the show is being changed."""
    office = serving.box_office
    for _ in range(10):
        known = office.known_show(show.asker, show.id) or show
        asked = office.ask_hold(
            known,
            key,
            buyer=buyer,
            ttl_ms=TTL_MS,
            wanted=Wanted(seats=seats),
            fingerprint=lambda: len(key),
        )
        outcome = await office.tell(known, asked) if isinstance(asked, Asked) else asked
        if not isinstance(outcome, Recovering):
            return outcome
    return Recovering()


async def _purchase(serving: Serving, show: Show, hold: HoldView) -> OrderView:
    asked = await serving.box_office.ask_purchase(show, hold.hold, "buy-a", 7, "pay")
    told = await serving.box_office.tell_purchase(show, asked)
    assert isinstance(told, OrderView)
    return told


async def test_a_recovery_knows_whose_buyers_and_keys_these_are(released: Released) -> None:
    """The store is written anew from the ledger: limits, keys and orders are what they were."""
    ground, seller = released.ground, released.seller
    serving, show = ground.serving, await released.show()
    # The ground's own reseller has sold four to its `ann`, by the purchase key `buy-a`.
    held = await _hold(serving, show, "a", "ann", ground.label(8), ground.label(9))
    assert isinstance(held, HoldView)
    sold = await _purchase(serving, show, held)
    assert (sold.buyer, sold.sold_by) == ("ann", seller)
    await ground.record()
    assert (await ground.audited()).findings == []
    await ground.raw.delete(*[key async for key in ground.raw.scan_iter(ground.key("*"))])
    assert await ground.working.recoverer.recover(ground.show.id, "a test", anew=True)
    show = await released.show()
    again = await _purchase(serving, show, held)
    assert (again.order, again.buyer, again.sold_by) == (sold.order, "ann", seller)
    more = [ground.label(10), ground.label(11)]
    assert isinstance(await _hold(serving, show, "b", "ann", *more), HoldView)
    taken = await serving.box_office.tell(show, serving.box_office.ask_look(show, held.hold))
    assert isinstance(taken, HoldView)
    own = await serving.box_office.show(ground.show.reseller, ground.show.id)
    over = await _hold(serving, own, "z", "ann", *(ground.label(n) for n in (12, 13, 14)))
    assert over == OverBuyerLimit(6, 4)
    assert (await ground.audited()).findings == []


async def test_a_process_that_has_not_heard_of_the_end_gives_nothing_away(
    released: Released,
) -> None:
    """What is for everybody since is not the seller's, whatever version it was judged by."""
    ground = released.ground
    async with open_serving(ground.settings) as other:
        show = await released.show(other)
        assert isinstance(await _hold(other, show, "a", "ann", ground.label(8)), HoldView)
        ending = asyncio.create_task(released.end())
        racing = [_hold(other, show, f"r{n}", f"r{n}", ground.label(9)) for n in range(20)]
        outcomes = await asyncio.gather(*racing)
        await ending
        before = sum(isinstance(one, HoldView) for one in outcomes)
        assert before <= 1
        assert await _hold(other, show, "b", "bob", ground.label(10)) == SeatsTaken(
            (ground.seat(10),)
        )


async def test_a_process_that_has_not_heard_of_the_release_asks_the_ledger(
    released: Released,
) -> None:
    """It knew the show before; the seller of another show still finds nothing."""
    ground = released.ground
    async with open_serving(ground.settings) as other:
        owner = create_engine(ground.settings, OWNER_ROLE)
        region = ground.settings.region
        try:
            stranger = (await create_reseller(owner, region, "stranger")).reseller
            await other.box_office.show(ground.show.reseller, ground.show.id)
            with pytest.raises(UnknownShowError):
                await other.box_office.show_to_sell(stranger, ground.show.id)
            assert other.box_office.known_show(stranger, ground.show.id) is None
            found = await released.show(other)
            assert (found.reseller, found.seller) == (ground.show.reseller, released.seller)
        finally:
            await owner.dispose()


async def test_what_is_known_of_a_release_is_asked_again(released: Released) -> None:
    """Once it is as old as a key may be: its reseller may have been suspended."""
    ground, now = released.ground, [0.0]
    grants = Grants(ground.serving.app_engine, lambda: now[0])
    known = released.seller, ground.show.id
    assert grants.recall(*known) is None
    assert await grants.find(*known) == ground.show.reseller
    owner = create_engine(ground.settings, OWNER_ROLE)
    try:
        await set_status(owner, ground.show.reseller, Status.SUSPENDED)
        now[0] = FRESH_S - 1
        assert grants.recall(*known) == await grants.find(*known) == ground.show.reseller
        now[0] = FRESH_S
        assert grants.recall(*known) is None
        assert await grants.find(*known) is None
    finally:
        await set_status(owner, ground.show.reseller, Status.APPROVED)
        await owner.dispose()


async def test_the_seller_s_own_transactions_see_no_row_of_it(released: Released) -> None:
    """All that the database tells it are what it was given: every table is empty to it."""
    from sqlalchemy import func, select  # noqa: PLC0415

    from engine.platform.tables import metadata  # noqa: PLC0415

    ground = released.ground
    held = await _hold(ground.serving, await released.show(), "a", "ann", ground.label(8))
    assert isinstance(held, HoldView)
    await _purchase(ground.serving, await released.show(), held)
    await ground.record()
    async with tenant_transaction(ground.serving.app_engine, released.seller) as connection:
        for table in metadata.sorted_tables:
            if "show_id" not in table.c or "reseller_id" not in table.c:
                continue
            query = select(func.count()).where(table.c.show_id == ground.show.id)
            assert await connection.scalar(query) == 0, table.name
    assert released.made.created_at <= datetime.now(UTC)
