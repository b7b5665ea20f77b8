"""A store that does not answer: clear words, no hanging, and service again when it is back."""

import asyncio
import secrets
import time
from collections.abc import Iterator

import pytest

from ops.child import Child
from ops.stack import Stack
from tests.api.conftest import new_key
from tests.api.front_desk import FrontDesk, ShowDesk, problem


@pytest.fixture(scope="module")
def frail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, ShowDesk]]:
    """A platform of its own, whose servers can be stopped."""
    with Stack(tmp_path_factory.mktemp("frail"), environment={}) as stack:
        desk = FrontDesk(stack.base_url, asyncio.run(new_key(stack.settings, "Frail")))
        with desk.http:
            yield stack, desk.new_show()


def test_without_redis_nothing_is_decided(frail: tuple[Stack, ShowDesk]) -> None:
    """Readiness says which store; a hold is in doubt, and its key tells later what happened."""
    stack, show = frail
    key = secrets.token_hex(8)
    valkey = _child(stack, "valkey")
    valkey.pause()
    try:
        ready = show.desk.get("/health/ready")
        assert (ready.status_code, problem(ready)) == (503, "unavailable")
        assert (ready.json()["redis"], ready.json()["postgresql"]) == ("does not answer", "ok")
        refused = show.hold("B-1", key=key)
        assert (refused.status_code, problem(refused)) == (503, "in-doubt")
        assert refused.headers["retry-after"] == "1"
        unread = show.desk.get(f"{show.path}/availability")
        assert (unread.status_code, problem(unread)) == (503, "unavailable")
    finally:
        valkey.resume()
    assert show.hold("B-1", key=key).status_code == 201
    assert show.desk.get("/health/ready").status_code == 200


def test_without_postgresql_holds_go_on(frail: tuple[Stack, ShowDesk]) -> None:
    """What is known is enough for them; what must be asked of it is unavailable."""
    stack, show = frail
    postgres = _child(stack, "postgres")
    postgres.kill(restart=False)
    try:
        assert show.hold("B-2").status_code == 201
        ready = show.desk.get("/health/ready")
        assert (ready.json()["redis"], ready.json()["postgresql"]) == ("ok", "does not answer")
        refused = show.desk.get("/v1/shows")
        assert (refused.status_code, problem(refused)) == (503, "unavailable")
        assert refused.headers["retry-after"] == "1"
    finally:
        postgres.start()
    assert show.desk.get("/v1/shows").status_code == 200


def test_a_purchase_without_postgresql_is_recording_then_confirmed(
    frail: tuple[Stack, ShowDesk],
) -> None:
    """202 with the order's address; once PostgreSQL is back the same key gets 201."""
    stack, show = frail
    hold, key = show.held("C-1"), secrets.token_hex(8)
    postgres = _child(stack, "postgres")
    postgres.kill(restart=False)
    try:
        decided = show.purchase(hold, key=key)
        assert (decided.status_code, decided.json()["status"]) == (202, "recording"), decided.text
        assert decided.headers["location"] == f"/v1/orders/{decided.json()['order']}"
    finally:
        postgres.start()
    deadline = time.monotonic() + 30
    while (again := show.purchase(hold, key=key)).status_code == 202:
        assert time.monotonic() < deadline, again.text
    assert (again.status_code, again.json()["order"]) == (201, decided.json()["order"])
    order = show.desk.get(decided.headers["location"]).json()
    assert order["status"] == "confirmed"


def _child(stack: Stack, name: str) -> Child:
    return next(child for child in stack.children if child.name == name)
