"""Accounts: a reseller's legal and billing side, sealed, and whether an operator approved it."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.sealing import Sealer
from engine.platform.tables import accounts, resellers, users
from engine.tenancy.door import Door
from engine.tenancy.legal import (
    Legal,
    PayoutAccount,
    PostalAddress,
    Unfit,
    clean_legal,
    legal_faults,
)
from engine.tenancy.principals import Role
from engine.tenancy.users import tell_owners

_account = accounts.c
_reseller = resellers.c

_CHANGED: Final = (
    "The {what} of your account on Onsale was changed. If you know nothing of it, sign in, log "
    "everybody out, and write to us.\n"
)


class Status(StrEnum):
    """How far an operator lets a reseller."""

    PENDING = "pending"
    """Its sandbox works; there are no live keys yet."""
    APPROVED = "approved"
    SUSPENDED = "suspended"
    """None of its credentials works."""


class Account(Struct, frozen=True, kw_only=True):
    """An account, opened."""

    reseller: EntityId
    sandbox: EntityId
    status: Status
    legal: Legal
    created_at: datetime
    changed_at: datetime


class LegalChanges(Struct, frozen=True, kw_only=True):
    """What is to change of it; `UNSET` leaves, `tax_id=None` clears."""

    legal_name: str | UnsetType = UNSET
    address: PostalAddress | UnsetType = UNSET
    country: str | UnsetType = UNSET
    currency: str | UnsetType = UNSET
    tax_id: str | UnsetType | None = UNSET
    payout_account: PayoutAccount | UnsetType = UNSET


class NoAccount(Struct, frozen=True):
    """The reseller has none: it is a sandbox, or an operator made it by hand."""


class LegalUnfit(Struct, frozen=True):
    """The changes would leave what can't be true."""

    faults: list[Unfit]


async def add_account(
    sealer: Sealer,
    connection: AsyncConnection,
    reseller: EntityId,
    sandbox: EntityId,
    legal: Legal,
) -> None:
    """Store an account, in a transaction that sees the live reseller's rows."""
    sealed = await _seal(sealer, connection, reseller, legal)
    await connection.execute(
        insert(accounts).values(reseller_id=reseller, sandbox_id=sandbox, **sealed)
    )


async def find_account(door: Door, reseller: EntityId) -> Account | NoAccount:
    """Return a reseller's account."""
    async with tenant_transaction(door.app, reseller) as connection:
        return await read_account(door.sealer, connection, reseller)


async def change_account(
    door: Door, reseller: EntityId, changes: LegalChanges
) -> Account | NoAccount | LegalUnfit:
    """Change an account; its owners are told by mail where money goes now."""
    async with tenant_transaction(door.app, reseller) as connection:
        # Locked: what fits together is checked of what will be stored.
        locked = select(_account.reseller_id).where(_account.reseller_id == reseller)
        await connection.execute(locked.with_for_update())
        account = await read_account(door.sealer, connection, reseller)
        if isinstance(account, NoAccount):
            return account
        given = {n: v for n, v in structs.asdict(changes).items() if v is not UNSET}
        legal = structs.replace(account.legal, **given)
        faults = legal_faults(legal)
        if faults:
            return LegalUnfit(faults)
        legal = clean_legal(legal)
        sealed = await _seal(door.sealer, connection, reseller, legal)
        await connection.execute(
            update(accounts)
            .where(_account.reseller_id == reseller)
            .values(**sealed, changed_at=func.now())
        )
        if legal.payout_account != account.legal.payout_account:
            await tell_owners(door, connection, reseller, _CHANGED.format(what="payout account"))
        return await read_account(door.sealer, connection, reseller)


async def read_account(
    sealer: Sealer, connection: AsyncConnection, reseller: EntityId
) -> Account | NoAccount:
    """Return a reseller's account, in a transaction that sees its rows."""
    query = (
        select(accounts, _reseller.status)
        .join(resellers, _reseller.id == _account.reseller_id)
        .where(_account.reseller_id == reseller)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return NoAccount()

    async def opened(column: str) -> str:
        sealed: bytes = getattr(row, f"{column}_sealed")
        return await sealer.open(connection, reseller, f"accounts.{column}_sealed", sealed)

    legal = Legal(
        legal_name=await opened("legal_name"),
        address=msgspec.json.decode(await opened("address"), type=PostalAddress),
        country=row.country,
        currency=row.currency,
        tax_id=None if row.tax_id_sealed is None else await opened("tax_id"),
        payout_account=msgspec.json.decode(await opened("payout_account"), type=PayoutAccount),
    )
    return Account(
        reseller=reseller,
        sandbox=EntityId(row.sandbox_id),
        status=Status(row.status),
        legal=legal,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


async def has_owner(connection: AsyncConnection, reseller: EntityId) -> bool:
    """Tell whether a reseller's account has an owner who can sign in."""
    query = select(users.c.id).where(
        users.c.reseller_id == reseller,
        users.c.role == Role.OWNER,
        users.c.confirmed_at.is_not(None),
    )
    return (await connection.execute(query.limit(1))).first() is not None


async def set_status(owner: AsyncEngine, reseller: EntityId, status: Status) -> bool:
    """Approve or suspend a reseller with its sandbox, as the operator; False: there is none.

    Takes an engine of the owner's role. Processes learn of it when their memory of credentials
    runs out.
    """
    async with owner.begin() as connection:
        changed = await connection.execute(
            update(resellers)
            .where(_reseller.id == reseller, _reseller.mode == "live")
            .values(status=status)
        )
        await connection.execute(
            update(resellers).where(_reseller.sandbox_of == reseller).values(status=status)
        )
    return changed.rowcount == 1


async def _seal(
    sealer: Sealer, connection: AsyncConnection, reseller: EntityId, legal: Legal
) -> dict[str, Any]:
    async def sealed(column: str, text: str) -> bytes:
        return await sealer.seal(connection, reseller, f"accounts.{column}_sealed", text)

    tax_id = legal.tax_id
    return {
        "legal_name_sealed": await sealed("legal_name", legal.legal_name),
        "address_sealed": await sealed("address", msgspec.json.encode(legal.address).decode()),
        "country": legal.country,
        "currency": legal.currency,
        "tax_id_sealed": None if tax_id is None else await sealed("tax_id", tax_id),
        "payout_account_sealed": await sealed(
            "payout_account", msgspec.json.encode(legal.payout_account).decode()
        ),
    }
