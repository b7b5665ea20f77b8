"""Resellers, as the operator of a cell makes them."""

import structlog
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.platform.ids import new_entity_id
from engine.platform.tables import resellers
from engine.tenancy.keys import IssuedKey, NewKey, add_key

_log = structlog.stdlib.get_logger(__name__)


async def create_reseller(owner: AsyncEngine, region: str, name: str) -> IssuedKey:
    """Make a reseller with a first key. Takes an engine of the owner's role."""
    reseller = new_entity_id()
    async with owner.begin() as connection:
        await connection.execute(insert(resellers).values(id=reseller, name=name))
        issued = await add_key(connection, reseller, region, NewKey(name="first key"))
    _log.info("reseller created", reseller=f"{reseller:016x}", name=name)
    return issued
