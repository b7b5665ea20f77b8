"""Accounts on a real ledger: who signs up, confirms, is invited, and what mails they get."""

import re
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from msgspec import structs

from engine.platform.database import create_engine, tenant_transaction
from engine.platform.ids import EntityId, Ids
from engine.platform.sealing import Sealer
from engine.platform.settings import APP_ROLE, Settings
from engine.tenancy.door import Door, open_door
from engine.tenancy.invitations import Invitation, accept_invitation, invite
from engine.tenancy.legal import Legal, PayoutAccount, PostalAddress
from engine.tenancy.mails import Mail, MailKind, read_mails
from engine.tenancy.principals import EVERY_SCOPE, Role
from engine.tenancy.sessions import LoggedIn, SignedIn, find_session, log_in
from engine.tenancy.sign_up import Confirmed, NewSignUp, SignedUp, confirm, sign_up
from engine.tenancy.throttle import Throttle
from engine.tenancy.users import User

PASSWORD = "seven green kettles"  # noqa: S105 - of people who do not exist
HERE = b"\x7f\x00\x00\x01"

LEGAL = Legal(
    legal_name="Erfurt Tickets GmbH",
    address=PostalAddress(line_1="Domplatz 1", city="Erfurt", postal_code="99084"),
    country="DE",
    currency="EUR",
    tax_id="DE136695976",
    payout_account=PayoutAccount(iban="DE89 3704 0044 0532 0130 00"),
)


def fresh_email() -> str:
    """Return an address that nobody has."""
    return f"ada.{secrets.token_hex(6)}@tickets.example.com"


class AccountGround:
    """A door that nobody else comes through."""

    def __init__(self, door: Door, ids: Ids) -> None:
        """Take what log-ins work with."""
        self.door = door
        self.ids = ids

    async def sign_up(self, email: str | None = None, **changes: Any) -> SignedUp:  # noqa: ANN401 - any field
        """Sign a reseller up; the owner has yet to confirm."""
        new = NewSignUp(
            legal=LEGAL, owner_name="Ada Abendroth", email=email or fresh_email(), password=PASSWORD
        )
        made = await sign_up(self.door, self.ids, structs.replace(new, **changes), HERE, None)
        assert isinstance(made, SignedUp), made
        return made

    async def account(self, email: str | None = None) -> tuple[SignedUp, str]:
        """Return an account whose owner can sign in, and their address."""
        email = email or fresh_email()
        made = await self.sign_up(email)
        token = await self.token(made.reseller, MailKind.CONFIRM)
        assert isinstance(await confirm(self.door, token), Confirmed)
        return made, email

    async def colleague(self, reseller: EntityId, role: Role) -> tuple[User, str]:
        """Return a user with a role, who was invited, and their address."""
        email = fresh_email()
        invited = await invite(self.door, reseller, email, role, held=EVERY_SCOPE)
        assert isinstance(invited, Invitation), invited
        token = await self.token(reseller, MailKind.INVITATION)
        user = await accept_invitation(self.door, token, "Bo Becker", PASSWORD)
        assert isinstance(user, User), user
        return user, email

    async def signed_in(self, email: str, password: str = PASSWORD) -> SignedIn:
        """Return the session of who logs in."""
        outcome = await log_in(self.door, email, password, HERE)
        assert isinstance(outcome, LoggedIn), outcome
        found = await find_session(self.door.app, outcome.token)
        assert found is not None
        return found

    async def mails(self, reseller: EntityId, kind: MailKind | None = None) -> list[Mail]:
        """Return what was written to people of an account, the newest last."""
        async with tenant_transaction(self.door.app, reseller) as connection:
            listed = await read_mails(self.door.sealer, connection, limit=100, reseller=reseller)
        return [mail for mail in listed if kind is None or mail.kind == kind]

    async def token(self, reseller: EntityId, kind: MailKind) -> str:
        """Return the secret in the newest mail of a kind."""
        mails = await self.mails(reseller, kind)
        found = re.search(r"token=([\w-]+)", mails[-1].text)
        assert found is not None
        return found[1]


@asynccontextmanager
async def open_account_ground(settings: Settings) -> AsyncGenerator[AccountGround]:
    """Open a door with throttles of its own, which are generous to where one comes from."""
    app = create_engine(settings, APP_ROLE)
    sealer = Sealer(settings.list_sealing_keys(), settings.secret.encode())
    door = open_door(app, sealer, region=settings.region, site="https://cell.example")
    roomy = Throttle(free=100_000)
    door = structs.replace(door, sign_ups=roomy, sources=roomy)
    try:
        yield AccountGround(door, Ids(settings.region, settings.secret.encode()))
    finally:
        await door.errands.close()
        await app.dispose()
