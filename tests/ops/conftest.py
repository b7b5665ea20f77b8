"""What starts a platform is tested with databases that are made from nothing."""

from collections.abc import Iterator

import pytest

from tests.prepared_database import PreparedDatabase


@pytest.fixture(scope="module", autouse=True)
def _from_nothing(prepared_database: PreparedDatabase) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops.servers.initialise", prepared_database.from_nothing)
        yield
