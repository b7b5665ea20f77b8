"""People at the API: accounts with users, made beside it, and sign-ups to send to it."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from engine.platform.database import create_engine
from engine.platform.ids import EntityId, Prefix
from engine.platform.settings import OWNER_ROLE, Settings
from engine.tenancy.accounts import Status
from engine.tenancy.keys import NewKey, add_key
from engine.tenancy.principals import EVERY_SCOPE, Role, Scope
from ops.resellers import change_status
from tests.api.front_desk import FrontDesk, Json
from tests.engine.account_ground import PASSWORD, AccountGround, fresh_email, open_account_ground

T = TypeVar("T")


def sign_up_body(**changes: Any) -> Json:  # noqa: ANN401 - any field
    """Return a sign-up that fits, of somebody new."""
    body: Json = {
        "legal_name": "Erfurt Tickets GmbH",
        "address": {"line_1": "Domplatz 1", "city": "Erfurt", "postal_code": "99084"},
        "country": "DE",
        "currency": "EUR",
        "tax_id": "DE136695976",
        "payout_account": {"iban": "DE89 3704 0044 0532 0130 00"},
        "owner_name": "Ada Abendroth",
        "email": fresh_email(),
        "password": PASSWORD,
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


class Account:
    """An approved account whose owner can sign in, with keys of its live reseller."""

    def __init__(self, settings: Settings, base_url: str) -> None:
        """Make one."""
        self.settings = settings
        self.base_url = base_url
        self._desks: list[FrontDesk] = []
        self.made, self.email = self.on_ground(lambda ground: ground.account())
        assert run(change_status(settings, self.made.reseller, Status.APPROVED))
        self.reseller = self.ids(Prefix.RESELLER, self.made.reseller)

    def ids(self, prefix: Prefix, entity: int) -> str:
        """Return the outside form of an id."""
        return f"{prefix}_{self.settings.region}_{entity:016x}"

    def desk(self, *scopes: Scope, sandbox: bool = False) -> FrontDesk:
        """Return a connection with a new key of these scopes, or of all."""
        reseller = self.made.sandbox if sandbox else self.made.reseller
        new = NewKey(name="test", scopes=frozenset(scopes) or EVERY_SCOPE)
        key = run(_issue(self.settings, reseller, new))
        self._desks.append(FrontDesk(self.base_url, key))
        return self._desks[-1]

    def close(self) -> None:
        """Close the connections."""
        for desk in self._desks:
            desk.http.close()

    def colleague(self, role: Role) -> str:
        """Return the id of a user with a role."""
        user, _ = self.on_ground(lambda ground: ground.colleague(self.made.reseller, role))
        return self.ids(Prefix.USER, user.id)

    def on_ground(self, work: Callable[[AccountGround], Awaitable[T]]) -> T:
        """Do something beside the API."""
        return on_ground(self.settings, work)


def on_ground(settings: Settings, work: Callable[[AccountGround], Awaitable[T]]) -> T:
    """Do something with a door of its own, on the platform's ledger."""

    async def there() -> T:
        async with open_account_ground(settings) as ground:
            return await work(ground)

    return run(there())


def run(work: Any) -> Any:  # noqa: ANN401 - whatever it returns
    """Run a coroutine where no loop runs: Playwright's may in this thread."""
    with ThreadPoolExecutor() as elsewhere:
        return elsewhere.submit(asyncio.run, work).result(60)


async def _issue(settings: Settings, reseller: EntityId, new: NewKey) -> str:
    owner = create_engine(settings, OWNER_ROLE)
    try:
        async with owner.begin() as connection:
            return (await add_key(connection, reseller, settings.region, new)).text
    finally:
        await owner.dispose()
