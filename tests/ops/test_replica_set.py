"""The embedded Valkey with a replica: who is the primary, who gets in, and what is warned of."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from engine.inventory.durability import find_risks
from engine.platform.settings import Settings
from engine.runtime import open_working
from ops.child import StackError
from ops.doctor import State
from ops.doctor.store import Clock, examine_store, store_servers
from ops.stack import Stack


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers only, the Valkey with a replica."""
    directory = tmp_path_factory.mktemp("pair")
    with _pair(directory) as stack:
        yield stack


def _pair(directory: Path, replicas: int = 1) -> Stack:
    return Stack(directory, replicas=replicas, with_api=False, with_worker=False, environment={})


def _doubts(settings: Settings) -> dict[str, str]:
    """Return what the doctor finds wrong with the store."""
    [server] = store_servers(settings.redis_url)
    findings = examine_store(server, settings.redis_replicas)
    return {
        one.subject: one.seen
        for one in findings
        if not isinstance(one, Clock) and one.state is not State.OK
    }


async def _risks(settings: Settings) -> dict[str, str | None]:
    """Return what a worker warns of."""
    async with open_working(settings) as working:
        risks = await find_risks(working.redis, settings.redis_replicas)
        return {risk.wanted.setting: risk.found for risk in risks}


async def test_what_a_replica_is_good_for_only_if_it_is_set_so_is_looked_at(pair: Stack) -> None:
    """By the worker and by the doctor alike."""
    pair.await_replicas()
    settings = pair.settings
    assert settings.redis_replicas == 1
    assert (_doubts(settings), await _risks(settings)) == ({}, {})
    with Redis.from_url(settings.redis_url) as client:
        for setting, good in (("min-replicas-to-write", 1), ("min-replicas-max-lag", 10)):
            client.config_set(setting, 0)
            wrong = {setting: "0"}
            assert (_doubts(settings), await _risks(settings)) == (wrong, wrong)
            client.config_set(setting, good)


async def test_a_replica_that_nobody_waits_for_is_warned_of_and_one_that_is_not_there(
    pair: Stack,
) -> None:
    """The setting says how many there are: both more and fewer lose something."""
    pair.await_replicas()
    unaware = msgspec.structs.replace(pair.settings, redis_replicas=0)
    wrong = {"connected replicas": "1 instead of 0"}
    assert _doubts(unaware) == wrong
    assert await _risks(unaware) == {"connected replicas": "1"}
    pair.replicas[0].kill(restart=False)
    assert _doubts(pair.settings) == {"replicas in sync": "0 instead of 1"}
    assert await _risks(pair.settings) == {"replicas in sync": "0"}
    pair.replicas[0].start()
    pair.await_replicas()


def test_who_does_not_know_the_password_does_not_get_in(pair: Stack) -> None:
    """Replication needs TCP, which every user of the machine reaches."""
    with Redis.from_url(pair.settings.redis_url) as client:
        port = cast("dict[str, str]", client.config_get("port"))["port"]
    with Redis(port=int(port)) as stranger, pytest.raises(AuthenticationError):
        stranger.ping()
    assert (pair.directory / "valkey.conf").stat().st_mode & 0o777 == 0o600


def test_a_promoted_replica_is_reached_at_the_same_address_and_is_the_primary_from_then_on(
    tmp_path: Path,
) -> None:
    """Also after the next start, and for one without replicas."""
    with _pair(tmp_path) as stack:
        url, names = stack.settings.redis_url, []
        for value in ("one", "two"):
            stack.promote_replica()
            names.append(stack.valkey.name)
            with Redis.from_url(url) as client:
                assert client.set("latest", value)
            stack.await_replicas()
        stack.promote_replica()
        with Redis.from_url(url) as client:
            assert client.get("latest") == b"two"
            client.set("latest", "three")
        assert names == ["valkey-1", "valkey"]
    with _pair(tmp_path, replicas=0) as stack:
        assert stack.valkey.name == "valkey-1"
        assert stack.replicas == ()
        with Redis.from_url(stack.settings.redis_url) as client:
            assert client.get("latest") == b"three"


def test_no_replica_is_promoted_that_is_not_there_or_has_not_got_all_data(pair: Stack) -> None:
    """All is as it was: the primary is not even killed."""
    pair.await_replicas()
    primary, (replica,) = pair.valkey, pair.replicas
    pid = primary.pid
    for number in (0, 2):
        with pytest.raises(StackError, match=f"no replica {number}"):
            pair.promote_replica(number)
    before = replica.restarts
    # Started anew, it asks a primary that does not answer for a copy.
    primary.pause()
    replica.kill()
    try:
        deadline = time.monotonic() + 10
        while replica.restarts == before and time.monotonic() < deadline:
            time.sleep(0.05)
        with pytest.raises(StackError, match="has not got all data"):
            _promote_once_it_answers(pair)
    finally:
        primary.resume()
    assert (pair.valkey, primary.pid) == (primary, pid)
    pair.await_replicas()


def _promote_once_it_answers(pair: Stack) -> None:
    for _ in range(100):
        try:
            pair.promote_replica()
        except StackError as error:
            if "does not do as it is told" not in str(error):
                raise
            time.sleep(0.05)


def test_a_server_of_ones_own_gets_no_replicas(pair: Stack, tmp_path: Path) -> None:
    """They are set up where that server is."""
    given = {"ONSALE_REDIS_URL": pair.settings.redis_url}
    with pytest.raises(StackError, match="ONSALE_REDIS_REPLICAS"):
        Stack(tmp_path, replicas=1, environment=given).start()
