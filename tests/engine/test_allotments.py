"""Allotments: nobody without the right ever holds a place of one, and none is lost."""

import asyncio
import random
from collections.abc import AsyncGenerator, Collection
from typing import Final

import msgspec
import pytest
from msgspec import Raw

from api.answers import tell_quote
from engine.catalog import allotting
from engine.catalog.allotment_ends import end_allotment, return_left
from engine.catalog.allotments import AllotmentRow, find_due, find_left, ledger_of
from engine.catalog.allotting import NewAllotment, TooManyAllotments, make_allotment
from engine.inventory.allotments import LIVING_MAX, NO_RIGHTS, NOWHERE, ONLY, Allotment, Allotments
from engine.inventory.commands import (
    AreaShort,
    KeyReused,
    NoneTogether,
    Recovering,
    SeatsTaken,
    Selection,
)
from engine.inventory.house import PlacesRefused
from engine.inventory.overlay import Overlay
from engine.inventory.records import AreaCounts, unpack_area
from engine.inventory.shows import Show
from engine.platform.database import Transaction, create_engine
from engine.platform.ids import EntityId
from engine.platform.settings import OWNER_ROLE
from engine.runtime import Serving, open_serving
from engine.sales.asking import Asked
from engine.sales.rights import NOTHING_SHOWN, Shown, plain_code
from engine.sales.views import HoldView, OrderView
from engine.sales.wanted import Wanted
from engine.tenancy.resellers import create_reseller
from ops.stack import Stack
from tests.engine.auditor_ground import TTL_MS, Ground, open_ground
from tests.lua.show_room import make_manifest
from workers.allotments import Allotted

_CAPACITY: Final = 80
_FLOOR: Final = "floor-1"
_CODES: Final = ("alpha", "beta", "gamma")
_SELLER: Final = "another reseller"
"""In the place of a code: who sells what is released to them, and nothing else."""


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show of 60 seats and 20 places with three orders, a hold and a blocked seat."""
    async with open_ground(servers.settings) as ground:
        yield ground


async def _keep_nothing(_transaction: Transaction, _made: AllotmentRow) -> None:
    """Nobody repeats it."""


async def _new_seller(ground: Ground) -> EntityId:
    owner = create_engine(ground.settings, OWNER_ROLE)
    try:
        return (await create_reseller(owner, ground.settings.region, "seller")).reseller
    finally:
        await owner.dispose()


async def _make(
    ground: Ground,
    code: str,
    *,
    seller: EntityId | None = None,
    seats: Collection[int] = (),
    areas: tuple[tuple[int, int], ...] = (),
) -> object:
    serving, show = ground.serving, ground.show
    new = NewAllotment(
        name=code,
        seats=tuple(seats),
        areas=areas,
        asked={},
        code_digests=frozenset()
        if seller
        else frozenset({serving.ids.digest_code(show.id, plain_code(code))}),
        channels=frozenset(),
        is_personal=False,
        sellers=frozenset({seller} if seller else ()),
        begins_at=None,
        ends_at=None,
    )
    return await make_allotment(
        serving.app_engine, serving.redis, serving.book, serving.ids, show, new, _keep_nothing
    )


async def _end(ground: Ground, allotment: EntityId) -> None:
    serving = ground.serving
    outcome = await end_allotment(
        ledger_of(serving.app_engine, ground.show.reseller),
        serving.redis,
        serving.book,
        serving.ids,
        show=ground.show.id,
        allotment=allotment,
        by="request",
    )
    assert outcome is None


async def _return_left(ground: Ground) -> None:
    working, serving = ground.working, ground.serving
    for one in await find_left(working.recorder_engine, most=1000):
        if one.show == ground.show.id:
            await return_left(
                working.recorder_engine.begin,
                serving.redis,
                serving.book,
                show=one.show,
                allotment=one.id,
            )


async def _current(serving: Serving, ground: Ground) -> Show:
    return await serving.book.reload(serving.app_engine, ground.show.reseller, ground.show.id)


async def _hold(  # noqa: PLR0913, PLR0917 - a request's parts
    serving: Serving,
    show: Show,
    key: str,
    wanted: Wanted,
    shown: Shown = NOTHING_SHOWN,
    buyer: str = "",
) -> object:
    """Hold, as the API does: by what is known of the show, again while it is being changed."""
    office = serving.box_office
    for _ in range(10):
        known = (serving.book.known(show.reseller, show.id) or show).for_seller(show.seller)
        asked = office.ask_hold(
            known,
            key,
            buyer=buyer or key,
            ttl_ms=TTL_MS,
            wanted=wanted,
            fingerprint=lambda: len(key),
            shown=shown,
        )
        outcome = await office.tell(known, asked) if isinstance(asked, Asked) else asked
        if not isinstance(outcome, Recovering):
            return outcome
    return Recovering()


async def _areas(ground: Ground) -> dict[int, AreaCounts]:
    found = await ground.raw.hgetall(ground.key("areas"))
    return {int(area): unpack_area(packed) for area, packed in found.items()}


async def _assert_nothing_is_lost(ground: Ground) -> None:
    """Every place is in one state, in the store, as anybody is told it, and by the auditor."""
    state = await ground.serving.box_office.availability(await _current(ground.serving, ground))
    assert not isinstance(state, Recovering)
    counted = sum(state.level_counts(n).capacity for n in range(len(state.show.manifest.levels)))
    told = [state.area_counts(n) for n in range(len(state.areas))]
    assert counted + sum(one.capacity for one in told) == _CAPACITY
    assert [one.capacity for one in told[1:]] == [0] * (len(told) - 1)
    seats = await ground.raw.get(ground.key("seats"))
    stored = sum(seats.count(letter) for letter in b"ohsb")
    areas = await _areas(ground)
    assert stored + sum(a.open + a.held + a.sold + a.blocked for a in areas.values()) == _CAPACITY
    assert (await ground.audited()).findings == []


class _Walk:
    """Random steps, and what the test remembers of who may hold what."""

    def __init__(self, ground: Ground, seller: EntityId, seed: int) -> None:
        self.ground = ground
        self.seller = seller
        self.chance = random.Random(seed)  # noqa: S311 - a test's
        self.living: dict[EntityId, tuple[str, frozenset[int]]] = {}
        self.holds: list[HoldView] = []
        self.tried = self.by_right = self.by_seller = 0

    async def step(self) -> None:
        steps = (self.make, self.hold_seats, self.hold_best, self.hold_places, self.hold_places)
        if len(self.living) > 3 and self.chance.random() < 0.5:
            await self.end(self.chance.choice([*self.living]))
        elif len(self.holds) > 6 and self.chance.random() < 0.5:
            await self.release(self.chance.randrange(len(self.holds)))
        else:
            await self.chance.choice(steps)()

    def seats(self) -> list[int]:
        positions = [*self.ground.show.manifest.positions()]
        return self.chance.sample(positions, self.chance.randint(1, 4))

    async def make(self) -> None:
        seats, count = self.seats(), self.chance.randint(0, 4)
        found = self.ground.show.manifest.index_by_label
        held = {found[seat] for hold in self.holds for seat in hold.seats}
        if held and self.chance.random() < 0.3:
            seats = [*{*seats, self.chance.choice(sorted(held))}]
        code = self.chance.choice((*_CODES, _SELLER))
        seller = self.seller if code == _SELLER else None
        areas = ((0, count),) if count else ()
        made = await _make(self.ground, code, seller=seller, seats=seats, areas=areas)
        if isinstance(made, AllotmentRow):
            self.living[made.id] = code, frozenset(seats)
            assert held.isdisjoint(seats), "what somebody holds is refused"
        else:
            assert isinstance(made, PlacesRefused)

    async def end(self, allotment: EntityId) -> None:
        await _end(self.ground, allotment)
        del self.living[allotment]
        await _return_left(self.ground)

    async def release(self, n: int) -> None:
        await self.ground.release(self.holds.pop(n).hold)
        await _return_left(self.ground)

    async def hold_seats(self) -> None:
        seats, code = self.seats(), self.chance.choice((*_CODES, _SELLER, ""))
        if self.living and self.chance.random() < 0.6:
            own, places = self.chance.choice([*self.living.values()])
            seats, code = [self.chance.choice([*places])], self.chance.choice((own, own, code))
        labels = map(self.ground.show.manifest.label_of, seats)
        await self.hold(Wanted(seats=tuple(labels)), code)

    async def hold_best(self) -> None:
        level = self.chance.choice(self.ground.show.manifest.levels).slug
        best = ((level, self.chance.randint(1, 5)),)
        await self.hold(Wanted(best=best), self.chance.choice((*_CODES, _SELLER, "")))

    async def hold_places(self) -> None:
        before = (await _areas(self.ground))[0].open
        wanted = self.chance.randint(1, 4)
        code = self.chance.choice((*_CODES, _SELLER, ""))
        held = await self.hold(Wanted(areas=((_FLOOR, wanted),)), code)
        taken = before - (await _areas(self.ground))[0].open
        if held and code in {"", _SELLER}:
            assert taken == (0 if code else wanted)

    async def hold(self, wanted: Wanted, code: str) -> bool:
        self.tried += 1
        key, show = f"k{self.tried}", self.ground.show
        shown = Shown(access_code=code, buyer=key) if code else NOTHING_SHOWN
        if code == _SELLER:
            show = show.for_seller(self.seller)
        outcome = await _hold(self.ground.serving, show, key, wanted, shown)
        if not isinstance(outcome, HoldView):
            assert isinstance(outcome, SeatsTaken | NoneTogether | AreaShort), outcome
            return False
        self.holds.append(outcome)
        held = {show.manifest.index_by_label[seat] for seat in outcome.seats}
        for own, places in self.living.values():
            assert own == code or places.isdisjoint(held)
            self.by_right += not places.isdisjoint(held)
        if code == _SELLER:
            released = (places for own, places in self.living.values() if own == code)
            assert held <= frozenset().union(*released), "what is for everybody is not theirs"
            self.by_seller += 1
        return True


@pytest.mark.parametrize("seed", [2, 3, 4])
async def test_nobody_without_the_right_holds_a_place_and_none_is_lost(
    ground: Ground, seed: int
) -> None:
    """Random allotments, holds and ends; then both stores and the auditor have every place."""
    walk = _Walk(ground, await _new_seller(ground), seed)
    for _ in range(100):
        await walk.step()
    assert walk.living
    assert walk.by_right
    assert walk.by_seller
    await _assert_nothing_is_lost(ground)
    before = await ground.raw.get(ground.key("seats")), await _areas(ground)
    assert await ground.working.recoverer.recover(ground.show.id, "a test", anew=True)
    assert (await ground.raw.get(ground.key("seats")), await _areas(ground)) == before
    await _assert_nothing_is_lost(ground)
    for allotment in [*walk.living]:
        await walk.end(allotment)
    while walk.holds:
        await walk.release(0)
    areas = await _areas(ground)
    assert (areas[0].open, sum(area.open for area in areas.values())) == (14, 14)
    await _assert_nothing_is_lost(ground)


async def test_a_process_that_knows_nothing_of_it_gives_nothing_away(ground: Ground) -> None:
    """Another process judges by an older version, is told so by the store, and judges again."""
    seat, label = ground.seat(9), ground.label(9)
    async with open_serving(ground.settings) as other:
        show = await _current(other, ground)
        assert isinstance(
            await _hold(other, show, "free", Wanted(seats=(ground.label(12),))), HoldView
        )
        made = await _make(ground, "alpha", seats=[seat])
        assert isinstance(made, AllotmentRow)
        racing = [
            _hold(other, show, f"r{n}", Wanted(seats=(label,)), buyer=f"r{n}") for n in range(20)
        ]
        assert await asyncio.gather(*racing) == [SeatsTaken((seat,))] * 20
        fan = Shown(access_code="ALPHA")
        held = await _hold(other, show, "fan", Wanted(seats=(label,)), fan)
        assert isinstance(held, HoldView)
        await ground.release(held.hold)
        ending = asyncio.create_task(_end(ground, made.id))
        racing = [
            _hold(other, show, f"s{n}", Wanted(seats=(label,)), buyer=f"s{n}") for n in range(20)
        ]
        outcomes = await asyncio.gather(*racing)
        await ending
        assert sum(isinstance(one, HoldView) for one in outcomes) <= 1
        last = await _hold(other, show, "last", Wanted(seats=(label,)))
        assert isinstance(last, HoldView | SeatsTaken)
        assert isinstance(last, HoldView) != any(isinstance(one, HoldView) for one in outcomes)


async def test_a_process_that_has_not_heard_of_a_share_tells_what_is_held_and_bought_of_it(
    ground: Ground,
) -> None:
    """Its line of the price names the area, though the process knows the map as it was before."""
    async with open_serving(ground.settings) as other:
        older = await _current(other, ground)
        assert isinstance(await _make(ground, "alpha", areas=((0, 4),)), AllotmentRow)
        office, newer = ground.serving.box_office, await _current(ground.serving, ground)
        fan, wanted = Shown(access_code="ALPHA"), Wanted(areas=((_FLOOR, 2),))
        held = await _hold(ground.serving, newer, "fan", wanted, fan)
        assert isinstance(held, HoldView)
        told = await other.box_office.tell(older, other.box_office.ask_look(older, held.hold))
        assert isinstance(told, HoldView)
        assert _areas_of_price(tell_quote(told.quote, told.show)) == [_FLOOR]
        await office.tell_purchase(newer, await office.ask_purchase(newer, held.hold, "b", 7, ""))
        await ground.record()
        order = await other.box_office.order(older, held.hold)
        assert isinstance(order, OrderView)
        assert _areas_of_price(tell_quote(order.quote, order.show)) == [_FLOOR]


def _areas_of_price(written: object) -> list[str]:
    assert isinstance(written, Raw)
    return [line["area"] for line in msgspec.json.decode(written)["lines"]]


async def test_a_repeated_request_is_answered_by_its_hold_whatever_became_of_its_right(
    ground: Ground,
) -> None:
    """As it would be at a blocked seat: the store decides, after what goes before."""
    seat, wanted = ground.seat(9), Wanted(seats=(ground.label(9),))
    held = await _hold(ground.serving, ground.show, "k", wanted)
    assert isinstance(held, HoldView)
    await ground.release(held.hold)
    assert isinstance(await _make(ground, "alpha", seats=[seat]), AllotmentRow)
    show = await _current(ground.serving, ground)
    again = await _hold(ground.serving, show, "k", wanted)
    assert type(again).__name__ == "Released"
    office = ground.serving.box_office
    asked = office.ask_hold(
        show, "k", buyer="k", ttl_ms=TTL_MS, wanted=wanted, fingerprint=lambda: 99
    )
    assert isinstance(asked, Asked)
    assert await office.tell(show, asked) == KeyReused()
    both = Wanted(seats=(ground.label(9), ground.label(1)))  # the second is sold
    assert await _hold(ground.serving, show, "m", both) == SeatsTaken(
        tuple(sorted((ground.seat(1), seat)))
    )


async def test_a_show_has_so_many_allotments_and_no_more(ground: Ground) -> None:
    """Over its life; and nothing is due that has no end."""
    await ground.sql(
        "INSERT INTO allotments SELECT id, reseller_id, id, 1000, 'Last', '{}', '[]', '[]',"
        " '{}', '{}', false, NULL, NULL, 1, now(), now(), 'time', 0 FROM shows WHERE id = :show"
    )
    assert await _make(ground, "alpha", seats=[ground.seat(9)]) == TooManyAllotments(1000)
    due = await find_due(ground.working.recorder_engine, most=10)
    assert ground.show.id not in {one.show for one in due}


async def test_a_show_that_can_not_be_changed_keeps_no_other_from_its_places(
    ground: Ground,
) -> None:
    """Whatever the store says of it: an allotment that is due later ends all the same."""
    async with open_ground(ground.settings) as other:
        made = [await _make(one, "alpha", areas=((0, 1),)) for one in (ground, other)]
        for one, ends_at in ((ground, "2020-01-01"), (other, "2020-01-02")):
            await one.sql(
                "UPDATE allotments SET ends_at = CAST(CAST(:ends_at AS TEXT) AS TIMESTAMPTZ)"
                " WHERE show_id = :show",
                ends_at=ends_at,
            )
        areas = ground.key("areas")
        await ground.raw.rename(areas, f"{areas} away")
        await ground.raw.set(areas, "no hash")
        try:
            await Allotted(ground.working).end_due()
        finally:
            await ground.raw.rename(f"{areas} away", areas)
        due = {one.id for one in await find_due(ground.working.recorder_engine, most=1000)}
        assert [isinstance(one, AllotmentRow) and one.id in due for one in made] == [True, False]
        await Allotted(ground.working).end_due()


async def test_what_stays_held_keeps_no_other_allotment_from_its_places(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, each has its turn."""
    monkeypatch.setattr("workers.allotments._AT_A_TIME", 1)
    async with open_ground(ground.settings) as other:
        holds: dict[EntityId, HoldView] = {}
        grounds = sorted((ground, other), key=lambda one: one.show.id)
        for one in grounds:
            made = await _make(one, "alpha", areas=((0, 2),))
            assert isinstance(made, AllotmentRow)
            fan, wanted = Shown(access_code="ALPHA"), Wanted(areas=((_FLOOR, 2),))
            show = await _current(one.serving, one)
            held = await _hold(one.serving, show, "fan", wanted, fan)
            assert isinstance(held, HoldView)
            holds[one.show.id] = held
            await _end(one, made.id)
        await grounds[1].release(holds[grounds[1].show.id].hold)
        allotted = Allotted(ground.working)
        for _ in await find_left(ground.working.recorder_engine, most=1000):
            await allotted.return_left()
        assert [(await _areas(one))[1].open for one in grounds] == [0, 0]


async def test_a_refused_allotment_gives_nothing_back_that_the_house_withholds(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it is refused late, since the show has as many edits as it can have."""
    monkeypatch.setattr(allotting, "EDITS_MAX", 0)
    camera = ground.seat(3)
    made = await _make(ground, "alpha", seats=[camera], areas=((0, 1),))
    assert made == TooManyAllotments(0)
    assert (await ground.audited()).findings == []


def test_places_of_shares_are_their_areas_again_on_another_date() -> None:
    """It has no allotments: nobody could hold them there."""
    overlay = Overlay(capacities=((0, 12), (1, 40), (2, 0), (3, 8)), shares=((0, 5), (0, 8)))
    assert overlay.without_shares() == Overlay(capacities=((0, 20), (1, 40)))
    assert Overlay(capacities=((0, 12),)).without_shares() == Overlay(capacities=((0, 12),))


def _living(*seats: tuple[tuple[int, int], ...]) -> Allotments:
    made = [
        Allotment(
            id=EntityId(n),
            allotment_no=n,
            seats=ranges,
            shares=(),
            code_digests=frozenset(),
            channels=frozenset(),
            is_personal=False,
            begins_at_ms=None,
        )
        for n, ranges in enumerate(seats, 1)
    ]
    return Allotments(made, 40)


def test_a_search_sees_what_is_for_everybody_and_what_is_one_s_own() -> None:
    """In ranges that begin and end at a seat each."""
    manifest = make_manifest("|ooooo|oooo|")
    [whole] = manifest.levels[0].ranges
    living = _living(((3, 5),), ((5, 8),))
    assert living.search(manifest, 0, NO_RIGHTS) == ((1, 3), (8, whole[1]))
    assert living.search(manifest, 0, frozenset({0})) == ((1, 5), (8, whole[1]))
    assert living.search(manifest, 0, frozenset({0, 1})) == (whole,)
    assert living.search(manifest, NOWHERE, NO_RIGHTS) == ()
    assert Allotments().search(manifest, 1, NO_RIGHTS) is None
    assert living.search(manifest, 0, frozenset({ONLY, 0})) == ((3, 5),)
    assert living.search(manifest, 0, frozenset({ONLY, 0, 1})) == ((3, 8),)
    assert living.search(manifest, 0, frozenset({ONLY})) == ()
    assert Allotments().search(manifest, 50, frozenset({ONLY})) == ()
    assert living.foreign_seats((1, 4, 7), frozenset({ONLY, 0})) == (1, 7)
    assert Allotments().foreign_seats((1, 4), frozenset({ONLY})) == (1, 4)
    assert living.mask(b"|ohsoo|oooo|", frozenset({ONLY, 0})) == b"|bbsob|bbbb|"
    assert not living.are_for_all(Selection(seats=(3,)))
    assert living.are_for_all(Selection(seats=(1, 8)))
    assert not living.are_for_all(Selection(best=((NOWHERE, 1),)))


def test_each_set_of_rights_searches_by_a_number_of_its_own() -> None:
    """For one allotment and for two: what one search has not found is another's to find."""
    sets = [frozenset({a, b}) for a in range(LIVING_MAX) for b in range(LIVING_MAX)]
    for levels in (1, 3, 150):
        numbers = {
            rights: Allotments().level_to_search(levels - 1, levels, rights)
            for rights in {*sets, NO_RIGHTS}
        }
        assert len(set(numbers.values())) == len(numbers)
        assert max(numbers.values()) < NOWHERE
        assert {number % levels for number in numbers.values()} == {levels - 1}
    alone = Allotments().level_to_search(0, 1, frozenset({ONLY}))
    one_s_own = {
        Allotments().level_to_search(0, 1, frozenset({ONLY, n})) for n in range(LIVING_MAX)
    }
    assert len(one_s_own | {alone}) == LIVING_MAX + 1
    assert min(one_s_own | {alone}) > max(
        Allotments().level_to_search(0, 1, rights) for rights in (*sets, frozenset(range(50)))
    )
    many = Allotments().level_to_search(254, 255, frozenset({7, 8, 99}))
    assert many < NOWHERE
    assert many % 255 == 254
