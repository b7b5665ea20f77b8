"""The real servers that the tests share: one set for each xdist process, started when first asked.

Tests keep out of each other's way by fresh ids, not by flushing. What goes over the rows of all
resellers can't: it has servers of its own.
"""

import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest
import structlog

from ops.servers import initialise
from ops.stack import Stack
from tests.module_order import longest_first
from tests.prepared_database import PreparedDatabase
from tests.taking_turns import turn

OTHER_CELLS = {"ONSALE_CELLS": "far=https://far.onsale.example,gone"}
"""Two cells that the whole platform knows of: one's address, and that there is the other."""

PRIVATE_WEBHOOKS = {"ONSALE_WEBHOOK_PRIVATE": "on"}
"""As the quick start starts the platform."""


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around the time-out: to wait for a turn is no test
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test that is marked `alone` while no other worker runs one."""
    with turn(alone=item.get_closest_marker("alone") is not None):
        return (yield)


@pytest.hookimpl(trylast=True)  # after pytest has put together what shares parametrised fixtures
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let long modules begin first where several processes share the work."""
    if hasattr(config, "workerinput"):
        order = longest_first([_module(item) for item in items], alone=_with_tests_alone(items))
        items.sort(key=lambda item: order[_module(item)])


def _module(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _with_tests_alone(items: list[pytest.Item]) -> set[str]:
    return {_module(item) for item in items if item.get_closest_marker("alone") is not None}


@pytest.fixture(scope="session", autouse=True)
def prepared_database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PreparedDatabase]:
    """What stacks copy their first database from; it is made when first asked for."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    prepared = PreparedDatabase(shared / "database", initialise)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ops.servers.initialise", prepared.initialise)
        yield prepared


@pytest.fixture(scope="session", autouse=True)
def _logs_to_be_captured() -> Iterator[None]:
    """Keep no logger as it was first used: a test could not capture what it says after that."""
    configure = structlog.configure

    def configured(**settings: Any) -> None:  # noqa: ANN401 -- structlog's
        settings["cache_logger_on_first_use"] = False
        configure(**settings)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", configured)
        yield


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A Valkey and a migrated PostgreSQL, without API and worker."""
    directory = tmp_path_factory.mktemp("servers")
    with Stack(directory, with_api=False, with_worker=False, environment={}) as stack:
        yield stack


@pytest.fixture(scope="module")
def own_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers for one module only, whose tests go over all rows there are, whoever's they are."""
    directory = tmp_path_factory.mktemp("own-servers")
    with Stack(directory, with_api=False, with_worker=False, environment={}) as stack:
        yield stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole platform: servers, API and worker."""
    with Stack(
        tmp_path_factory.mktemp("stack"), environment=OTHER_CELLS | PRIVATE_WEBHOOKS
    ) as stack:
        yield stack
