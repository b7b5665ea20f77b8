"""The controls are honest: what is compared with makes real holds, once, within the limits."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis

from loadtests.bench.course import OpenShow
from loadtests.bench.hold_ordinary import fill_seats as fill_ordinary
from loadtests.bench.hold_sql import create_tables, fill_seats
from loadtests.bench.http_bench import QUICK, Server
from loadtests.bench.requests import RequestWriter
from loadtests.controls.ordinary import REDIS_URL
from loadtests.controls.sql import DATABASE_URL
from loadtests.generator.choosing import PythonGenerator
from ops.stack import Stack
from ops.workbench import Workbench

_GROUPS = [[f"A-1-{n}", f"A-1-{n + 1}"] for n in range(1, 21, 2)]


def _workbench() -> Workbench:
    return Workbench(rounds=1, generator=PythonGenerator(), size=QUICK, say=print)


def _show() -> OpenShow:
    return OpenShow(f"shw_{uuid4().hex}", _GROUPS, RequestWriter("", ""))


class _Control:
    """A control with a show of its own."""

    def __init__(self, server: Server, show: OpenShow) -> None:
        self._url = f"{server.base_url}/v1/shows/{show.id}/holds"

    def hold(self, *seats: str, buyer: str, key: str) -> tuple[int, Any]:
        request = urllib.request.Request(  # noqa: S310 - our own server
            self._url,
            data=json.dumps({"seats": seats, "buyer": buyer, "ttl_s": 600}).encode(),
            headers={"Idempotency-Key": key, "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)


@pytest.fixture(scope="module", params=["ordinary", "sql"])
def control(request: pytest.FixtureRequest, servers: Stack) -> Iterator[_Control]:
    """Each of the two controls that hold, served as the API is."""
    show = _show()
    settings = servers.settings
    if request.param == "ordinary":
        environment = {REDIS_URL: settings.redis_url}
        with redis.Redis.from_url(settings.redis_url, socket_timeout=20) as store:
            fill_ordinary(store, show)
    else:
        environment = {DATABASE_URL: settings.database_url}
        asyncio.run(create_tables(settings.database_url))
        asyncio.run(fill_seats(settings.database_url, show))
    with _workbench().serve(f"loadtests.controls.{request.param}:app", environment) as server:
        yield _Control(server, show)


def test_a_control_holds_free_seats_once(control: _Control) -> None:
    """The same key gets the same hold, others don't get its seats, and nothing of a refusal."""
    status, first = control.hold("A-1-1", "A-1-2", buyer="b-1", key="k-1")
    assert status == 201
    assert (first["seats"], first["buyer"], first["status"]) == (["A-1-1", "A-1-2"], "b-1", "held")
    assert first["price"]["total"] == 2 * first["price"]["lines"][0]["unit"]["total"]
    assert control.hold("A-1-1", "A-1-2", buyer="b-1", key="k-1") == (201, first)
    assert control.hold("A-1-2", "A-1-3", buyer="b-2", key="k-2")[0] == 409
    status, second = control.hold("A-1-3", "A-1-4", buyer="b-2", key="k-2")
    assert status == 201
    assert second["hold"] != first["hold"]


def test_a_control_keeps_to_the_limit_per_buyer(control: _Control) -> None:
    """Eight seats, in any number of holds; a seat that does not exist is not held either."""
    for n in range(5, 13, 2):
        assert control.hold(f"A-1-{n}", f"A-1-{n + 1}", buyer="b-3", key=f"l-{n}")[0] == 201
    assert control.hold("A-1-13", "A-1-14", buyer="b-3", key="l-13")[0] == 409
    assert control.hold("A-1-13", "A-1-14", buyer="b-4", key="l-14")[0] == 201
    assert control.hold("Z-9-9", buyer="b-4", key="l-15")[0] == 409


def test_the_bare_control_decodes_and_answers_what_a_hold_is_answered() -> None:
    """A body that does not fit is an error even there."""
    with _workbench().serve("loadtests.controls.bare:app", {}) as server:
        bare = _Control(server, _show())
        status, told = bare.hold("A-1-1", "A-1-2", buyer="b-1", key="k-1")
        assert status == 201
        assert told.keys() == {
            *("hold", "show", "status", "buyer", "seats", "areas", "expires_at", "price"),
        }
        request = urllib.request.Request(server.base_url, data=b'{"buyer": 7}')  # noqa: S310
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=20)  # noqa: S310 - our own server
        refused.value.close()
        assert refused.value.code == 500
