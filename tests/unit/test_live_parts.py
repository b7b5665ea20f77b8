"""Parts of shows: as small as what they cover, and none takes the room of everybody's."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from api.fastlane import live_streams
from api.fastlane.live_audience import Watcher
from api.fastlane.live_streams import Live
from api.live_answers import tell_frame
from api.problems import ProblemError
from engine.inventory.facts import StreamId
from engine.inventory.live import LiveSeats, LiveShow
from engine.inventory.live_blocks import Block, cut_changes
from engine.inventory.live_frames import Frame
from engine.inventory.shows import Show

_SEATS = 100_000


def _part(*positions: int) -> Block:
    names = tuple(f"A-{position}" for position in positions)
    return Block("seats", names, tuple((p, p + 1) for p in positions), ())


def test_a_part_of_few_seats_is_small_and_told_of_them_only() -> None:
    """Thousands of such parts must not be as large as thousands of shows."""
    part = _part(3, 7)
    mask = part.mask(_SEATS)
    assert mask is None
    changes = {1: ord("h"), 7: ord("s"), 9: ord("o")}
    assert cut_changes(part, mask, changes) == {7: ord("s")}
    nobody = cast("Any", None)  # only areas are looked up in a manifest
    frame = Frame(StreamId(1, 0), StreamId(1, 1), 5, changes, {})
    told = tell_frame(frame, 1, nobody, part, mask)
    assert told is not None
    assert b'"sold":[7]' in told
    assert b"held" not in told
    frame = Frame(StreamId(1, 0), StreamId(1, 1), 5, {1: ord("h")}, {})
    assert tell_frame(frame, 1, nobody, part, mask) is None


def _show(number: int, reseller: int) -> Show:
    manifest = SimpleNamespace(layout=bytes(20))
    return cast("Show", SimpleNamespace(id=number, reseller=reseller, manifest=manifest))


def _take(_: object) -> None:
    """Do nothing with it."""


async def test_one_resellers_parts_leave_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many different seats are looked at in their shows."""
    monkeypatch.setattr(live_streams, "PARTS_MAX", 8)
    live = Live()
    seats = SimpleNamespace(follow=LiveShow, leave=_take)
    transport = SimpleNamespace(send_bytes=_take)
    watching: list[tuple[Watcher, asyncio.Task[None]]] = []

    async def watch(show: Show, block: Block) -> None:
        live.check_room(show, block)
        peer = (b"", 0)
        ended = asyncio.get_running_loop().create_future()
        watcher = Watcher(cast("Any", transport), cast("Any", (peer, 1)), ended, 60)
        watched = live.watch(cast("LiveSeats", seats), show, block, watcher, None)
        watching.append((watcher, asyncio.create_task(watched)))
        await asyncio.sleep(0)

    busy, other = _show(1, 100), _show(2, 200)
    for position in range(6):
        await watch(busy, _part(position))
    with pytest.raises(ProblemError):
        await watch(busy, _part(6))
    await watch(busy, _part(5))  # that is there already
    await watch(other, _part(6))
    await watch(other, _part(7))
    with pytest.raises(ProblemError):
        await watch(other, _part(8))
    for watcher, _ in watching:
        watcher.end()
    await asyncio.gather(*(task for _, task in watching))
