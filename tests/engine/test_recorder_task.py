"""The worker's tasks around the recorder: woken at once, looking anyway, never silently dead."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import pytest
from asyncpg.exceptions import CannotConnectNowError, UndefinedTableError
from redis.exceptions import AuthenticationError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import insert, text, update
from sqlalchemy.exc import DBAPIError, InvalidRequestError, ProgrammingError
from structlog.testing import capture_logs

from engine.inventory.facts import StreamId
from engine.inventory.keys import WAKE_CHANNEL, show_keys
from engine.inventory.shows import ShowBook, UnknownShowError
from engine.platform.ids import entity_hex
from engine.platform.retrying import OUTAGE, Backoff
from engine.platform.tables import manifests, price_versions, shows
from engine.runtime import Working, open_working
from engine.sales.pricing import ticket_charge
from engine.sales.recorder import Recorder
from engine.sales.terms import LedgerTerms, Terms
from ops.places import ROOT
from ops.stack import Stack
from tests.engine.ledger_world import IDS, TestedShow, World, open_world
from workers.idempotency import forget_old_keys
from workers.jobs import is_alive, queue_settings, run_jobs
from workers.recorder import run_recorder
from workers.show_queue import ShowQueue
from workers.supervision import keep_running
from workers.trimming import PositionHistory, run_trimming

_PATIENCE_S = 10
_PLAN = ROOT / "loadtests" / "data" / "riethsporthalle.seatingplan.json"


@pytest.fixture(scope="module")
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def working(servers: Stack) -> AsyncIterator[Working]:
    """What a worker process has."""
    async with open_working(servers.settings) as opened:
        yield opened


@pytest.fixture
async def show(world: World) -> TestedShow:
    """A draft: nobody looks at it of themselves."""
    return await world.new_show()


class _TermsOfSome:
    """Knows the terms of some shows, and breaks on all others."""

    def __init__(self, *tested: TestedShow) -> None:
        self._shows = {show.id: show for show in tested}

    async def terms(self, show: int, price_versions: frozenset[int]) -> Terms:
        if show not in self._shows:
            raise ZeroDivisionError
        return await self._shows[show].hall_terms().terms(show, price_versions)


def _recording(working: Working, *tested: TestedShow) -> Working:
    """Return a worker that records these shows of the hall."""
    terms = _TermsOfSome(*tested)
    recorder = Recorder(working.recorder_engine, working.redis, terms, IDS)
    return msgspec.structs.replace(working, recorder=recorder)


@asynccontextmanager
async def _running(
    run: Callable[[], Coroutine[Any, Any, None]],
) -> AsyncGenerator[asyncio.Task[None]]:
    task = asyncio.create_task(run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _until(is_so: Callable[[], Awaitable[bool]]) -> float:
    """Look again and again until it is so; return how many seconds it took."""
    began = monotonic()
    async with asyncio.timeout(_PATIENCE_S):
        while not await is_so():  # noqa: ASYNC110 - a server tells no event
            await asyncio.sleep(0.005)
    return monotonic() - began


async def _wake(show: TestedShow) -> None:
    await show.world.redis.publish(WAKE_CHANNEL, f"record:{entity_hex(show.id)}")


async def _sell_and_hear(show: TestedShow, seat: int) -> float:
    """Sell a seat, wake the recorder, and return after how many seconds its row is told."""
    async with show.world.raw.pubsub() as pubsub:
        await pubsub.execute_command("SSUBSCRIBE", show_keys(show.id).recorded)
        assert await pubsub.parse_response(timeout=_PATIENCE_S)  # that it is subscribed
        began = monotonic()
        await show.sell([seat])
        await _wake(show)
        async with asyncio.timeout(_PATIENCE_S):
            while await pubsub.parse_response(block=False, timeout=1) is None:
                pass
        return monotonic() - began


async def test_a_sale_is_recorded_at_once_when_its_script_wakes_the_recorder(
    working: Working, show: TestedShow
) -> None:
    """In milliseconds on a quiet machine: far sooner than the next look would be."""
    mine = _recording(working, show)
    async with _running(lambda: run_recorder(mine)):
        await asyncio.sleep(0.3)
        took = [await _sell_and_hear(show, seat) for seat in range(20)]
    assert sorted(took)[10] < 0.25, took
    assert len(await show.orders()) == 20


async def test_a_sale_whose_wake_up_call_was_lost_is_found_by_the_next_look(
    working: Working, show: TestedShow
) -> None:
    """A second later: every show that was ever put on sale is looked at."""
    await _set_state(show, "off_sale")
    hold = await show.sell([1])
    mine = _recording(working, show)
    try:
        async with _running(lambda: run_recorder(mine)):
            await _until(lambda: _has(show, hold))
            later = await show.sell([2])
            assert await _until(lambda: _has(show, later)) < 3
    finally:
        await _set_state(show, "draft")


async def test_a_show_that_breaks_the_recorder_does_not_keep_the_others_from_it(
    working: Working, show: TestedShow
) -> None:
    """Nor do calls that make no sense."""
    broken = [await show.world.new_show() for _ in range(5)]
    mine = _recording(working, show)
    async with _running(lambda: run_recorder(mine)) as task:
        await asyncio.sleep(0.3)
        for one in broken:
            await one.sell([1])
            await _wake(one)
        for words in ("record:", "record:xyz", "nonsense", "record:" + "f" * 40):
            await show.world.redis.publish(WAKE_CHANNEL, words)
        hold = await show.sell([1])
        await _wake(show)
        await _until(lambda: _has(show, hold))
        assert not task.done()


async def test_a_recorded_sale_is_trimmed_once_it_was_kept_long_enough(
    servers: Stack, working: Working, show: TestedShow
) -> None:
    """What was not recorded stays, however old."""
    recorder = show.recorder()
    for seat in range(3):
        await show.sell([seat])
    await recorder.record(show.id)
    await show.sell([5])
    kept_s = msgspec.structs.replace(servers.settings, sales_kept_s=1)
    mine = msgspec.structs.replace(working, settings=kept_s)
    keys = show_keys(show.id)

    async def trimmed() -> bool:
        return await show.world.raw.xlen(keys.sales) == 2

    async with _running(lambda: run_trimming(mine)):
        await _until(trimmed)
    entries = await show.world.raw.xrange(keys.sales)
    assert [entry for entry, _ in entries] == [b"1-2", b"1-3"]
    await recorder.record(show.id)
    assert len(await show.orders()) == 4


def test_a_position_is_trimmable_when_it_was_seen_long_enough_ago() -> None:
    """The youngest of the old ones; what is kept of a show is bounded."""
    history = PositionHistory(kept_s=100)
    for second in range(0, 1000, 10):
        history.note(second, {7: StreamId(1, second)})
        expected = {7: StreamId(1, second - 100)} if second >= 100 else {}
        assert history.trimmable(second) == expected
    history.note(1000, {8: StreamId(1, 0)})
    assert history.trimmable(2000) == {8: StreamId(1, 0)}


def test_a_show_at_rest_is_trimmed_once_and_remembered_by_one_position() -> None:
    """Of a hundred thousand nearly all are; when one sells again it is trimmed again."""
    history = PositionHistory(kept_s=10)
    for second in range(100):
        history.note(second, {7: StreamId(1, 3)})
    assert history.remembered == 1
    assert history.trimmable(100) == {7: StreamId(1, 3)}
    history.note_trimmed(7, StreamId(1, 3))
    assert history.trimmable(101) == {}
    history.note(102, {7: StreamId(1, 4)})
    assert history.trimmable(103) == {}
    assert history.trimmable(112) == {7: StreamId(1, 4)}


async def test_a_queue_gives_a_show_one_turn_at_a_time_and_another_if_asked_meanwhile() -> None:
    """However often it is asked for."""
    queue = ShowQueue(of_one_server_max=2)
    for show in (1, 2, 1, 1):
        queue.add(show)
    assert [await queue.take(), await queue.take()] == [(1, ""), (2, "")]
    queue.add(1)
    queue.add(1)
    nobody = asyncio.ensure_future(queue.take())
    await asyncio.sleep(0)
    queue.done(2)
    await asyncio.sleep(0.01)
    assert not nobody.done()
    queue.done(1)
    async with asyncio.timeout(1):
        assert await nobody == (1, "")


async def test_a_server_that_hangs_has_a_part_of_the_turns_only() -> None:
    """Whoever asks it hangs too; the shows of the others go past those that wait for it."""
    queue = ShowQueue(of_one_server_max=2)
    for show in (1, 2, 3):
        queue.add(show, "hangs")
    queue.add(4, "answers")
    async with asyncio.timeout(1):
        assert [(await queue.take())[0] for _ in range(3)] == [1, 2, 4]
    nobody = asyncio.ensure_future(queue.take())
    await asyncio.sleep(0.01)
    assert not nobody.done()
    queue.done(1)
    async with asyncio.timeout(1):
        assert await nobody == (3, "hangs")


async def test_a_task_that_dies_or_ends_is_started_again() -> None:
    """Later each time, as long as it fails soon."""
    starts: list[float] = []
    often = asyncio.Event()

    async def run() -> None:
        starts.append(monotonic())
        if len(starts) >= 5:
            often.set()
        if len(starts) % 2:
            raise ZeroDivisionError

    async with _running(lambda: keep_running("test", run, policy=Backoff(0.01, 5))):
        async with asyncio.timeout(10):
            await often.wait()
    pauses = [after - before for before, after in pairwise(starts)]
    assert all(pause >= 0.01 * 2**n for n, pause in enumerate(pauses))


async def test_a_task_that_was_cancelled_from_within_is_started_again() -> None:
    """A failing group may leave a cancellation behind: it ends that run, not what keeps it."""
    starts = 0

    async def run() -> None:
        nonlocal starts
        starts += 1
        raise asyncio.CancelledError

    async with _running(lambda: keep_running("test", run, policy=Backoff(0.01, 5))):
        await asyncio.sleep(0.2)
    assert starts > 1


async def test_a_task_that_was_well_for_long_is_started_again_soon() -> None:
    """One failure a day is no reason to wait longer each day."""
    starts = 0

    async def run() -> None:
        nonlocal starts
        starts += 1
        await asyncio.sleep(0.01)

    async with _running(
        lambda: keep_running("test", run, policy=Backoff(0.001, 5), well_after_s=0.005)
    ):
        await asyncio.sleep(0.4)
    assert starts > 10


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Redis is away"),
        ConnectionRefusedError("PostgreSQL is away"),
        ExceptionGroup("a task group's", [RedisConnectionError("away"), OSError("away")]),
        DBAPIError("SELECT", {}, CannotConnectNowError("the database system is starting up")),
        DBAPIError("SELECT", {}, BaseException("closed"), connection_invalidated=True),
    ],
)
async def test_a_task_that_an_outage_ends_is_started_again_soon_however_long_it_lasts(
    error: Exception,
) -> None:
    """Buyers wait for it; and the log is not filled."""
    starts: list[float] = []
    often = asyncio.Event()

    async def run() -> None:
        starts.append(monotonic())
        if len(starts) >= 5:
            often.set()
        raise error

    with capture_logs() as logs:
        async with _running(lambda: keep_running("test", run, policy=Backoff(60, 60))):
            async with asyncio.timeout(10):
                await often.wait()
    pauses = [later - before for before, later in pairwise(starts)]
    assert all(pause >= OUTAGE.first_s * 0.9 for pause in pauses)
    assert [one["event"] for one in logs] == ["a store is away: task waits for it"]


@pytest.mark.parametrize(
    "error",
    [
        ExceptionGroup("a task group's", [ResponseError("WRONGTYPE"), OSError("away")]),
        AuthenticationError("WRONGPASS"),
        InvalidRequestError("a mistake in a query"),
        ProgrammingError("SELECT", {}, UndefinedTableError("no such table")),
    ],
)
async def test_a_store_that_answers_with_an_error_is_no_outage(error: Exception) -> None:
    """Asking it again at once would not help."""
    starts = 0

    async def run() -> None:
        nonlocal starts
        starts += 1
        raise error

    async with _running(lambda: keep_running("test", run, policy=Backoff(60, 60))):
        await asyncio.sleep(0.5)
    assert starts == 1


async def test_old_idempotency_keys_are_forgotten_and_young_ones_kept(
    working: Working, world: World
) -> None:
    """After two days nobody repeats a request any more."""
    reseller = await world.new_reseller()
    async with world.owner.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO idempotency_keys (reseller_id, scope, key_hash, fingerprint,"
                " created_at) SELECT :reseller, 'shows', int4send(n), '',"
                " now() - n * interval '1 hour' FROM generate_series(1, 72) AS n"
            ),
            {"reseller": reseller},
        )
    assert await forget_old_keys({"working": working}) >= 24
    left = await world.rows(
        "SELECT count(*) AS n FROM idempotency_keys WHERE reseller_id = :r", r=reseller
    )
    assert left[0]["n"] == 47


async def test_terms_come_from_the_ledger_and_follow_new_prices(
    world: World, show: TestedShow
) -> None:
    """A real hall's plan: labels, levels and prices by version."""
    plan = msgspec.json.decode(_PLAN.read_bytes())
    async with world.owner.begin() as connection:
        [manifest] = (
            await connection.execute(
                insert(manifests)
                .values(
                    id=show.id,
                    reseller_id=show.reseller,
                    name="Riethsporthalle",
                    plan=plan,
                    seat_count=1222,
                )
                .returning(manifests.c.id)
            )
        ).scalars()
        await connection.execute(
            update(shows).where(shows.c.id == show.id).values(manifest_id=manifest)
        )
    async with open_world(world.settings) as other:
        source = LedgerTerms(other.recorder_engine, ShowBook(), positions_max=1)
        terms = await source.terms(show.id, frozenset({1}))
        assert terms.reseller == show.reseller
        assert ticket_charge(terms.tariffs[1], "vip").total == 11_159
        place = terms.places.seat(1)
        assert place.label
        with pytest.raises(IndexError):
            terms.places.seat(0)
        assert await source.terms(show.id, frozenset()) is terms
        async with world.owner.begin() as connection:
            await connection.execute(
                insert(price_versions).values(
                    show_id=show.id, version=2, reseller_id=show.reseller, prices={"vip": 1}
                )
            )
        newer = await source.terms(show.id, frozenset({1, 2}))
        assert newer.tariffs[2].prices == {"vip": 1}
        with pytest.raises(UnknownShowError):
            await source.terms(show.id ^ 1, frozenset())


def test_arq_is_told_of_a_socket_as_the_url_means_it() -> None:
    """Its own reading of a URL leaves a path with a space in it escaped."""
    assert queue_settings("unix:///a%20place/v.sock").unix_socket_path == "/a place/v.sock"


async def _set_state(show: TestedShow, state: str) -> None:
    async with show.world.owner.begin() as connection:
        await connection.execute(update(shows).where(shows.c.id == show.id).values(state=state))


async def _has(show: TestedShow, hold: bytes) -> bool:
    return hold in await show.orders()


@pytest.mark.filterwarnings("ignore:Call to deprecated close")  # ARQ's own
async def test_jobs_run_until_cancelled_and_leave_a_sign_of_life(
    servers: Stack, working: Working
) -> None:
    """By which the health check tells that a worker is there."""

    async def alive() -> bool:
        return await is_alive(servers.settings)

    async def dead() -> bool:
        return not await alive()

    async with _running(lambda: run_jobs(working)):
        await _until(alive)
    await _until(dead)  # some seconds later, as after a `kill -9`


async def test_a_queue_that_is_away_ends_the_jobs_and_nothing_else(
    working: Working, tmp_path: Path
) -> None:
    """As an outage, for whoever starts them again."""
    away = f"unix://{tmp_path}/nowhere.sock"
    mine = msgspec.structs.replace(
        working, settings=msgspec.structs.replace(working.settings, queue_redis_url=away)
    )
    with pytest.raises((RedisConnectionError, OSError)):
        await asyncio.wait_for(run_jobs(mine), 30)
