"""A store that may lose what was answered is warned about while it is so."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from msgspec.structs import replace
from redis import Redis
from structlog.testing import capture_logs

from engine.inventory.durability import WANTED, Risk, find_risks
from engine.runtime import open_working
from ops.stack import Stack
from workers.durability import watch_durability

_APPENDFSYNC = next(one for one in WANTED if one.setting == "appendfsync")


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers of one's own, to be set wrongly."""
    directory = tmp_path_factory.mktemp("careless")
    with Stack(directory, with_api=False, with_worker=False, environment={}) as stack:
        yield stack


async def test_each_setting_that_durability_rests_on_is_looked_at(careless: Stack) -> None:
    """As the embedded server is set, there is no risk."""
    bad = {"appendonly": "no", "appendfsync": "everysec", "maxmemory-policy": "allkeys-lru"}
    with Redis.from_url(careless.settings.redis_url) as client:
        async with open_working(careless.settings) as working:
            assert await find_risks(working.redis, 0) == []
            for one in WANTED:
                client.config_set(one.setting, bad[one.setting])
                assert await find_risks(working.redis, 0) == [Risk(one, bad[one.setting])]
                client.config_set(one.setting, one.value)


async def test_a_server_that_keeps_its_settings_to_itself_is_a_risk_too(careless: Stack) -> None:
    """As many providers' are."""
    with Redis.from_url(careless.settings.redis_url) as client:
        client.acl_setuser(
            "onsale", enabled=True, nopass=True, keys=["*"], channels=["*"], commands=["+@all"]
        )
        client.execute_command("ACL", "SETUSER", "onsale", "-config")
        url = careless.settings.redis_url.replace("unix://", "unix://onsale:any@", 1)
        async with open_working(replace(careless.settings, redis_url=url)) as working:
            assert [risk.found for risk in await find_risks(working.redis, 0)] == [None] * 3


async def _until_told(logs: list[Any], times: int) -> None:
    for _ in range(1000):
        if len(logs) >= times:
            return
        await asyncio.sleep(0.01)
    pytest.fail("not told")


async def _until_looked(client: Redis) -> None:
    """Wait for a look that begins after this."""

    def asked() -> int:
        told: Any = client.info("commandstats")
        return int(told["cmdstat_config|get"]["calls"])

    enough = asked() + 2 * len(WANTED)
    for _ in range(1000):
        if asked() >= enough:
            return
        await asyncio.sleep(0.01)
    pytest.fail("nobody looks")


async def test_it_is_told_once_when_it_begins_and_not_with_every_look(careless: Stack) -> None:
    """Loud, and no flood."""
    async with open_working(careless.settings) as working:
        with capture_logs() as logs, Redis.from_url(careless.settings.redis_url) as client:
            task = asyncio.create_task(watch_durability(working, look_every_s=0.01))
            for times in (1, 2):
                client.config_set("appendfsync", "everysec")
                await _until_told(logs, times)
                await _until_looked(client)  # and that says nothing
                client.config_set("appendfsync", "always")
                await _until_looked(client)  # and that finds it well
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    assert [(one["log_level"], one["setting"], one["found"]) for one in logs] == [
        ("error", "appendfsync", "everysec")
    ] * 2
    assert _APPENDFSYNC.why in logs[0]["why"]
