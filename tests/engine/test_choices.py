"""Defaults of what holders choose: each order is compensated once, also where changes overlap."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from engine.catalog.dates import NewDate, Opens, add_date
from engine.catalog.life import LifeChanged, Stores
from engine.catalog.shows import ShowFaultsError
from engine.platform.ids import HoldId, new_entity_id
from engine.sales.choices import (
    Choice,
    ChoiceRefused,
    OrderChoice,
    Unchoosable,
    choose,
    list_choices,
    settle_choices,
)
from engine.sales.returns import Compensated
from engine.sales.upheavals import Moved, Offer, cancel_show, reschedule_show
from engine.sales.views import OrderView
from engine.sales.wanted import Wanted
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground
from tests.engine.ledger_world import IDS

_BOTH = (Choice.REFUND, Choice.CREDIT)


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show with three orders, and a hold."""
    async with open_ground(servers.settings) as ground:
        yield ground


def _app(ground: Ground) -> Stores:
    return Stores(ground.serving.app_engine, ground.serving.redis, IDS, 60)


def _offer(default: Choice) -> Offer:
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    return Offer(offered=_BOTH, default=default, choose_by=in_an_hour)


async def _cancel(ground: Ground, default: Choice) -> None:
    show = ground.show
    done = await cancel_show(_app(ground), show.reseller, show.id, _offer(default))
    assert isinstance(done, LifeChanged)


async def _settle(ground: Ground, *, change_no: int, whole: bool = True) -> None:
    """Let the time to choose be over, and sometimes that of late sales, too."""
    decided = " decided_at = now() - interval '1 hour'," if whole else ""
    await ground.sql(
        f"UPDATE show_changes SET{decided} choose_by = now() - interval '1 second'"
        " WHERE show_id = :show AND change_no = :change_no",
        change_no=change_no,
    )
    working = ground.working
    await settle_choices(Stores(working.recorder_engine, working.redis, IDS, 60))


async def _told(ground: Ground) -> dict[bytes, Choice | None]:
    show = ground.show
    _, found = await list_choices(_app(ground), show.reseller, show.id, after=None, limit=100)
    return {bytes(one.order): one.choice for one in found}


async def _owed(ground: Ground) -> int:
    query = text("SELECT count(*) FROM refund_requests WHERE show_id = :show")
    async with ground.working.recorder_engine.connect() as connection:
        return int((await connection.execute(query, {"show": ground.show.id})).scalar_one())


@pytest.mark.parametrize("first_is_over", [True, False])
async def test_a_change_takes_the_place_of_the_one_before(
    ground: Ground, *, first_is_over: bool
) -> None:
    """Who got credit for the cancellation is not refunded for the move before it, too."""
    show = ground.show
    moved = Moved(starts_at=datetime.now(UTC) + timedelta(days=9))
    offer = _offer(Choice.REFUND)
    done = await reschedule_show(_app(ground), show.reseller, show.id, moved, offer)
    assert isinstance(done, LifeChanged)
    await _cancel(ground, Choice.CREDIT)
    for change_no in (1, 2) if first_is_over else (2, 1):
        await _settle(ground, change_no=change_no)
    assert await _told(ground) == dict.fromkeys(ground.orders, Choice.CREDIT)
    assert await _owed(ground) == 0


async def test_a_sale_that_is_recorded_late_gets_the_default_as_well(ground: Ground) -> None:
    """Though the time to choose was over before the recorder had it."""
    late = await ground.sell("late", "fay", Wanted(seats=(ground.label(9),)))
    await _cancel(ground, Choice.REFUND)
    await _settle(ground, change_no=1, whole=False)
    assert await _told(ground) == dict.fromkeys(ground.orders, Choice.REFUND)
    await ground.record()
    await _settle(ground, change_no=1)
    assert await _told(ground) == dict.fromkeys([*ground.orders, late], Choice.REFUND)
    assert await _owed(ground) == 4


async def test_who_is_recorded_after_all_was_settled_may_choose(ground: Ground) -> None:
    """It has no default any more, and is not left without anything."""
    late = await ground.sell("late", "fay", Wanted(seats=(ground.label(9),)))
    await _cancel(ground, Choice.CREDIT)
    await _settle(ground, change_no=1)
    await ground.record()
    show = ground.show
    chosen = await choose(_app(ground), show.reseller, show.id, HoldId(late), Choice.REFUND)
    assert isinstance(chosen, OrderChoice)
    assert await _owed(ground) == 1


async def test_a_voucher_for_a_show_that_is_cancelled_then_is_no_compensation(
    ground: Ground,
) -> None:
    """Who took one for the new time is asked again; who took credit is not."""
    show = ground.show
    starts_at = datetime.now(UTC) + timedelta(days=9)
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    offered = (Choice.KEEP, Choice.CREDIT, Choice.VOUCHER)
    offer = Offer(offered=offered, default=Choice.KEEP, choose_by=in_an_hour)
    await reschedule_show(_app(ground), show.reseller, show.id, Moved(starts_at=starts_at), offer)
    voucher, credit, keeps = (HoldId(order) for order in ground.orders)
    for order, choice in ((voucher, Choice.VOUCHER), (credit, Choice.CREDIT)):
        await choose(_app(ground), show.reseller, show.id, order, choice)
    await _cancel(ground, Choice.REFUND)
    await _settle(ground, change_no=2)
    assert await _told(ground) == dict.fromkeys((voucher, keeps), Choice.REFUND)
    assert await _owed(ground) == 2


async def test_no_voucher_is_for_a_show_that_does_not_take_place(ground: Ground) -> None:
    """Nor for one that is over."""
    first = ground.show
    starts_at = datetime.now(UTC) + timedelta(days=3)
    other = NewDate(id=new_entity_id(), starts_at=starts_at, opens=Opens.NOW)
    await add_date(_app(ground), first.reseller, first.id, other)
    await ground.working.recoverer.recover(other.id, "new")
    cancelled = await cancel_show(_app(ground), first.reseller, other.id, _offer(Choice.REFUND))
    assert isinstance(cancelled, LifeChanged)
    offer = Offer(
        offered=(Choice.REFUND, Choice.VOUCHER),
        default=Choice.REFUND,
        choose_by=starts_at,
        new_show=other.id,
    )
    with pytest.raises(ShowFaultsError) as refused:
        await cancel_show(_app(ground), first.reseller, first.id, offer)
    assert [fault.pointer for fault in refused.value.faults] == ["/new_show"]


async def _return(ground: Ground, order: bytes) -> object:
    return await ground.serving.returns_office.take_back(ground.show, HoldId(order))


@pytest.mark.parametrize(
    ("choice", "is_returned", "owed"),
    [
        (None, True, 1),
        (Choice.KEEP, True, 1),
        (Choice.REFUND, True, 1),
        (Choice.CREDIT, False, 0),
        (Choice.VOUCHER, False, 0),
    ],
)
@pytest.mark.parametrize("by_default", [False, True])
async def test_an_order_is_returned_or_compensated_and_never_both(
    ground: Ground,
    choice: Choice | None,
    *,
    is_returned: bool,
    owed: int,
    by_default: bool,
) -> None:
    """The table of docs/SHOWS.md: whether it was chosen, or is the default."""
    show, [order, *_] = ground.show, ground.orders
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    default = choice if by_default and choice else Choice.KEEP
    offer = Offer(offered=tuple(Choice), default=default, choose_by=in_an_hour)
    moved = Moved(starts_at=datetime.now(UTC) + timedelta(days=9))
    await reschedule_show(_app(ground), show.reseller, show.id, moved, offer)
    if by_default and choice:
        await _settle(ground, change_no=1)
    elif choice:
        await choose(_app(ground), show.reseller, show.id, HoldId(order), choice)
    told = [await _return(ground, order) for _ in range(2)]
    if is_returned:
        assert all(isinstance(one, OrderView) for one in told), told
        refused = await choose(_app(ground), show.reseller, show.id, HoldId(order), Choice.CREDIT)
        assert isinstance(refused, ChoiceRefused)
        assert refused.reason is Unchoosable.TAKEN_BACK
    else:
        assert choice is not None
        assert told == [Compensated(choice)] * 2
    others = 2 if by_default and choice is Choice.REFUND else 0
    assert await _owed(ground) == owed + others
    await _settle(ground, change_no=1)
    expected = Choice.REFUND if choice is None else choice
    assert (await _told(ground))[order] is expected
    assert await _owed(ground) == owed + others


async def test_of_a_return_and_a_choice_at_once_one_counts(ground: Ground) -> None:
    """Whichever comes first: the other is refused."""
    show = ground.show
    await _cancel(ground, Choice.REFUND)
    for order in ground.orders:
        returned, chosen = await asyncio.gather(
            _return(ground, order),
            choose(_app(ground), show.reseller, show.id, HoldId(order), Choice.CREDIT),
        )
        outcomes = (type(returned), type(chosen))
        assert outcomes in {(OrderView, ChoiceRefused), (Compensated, OrderChoice)}
    credited = [one for one in (await _told(ground)).values() if one is Choice.CREDIT]
    assert await _owed(ground) == len(ground.orders) - len(credited)


async def test_credit_of_an_earlier_change_still_counts(ground: Ground) -> None:
    """A later change does not ask its holder any more, and a return is refused as before."""
    show, [credit, voucher, _] = ground.show, ground.orders
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    offer = Offer(offered=tuple(Choice), default=Choice.KEEP, choose_by=in_an_hour)
    moved = Moved(starts_at=datetime.now(UTC) + timedelta(days=9))
    await reschedule_show(_app(ground), show.reseller, show.id, moved, offer)
    for order, choice in ((credit, Choice.CREDIT), (voucher, Choice.VOUCHER)):
        await choose(_app(ground), show.reseller, show.id, HoldId(order), choice)
    await _cancel(ground, Choice.REFUND)
    assert await _return(ground, credit) == Compensated("credit")
    # The voucher was for a show that does not take place: its holder chooses anew.
    assert isinstance(await _return(ground, voucher), OrderView)
    assert await _owed(ground) == 1
