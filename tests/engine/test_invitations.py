"""Invitations are mails to people who did not ask for them: few of them."""

from collections.abc import AsyncIterator

import pytest

from engine.tenancy.invitations import Invitation, accept_invitation, invite
from engine.tenancy.mails import MailKind
from engine.tenancy.principals import EVERY_SCOPE, Role
from engine.tenancy.sessions import Throttled
from engine.tenancy.users import User
from ops.stack import Stack
from tests.engine.account_ground import (
    PASSWORD,
    AccountGround,
    fresh_email,
    open_account_ground,
)


@pytest.fixture(scope="module")
async def ground(servers: Stack) -> AsyncIterator[AccountGround]:
    """A door that nobody else comes through."""
    async with open_account_ground(servers.settings) as opened:
        yield opened


async def test_nobody_is_written_to_as_often_as_somebody_invites(ground: AccountGround) -> None:
    """However often an account asks, and the invitation that was mailed last stays good."""
    account, _ = await ground.account()
    email = fresh_email()
    door, reseller = ground.door, account.reseller
    outcomes = [
        await invite(door, reseller, email, Role.SCANNER, held=EVERY_SCOPE) for _ in range(20)
    ]
    assert {type(one) for one in outcomes} == {Invitation, Throttled}
    assert sum(isinstance(one, Invitation) for one in outcomes) == 5
    token = await ground.token(reseller, MailKind.INVITATION)
    assert isinstance(await accept_invitation(door, token, "Bo Becker", PASSWORD), User)
