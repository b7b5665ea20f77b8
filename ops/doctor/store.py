"""What the doctor looks at in Redis or Valkey."""

import time
from collections.abc import Iterator, Mapping
from typing import Final, cast
from urllib.parse import unquote, urlsplit

from msgspec import Struct
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from engine.inventory.durability import Risk, Wanted, judge_replicas, judge_writes, wanted_with
from engine.platform.redis_cluster_map import SLOTS, View, read_view
from engine.platform.redis_cluster_url import is_cluster_url, parse_cluster_url
from ops.doctor.findings import Finding, doubtful, fine, judge_version, wrong

_TIMEOUT_S: Final = 3
_MEMORY_WARN_SHARE: Final = 0.8


class Clock:
    """A server's clock as seen from here."""

    def __init__(self, name: str, ahead_s: float, uncertain_s: float) -> None:
        """Note how far it is ahead of ours, give or take half a round trip."""
        self.name = name
        self.ahead_s = ahead_s
        self.uncertain_s = uncertain_s


class Server(Struct, frozen=True):
    """A server of the inventory store."""

    url: str
    node: str = ""
    """Its address, if it is a cluster's."""
    has_shows: bool = True
    """A replica has none."""


def store_servers(url: str) -> list[Server]:
    """Return the inventory store's servers: of a cluster, all that it has, those too that are away.

    If none of those that the URL names tells, they are all that is known.
    """
    if not is_cluster_url(url):
        return [Server(url)]
    cluster = parse_cluster_url(url)
    for seed in cluster.seeds:
        with connect(cluster.of(seed)) as client:
            try:
                view = cast("View", client.execute_command("CLUSTER NODES"))
            except (RedisError, OSError):
                continue
        claims, nodes = read_view(view, seed)
        primaries = {claim.address for claim in claims}
        return [Server(cluster.of(one), str(one), one in primaries) for one in sorted(nodes)]
    return [Server(cluster.of(seed), str(seed)) for seed in cluster.seeds]


def store_urls(url: str) -> list[str]:
    """Return the URLs of the inventory store's servers."""
    return [server.url for server in store_servers(url)]


def examine_store(server: Server, replicas: int) -> Iterator[Finding | Clock]:
    """Look at a server of the inventory store, whose primaries have so many replicas.

    The last thing yielded is its clock, if it could be reached.
    """
    url = server.url
    with connect(url) as client:
        try:
            info = cast("Mapping[str, object]", client.info())
        except (RedisError, OSError) as error:
            yield unreachable("inventory store", url, error)
            return
        yield fine("inventory store", f"{place(url)} answers")
        if info.get("cluster_enabled") == 1:
            yield _judge_cluster(client, url)
        yield _judge_product(info)
        wanted = wanted_with(replicas, in_cluster=bool(server.node))
        yield from _examine_settings(client, wanted)
        if server.has_shows:
            yield _tell(
                judge_replicas(info, replicas),
                fine("replicas", f"{replicas} in sync" if replicas else "none"),
            )
            if server.node:
                yield _examine_writes(client, info)
        yield from _examine_state(info)
        yield _read_clock(client)


def examine_queue(url: str) -> Finding:
    """Look at the server that ARQ uses, if it is another one."""
    with connect(url) as client:
        try:
            info = cast("Mapping[str, object]", client.info())
        except (RedisError, OSError) as error:
            return unreachable("queue server", url, error)
    if info.get("cluster_enabled") == 1:
        return wrong(
            "queue server",
            f"{place(url)} is a cluster",
            "set ONSALE_QUEUE_REDIS_URL to a plain server: ARQ does not work on a cluster",
        )
    return fine("queue server", f"{place(url)} answers")


def connect(url: str) -> Redis:
    """Return a client that waits three seconds at most."""
    return Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
    )


def unreachable(subject: str, url: str, error: Exception) -> Finding:
    """Return the finding that a server does not answer."""
    return wrong(
        subject,
        f"{place(url)} can't be reached: {error}",
        "start it, or mend its URL (docs/SETTINGS.md); the one that Onsale brings: ./onsale up",
    )


def place(url: str) -> str:
    """Return a URL without its password."""
    parts = urlsplit(url)
    query = f"?{unquote(parts.query)}" if parts.query else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{query}"


def _judge_cluster(client: Redis, url: str) -> Finding:
    info = cast("Mapping[str, str]", client.execute_command("CLUSTER INFO"))
    served, state = info["cluster_slots_ok"], info["cluster_state"]
    told = f"{place(url)} is in a cluster that is {state}, with {served} of {SLOTS} slots served"
    if state == "ok" and served == str(SLOTS):
        return fine("cluster", told)
    return wrong("cluster", told, "look at CLUSTER NODES: a primary without a replica is away")


def _judge_product(info: Mapping[str, object]) -> Finding:
    # Valkey also says which Redis it is compatible with.
    if "valkey_version" in info:
        return judge_version("Valkey", str(info["valkey_version"]))
    return judge_version("Redis", str(info["redis_version"]))


def _examine_writes(client: Redis, info: Mapping[str, object]) -> Finding:
    setting = "min-replicas-to-write"
    try:
        least = cast("Mapping[str, str]", client.config_get(setting)).get(setting, "")
    except ResponseError:
        return doubtful(setting, "the server does not tell", "look it up at your provider")
    return _tell(judge_writes(info, least), fine(setting, least))


def _tell(risk: Risk | None, well: Finding) -> Finding:
    if risk is None:
        return well
    wanted = risk.wanted
    seen = f"{risk.found} instead of {wanted.value}"
    return wrong(wanted.setting, seen, f"{wanted.remedy()}; {wanted.why}")


def _examine_settings(client: Redis, settings: tuple[Wanted, ...]) -> Iterator[Finding]:
    for one in settings:
        setting, wanted, why = one.setting, one.value, one.why
        try:
            found = cast("Mapping[str, str]", client.config_get(setting)).get(setting, "")
        except ResponseError:
            yield doubtful(
                setting,
                "the server does not tell",
                f"look it up at your provider: it must be {wanted}; {why}",
            )
            continue
        if one.is_met_by(found):
            yield fine(setting, found)
        else:
            yield wrong(
                setting,
                found or "not set",
                f"{one.remedy()}; {why}",
            )


def _examine_state(info: Mapping[str, object]) -> Iterator[Finding]:
    if info.get("aof_last_write_status", "ok") != "ok":
        yield wrong("append-only file", "the last write failed", "look at its disk and its log")
    limit = int(str(info.get("maxmemory", 0)))
    used = int(str(info.get("used_memory", 0)))
    if limit and used > limit * _MEMORY_WARN_SHARE:
        yield doubtful(
            "memory",
            f"{used:,} of {limit:,} bytes",
            "raise maxmemory: a full server refuses new holds",
        )


def _read_clock(client: Redis) -> Clock:
    before = time.time()
    seconds, microseconds = cast("tuple[int, int]", client.time())
    after = time.time()
    ahead = seconds + microseconds / 1_000_000 - (before + after) / 2
    return Clock("inventory store", ahead, (after - before) / 2)
