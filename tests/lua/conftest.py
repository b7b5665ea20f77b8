"""Rooms for the tests of the scripts."""

from collections.abc import Iterator

import pytest

from ops.stack import Stack
from tests.lua.show_room import Rooms, open_rooms


@pytest.fixture(scope="session")
def rooms(servers: Stack) -> Iterator[Rooms]:
    """Open shows on the tests' Valkey."""
    with open_rooms(servers.settings.redis_url) as rooms:
        yield rooms
