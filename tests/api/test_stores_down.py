"""A store that does not answer: clear words, no hanging, and service again when it is back."""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import pytest
from sqlalchemy import text

from engine.platform.database import connect_once
from ops.child import Child
from ops.stack import Stack
from tests.api.conftest import new_key
from tests.api.front_desk import FrontDesk, ShowDesk, problem


@pytest.fixture(scope="module")
def frail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, ShowDesk]]:
    """A platform of its own, whose servers can be stopped."""
    with Stack(tmp_path_factory.mktemp("frail"), environment={}) as stack:
        desk = FrontDesk(stack.base_url, asyncio.run(new_key(stack.settings, "Frail")))
        with desk.http:
            yield stack, desk.new_show()


def test_without_redis_nothing_is_decided(frail: tuple[Stack, ShowDesk]) -> None:
    """Readiness says which store; a hold is in doubt, and its key tells later what happened."""
    stack, show = frail
    key = secrets.token_hex(8)
    valkey = _child(stack, "valkey")
    valkey.pause()
    try:
        ready = show.desk.get("/health/ready")
        assert (ready.status_code, problem(ready)) == (503, "unavailable")
        assert (ready.json()["redis"], ready.json()["postgresql"]) == ("does not answer", "ok")
        refused = show.hold("B-1", key=key)
        assert (refused.status_code, problem(refused)) == (503, "in-doubt")
        assert refused.headers["retry-after"] == "1"
        unread = show.desk.get(f"{show.path}/availability")
        assert (unread.status_code, problem(unread)) == (503, "unavailable")
    finally:
        valkey.resume()
    _holds_again(show, "B-1", key)
    assert show.desk.get("/health/ready").status_code == 200


@pytest.mark.alone
@pytest.mark.parametrize("fault", ["hangs", "is gone"])
def test_without_redis_whoever_needs_it_is_told_so_at_once(
    frail: tuple[Stack, ShowDesk], fault: str
) -> None:
    """Some wait in vain; all others hear that nothing was done, until a moment after its return."""
    stack, show = frail[0], frail[1].desk.new_show()
    hold, key = show.held("D-1"), secrets.token_hex(8)
    valkey = _child(stack, "valkey")
    valkey.pause() if fault == "hangs" else valkey.kill(restart=False)
    try:
        with ThreadPoolExecutor(8) as pool:
            first = list(pool.map(show.hold, [f"D-{n}" for n in range(2, 10)]))
        assert {one.status_code for one in first} == {503}
        times_s: list[float] = []
        for ask in (
            lambda: show.hold("C-2", key=key),
            lambda: show.purchase(hold),
            lambda: show.look(hold),
            lambda: show.desk.get(f"{show.path}/availability"),
        ) * 5:
            began = time.monotonic()
            refused = ask()
            times_s.append(time.monotonic() - began)
            assert (refused.status_code, problem(refused)) == (503, "unavailable")
            assert refused.headers["retry-after"] == "1"
        assert median(times_s) < 0.1, times_s
    finally:
        valkey.resume() if fault == "hangs" else valkey.start()
    _holds_again(show, "C-2", key)
    assert show.purchase(hold).status_code == 201
    _is_served_again(frail[1], f"{frail[1].path}/availability")


def test_without_postgresql_holds_go_on(frail: tuple[Stack, ShowDesk]) -> None:
    """What is known is enough for them; what must be asked of it is unavailable."""
    stack, show = frail
    postgres = _child(stack, "postgres")
    postgres.kill(restart=False)
    try:
        assert show.hold("B-2").status_code == 201
        ready = show.desk.get("/health/ready")
        assert (ready.json()["redis"], ready.json()["postgresql"]) == ("ok", "does not answer")
        refused = show.desk.get("/v1/shows")
        assert (refused.status_code, problem(refused)) == (503, "unavailable")
        assert refused.headers["retry-after"] == "1"
    finally:
        postgres.start()
    assert show.desk.get("/v1/shows").status_code == 200


def test_a_purchase_without_postgresql_is_recording_then_confirmed(
    frail: tuple[Stack, ShowDesk],
) -> None:
    """202 with the order's address; once PostgreSQL is back the same key gets 201."""
    stack, show = frail
    hold, key = show.held("C-1"), secrets.token_hex(8)
    postgres = _child(stack, "postgres")
    postgres.kill(restart=False)
    try:
        decided = show.purchase(hold, key=key)
        assert (decided.status_code, decided.json()["status"]) == (202, "recording"), decided.text
        assert decided.headers["location"] == f"/v1/orders/{decided.json()['order']}"
    finally:
        postgres.start()
    deadline = time.monotonic() + 30
    while (again := show.purchase(hold, key=key)).status_code == 202:
        assert time.monotonic() < deadline, again.text
    assert (again.status_code, again.json()["order"]) == (201, decided.json()["order"])
    order = show.desk.get(decided.headers["location"]).json()
    assert order["status"] == "confirmed"


def test_without_postgresql_whoever_needs_it_is_told_so_at_once(
    frail: tuple[Stack, ShowDesk],
) -> None:
    """After some refused connections nobody tries any more: neither holds nor purchases wait."""
    stack, show = frail
    hold = show.held("A-1")
    postgres = _child(stack, "postgres")
    postgres.kill(restart=False)
    try:
        _fail(show, times=5)
        _is_told_at_once(show)
        assert show.hold("A-2").status_code == 201
        assert show.purchase(hold).status_code == 202
    finally:
        postgres.start()
    _is_served_again(show)


def test_with_a_postgresql_that_hangs_whoever_needs_it_is_told_so_at_once(
    frail: tuple[Stack, ShowDesk],
) -> None:
    """Its connections stand, and nothing comes back over them: the first wait, and no others."""
    stack, show = frail
    hold = show.held("B-3")
    postgres = _child(stack, "postgres")
    backends = asyncio.run(_backends(stack))
    for backend in backends:
        os.kill(backend, signal.SIGSTOP)
    postgres.pause()
    try:
        with ThreadPoolExecutor(8) as pool:
            first = [pool.submit(_fail, show, times=1) for _ in range(8)]
        assert [one.result(0) for one in first] == [None] * 8
        _is_told_at_once(show)
        assert show.hold("B-4").status_code == 201
        assert show.purchase(hold).status_code == 202
    finally:
        postgres.resume()
        for backend in backends:
            os.kill(backend, signal.SIGCONT)
    _is_served_again(show)


def _holds_again(show: ShowDesk, seat: str, key: str) -> None:
    deadline = time.monotonic() + 10
    while (answer := show.hold(seat, key=key)).status_code == 503:
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.01)
    assert answer.status_code == 201, answer.text


def _fail(show: ShowDesk, *, times: int) -> None:
    for _ in range(times):
        refused = show.desk.get("/v1/shows")
        assert (refused.status_code, problem(refused)) == (503, "unavailable")


def _is_told_at_once(show: ShowDesk) -> None:
    times_s: list[float] = []
    for _ in range(20):
        began = time.monotonic()
        _fail(show, times=1)
        times_s.append(time.monotonic() - began)
    assert median(times_s) < 0.1, times_s


def _is_served_again(show: ShowDesk, path: str = "/v1/shows") -> None:
    deadline = time.monotonic() + 15
    while show.desk.get(path).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)


async def _backends(stack: Stack) -> list[int]:
    """Return the processes that serve API and worker."""
    query = text("SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'onsale\\_%'")
    async with connect_once(stack.settings.database_url) as connection:
        return list(await connection.scalars(query))


def _child(stack: Stack, name: str) -> Child:
    return next(child for child in stack.children if child.name == name)
