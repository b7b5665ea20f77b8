"""Which node of a cluster has which slot: asked of several nodes, the newest claim wins.

A node that was cut off may go on believing that it owns what others have taken over. So a look
asks all nodes, waits for more than half of them, and decides as the nodes do among themselves: of
two that claim a slot, the one with the higher configuration epoch has it.
(https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/)
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

import structlog
from msgspec import Struct
from redis.crc import key_slot
from redis.exceptions import RedisError

from engine.platform.redis_cluster_url import Address, parse_address

SLOTS: Final = 16_384

_OLD_AFTER_S: Final = 0.5
_LOOK_S_MAX: Final = 1.0
_LOOK_PAUSE_S: Final = 0.02

_log = structlog.get_logger(__name__)

View = Mapping[str, Mapping[str, Any]]
"""What a node answers to CLUSTER NODES, as the client reads it: by address."""
Ask = Callable[[Address], Awaitable[View]]


class SlotUnavailableError(RedisError):
    """No node of the cluster could be found to take a command; it was not executed."""


class Claim(Struct, frozen=True, order=True):
    """A primary's claim to its slots."""

    epoch: int
    address: Address
    slots: tuple[tuple[int, int], ...]


def slot_of(name: str | bytes) -> int:
    """Return the slot of a key or of a sharded channel."""
    return key_slot(name.encode() if isinstance(name, str) else name)


def read_view(view: View, asked: Address) -> tuple[list[Claim], set[Address]]:
    """Return what a node says of primaries with slots, and every node that it knows."""
    claims: list[Claim] = []
    nodes: set[Address] = set()
    for text, node in view.items():
        flags = str(node["flags"]).split(",")
        if "noaddr" in flags or "handshake" in flags:
            continue
        # A node that was never addressed from outside does not know its own host.
        address = parse_address(f"{asked.host}{text}" if text.startswith(":") else text)
        nodes.add(address)
        slots = tuple((int(part[0]), int(part[-1])) for part in node["slots"])
        if slots and "master" in flags:
            claims.append(Claim(int(node["epoch"]), address, slots))
    return claims, nodes


class ClusterMap:
    """The owners of the slots, looked at anew when they are in doubt, or half a second old."""

    def __init__(self, seeds: Collection[Address], ask: Ask) -> None:
        """Take the nodes to ask first and how to ask one; nothing is asked yet."""
        self._seeds = tuple(seeds)
        self._ask = ask
        self._owners: list[Address | None] = [None] * SLOTS
        self._suspects: set[Address] = set()
        self._looked_at = float("-inf")
        self._looking: asyncio.Task[None] | None = None
        self._asked: dict[Address, asyncio.Task[View]] = {}
        self.primaries: frozenset[Address] = frozenset()
        """Those with slots."""
        self.nodes: frozenset[Address] = frozenset(seeds)
        self.is_answered = False
        """Whether any node answered at the last look."""

    async def owner(self, slot: int) -> Address:
        """Return who has a slot; look first if that is unknown or whoever had it failed.

        Raises:
            SlotUnavailableError: nobody has it, as far as is known.
        """
        owner = self._owners[slot]
        if owner is None or owner in self._suspects:
            await self.look()
            owner = self._owners[slot]
        else:
            self.touch()
        if owner is None:
            msg = f"no node of the cluster has slot {slot}"
            raise SlotUnavailableError(msg)
        return owner

    def touch(self) -> None:
        """See to it that what is known is not much older than that."""
        if time.monotonic() - self._looked_at > _OLD_AFTER_S:
            self._begin()

    async def look(self) -> None:
        """Ask the nodes now, unless it was done this very moment; shared by all who want it."""
        if time.monotonic() - self._looked_at > _LOOK_PAUSE_S:
            await asyncio.shield(self._begin())

    def moved(self, slot: int, owner: Address) -> None:
        """Note what a node said of a slot; the others are looked at soon."""
        self._owners[slot] = owner
        self._begin()

    def suspect(self, address: Address) -> None:
        """Note that a node did not answer: look before it is used again."""
        self._suspects.add(address)

    def preferred(self) -> list[Address]:
        """Return the nodes that can be asked for what any has, those that answer first."""
        return sorted(
            self.primaries or self.nodes,
            key=lambda one: (one in self._suspects, one in self._asked),
        )

    async def close(self) -> None:
        """Ask no more."""
        tasks: list[asyncio.Task[Any]] = [*self._asked.values()]
        if self._looking is not None:
            tasks.append(self._looking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self) -> asyncio.Task[None]:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        return self._looking

    async def _look(self) -> None:
        suspects, self._suspects = self._suspects, set()
        views = await self._views(self.nodes)
        if not views:
            views = await self._views(self._seeds)
        self._looked_at = time.monotonic()
        self.is_answered = bool(views)
        if not views:
            self._suspects |= suspects
            _log.warning("no node of the cluster answers")
            return
        self._learn(views)

    async def _views(self, nodes: Collection[Address]) -> dict[Address, View]:
        """Ask nodes; return what more than half of them say, or as many as answer in time."""
        asked = {address: self._question(address) for address in nodes}
        pending = set(asked.values())
        enough = len(asked) // 2 + 1
        deadline = time.monotonic() + _LOOK_S_MAX
        while pending:
            left_s = deadline - time.monotonic()
            _, pending = await asyncio.wait(
                pending, timeout=max(left_s, 0), return_when=asyncio.FIRST_COMPLETED
            )
            answered = sum(_has_answered(task) for task in asked.values())
            if left_s <= 0 or answered >= enough:
                break
        return {address: task.result() for address, task in asked.items() if _has_answered(task)}

    def _question(self, address: Address) -> asyncio.Task[View]:
        """Ask a node, or wait for what it is being asked: one that hangs is asked once."""
        task = self._asked.get(address)
        if task is None:

            async def ask() -> View:
                return await self._ask(address)

            def forget(done: asyncio.Task[View]) -> None:
                del self._asked[address]
                if not done.cancelled():
                    done.exception()  # told by the absence of an answer

            task = self._asked[address] = asyncio.create_task(ask())
            task.add_done_callback(forget)
        return task

    def _learn(self, views: Mapping[Address, View]) -> None:
        claims: list[Claim] = []
        nodes: set[Address] = set()
        for asked, view in views.items():
            found, known = read_view(view, asked)
            claims += found
            nodes |= known
        owners: list[Address | None] = [None] * SLOTS
        for claim in sorted(claims):
            for first, last in claim.slots:
                owners[first : last + 1] = [claim.address] * (last - first + 1)
        before, self.primaries = (
            self.primaries,
            frozenset(one for one in set(owners) if one is not None),
        )
        self._owners, self.nodes = owners, frozenset(nodes)
        if before != self.primaries:
            _log.info("primaries of the cluster", nodes=sorted(map(str, self.primaries)))


def _has_answered(task: asyncio.Task[View]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None
