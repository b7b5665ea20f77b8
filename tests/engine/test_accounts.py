"""Accounts: sealed, each its own reseller's, approved by nobody but the operator."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.platform.database import (
    SECRET_DIGEST_SETTING,
    create_engine,
    local_transaction,
    tenant_transaction,
)
from engine.platform.ids import new_entity_id
from engine.platform.settings import OWNER_ROLE
from engine.platform.tables import (
    accounts,
    invitations,
    mailed_tokens,
    outgoing_mails,
    resellers,
    sessions,
    users,
)
from engine.tenancy.accounts import Account, Status, find_account, set_status
from engine.tenancy.mailed import TokenUnknown
from engine.tenancy.mails import MailKind
from engine.tenancy.passwords import Passwords
from engine.tenancy.principals import EVERY_SCOPE, Role
from engine.tenancy.sessions import Busy, LoggedIn, find_session, log_in
from engine.tenancy.sign_up import (
    AddressTaken,
    Asked,
    Confirmed,
    NewSignUp,
    SignedUp,
    confirm,
    sign_up,
)
from engine.tenancy.throttle import Throttle
from engine.tenancy.users import LastOwner, Removed, change_role, remove_user
from ops.stack import Stack
from tests.engine.account_ground import (
    HERE,
    LEGAL,
    PASSWORD,
    AccountGround,
    fresh_email,
    open_account_ground,
)

_SECRETS = ("136695976", "Ada", "tickets.example.com", "Domplatz", "DE8937040044", "Erfurt")


@pytest.fixture(scope="module")
async def ground(own_servers: Stack) -> AsyncIterator[AccountGround]:
    """Accounts on a real ledger."""
    async with open_account_ground(own_servers.settings) as opened:
        yield opened


@pytest.fixture(scope="module")
async def owner(own_servers: Stack) -> AsyncIterator[AsyncEngine]:
    """The role that sees every row."""
    engine = create_engine(own_servers.settings, OWNER_ROLE)
    yield engine
    await engine.dispose()


def new_sign_up(email: str) -> NewSignUp:
    """Return a sign-up that fits."""
    return NewSignUp(legal=LEGAL, owner_name="Ada Abendroth", email=email, password=PASSWORD)


async def test_nothing_sensitive_of_an_account_is_stored_open(
    ground: AccountGround, owner: AsyncEngine
) -> None:
    """Looked for in every column of every table, as text and as bytes."""
    made, email = await ground.account()
    await ground.colleague(made.reseller, Role.SUPPORT)
    await ground.signed_in(email)
    asked = Asked("a key", 17)
    await sign_up(ground.door, ground.ids, new_sign_up(email), HERE, asked)
    async with owner.begin() as connection:
        tables = (
            await connection.execute(
                text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            )
        ).scalars()
        for table in list(tables):
            rows = (await connection.execute(text(f"SELECT * FROM {table}"))).all()  # noqa: S608
            whole = b"\n".join(
                value if isinstance(value, bytes) else str(value).encode()
                for row in rows
                for value in row
            )
            for secret in (*_SECRETS, email, PASSWORD, made.key):
                assert secret.encode() not in whole, (table, secret)


async def test_an_account_opens_for_its_own_reseller(ground: AccountGround) -> None:
    """With the forms that are kept."""
    made, _ = await ground.account()
    account = await find_account(ground.door, made.reseller)
    assert isinstance(account, Account)
    assert account.sandbox == made.sandbox
    assert account.status is Status.PENDING
    assert account.legal.payout_account.iban == "DE89370400440532013000"
    assert account.legal.tax_id == "136695976"
    assert not isinstance(await find_account(ground.door, made.sandbox), Account)


@pytest.mark.parametrize(
    "table",
    [accounts, users, sessions, invitations, mailed_tokens, outgoing_mails],
    ids=lambda table: table.name,
)
async def test_a_digest_shows_one_row_and_changes_none(ground: AccountGround, table: Any) -> None:  # noqa: ANN401 - a table
    """What finds a log-in before its reseller is known gives sight of one row."""
    made, email = await ground.account()
    await ground.colleague(made.reseller, Role.SUPPORT)
    digest = ground.door.digest_email(email).hex()
    async with local_transaction(ground.door.app, SECRET_DIGEST_SETTING, digest) as connection:
        seen = (await connection.execute(select(table))).all()
        assert len(seen) == (1 if table is users else 0)
        if table is users:
            changed = update(users).values(role="owner")
            assert (await connection.execute(changed)).rowcount == 0
        elif table in (sessions, invitations, mailed_tokens):
            assert (await connection.execute(table.delete())).rowcount == 0
    for nothing in ("", "00"):
        async with local_transaction(ground.door.app, SECRET_DIGEST_SETTING, nothing) as connection:
            assert not (await connection.execute(select(table))).all()


async def test_nobody_approves_themselves(ground: AccountGround) -> None:
    """The application can make pending live resellers and sandboxes, and change neither."""
    made = await ground.sign_up()
    with pytest.raises(DBAPIError, match="permission denied"):
        async with tenant_transaction(ground.door.app, made.reseller) as connection:
            await connection.execute(update(resellers).values(status="approved"))
    fresh = new_entity_id()
    with pytest.raises(DBAPIError, match="violates row-level security"):
        async with tenant_transaction(ground.door.app, fresh) as connection:
            await connection.execute(insert(resellers).values(id=fresh, name="mine"))


async def test_only_an_operator_approves_and_suspends(
    ground: AccountGround, owner: AsyncEngine
) -> None:
    """A live reseller, with its sandbox."""
    made, _ = await ground.account()
    for status in (Status.APPROVED, Status.SUSPENDED, Status.APPROVED):
        assert await set_status(owner, made.reseller, status)
        query = select(resellers.c.status).where(resellers.c.id.in_([made.reseller, made.sandbox]))
        async with owner.begin() as connection:
            assert set((await connection.execute(query)).scalars()) == {status}
    assert not await set_status(owner, made.sandbox, Status.APPROVED), "not by its sandbox"
    assert not await set_status(owner, new_entity_id(), Status.APPROVED)


async def test_the_time_of_a_sign_up_does_not_tell_who_has_an_account(
    ground: AccountGround,
) -> None:
    """In turns; the medians are near each other."""
    _, known = await ground.account()
    door = structs.replace(ground.door, mails=Throttle(free=1000))
    took: dict[str, list[float]] = {"known": [], "unknown": []}
    for _ in range(9):
        for kind, email in (("known", known), ("unknown", fresh_email())):
            begun = time.perf_counter()
            made = await sign_up(door, ground.ids, new_sign_up(email), HERE, None)
            took[kind].append(time.perf_counter() - begun)
            assert isinstance(made, SignedUp)
    ratio = statistics.median(took["known"]) / statistics.median(took["unknown"])
    assert 0.6 < ratio < 1.6, took


async def test_an_address_belongs_to_who_confirms_it_first(ground: AccountGround) -> None:
    """Both signed up with it; one of them reads its mail."""
    email = fresh_email()
    first, second = await ground.sign_up(email), await ground.sign_up(email.upper())
    tokens = [await ground.token(one.reseller, MailKind.CONFIRM) for one in (first, second)]
    outcomes = await asyncio.gather(*(confirm(ground.door, token) for token in tokens))
    assert {type(one) for one in outcomes} == {Confirmed, AddressTaken}
    winner = first if isinstance(outcomes[0], Confirmed) else second
    assert (await ground.signed_in(email)).reseller == winner.reseller
    assert await confirm(ground.door, tokens[outcomes.index(Confirmed())]) == TokenUnknown()
    assert await confirm(ground.door, "x" * 43) == TokenUnknown()


async def test_a_sign_up_is_all_or_nothing(ground: AccountGround, owner: AsyncEngine) -> None:
    """What is refused for a full house leaves no row, and is decided afresh."""
    few = structs.replace(ground.door, passwords=Passwords(at_once_max=1, waiting_max=0))
    asked = Asked("again and again", 99)
    outcomes = await asyncio.gather(
        *(sign_up(few, ground.ids, new_sign_up(fresh_email()), HERE, None) for _ in range(6))
    )
    assert {type(one) for one in outcomes} == {SignedUp, Busy}
    made = await sign_up(ground.door, ground.ids, new_sign_up(fresh_email()), HERE, asked)
    assert made == await sign_up(ground.door, ground.ids, new_sign_up(fresh_email()), HERE, asked)
    async with owner.begin() as connection:
        orphans = text(
            "SELECT count(*) FROM resellers s LEFT JOIN accounts a ON a.sandbox_id = s.id"
            " WHERE s.mode = 'sandbox' AND a.reseller_id IS NULL"
        )
        assert (await connection.execute(orphans)).scalar_one() == 0


async def test_two_owners_who_remove_each_other_leave_one(ground: AccountGround) -> None:
    """However close: the rows of all owners are locked in one order."""
    for _ in range(4):
        made, email = await ground.account()
        first = await ground.signed_in(email)
        second, _ = await ground.colleague(made.reseller, Role.OWNER)
        outcomes = await asyncio.gather(
            remove_user(ground.door, made.reseller, first.user, held=EVERY_SCOPE),
            change_role(ground.door, made.reseller, second.id, Role.SUPPORT, held=EVERY_SCOPE),
        )
        assert LastOwner() in outcomes
        assert sum(isinstance(one, LastOwner) for one in outcomes) == 1


async def test_another_role_or_removal_ends_what_was_given_before(ground: AccountGround) -> None:
    """Sessions, and by `logged_out_at` tokens."""
    made, _ = await ground.account()
    user, email = await ground.colleague(made.reseller, Role.SUPPORT)
    before = await log_in(ground.door, email, PASSWORD, HERE)
    assert isinstance(before, LoggedIn)
    await change_role(ground.door, made.reseller, user.id, Role.FINANCE, held=EVERY_SCOPE)
    assert await find_session(ground.door.app, before.token) is None
    after = await log_in(ground.door, email, PASSWORD, HERE)
    assert isinstance(after, LoggedIn)
    same = await change_role(ground.door, made.reseller, user.id, Role.FINANCE, held=EVERY_SCOPE)
    assert not isinstance(same, LastOwner)
    assert await find_session(ground.door.app, after.token) is not None, "nothing changed"
    removed = await remove_user(ground.door, made.reseller, user.id, held=EVERY_SCOPE)
    assert removed == Removed()
    assert await find_session(ground.door.app, after.token) is None
    async with tenant_transaction(ground.door.app, made.reseller) as connection:
        query = select(users).where(users.c.id == user.id)
        row = (await connection.execute(query)).mappings().one()
    kept = {name for name, value in row.items() if value not in (None, [], 0)}
    assert kept == {"id", "reseller_id", "role", "created_at", "logged_out_at", "removed_at"}
