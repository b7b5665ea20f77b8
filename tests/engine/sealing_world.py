"""Seals and opens texts, each in a transaction of its own."""

from typing import Final

from engine.platform.database import tenant_transaction
from engine.platform.sealing import Sealer
from tests.engine.ledger_world import World

OLD: Final = b"o" * 32
NEW: Final = b"n" * 32
SECRET: Final = b"s" * 32
PLACE: Final = "buyers.name_sealed"


async def seal(world: World, sealer: Sealer, reseller: int, content: str = "Ada") -> bytes:
    """Seal in a transaction of its own."""
    async with tenant_transaction(world.app, reseller) as connection:
        return await sealer.seal(connection, reseller, PLACE, content)


async def unseal(
    world: World, sealer: Sealer, reseller: int, sealed: bytes, place: str = PLACE
) -> str:
    """Open in a transaction of its own."""
    async with tenant_transaction(world.app, reseller) as connection:
        return await sealer.open(connection, reseller, place, sealed)
