"""A stack of its own for the tests that break one, and a reseller to sell through it."""

from collections.abc import AsyncGenerator, Iterator

import pytest

from ops.port import Port
from ops.stack import Stack
from tests.faults.reseller_desk import ResellerDesk, open_desk


@pytest.fixture(scope="module")
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A whole platform that a test may break; it is supervised, so it comes back."""
    with Port("127.0.0.1", 0) as port:
        environment = {"ONSALE_METRICS_PORT": str(port.number)}
    with Stack(tmp_path_factory.mktemp("breakable"), environment=environment) as stack:
        yield stack


@pytest.fixture
async def desk(breakable: Stack) -> AsyncGenerator[ResellerDesk]:
    """A reseller with a show in the real hall."""
    async with open_desk(breakable) as desk:
        yield desk
