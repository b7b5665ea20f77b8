"""Log-ins: who gets in, who does not, and that nobody learns whether an address has an account."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator

import pytest
from argon2 import PasswordHasher
from msgspec import structs
from pyotp.totp import TOTP
from sqlalchemy import text

from engine.platform.database import create_engine, tenant_transaction
from engine.platform.settings import APP_ROLE, OWNER_ROLE
from engine.tenancy.accounts import Status, set_status
from engine.tenancy.door import throttle_codes
from engine.tenancy.enrolment import (
    Dropped,
    Enrolled,
    Enrolment,
    SecondFactorIsOn,
    confirm_enrolment,
    drop_second_factor,
    enrol,
)
from engine.tenancy.mailed import TokenUnknown
from engine.tenancy.mails import MailKind
from engine.tenancy.passwords import Passwords
from engine.tenancy.principals import Role
from engine.tenancy.resets import (
    Asked,
    PasswordSet,
    PasswordUnfit,
    ask_for_reset,
    change_password,
    reset_password,
)
from engine.tenancy.sessions import (
    SESSIONS_OF_USER_MAX,
    Busy,
    LoggedIn,
    Refused,
    SecondFactorRequired,
    SignedIn,
    Throttled,
    find_session,
    finish_log_in,
    log_in,
    log_out,
    log_out_everywhere,
)
from engine.tenancy.throttle import Throttle
from ops.stack import Stack
from tests.engine.account_ground import (
    HERE,
    PASSWORD,
    AccountGround,
    fresh_email,
    open_account_ground,
)

WRONG = "seven blue kettles"


@pytest.fixture(scope="module")
async def ground(servers: Stack) -> AsyncIterator[AccountGround]:
    """Accounts on a real ledger."""
    async with open_account_ground(servers.settings) as opened:
        yield opened


async def with_second_factor(ground: AccountGround, email: str) -> tuple[TOTP, list[str]]:
    """Give somebody a second factor; return their app and their recovery codes."""
    signed_in = await ground.signed_in(email)
    enrolment = await enrol(ground.door, signed_in)
    assert isinstance(enrolment, Enrolment)
    app = TOTP(enrolment.secret)
    # One step back is taken too; so the next two are still free for the test.
    enrolled = await confirm_enrolment(ground.door, signed_in, app.at(time.time() - 30))
    assert isinstance(enrolled, Enrolled)
    return app, enrolled.recovery_codes


async def ticket_of(ground: AccountGround, email: str) -> str:
    """Return what the right password gives somebody who has a second factor."""
    outcome = await log_in(ground.door, email, PASSWORD, HERE)
    assert isinstance(outcome, SecondFactorRequired), outcome
    return outcome.ticket


async def test_who_knows_the_password_gets_a_session(ground: AccountGround) -> None:
    """It says who they are, and only its hash is stored."""
    made, email = await ground.account()
    outcome = await log_in(ground.door, email.upper(), PASSWORD, HERE)
    assert isinstance(outcome, LoggedIn)
    found = await find_session(ground.door.app, outcome.token)
    assert found is not None
    assert found == SignedIn(
        session=outcome.session,
        user=outcome.user,
        reseller=made.reseller,
        sandbox=made.sandbox,
        role=Role.OWNER,
        signed_in_at=found.signed_in_at,
    )
    async with tenant_transaction(ground.door.app, made.reseller) as connection:
        rows = (await connection.execute(text("SELECT * FROM sessions"))).all()
    assert outcome.token not in str(rows)
    for wrong in ("", outcome.token[:-1], outcome.token + "x", "x" * 10_000, "\x00", "\ud800"):
        assert await find_session(ground.door.app, wrong) is None


async def test_whoever_has_not_confirmed_the_address_does_not_get_in(
    ground: AccountGround,
) -> None:
    """Nor do they learn that the password is right."""
    email = fresh_email()
    await ground.sign_up(email)
    assert await log_in(ground.door, email, PASSWORD, HERE) == Refused()


@pytest.mark.parametrize(
    "email", ["nobody@tickets.example.com", "", "no address", "a@b\x00", "\ud800@x.com", "x" * 999]
)
async def test_an_address_without_account_is_refused_like_a_wrong_password(
    ground: AccountGround, email: str
) -> None:
    """Whatever is typed: the same value."""
    _, known = await ground.account()
    assert await log_in(ground.door, known, WRONG, HERE) == Refused()
    assert await log_in(ground.door, email, PASSWORD, HERE) == Refused()
    assert await log_in(ground.door, known, "\ud800" * 20, HERE) == Refused()


async def test_the_time_of_a_refusal_does_not_tell_who_has_an_account(
    ground: AccountGround,
) -> None:
    """In turns, so that a busy machine is busy for both; the medians are near each other."""
    _, known = await ground.account()
    door = structs.replace(ground.door, guesses=Throttle(free=1000))
    took: dict[str, list[float]] = {"known": [], "unknown": []}
    for _ in range(15):
        for kind, email in (("known", known), ("unknown", fresh_email())):
            begun = time.perf_counter()
            assert await log_in(door, email, WRONG, HERE) == Refused()
            took[kind].append(time.perf_counter() - begun)
    ratio = statistics.median(took["known"]) / statistics.median(took["unknown"])
    assert 0.6 < ratio < 1.6, took


async def test_guessing_is_slowed_down_and_never_locked_out_for_good(
    ground: AccountGround,
) -> None:
    """Ten are free; then pauses grow, for the right password too; they end by themselves."""
    _, email = await ground.account()
    now = [1000.0]
    door = structs.replace(ground.door, guesses=Throttle(free=10, clock=lambda: now[0]))
    for _ in range(10):
        assert await log_in(door, email, WRONG, HERE) == Refused()
    pauses: list[float] = []
    for _ in range(8):
        throttled = await log_in(door, email, PASSWORD if len(pauses) == 3 else WRONG, HERE)
        assert isinstance(throttled, Throttled)
        pauses.append(throttled.retry_after_s)
        now[0] += throttled.retry_after_s
        if len(pauses) < 8:
            assert await log_in(door, email, WRONG, HERE) == Refused()
    assert pauses == sorted(pauses)
    assert pauses[0] == 15
    assert pauses[-1] == 600
    assert isinstance(await log_in(door, email, PASSWORD, HERE), LoggedIn)
    assert await log_in(door, email, WRONG, HERE) == Refused(), "begins anew"


async def test_unknown_addresses_are_throttled_like_known_ones(ground: AccountGround) -> None:
    """Else the eleventh answer would tell."""
    email = fresh_email()
    for _ in range(10):
        assert await log_in(ground.door, email, WRONG, HERE) == Refused()
    assert isinstance(await log_in(ground.door, email.upper(), WRONG, HERE), Throttled)


async def test_many_guesses_at_once_are_no_way_around_the_throttle(ground: AccountGround) -> None:
    """An attempt counts when it starts."""
    _, email = await ground.account()
    outcomes = await asyncio.gather(*(log_in(ground.door, email, WRONG, HERE) for _ in range(40)))
    assert sum(isinstance(one, Refused | Busy) for one in outcomes) == 10


async def test_one_source_that_tries_many_accounts_is_throttled(ground: AccountGround) -> None:
    """Another is not."""
    door = structs.replace(ground.door, sources=Throttle(free=5))
    for _ in range(5):
        assert await log_in(door, fresh_email(), WRONG, b"one") == Refused()
    assert isinstance(await log_in(door, fresh_email(), WRONG, b"one"), Throttled)
    assert await log_in(door, fresh_email(), WRONG, b"two") == Refused()


async def test_a_flood_of_log_ins_is_told_to_come_again(ground: AccountGround) -> None:
    """Bounded: two at once, a few wait, and the event loop goes on."""
    door = structs.replace(
        ground.door, passwords=Passwords(waiting_max=6), guesses=Throttle(free=9)
    )
    lags: list[float] = []

    async def watch() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.005)
            lags.append(time.perf_counter() - begun)

    watcher = asyncio.create_task(watch())
    outcomes = await asyncio.gather(*(log_in(door, fresh_email(), WRONG, HERE) for _ in range(300)))
    watcher.cancel()
    assert {type(one) for one in outcomes} == {Refused, Busy}
    assert sum(isinstance(one, Refused) for one in outcomes) >= 8
    assert statistics.median(lags) < 0.25


async def test_who_is_told_to_come_again_takes_no_connection(
    ground: AccountGround, servers: Stack
) -> None:
    """With every connection in use, who is one too many hears so without waiting for one."""
    app = create_engine(servers.settings, APP_ROLE, connections_max=1)
    passwords = Passwords(at_once_max=1, waiting_max=2)
    door = structs.replace(ground.door, app=app, passwords=passwords)

    async def one() -> object:
        return await log_in(door, fresh_email(), WRONG, HERE)

    async with app.connect():
        admitted = [asyncio.create_task(one()) for _ in range(3)]
        await asyncio.sleep(0)
        async with asyncio.timeout(1):
            assert [await one() for _ in range(20)] == [Busy()] * 20
    assert await asyncio.gather(*admitted) == [Refused()] * 3
    assert await one() == Refused()
    await app.dispose()


async def test_a_hash_of_old_parameters_is_renewed_at_the_next_log_in(
    ground: AccountGround,
) -> None:
    """The password is known only then."""
    made, email = await ground.account()
    weak = Passwords(PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1))
    stored = text("SELECT password_hash FROM users WHERE confirmed_at IS NOT NULL")
    async with tenant_transaction(ground.door.app, made.reseller) as connection:
        await connection.execute(
            text("UPDATE users SET password_hash = :h"), {"h": await weak.hash(PASSWORD)}
        )
    await ground.signed_in(email)
    async with tenant_transaction(ground.door.app, made.reseller) as connection:
        renewed = (await connection.execute(stored)).scalar_one()
    assert "m=32768,t=3" in renewed
    await ground.signed_in(email)


async def test_a_second_factor_is_asked_for_once_it_is_confirmed(ground: AccountGround) -> None:
    """And a code of it lets in, each once."""
    _, email = await ground.account()
    app, _ = await with_second_factor(ground, email)
    ticket = await ticket_of(ground, email)
    for wrong in ("", "000000x", "\uff11" * 6, app.at(time.time() + 3000), "1" * 5000):
        assert await finish_log_in(ground.door, ticket, wrong, HERE) == Refused()
    code = app.now()
    assert isinstance(await finish_log_in(ground.door, ticket, code, HERE), LoggedIn)
    again = await ticket_of(ground, email)
    assert await finish_log_in(ground.door, again, code, HERE) == Refused(), "a code is good once"


async def test_one_code_by_many_at_once_lets_one_in(ground: AccountGround) -> None:
    """The user's row is locked."""
    _, email = await ground.account()
    app, codes = await with_second_factor(ground, email)
    ticket = await ticket_of(ground, email)
    for code in (app.now(), codes[0]):
        outcomes = await asyncio.gather(
            *(finish_log_in(ground.door, ticket, code, HERE) for _ in range(6))
        )
        assert sum(isinstance(one, LoggedIn) for one in outcomes) == 1


async def test_a_recovery_code_stands_for_one_of_the_app(ground: AccountGround) -> None:
    """However it is typed, once; the others stay good."""
    _, email = await ground.account()
    _, codes = await with_second_factor(ground, email)
    assert len(set(codes)) == 10
    ticket = await ticket_of(ground, email)
    typed = codes[0].upper().replace("-", " ")
    assert isinstance(await finish_log_in(ground.door, ticket, typed, HERE), LoggedIn)
    assert await finish_log_in(ground.door, ticket, codes[0], HERE) == Refused()
    assert isinstance(await finish_log_in(ground.door, ticket, codes[1], HERE), LoggedIn)


async def test_codes_can_be_guessed_as_slowly_as_passwords(ground: AccountGround) -> None:
    """Ten free, across tickets."""
    _, email = await ground.account()
    app, _ = await with_second_factor(ground, email)
    for _ in range(10):
        ticket = await ticket_of(ground, email)
        assert await finish_log_in(ground.door, ticket, "000000", HERE) == Refused()
    ticket = await ticket_of(ground, email)
    assert isinstance(await finish_log_in(ground.door, ticket, app.now(), HERE), Throttled)


async def test_codes_are_not_free_again_after_a_quarter_of_an_hour(ground: AccountGround) -> None:
    """Who has the password has few guesses a day at one of six digits, however patient."""
    _, email = await ground.account()
    await with_second_factor(ground, email)
    now = [1000.0]
    door = structs.replace(ground.door, codes=throttle_codes(lambda: now[0]))
    ticket = await ticket_of(ground, email)
    guesses = 0
    while now[0] < 1000 + 24 * 3600:
        outcome = await finish_log_in(door, ticket, "000000", HERE)
        guesses += outcome == Refused()
        now[0] += 901 if outcome == Refused() else outcome.retry_after_s  # pyright: ignore[reportAttributeAccessIssue]
    assert guesses <= 45


async def test_a_ticket_is_for_one_user_and_one_password(ground: AccountGround) -> None:
    """Altered, garbage, or from before a new password: refused."""
    _, email = await ground.account()
    app, codes = await with_second_factor(ground, email)
    ticket = await ticket_of(ground, email)
    for wrong in (
        "",
        "00",
        "zz",
        ticket[:-2] + ("00" if ticket[-2:] != "00" else "11"),
        ticket * 9,
    ):
        assert await finish_log_in(ground.door, wrong, app.now(), HERE) == Refused()
    signed_in_by = await finish_log_in(ground.door, ticket, codes[0], HERE)
    assert isinstance(signed_in_by, LoggedIn)
    signed_in = await find_session(ground.door.app, signed_in_by.token)
    assert signed_in is not None
    new = "eight green kettles"
    assert isinstance(await change_password(ground.door, signed_in, PASSWORD, new), LoggedIn)
    assert await finish_log_in(ground.door, ticket, codes[1], HERE) == Refused()


async def test_a_second_factor_is_taken_away_by_a_code_of_it(ground: AccountGround) -> None:
    """And can't be replaced without."""
    _, email = await ground.account()
    signed_in = await ground.signed_in(email)
    _, codes = await with_second_factor(ground, email)
    assert await enrol(ground.door, signed_in) == SecondFactorIsOn()
    assert await confirm_enrolment(ground.door, signed_in, "000000") == SecondFactorIsOn()
    assert await drop_second_factor(ground.door, signed_in, "000000") == Refused()
    assert await drop_second_factor(ground.door, signed_in, codes[0]) == Dropped()
    await ground.signed_in(email)


async def test_logging_out_ends_one_session_or_all(ground: AccountGround) -> None:
    """At once."""
    _, email = await ground.account()
    tokens: list[str] = []
    for _ in range(3):
        outcome = await log_in(ground.door, email, PASSWORD, HERE)
        assert isinstance(outcome, LoggedIn)
        tokens.append(outcome.token)

    async def alive() -> list[bool]:
        return [await find_session(ground.door.app, one) is not None for one in tokens]

    first = await find_session(ground.door.app, tokens[0])
    assert first is not None
    await log_out(ground.door.app, first)
    assert await alive() == [False, True, True]
    second = await find_session(ground.door.app, tokens[1])
    assert second is not None
    await log_out_everywhere(ground.door.app, second)
    assert await alive() == [False, False, False]
    await ground.signed_in(email)


async def test_a_user_has_so_many_sessions_at_most(ground: AccountGround) -> None:
    """The oldest goes."""
    made, email = await ground.account()
    first = await log_in(ground.door, email, PASSWORD, HERE)
    assert isinstance(first, LoggedIn)
    for _ in range(SESSIONS_OF_USER_MAX):
        await ground.signed_in(email)
    assert await find_session(ground.door.app, first.token) is None
    async with tenant_transaction(ground.door.app, made.reseller) as connection:
        count = await connection.execute(text("SELECT count(*) FROM sessions"))
        assert count.scalar_one() == SESSIONS_OF_USER_MAX


async def test_a_session_ends_by_itself(servers: Stack, ground: AccountGround) -> None:
    """After half a day."""
    made, email = await ground.account()
    outcome = await log_in(ground.door, email, PASSWORD, HERE)
    assert isinstance(outcome, LoggedIn)
    owner = create_engine(servers.settings, OWNER_ROLE)
    async with owner.begin() as connection:
        aged = text("UPDATE sessions SET expires_at = now() WHERE reseller_id = :r")
        await connection.execute(aged, {"r": made.reseller})
    await owner.dispose()
    assert await find_session(ground.door.app, outcome.token) is None


async def test_nobody_of_a_suspended_account_is_or_gets_in(
    servers: Stack, ground: AccountGround
) -> None:
    """Until an operator approves it again."""
    made, email = await ground.account()
    outcome = await log_in(ground.door, email, PASSWORD, HERE)
    assert isinstance(outcome, LoggedIn)
    owner = create_engine(servers.settings, OWNER_ROLE)
    assert await set_status(owner, made.reseller, Status.SUSPENDED)
    assert await find_session(ground.door.app, outcome.token) is None
    assert await log_in(ground.door, email, PASSWORD, HERE) == Refused()
    assert await set_status(owner, made.reseller, Status.APPROVED)
    await owner.dispose()
    await ground.signed_in(email)


async def test_a_new_password_ends_every_session_of_before(ground: AccountGround) -> None:
    """But the one that it was set in goes on in a new one."""
    made, email = await ground.account()
    old, other = await ground.signed_in(email), await log_in(ground.door, email, PASSWORD, HERE)
    assert isinstance(other, LoggedIn)
    assert await change_password(ground.door, old, WRONG, "nine green kettles") == Refused()
    unfit = await change_password(ground.door, old, PASSWORD, "password1234")
    assert isinstance(unfit, PasswordUnfit)
    changed = await change_password(ground.door, old, PASSWORD, "nine green kettles")
    assert isinstance(changed, LoggedIn)
    assert await find_session(ground.door.app, other.token) is None
    assert await find_session(ground.door.app, changed.token) is not None
    assert await log_in(ground.door, email, PASSWORD, HERE) == Refused()
    await ground.signed_in(email, "nine green kettles")
    assert len(await ground.mails(made.reseller, MailKind.CHANGED)) == 1


async def test_a_mailed_secret_sets_a_new_password_once(ground: AccountGround) -> None:
    """And ends what was signed in before; the second factor stays."""
    made, email = await ground.account()
    old = await log_in(ground.door, email, PASSWORD, HERE)
    assert isinstance(old, LoggedIn)
    for _ in range(2):
        assert await ask_for_reset(ground.door, email, HERE) == Asked()
        await ground.door.errands.settle()
    first, second = await ground.mails(made.reseller, MailKind.RESET)
    earlier = first.text.partition("token=")[2].split()[0]
    assert await reset_password(ground.door, earlier, "ten green kettles!") == TokenUnknown()
    token = second.text.partition("token=")[2].split()[0]
    assert isinstance(await reset_password(ground.door, token, "ada abendroth"), PasswordUnfit)
    assert await reset_password(ground.door, token, "ten green kettles!") == PasswordSet()
    assert await reset_password(ground.door, token, "two green kettles!") == TokenUnknown()
    assert await find_session(ground.door.app, old.token) is None
    await ground.signed_in(email, "ten green kettles!")


async def test_asking_for_a_new_password_tells_nothing(ground: AccountGround) -> None:
    """The same value for every address, and the asker never waits for the look-up."""
    _, known = await ground.account()
    for email in (known, fresh_email(), "no address"):
        assert await ask_for_reset(ground.door, email, HERE) == Asked()
    await ground.door.errands.settle()


async def test_strangers_can_have_few_mails_sent_to_an_address(ground: AccountGround) -> None:
    """Five an hour, and the answer does not tell."""
    made, email = await ground.account()
    for _ in range(9):
        assert await ask_for_reset(ground.door, email, HERE) == Asked()
        await ground.door.errands.settle()
    assert len(await ground.mails(made.reseller, MailKind.RESET)) == 4, "one told of the sign-up"


async def test_a_log_in_that_a_new_password_overtakes_is_refused(ground: AccountGround) -> None:
    """The row that was read is not the row that is there."""
    _, email = await ground.account()
    signed_in = await ground.signed_in(email)
    both = await asyncio.gather(
        change_password(ground.door, signed_in, PASSWORD, "five green kettles"),
        *(log_in(ground.door, email, PASSWORD, HERE) for _ in range(4)),
    )
    assert isinstance(both[0], LoggedIn)
    for outcome in both[1:]:
        if isinstance(outcome, LoggedIn):
            assert await find_session(ground.door.app, outcome.token) is None
