"""How a cluster is named, and which of its nodes is believed."""

import asyncio
from typing import Any

import pytest

from engine.platform.redis_cluster_map import ClusterMap, SlotUnavailableError, View
from engine.platform.redis_cluster_url import Address, parse_cluster_url
from engine.platform.settings import SettingsError, load_settings

_REST = {"ONSALE_DATABASE_URL": "postgresql://", "ONSALE_SECRET": "s" * 32}
_OLD, _NEW, _THIRD = (Address("n", port) for port in (1, 2, 3))


def test_a_clusters_url_names_its_first_nodes_and_how_to_log_in() -> None:
    """Each node is reached with the same user, password and options."""
    url = parse_cluster_url("rediss+cluster://me:p%40ss@a:7000,[::1]:7001/0?ssl_cert_reqs=none")
    assert url.seeds == (Address("a", 7000), Address("::1", 7001))
    assert url.of(Address("::1", 9)) == "rediss://me:p%40ss@[::1]:9/0?ssl_cert_reqs=none"
    plain = parse_cluster_url("redis+cluster://a:1")
    assert plain.of(plain.seeds[0]) == "redis://a:1/0"


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://",
        "redis+cluster://:pw@",
        "redis+cluster://a",
        "redis+cluster://a:1,b",
        "redis+cluster://a:1,,b:2",
        "redis+cluster://a:0",
        "redis+cluster://a:70000",
        "redis+cluster://a:1/2",
    ],
)
def test_what_names_no_cluster_is_refused_and_its_password_is_not_told(url: str) -> None:
    """At the start, by the variable's name."""
    url = url.replace("://", "://me:secret@", 1) if "@" not in url else url
    given = _REST | {"ONSALE_REDIS_URL": url, "ONSALE_QUEUE_REDIS_URL": "redis://q"}
    with pytest.raises(SettingsError, match="ONSALE_REDIS_URL") as refused:
        load_settings(given)
    assert "secret" not in str(refused.value)


def test_a_cluster_needs_a_plain_server_for_the_jobs() -> None:
    """ARQ does not work on a cluster."""
    given = _REST | {"ONSALE_REDIS_URL": "redis+cluster://a:1,b:2"}
    with pytest.raises(SettingsError, match="ONSALE_QUEUE_REDIS_URL"):
        load_settings(given)
    with pytest.raises(SettingsError, match="ONSALE_QUEUE_REDIS_URL"):
        load_settings(given | {"ONSALE_QUEUE_REDIS_URL": "redis+cluster://a:1"})
    settings = load_settings(given | {"ONSALE_QUEUE_REDIS_URL": "redis://q"})
    assert settings.queue_url() == "redis://q"
    bracketed = {"ONSALE_REDIS_URL": "redis+cluster://a:1,[::1]:2"}
    assert load_settings(given | bracketed | {"ONSALE_QUEUE_REDIS_URL": "redis://q"})


def _line(epoch: int, *slots: str, flags: str = "master") -> dict[str, Any]:
    return {"flags": flags, "epoch": str(epoch), "slots": [part.split("-") for part in slots]}


def _map(views: dict[Address, View]) -> ClusterMap:
    async def ask(address: Address) -> View:
        if address not in views:
            raise OSError
        return views[address]

    return ClusterMap([_OLD, _NEW, _THIRD], ask)


async def test_of_two_that_claim_a_slot_the_one_with_the_higher_epoch_has_it() -> None:
    """A primary that was cut off still believes in itself, whoever is asked first."""
    deposed = {"n:1": _line(1, "0-9"), "n:2": _line(2, flags="slave"), "n:3": _line(3, "10-20")}
    current = {
        "n:1": _line(1, flags="master,fail"),
        "n:2": _line(4, "0-8", "9"),
        "n:3": _line(3, "10-20"),
    }
    for order in ((deposed, current), (current, deposed)):
        nodes = _map({_OLD: order[0], _NEW: order[1]})
        assert [await nodes.owner(slot) for slot in (0, 9, 10)] == [_NEW, _NEW, _THIRD]
        with pytest.raises(SlotUnavailableError):
            await nodes.owner(21)


async def test_a_node_that_failed_is_looked_for_again_and_nobody_else_is() -> None:
    """The nodes are asked once, however many want to know."""
    views: dict[Address, View] = {_OLD: {"n:1": _line(1, "0-9")}, _NEW: {"n:2": _line(2, "10")}}
    views[_THIRD] = {**views[_OLD], **views[_NEW]}
    nodes = _map(views)
    assert await nodes.owner(0) == _OLD
    views[_NEW] = {"n:2": _line(3, "0-10")}
    await asyncio.sleep(0.03)
    assert await nodes.owner(0) == _OLD
    nodes.suspect(_OLD)
    assert await asyncio.gather(*(nodes.owner(0) for _ in range(3))) == [_NEW] * 3
    await nodes.close()


async def test_while_no_node_answers_what_was_known_is_kept() -> None:
    """It may be our own connection that fails."""
    views: dict[Address, View] = {_OLD: {"n:1": _line(1, "0-9"), "n:2": _line(2), "n:3": _line(3)}}
    nodes = _map(views)
    assert await nodes.owner(0) == _OLD
    views.clear()
    nodes.suspect(_OLD)
    await asyncio.sleep(0.03)
    assert await nodes.owner(0) == _OLD
    assert not nodes.is_answered
