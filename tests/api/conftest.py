"""Two resellers at the counter of a real server."""

import asyncio
from collections.abc import Iterator

import pytest

from engine.platform.database import create_engine
from engine.platform.settings import OWNER_ROLE, Settings
from engine.tenancy.resellers import create_reseller
from ops.stack import Stack
from tests.api.front_desk import FrontDesk, ShowDesk
from tests.api.stand_in_app import serve_this


async def new_key(settings: Settings, name: str) -> str:
    """Make a reseller and return their API key."""
    owner = create_engine(settings, OWNER_ROLE)
    try:
        return (await create_reseller(owner, settings.region, name)).text
    finally:
        await owner.dispose()


@pytest.fixture(scope="session")
def desk(stack: Stack) -> Iterator[FrontDesk]:
    """A reseller."""
    desk = FrontDesk(stack.base_url, asyncio.run(new_key(stack.settings, "Tickets United")))
    with desk.http:
        yield desk


@pytest.fixture(scope="session")
def rival(stack: Stack) -> Iterator[FrontDesk]:
    """Another reseller."""
    desk = FrontDesk(stack.base_url, asyncio.run(new_key(stack.settings, "Rival Tickets")))
    with desk.http:
        yield desk


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A platform whose API is `stand_in_app`, for the few modules that ask it."""
    directory = tmp_path_factory.mktemp("stand-in")
    with Stack(directory, environment={}, adjust=serve_this) as stack:
        yield stack


@pytest.fixture
def show(desk: FrontDesk) -> ShowDesk:
    """A fresh show of the first reseller."""
    return desk.new_show()
