"""What the inventory store must be set to, so that nothing that was answered can be lost."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, cast

from msgspec import Struct, structs
from redis.exceptions import RedisError, ResponseError

from engine.platform.redis import Member, OneServer, Store
from engine.platform.settings import variable

LAG_MAX_S: Final = 10
"""A replica that was not heard of for longer does not follow."""


class Wanted(Struct, frozen=True):
    """A setting of the server, and what it is good for."""

    setting: str
    value: str
    why: str
    at_least: bool = False
    """Whether more will do."""
    way_out: str = ""
    """How to come to it; empty: by `CONFIG SET`."""

    def is_met_by(self, found: str) -> bool:
        """Tell whether a server that is set so will do."""
        if self.at_least and found.isdigit():
            return int(found) >= int(self.value)
        return found == self.value

    def remedy(self) -> str:
        """Return what to do where it is not so."""
        by_setting = f"CONFIG SET {self.setting} {self.value}, and in the server's configuration"
        return self.way_out or by_setting


WANTED: Final = (
    Wanted(
        "appendonly",
        "yes",
        "without it a restart loses every hold, and sales that were not yet recorded",
    ),
    Wanted(
        "appendfsync",
        "always",
        "else a crash loses purchases of its last second that were answered already",
    ),
    Wanted(
        "maxmemory-policy",
        "noeviction",
        "else a full server throws shows away instead of refusing new holds",
    ),
)
WANTED_WITH_REPLICAS: Final = (
    *WANTED,
    Wanted(
        "min-replicas-to-write",
        "1",
        "else a primary that has been replaced goes on holding seats where nobody follows it",
        at_least=True,
    ),
    Wanted(
        "min-replicas-max-lag",
        "1",
        "else min-replicas-to-write has no effect",
        at_least=True,
    ),
)


ANSWERS: Final = Wanted(
    "node",
    "an answer",
    "without a primary its shows are not sold, without a replica that one must not be lost",
    way_out="start it, or look at its log; CLUSTER FORGET if it is gone for good",
)


class Risk(Struct, frozen=True):
    """A setting that is not as wanted."""

    wanted: Wanted
    found: str | None
    """None: the server does not tell."""
    server: str = ""
    """Which node of a cluster; one server alone has no name."""


def wanted_with(replicas: int, *, in_cluster: bool) -> tuple[Wanted, ...]:
    """Return what a server must be set to that has so many replicas.

    A primary that its cluster has replaced stops by itself, also if none follows it.
    """
    return WANTED_WITH_REPLICAS if replicas and not in_cluster else WANTED


def judge_writes(info: Mapping[str, Any], least: str) -> Risk | None:
    """Compare what follows a primary with `min-replicas-to-write`, as it is set there."""
    following = _following(info)
    if not least.isdigit() or int(least) <= following:
        return None
    return Risk(
        Wanted(
            "min-replicas-to-write",
            str(following),
            "it refuses every write until more follow",
            way_out="start what is missing, or look at its log",
        ),
        least,
    )


def judge_replicas(info: Mapping[str, Any], replicas: int) -> Risk | None:
    """Compare what `INFO replication` says with how many replicas a purchase waits for."""
    connected = int(info.get("connected_slaves", 0))
    if connected > replicas:
        return Risk(
            Wanted(
                "connected replicas",
                str(replicas),
                "one that is not waited for loses purchases if it is promoted",
                way_out=f"set {variable('redis_replicas')}={connected}, or keep the others from "
                "being promoted",
            ),
            str(connected),
        )
    following = _following(info)
    if following < replicas:
        return Risk(
            Wanted(
                "replicas in sync",
                str(replicas),
                "until they are, each purchase waits for its row in the ledger",
                way_out="start what is missing, or look at its log; if it is gone for good, set "
                f"{variable('redis_replicas')}={following}",
            ),
            str(following),
        )
    return None


async def find_risks(redis: Store, replicas: int, *, in_cluster: bool = False) -> list[Risk]:
    """Return what may lose what was answered, of a store whose primaries have so many replicas.

    Raises:
        redis.RedisError, OSError: the store can't be asked; of a cluster, none of its nodes.
    """
    servers = await redis.servers()
    looks = (
        _find_on(name, member, replicas, in_cluster=in_cluster) for name, member in servers.items()
    )
    return [risk for risks in await asyncio.gather(*looks) for risk in risks]


async def _find_on(name: str, member: Member, replicas: int, *, in_cluster: bool) -> list[Risk]:
    try:
        found = await _judge(member, replicas, in_cluster=in_cluster)
    except (RedisError, OSError, TimeoutError):
        if not in_cluster:
            raise
        found = [Risk(ANSWERS, "none")]
    return [structs.replace(risk, server=name) for risk in found]


async def _judge(member: Member, replicas: int, *, in_cluster: bool) -> list[Risk]:
    risks: list[Risk] = []
    for wanted in wanted_with(replicas, in_cluster=in_cluster):
        found = await _setting(member.server, wanted.setting)
        if found is None or not wanted.is_met_by(found):
            risks.append(Risk(wanted, found))
    if member.has_shows:
        pipeline = member.server.pipeline(transaction=False)
        pipeline.info("replication")
        [info] = await pipeline.execute(raise_on_error=True)
        judged = [judge_replicas(info, replicas)]
        if in_cluster:
            least = await _setting(member.server, "min-replicas-to-write")
            judged.append(judge_writes(info, least or ""))
        risks += [risk for risk in judged if risk is not None]
    return risks


async def _setting(server: OneServer, name: str) -> str | None:
    try:
        return (await server.config_get(name)).get(name)
    except ResponseError:  # as with providers that keep the command to themselves
        return None


def _following(info: Mapping[str, Any]) -> int:
    """Return how many replicas follow a primary, of those that are connected."""
    connected = int(info.get("connected_slaves", 0))
    return sum(_follows(info.get(f"slave{n}")) for n in range(connected))


def _follows(replica: object) -> bool:
    """Tell whether a replica receives all that is written, and was heard of lately."""
    if not isinstance(replica, dict):
        return False
    line = cast("dict[str, Any]", replica)
    return line.get("state") == "online" and int(line.get("lag", LAG_MAX_S + 1)) <= LAG_MAX_S
