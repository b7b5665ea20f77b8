"""What the inventory store must be set to, so that nothing that was answered can be lost."""

from collections.abc import Mapping
from typing import Any, Final, cast

from msgspec import Struct
from redis.exceptions import ResponseError

from engine.platform.redis import Store
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


class Risk(Struct, frozen=True):
    """A setting that is not as wanted."""

    wanted: Wanted
    found: str | None
    """None: the server does not tell."""


def wanted_with(replicas: int | None) -> tuple[Wanted, ...]:
    """Return what a server must be set to that has so many replicas; None: a cluster's node.

    A primary that its cluster has replaced stops by itself.
    """
    return WANTED_WITH_REPLICAS if replicas else WANTED


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
    following = sum(_follows(info.get(f"slave{n}")) for n in range(connected))
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


async def find_risks(redis: Store, replicas: int | None) -> list[Risk]:
    """Return what may lose what was answered, of a store with so many replicas.

    None stands for a cluster, whose replicas are not counted.

    Raises:
        redis.RedisError, OSError: the store can't be asked.
    """
    risks: list[Risk] = []
    for wanted in wanted_with(replicas):
        try:
            found = (await redis.config_get(wanted.setting)).get(wanted.setting)
        except ResponseError:  # as with providers that keep the command to themselves
            found = None
        if found is None or not wanted.is_met_by(found):
            risks.append(Risk(wanted, found))
    if replicas is None:
        return risks
    pipeline = redis.pipeline(transaction=False)
    pipeline.info("replication")
    [info] = await pipeline.execute(raise_on_error=True)
    risk = judge_replicas(info, replicas)
    return [*risks, risk] if risk else risks


def _follows(replica: object) -> bool:
    """Tell whether a replica receives all that is written, and was heard of lately."""
    if not isinstance(replica, dict):
        return False
    line = cast("dict[str, Any]", replica)
    return line.get("state") == "online" and int(line.get("lag", LAG_MAX_S + 1)) <= LAG_MAX_S
