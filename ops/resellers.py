"""What the operator of a cell does about resellers: make, list, approve, suspend, read mails."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime

from msgspec import Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.platform.database import create_engine
from engine.platform.ids import EntityId
from engine.platform.sealing import Sealer
from engine.platform.settings import OWNER_ROLE, Settings
from engine.platform.tables import resellers
from engine.tenancy.accounts import NoAccount, Status, has_owner, read_account, set_status
from engine.tenancy.keys import IssuedKey
from engine.tenancy.mails import Mail, read_mails
from engine.tenancy.resellers import create_reseller

_LISTED_MAX = 1000


class ListedReseller(Struct, frozen=True, kw_only=True):
    """A live reseller, as its operator sees it."""

    reseller: EntityId
    name: str
    status: Status
    country: str | None
    has_owner: bool
    """Whether an owner has shown that their address is theirs; who has no account has none."""
    created_at: datetime


async def make_reseller(settings: Settings, name: str) -> IssuedKey:
    """Make a reseller and return its first key, which is stored nowhere.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    async with _as_owner(settings) as owner:
        return await create_reseller(owner, settings.region, name)


async def list_resellers(settings: Settings, status: Status | None) -> list[ListedReseller]:
    """Return live resellers with what they are called, the newest first. Raises as before."""
    query = select(resellers).where(resellers.c.mode == "live")
    if status is not None:
        query = query.where(resellers.c.status == status)
    query = query.order_by(resellers.c.created_at.desc()).limit(_LISTED_MAX)
    sealer = _sealer(settings)
    async with _as_owner(settings) as owner, owner.begin() as connection:
        listed: list[ListedReseller] = []
        for row in (await connection.execute(query)).all():
            account = await read_account(sealer, connection, EntityId(row.id))
            known = None if isinstance(account, NoAccount) else account.legal
            listed.append(
                ListedReseller(
                    reseller=EntityId(row.id),
                    name=row.name if known is None else known.legal_name,
                    status=Status(row.status),
                    country=None if known is None else known.country,
                    has_owner=await has_owner(connection, EntityId(row.id)),
                    created_at=row.created_at,
                )
            )
        return listed


async def change_status(settings: Settings, reseller: EntityId, status: Status) -> bool:
    """Approve or suspend a live reseller, and its sandbox; False: there is none. Raises as before.

    The processes learn of it within 30 s.
    """
    async with _as_owner(settings) as owner:
        return await set_status(owner, reseller, status)


async def list_mails(settings: Settings, limit: int) -> list[Mail]:
    """Return the newest mails that are still to be sent. Raises as before."""
    async with _as_owner(settings) as owner, owner.begin() as connection:
        return await read_mails(_sealer(settings), connection, limit=limit)


def _sealer(settings: Settings) -> Sealer:
    return Sealer(settings.list_sealing_keys(), settings.secret.encode())


@asynccontextmanager
async def _as_owner(settings: Settings) -> AsyncGenerator[AsyncEngine]:
    owner = create_engine(settings, OWNER_ROLE)
    try:
        yield owner
    finally:
        await owner.dispose()
