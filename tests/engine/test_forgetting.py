"""What is over of accounts is forgotten, and nothing else of them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Column, Table, func, insert, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.ids import new_entity_id
from engine.platform.tables import (
    ended_tokens,
    invitations,
    mailed_tokens,
    oauth_clients,
    oauth_codes,
    oauth_grants,
    outgoing_mails,
    refresh_tokens,
    sessions,
    users,
)
from engine.runtime import Working, open_working
from ops.stack import Stack
from tests.engine.ledger_world import World, open_world
from workers.forgetting import forget_old_sign_ins

_S = timedelta(seconds=1)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)


@pytest.fixture
async def world(servers: Stack) -> AsyncIterator[World]:
    """Both stores, in every role."""
    async with open_world(servers.settings) as opened:
        yield opened


@pytest.fixture
async def working(servers: Stack) -> AsyncIterator[Working]:
    """What a worker process has."""
    async with open_working(servers.settings) as opened:
        yield opened


def _ago(age: timedelta) -> Any:  # noqa: ANN401 - an expression
    return func.now() - age


def _hash() -> bytes:
    return new_entity_id().to_bytes(8, "big")


async def _add(connection: AsyncConnection, table: Table, **row: Any) -> Any:  # noqa: ANN401 - a key
    """Add a row; return the first column of its key."""
    key = next(iter(table.primary_key))
    return (await connection.execute(insert(table).values(**row).returning(key))).scalar_one()


async def _left(world: World, table: Table, keys: list[Any]) -> list[bool]:
    key = next(iter(table.primary_key))
    async with world.owner.begin() as connection:
        found = set((await connection.execute(select(key).where(key.in_(keys)))).scalars())
    return [one in found for one in keys]


async def test_mails_are_kept_for_thirty_days(world: World, working: Working) -> None:
    """They tell addresses, and secrets that are over long before."""
    of = {"reseller_id": await world.new_reseller(), "kind": "reset"}
    sealed = {"address_sealed": b"s", "text_sealed": b"s"}
    async with world.owner.begin() as connection:
        mails = [
            await _add(
                connection, outgoing_mails, id=new_entity_id(), created_at=_ago(age), **of, **sealed
            )
            for age in (30 * _DAY + _MINUTE, 30 * _DAY - _MINUTE, 0 * _DAY)
        ]
    await forget_old_sign_ins({"working": working})
    assert await _left(world, outgoing_mails, mails) == [False, True, True]


async def test_sessions_invitations_and_mailed_secrets_are_forgotten_when_they_run_out(
    world: World, working: Working
) -> None:
    """And not before; the user stays."""
    reseller, user = await world.new_reseller(), new_entity_id()
    of: dict[str, Any] = {"reseller_id": reseller}
    rows: dict[Table, dict[str, Any]] = {
        sessions: {"user_id": user, "signed_in_at": _ago(_DAY)},
        invitations: {"role": "owner", "email_sealed": b"s", "email_digest": b"d"},
        mailed_tokens: {"user_id": user, "purpose": "reset"},
    }
    keys: dict[Table, list[Any]] = {}
    async with world.owner.begin() as connection:
        await _add(connection, users, id=user, role="owner", **of)
        for table, row in rows.items():
            keys[table] = [
                await _add(
                    connection,
                    table,
                    **({} if table is mailed_tokens else {"id": new_entity_id()}),
                    token_hash=_hash(),
                    expires_at=_ago(age),
                    **row,
                    **of,
                )
                for age in (_S, -10 * _MINUTE)
            ]
    await forget_old_sign_ins({"working": working})
    for table, added in keys.items():
        assert await _left(world, table, added) == [False, True], table.name
    assert await _left(world, users, [user]) == [True]


async def test_endings_are_kept_for_longer_than_the_tokens_that_they_end(
    world: World, working: Working
) -> None:
    """Ten minutes and the leeway; forgotten earlier, a token would be good again."""
    subjects = [_hash().hex(), _hash().hex()]
    async with world.owner.begin() as connection:
        for subject, age in zip(subjects, (21 * _MINUTE, 19 * _MINUTE), strict=True):
            ended = {"kind": "token", "subject": subject, "ended_at": _ago(age)}
            await connection.execute(insert(ended_tokens).values(**ended))
    await forget_old_sign_ins({"working": working})
    query = select(ended_tokens.c.subject).where(ended_tokens.c.subject.in_(subjects))
    async with world.owner.begin() as connection:
        assert (await connection.execute(query)).scalars().all() == subjects[1:]


async def test_grants_are_forgotten_a_month_after_their_end(world: World, working: Working) -> None:
    """With codes and refresh tokens: those that were ended, and those that all ran out."""
    reseller = await world.new_reseller()
    of: dict[str, Any] = {"reseller_id": reseller}
    client = new_entity_id()
    lists: dict[str, list[str]] = {"grant_types": [], "redirect_uris": [], "scopes": []}
    of_grant = {"client_id": client, "user_id": 1, "account_id": reseller, "acts_for": reseller}
    # When it began, when it ended, when its refresh tokens run out; and whether it is kept.
    cases: list[tuple[timedelta, timedelta | None, list[timedelta], bool]] = [
        (90 * _DAY, 31 * _DAY, [-1 * _DAY], False),
        (90 * _DAY, 29 * _DAY, [40 * _DAY], False),
        (90 * _DAY, 29 * _DAY, [20 * _DAY], True),
        (90 * _DAY, None, [50 * _DAY, 31 * _DAY], False),
        (90 * _DAY, None, [50 * _DAY, 29 * _DAY], True),
        (90 * _DAY, None, [31 * _DAY, -1 * _DAY], True),
        (31 * _DAY, None, [], False),
        (29 * _DAY, None, [], True),
    ]
    grants: list[int] = []
    async with world.owner.begin() as connection:
        await _add(connection, oauth_clients, id=client, name="shop", **lists, **of)
        for began, ended, tokens, _ in cases:
            grant = await _add(
                connection,
                oauth_grants,
                id=new_entity_id(),
                created_at=_ago(began),
                signed_in_at=_ago(began),
                ended_at=None if ended is None else _ago(ended),
                scopes=[],
                **of_grant,
                **of,
            )
            grants.append(grant)
            of_this = {"grant_id": grant, **of}
            code = {"code_hash": _hash(), "redirect_uri": "https://a.example", "challenge": "c"}
            await _add(connection, oauth_codes, expires_at=_ago(began), **code, **of_this)
            for age in tokens:
                await _add(
                    connection, refresh_tokens, token_hash=_hash(), expires_at=_ago(age), **of_this
                )
    await forget_old_sign_ins({"working": working})
    kept = [is_kept for *_, is_kept in cases]
    assert await _left(world, oauth_grants, grants) == kept
    for table in (oauth_codes, refresh_tokens):
        query = select(table.c.grant_id).where(table.c.reseller_id == reseller)
        async with world.owner.begin() as connection:
            of_whom = set((await connection.execute(query)).scalars())
        assert of_whom <= {grant for grant, stays in zip(grants, kept, strict=True) if stays}
        assert of_whom


@pytest.mark.parametrize(
    "column",
    [
        outgoing_mails.c.text_sealed,
        sessions.c.token_hash,
        invitations.c.email_sealed,
        oauth_grants.c.scopes,
        refresh_tokens.c.token_hash,
    ],
    ids=str,
)
async def test_who_forgets_does_not_read(working: Working, column: Column[Any]) -> None:
    """It sees of a row what tells that it is over, and nothing that it says."""
    with pytest.raises(DBAPIError, match="permission denied"):
        async with working.recorder_engine.begin() as connection:
            await connection.execute(select(column))
