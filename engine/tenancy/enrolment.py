"""Setting a second factor up, and taking it away again."""

from msgspec import Struct
from sqlalchemy import func, update

from engine.platform.database import tenant_transaction
from engine.platform.tables import users
from engine.tenancy.door import Door
from engine.tenancy.second_factor import (
    new_recovery_codes,
    new_totp_secret,
    recovery_form,
    totp_address,
    totp_step,
)
from engine.tenancy.sessions import (
    RECOVERY_PLACE,
    TOTP_PLACE,
    Refused,
    SignedIn,
    Throttled,
    lock_user,
    use_code,
)
from engine.tenancy.users import UnknownUser, read_user

_user = users.c


class Enrolment(Struct, frozen=True):
    """What an authenticator app is set up with. It counts once a code of it was given."""

    secret: str
    address: str


class Enrolled(Struct, frozen=True):
    """From now on a code is asked for. `recovery_codes` are shown this once."""

    recovery_codes: list[str]


class SecondFactorIsOn(Struct, frozen=True):
    """They have one already: it has to be taken away first, by a code of it."""


class Dropped(Struct, frozen=True):
    """The password alone counts again."""


async def enrol(door: Door, signed_in: SignedIn) -> Enrolment | SecondFactorIsOn | Refused:
    """Give a user a new secret for their app."""
    async with tenant_transaction(door.app, signed_in.reseller) as connection:
        user = await lock_user(connection, signed_in.user)
        told = await read_user(door, connection, signed_in.user)
        if user is None or isinstance(told, UnknownUser):
            return Refused()
        if user.has_second_factor:
            return SecondFactorIsOn()
        secret = new_totp_secret()
        sealed = await door.sealer.seal(connection, user.reseller, TOTP_PLACE, secret)
        await connection.execute(
            update(users).where(_user.id == user.id).values(totp_sealed=sealed, totp_step=0)
        )
    return Enrolment(secret, totp_address(secret, told.email))


async def confirm_enrolment(
    door: Door, signed_in: SignedIn, code: str
) -> Enrolled | SecondFactorIsOn | Refused | Throttled:
    """Let a second factor count from now on, by a first code of it."""
    key = b"enrol" + signed_in.user.to_bytes(8, "big")
    wait_s = door.guesses.take(key)
    if wait_s is not None:
        return Throttled(wait_s)
    async with tenant_transaction(door.app, signed_in.reseller) as connection:
        user = await lock_user(connection, signed_in.user)
        if user is None or user.totp_sealed is None:
            return Refused()
        if user.has_second_factor:
            return SecondFactorIsOn()
        secret = await door.sealer.open(connection, user.reseller, TOTP_PLACE, user.totp_sealed)
        step = totp_step(secret, code, user.totp_step)
        if step is None:
            return Refused()
        codes = new_recovery_codes()
        digests = [
            door.sealer.digest(user.id, RECOVERY_PLACE, recovery_form(one) or "") for one in codes
        ]
        await connection.execute(
            update(users)
            .where(_user.id == user.id)
            .values(totp_confirmed_at=func.now(), totp_step=step, recovery_digests=digests)
        )
    door.guesses.forget(key)
    return Enrolled(codes)


async def drop_second_factor(
    door: Door, signed_in: SignedIn, code: str
) -> Dropped | Refused | Throttled:
    """Take a user's second factor away, by a code of it or for recovery."""
    key = b"code" + signed_in.user.to_bytes(8, "big")
    wait_s = door.codes.take(key)
    if wait_s is not None:
        return Throttled(wait_s)
    async with tenant_transaction(door.app, signed_in.reseller) as connection:
        user = await lock_user(connection, signed_in.user)
        if user is None or not await use_code(door, connection, user, code):
            return Refused()
        await connection.execute(
            update(users)
            .where(_user.id == user.id)
            .values(totp_sealed=None, totp_confirmed_at=None, recovery_digests=[])
        )
    door.codes.forget(key)
    return Dropped()
