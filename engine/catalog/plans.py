"""Seating plans to be looked at: read from the ledger once, and kept as they travel, compressed.

A show's plan never changes, and everybody who opens the show's page asks for it.
"""

import asyncio
import hashlib
import zlib
from collections import OrderedDict
from functools import partial
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Text, cast, select
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.inventory.seating_plan import SeatingPlan, export_plan
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.sharing import SharedReads
from engine.platform.tables import manifests

_KEPT_BYTES_MAX: Final = 64 * 1024 * 1024
"""Compressed: some ninety plans of 60 000 seats."""

_TURN_TIMEOUT_S: Final = 5
_GZIP_WINDOW: Final = 31

_Key = tuple[EntityId, int]


class PackedPlan(Struct, frozen=True):
    """A plan in the format that it came in: JSON, as a gzip stream."""

    digest: str
    """Of the JSON; it changes with any change of it."""
    gzipped: bytes

    def content(self) -> bytes:
        """Return the JSON."""
        return zlib.decompress(self.gzipped, _GZIP_WINDOW)


class PlanBook:
    """The plans that this process has been asked for, the least used forgotten first."""

    def __init__(self, app: AsyncEngine, *, bytes_max: int = _KEPT_BYTES_MAX) -> None:
        """Take the engine to read with, and how many bytes to keep; the last read always stays."""
        self._app = app
        self._bytes_max = bytes_max
        self._known: OrderedDict[_Key, PackedPlan] = OrderedDict()
        self._bytes = 0
        self._reads: SharedReads[_Key, PackedPlan] = SharedReads()
        # A plan of 60 000 seats takes some 50 MB while it is read.
        self._turn = asyncio.Semaphore(1)

    async def plan(self, reseller: EntityId, manifest: int) -> PackedPlan:
        """Return the plan that a reseller's manifest was made from.

        Raises:
            sqlalchemy.exc.NoResultFound: the reseller has no such manifest.
            sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: the ledger failed, or has taken
                too long over others'.
        """
        key = reseller, manifest
        known = self._known.get(key)
        if known is None:
            return await self._reads.get(key, partial(self._read, key))
        self._known.move_to_end(key)
        return known

    async def seating_plan(self, reseller: EntityId, manifest: int) -> SeatingPlan:
        """Return the same as a plan to work with. Raises as `plan`."""
        packed = await self.plan(reseller, manifest)
        async with asyncio.timeout(_TURN_TIMEOUT_S):
            await self._turn.acquire()
        try:
            return await asyncio.to_thread(_unpacked, packed)
        finally:
            self._turn.release()

    async def _read(self, key: _Key) -> PackedPlan:
        known = self._known.get(key)
        if known is not None:
            return known
        reseller, manifest = key
        query = select(cast(manifests.c.plan, Text)).where(manifests.c.id == manifest)
        async with asyncio.timeout(_TURN_TIMEOUT_S):
            await self._turn.acquire()
        try:
            async with tenant_transaction(self._app, reseller) as connection:
                stored: str = (await connection.execute(query)).scalar_one()
            packed = await asyncio.to_thread(_packed, stored)
        finally:
            self._turn.release()
        self._keep(key, packed)
        return packed

    def _keep(self, key: _Key, packed: PackedPlan) -> None:
        self._known[key] = packed
        self._bytes += len(packed.gzipped)
        while self._bytes > self._bytes_max and len(self._known) > 1:
            _, forgotten = self._known.popitem(last=False)
            self._bytes -= len(forgotten.gzipped)


def _unpacked(packed: PackedPlan) -> SeatingPlan:
    return msgspec.json.decode(packed.content(), type=SeatingPlan)


def _packed(stored: str) -> PackedPlan:
    # The database keeps the fields in an order of its own.
    content = export_plan(msgspec.json.decode(stored, type=SeatingPlan))
    compressor = zlib.compressobj(wbits=_GZIP_WINDOW)
    compressed = compressor.compress(content) + compressor.flush()
    return PackedPlan(hashlib.sha256(content).hexdigest()[:32], compressed)
