"""Facts that no sale wrote, put into a show's stream: the ledger must take none of them.

They stand for what a mistake further up would do, and show that the last fences hold by themselves.
A forged hold's id begins with a mark, so that what is told of it can be known as such.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from loadtests.torture.faults import FAULTS, Strike, Struck
from loadtests.torture.ground import Ground

MARK: Final = b"forged--"
"""What a forged hold's id begins with; the other half is dice."""

_FACTS_LOOKED_AT: Final = 50
_PATIENCE_S: Final = 5.0
_PAUSE_S: Final = 0.005
_TIMEOUT_S: Final = 5.0
_SEATS, _AREAS, _SOLD_AT, _KEY = 2, 3, 5, 6
"""Places in a fact; see `lua/batch.lua`."""
_OPEN: Final = ord("o")
_SOLD: Final = ord("s")


async def forge_sale(ground: Ground, dice: random.Random) -> Struck:
    """Sell some seats that were just sold a second time, under the show's own epoch."""
    began = time.monotonic_ns()
    async with _connected(ground) as redis:
        sales = await _busiest(redis)
        entries = await _newest_facts(redis, sales) if sales else []
        forged = 0
        show = (sales or "").removesuffix("sales")
        seats: bytes = await redis.get(show + "seats") or b""
        epoch = cast("bytes | None", await redis.execute_command("HGET", show + "meta", "epoch"))
        # Not one that is given back, or about to be, as the newest are: a second sale of it would
        # clash with nothing.
        for _, fact in reversed(entries):
            wanted: list[int] = fact[_SEATS]
            if wanted and all(seats[seat] == _SOLD for seat in wanted):
                await redis.xadd(sales or "", _forged(fact, dice), id=(epoch or b"0") + b"-*")
                forged += 1
                break
    return _struck("forge-sale", began, f"{forged} sales forged")


async def forge_old_sale(ground: Ground, dice: random.Random) -> Struck:
    """Let a sale of an epoch turn up that is over, and have the show recovered once more.

    As when a server comes back that had been given up. The seat that it is about is open.
    """
    began = time.monotonic_ns()
    async with _connected(ground) as redis:
        sales = await _busiest(redis)
        entries = await _newest_facts(redis, sales) if sales else []
    await FAULTS["kill-valkey"](ground, dice)
    says = "nothing was sold yet"
    if sales and entries:
        async with _connected(ground) as redis:
            says = await _add_late(redis, sales, entries[0], dice)
        await FAULTS["kill-valkey"](ground, dice)
    return _struck("forge-old-sale", began, says)


async def _add_late(
    redis: Redis, sales: str, entry: tuple[bytes, list[Any]], dice: random.Random
) -> str:
    at, fact = entry
    old, show = int(at.partition(b"-")[0]), sales.removesuffix("sales")
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:
        state, epoch = cast(
            "list[bytes | None]",
            await redis.execute_command("HMGET", show + "meta", "state", "epoch"),
        )
        if state == b"open" and int(epoch or 0) > old:
            open_seats = [
                n for n, one in enumerate(await redis.get(show + "seats")) if one == _OPEN
            ]
            if not open_seats:
                return "no seat is open"
            changed = [*fact]
            changed[_SEATS], changed[_AREAS] = [dice.choice(open_seats)], []
            try:
                await redis.xadd(sales, _forged(changed, dice), id=f"{old}-*")
            except ResponseError as error:
                return f"a newer sale was quicker: {error}"
            return f"a sale of epoch {old} turned up in epoch {int(epoch or 0)}"
        await asyncio.sleep(_PAUSE_S)
    return "the show did not open in time"


def _connected(ground: Ground) -> Redis:
    return Redis.from_url(ground.settings.redis_url, socket_timeout=_TIMEOUT_S)


async def _busiest(redis: Redis) -> str | None:
    """Return the stream of the show that sold last."""
    newest: tuple[int, str] | None = None
    names = cast("AsyncIterator[bytes]", redis.scan_iter(match="*:sales", count=1000))
    async for name in names:
        for _, fact in await _newest_facts(redis, name.decode(), count=1):
            newest = max(newest or (0, ""), (fact[_SOLD_AT], name.decode()))
    return newest[1] if newest else None


async def _newest_facts(
    redis: Redis, sales: str, count: int = _FACTS_LOOKED_AT
) -> list[tuple[bytes, list[Any]]]:
    entries = await redis.xrevrange(sales, count=count)
    return [(at, msgspec.msgpack.decode(fields[b"f"])) for at, fields in entries]


def _forged(fact: list[Any], dice: random.Random) -> Any:  # noqa: ANN401 -- redis-py wants its own union
    changed = [*fact]
    changed[_KEY] = f"forged-{dice.getrandbits(64):x}"
    return {b"h": MARK + dice.randbytes(8), b"f": msgspec.msgpack.encode(changed)}


def _struck(kind: str, began: int, details: str) -> Struck:
    return Struck(kind=kind, at_ns=began, until_ns=time.monotonic_ns(), details=details)


FORGERIES: Final[dict[str, Strike]] = {
    "forge-sale": forge_sale,
    "forge-old-sale": forge_old_sale,
}
"""Beside the faults, and struck only where they are asked for."""
