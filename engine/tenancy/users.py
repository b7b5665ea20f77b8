"""Users: the people who act for a reseller's account, each with a role.

Nobody gives, takes or ends what they don't have themselves: changing or removing somebody needs
every scope of that somebody's role. An account's last owner stays one.
"""

from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId
from engine.platform.tables import users
from engine.tenancy.door import Door
from engine.tenancy.mails import MailKind, NewMail, write_mail
from engine.tenancy.names import clean_name
from engine.tenancy.principals import SCOPES_OF_ROLE, Role, Scope
from engine.tenancy.sessions import end_sessions

NAME_PLACE: Final = "users.name_sealed"
ADDRESS_PLACE: Final = "users.email_sealed"

_user = users.c


class User(Struct, frozen=True, kw_only=True):
    """Somebody who may act for an account."""

    id: EntityId
    name: str
    email: str
    role: Role
    is_confirmed: bool
    """Whether they have shown that the address is theirs; before that they can't sign in."""
    has_second_factor: bool
    created_at: datetime


class UnknownUser(Struct, frozen=True):
    """The account has no such user."""


class LastOwner(Struct, frozen=True):
    """The account would be left without an owner who can sign in."""


class RoleExceeds(Struct, frozen=True):
    """The role, or the user's, has scopes that who asks lacks."""

    scopes: frozenset[Scope]


class Removed(Struct, frozen=True):
    """They are no user any more; what said who they were is gone."""


class LoggedOut(Struct, frozen=True):
    """Their sessions, and what else was given to them till now, are over."""


async def list_users(
    door: Door, reseller: EntityId, *, after: EntityId | None, limit: int
) -> list[User]:
    """Return an account's users by id, from behind the user `after`."""
    query = _present(select(users)).order_by(_user.id).limit(limit)
    if after is not None:
        query = query.where(_user.id > after)
    async with tenant_transaction(door.app, reseller) as connection:
        rows = (await connection.execute(query)).all()
        return [await _open(door, connection, row) for row in rows]


async def find_user(door: Door, reseller: EntityId, user: EntityId) -> User | UnknownUser:
    """Return one of an account's users."""
    async with tenant_transaction(door.app, reseller) as connection:
        return await read_user(door, connection, user)


async def read_user(door: Door, connection: AsyncConnection, user: EntityId) -> User | UnknownUser:
    """Return a user, in a transaction that sees their account's rows."""
    row = (await connection.execute(_present(select(users)).where(_user.id == user))).one_or_none()
    return UnknownUser() if row is None else await _open(door, connection, row)


async def change_role(
    door: Door, reseller: EntityId, user: EntityId, role: Role, *, held: AbstractSet[Scope]
) -> User | UnknownUser | LastOwner | RoleExceeds:
    """Give a user another role. What was given to them for the old one ends.

    `held` are the scopes of who asks.
    """
    async with tenant_transaction(door.app, reseller) as connection:
        refused = await _refusal(connection, user, {role}, held, stays=role is Role.OWNER)
        if refused is not None:
            return refused
        changed = await connection.execute(
            update(users).where(_user.id == user, _user.role != role).values(role=role)
        )
        if changed.rowcount:
            await end_sessions(connection, user)
        return await read_user(door, connection, user)


async def remove_user(
    door: Door, reseller: EntityId, user: EntityId, *, held: AbstractSet[Scope]
) -> Removed | UnknownUser | LastOwner | RoleExceeds:
    """Remove a user, and all that says who they were; their id stays, for what they did."""
    async with tenant_transaction(door.app, reseller) as connection:
        refused = await _refusal(connection, user, set(), held, stays=False)
        if refused is not None:
            return refused
        await end_sessions(connection, user)
        gone: dict[str, Any] = {
            "removed_at": func.now(),
            "confirmed_at": None,
            "recovery_digests": [],
            **dict.fromkeys(
                (
                    *("name_sealed", "email_sealed", "email_digest", "password_hash"),
                    *("totp_sealed", "totp_confirmed_at"),
                )
            ),
        }
        await connection.execute(update(users).where(_user.id == user).values(**gone))
        return Removed()


async def log_out_user(
    door: Door, reseller: EntityId, user: EntityId, *, held: AbstractSet[Scope]
) -> LoggedOut | UnknownUser | RoleExceeds:
    """End a user's sessions and tokens everywhere."""
    async with tenant_transaction(door.app, reseller) as connection:
        refused = await _refusal(connection, user, set(), held, stays=True)
        if isinstance(refused, UnknownUser | RoleExceeds):
            return refused
        await end_sessions(connection, user)
        return LoggedOut()


async def tell_owners(
    door: Door, connection: AsyncConnection, reseller: EntityId, text: str
) -> None:
    """Write to all owners of an account, in a transaction that sees its rows."""
    query = _present(select(users)).where(_user.role == Role.OWNER, _user.confirmed_at.is_not(None))
    for row in (await connection.execute(query)).all():
        owner = await _open(door, connection, row)
        await write_mail(
            door.sealer, connection, reseller, NewMail(MailKind.CHANGED, owner.email, text)
        )


async def seal_person(
    door: Door, connection: AsyncConnection, reseller: EntityId, name: str, email: str
) -> dict[str, Any]:
    """Return the columns that say who a user is."""
    sealer = door.sealer
    return {
        "name_sealed": await sealer.seal(connection, reseller, NAME_PLACE, clean_name(name)),
        "email_sealed": await sealer.seal(connection, reseller, ADDRESS_PLACE, email),
        "email_digest": door.digest_email(email),
    }


def missing_scopes(role: Role, held: AbstractSet[Scope]) -> frozenset[Scope]:
    """Return what somebody lacks to give or take a role."""
    return SCOPES_OF_ROLE[role] - held


async def _refusal(
    connection: AsyncConnection,
    user: EntityId,
    roles: set[Role],
    held: AbstractSet[Scope],
    *,
    stays: bool,
) -> UnknownUser | LastOwner | RoleExceeds | None:
    """Tell why a user can't be changed; `stays`: as an owner, if they are one."""
    # All owners are locked, in one order: of two who go at the same time the second sees one less.
    owners = _present(select(_user.id)).where(
        _user.role == Role.OWNER, _user.confirmed_at.is_not(None)
    )
    rows = await connection.execute(owners.order_by(_user.id).with_for_update())
    listed = set(rows.scalars())
    query = _present(select(_user.role)).where(_user.id == user).with_for_update()
    role = (await connection.execute(query)).scalar_one_or_none()
    if role is None:
        return UnknownUser()
    missing = frozenset[Scope]().union(*(missing_scopes(r, held) for r in {*roles, Role(role)}))
    if missing:
        return RoleExceeds(missing)
    if not stays and role == Role.OWNER and not listed - {user}:
        return LastOwner()
    return None


def _present(query: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return query.where(_user.removed_at.is_(None))


async def _open(door: Door, connection: AsyncConnection, row: Any) -> User:  # noqa: ANN401 - a row
    sealer, reseller = door.sealer, row.reseller_id
    return User(
        id=EntityId(row.id),
        name=await sealer.open(connection, reseller, NAME_PLACE, row.name_sealed),
        email=await sealer.open(connection, reseller, ADDRESS_PLACE, row.email_sealed),
        role=Role(row.role),
        is_confirmed=row.confirmed_at is not None,
        has_second_factor=row.totp_confirmed_at is not None,
        created_at=row.created_at,
    )
