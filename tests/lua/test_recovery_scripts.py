"""Claiming, opening and reading a show: every status in order of precedence."""

from typing import Any

import pytest

from engine.inventory.commands import Held, Purchase, Purchased, Release
from engine.inventory.facts import StreamId
from engine.inventory.keys import staged
from engine.inventory.records import AreaCounts, unpack_area
from engine.inventory.scripts import load_script
from tests.lua.script_headers import returned
from tests.lua.show_room import (
    START_MS,
    Rooms,
    Rules,
    ShowRoom,
    call,
    hold_id,
    make_manifest,
    untouched,
)

HALL = make_manifest("|oooo|oooo|", areas=[4])


def _read_show(room: ShowRoom, *, epoch: int | None = None, version: int = 1) -> list[Any]:
    return call(
        room.client,
        load_script("read_show"),
        room.keys.inventory(),
        room.epoch if epoch is None else epoch,
        version,
    )


def test_the_headers_name_the_statuses_that_are_tested_here() -> None:
    """Claiming, opening and reading have these, in this order."""
    assert returned("claim_show") == ["superseded", "claimed"]
    assert returned("open_show") == ["superseded", "unclaimed", "incomplete", "differs", "opened"]
    assert returned("read_show") == ["fenced", "stale", "ok"]


def test_a_claim_is_refused_where_a_later_one_stands(rooms: Rooms) -> None:
    """superseded, then claimed; a refused claim changes nothing."""
    room = rooms.open(HALL)
    room.claim(5)
    before = room.read()
    assert room.claim(4) == [b"superseded", 5]
    assert room.read() == before
    assert room.claim(5)[0] == b"claimed"
    assert room.claim(6) == [b"claimed", START_MS, START_MS, 1, 0, 0, b"", 0]


def test_a_claim_of_a_store_that_knows_nothing_says_so(rooms: Rooms) -> None:
    """Time and version are 0 where there were none."""
    status, seen_ms, now_ms, *found = rooms.make(HALL).claim(1)
    assert (status, seen_ms, found) == (b"claimed", 0, [0, 0, 0, b"", 0])
    assert 1_500_000_000_000 < now_ms < START_MS


def test_a_claim_tells_how_the_show_stood(rooms: Rooms) -> None:
    """Its epoch, its last sale and its live holds, until somebody has claimed it."""
    room = rooms.open(HALL)
    assert room.claim(2)[5:] == [1, b"", 0]
    room.open()
    assert isinstance(room.hold(1, seats=(1, 2), areas=((0, 1),)), Held)
    assert isinstance(room.hold(2, seats=(3,)), Held)
    assert isinstance(room.hold(3, seats=(4,)), Held)
    room.ask(Release(hold_id(2)))
    assert isinstance(room.ask(Purchase(hold_id(3), "key", 7, "")), Purchased)
    last, _ = room.read().sales[-1]
    assert room.claim(3)[5:] == [2, str(last).encode(), 1]
    assert room.claim(4)[5:] == [0, b"", 0], "nobody knows what the claimant has done"


@pytest.mark.parametrize("spoilt", ["record", "holds", "expiry", "sales"])
def test_a_show_in_which_something_is_spoilt_is_claimed_all_the_same(
    rooms: Rooms, spoilt: str
) -> None:
    """And told to be none that was open: it is to be built anew."""
    room = rooms.open(HALL)
    assert isinstance(room.hold(1, seats=(1,)), Held)
    if spoilt == "record":
        room.client.hset(room.keys.holds, mapping={hold_id(1): "spoilt"})
    else:
        room.client.set(getattr(room.keys, spoilt), "spoilt")
    assert room.claim(2)[5:] == [0, b"", 0]
    assert room.meta()["state"] == "recovering"


def test_a_show_opens_as_it_stands_only_if_that_is_as_expected(rooms: Rooms) -> None:
    """differs, opened: by the seats' length, the areas, and what is sold of both."""
    room = rooms.open(HALL)
    assert isinstance(room.hold(1, seats=(1, 2), areas=((0, 1),)), Held)
    assert isinstance(room.hold(2, seats=(3,)), Held)
    assert isinstance(room.ask(Purchase(hold_id(1), "key", 7, "")), Purchased)
    assert room.change(block=[4]) == ["changed", START_MS, []]
    room.claim(2)
    before = room.read()
    right = (len(HALL.layout), 1, 2, 1, 1, HALL.layout.count("|"), HALL.areas[0].capacity)
    for n, off in enumerate((1, 1, -1, -1, 1, 1, -1)):
        wrong = (*right[:n], right[n] + off, *right[n + 1 :])
        assert room.open_claimed(2, Rules(), wrong) == [b"differs"]
    assert room.read() == before
    assert room.open_claimed(2, Rules(max_per_hold=3), right) == [b"opened", START_MS]
    found = room.read()
    assert (found.seats, found.areas, found.records, found.expiry, found.buyers, found.keys) == (
        before.seats,
        before.areas,
        before.records,
        before.expiry,
        before.buyers,
        before.keys,
    )
    assert (found.meta["state"], found.meta["max_per_hold"]) == ("open", "3")
    assert found.deltas[-1].at == StreamId(2, 0)


def test_a_show_whose_keys_are_spoilt_does_not_open_as_it_stands(rooms: Rooms) -> None:
    """differs, whatever its keys have become."""
    room = rooms.open(HALL)
    room.claim(2)
    room.client.delete(room.keys.areas)
    room.client.set(room.keys.areas, "spoilt")
    assert room.open_claimed(
        2, Rules(), (len(HALL.layout), 1, 0, 0, 0, HALL.layout.count("|"), HALL.areas[0].capacity)
    ) == [b"differs"]


def test_a_claimed_show_is_fenced(rooms: Rooms) -> None:
    """From the claim on no batch acts, whoever made it."""
    room = rooms.open(HALL)
    room.claim(2)
    assert room.batch(epoch=1).status == "fenced"
    assert room.batch(epoch=2).status == "fenced"
    assert room.change(block=[1]) == ["fenced"]


def test_opening_is_refused_unless_it_is_claimed_under_the_same_epoch_and_built(
    rooms: Rooms,
) -> None:
    """superseded, unclaimed, incomplete, opened: each before the ones after it."""
    room = rooms.open(HALL)
    room.claim(5)
    before = room.read()
    assert room.open_claimed(4, Rules()) == [b"superseded", 5]
    assert room.open_claimed(6, Rules()) == [b"unclaimed"]
    room.set_meta(state="open")
    assert room.open_claimed(5, Rules()) == [b"unclaimed"]
    room.set_meta(state="recovering")
    assert room.open_claimed(5, Rules()) == [b"incomplete"]
    assert room.read() == before
    room.stage(5, untouched(HALL))
    assert room.open_claimed(5, Rules()) == [b"opened", START_MS]
    assert room.open_claimed(5, Rules()) == [b"unclaimed"]


def test_opening_replaces_everything_and_leaves_nothing_staged(rooms: Rooms) -> None:
    """Old content goes, also where nothing was built for a key; the new does not expire."""
    room = rooms.open(HALL)
    assert isinstance(room.hold(1, seats=(1, 2), areas=((0, 1),)), Held)
    room.open(rules=Rules(max_per_hold=3))
    found = room.read()
    assert found.seats == HALL.layout
    assert found.areas == {0: AreaCounts(4)}
    assert (found.records, found.expiry, found.buyers, found.keys) == ({}, {}, {}, {})
    assert found.meta["max_per_hold"] == "3"
    assert found.meta["state"] == "open"
    live = room.keys.inventory()
    assert room.client.exists(*(staged(key, room.epoch) for key in live[:6])) == 0
    assert [room.client.ttl(key) for key in (room.keys.seats, room.keys.areas)] == [-1, -1]
    assert found.deltas[-1].at == StreamId(2, 0)


def test_reading_a_show_is_fenced_before_it_is_stale(rooms: Rooms) -> None:
    """fenced, stale, ok; reading writes nothing."""
    room = rooms.open(HALL)
    assert isinstance(room.hold(1, seats=(1, 2), areas=((0, 1),)), Held)
    run_id = room.meta()["run_id"]
    room.set_meta(run_id="another server's")
    assert _read_show(room, epoch=9, version=9) == [b"fenced"]
    room.set_meta(run_id=run_id)
    assert _read_show(room, epoch=9) == [b"stale"]
    assert _read_show(room, version=9) == [b"stale"]
    before = room.read()
    status, now_ms, seats, sequence, areas = _read_show(room)
    assert room.read() == before
    assert (status, now_ms, seats) == (b"ok", START_MS, b"|hhoo|oooo|")
    assert StreamId.parse(sequence) == before.deltas[-1].at
    assert (int(areas[0]), unpack_area(areas[1])) == (0, AreaCounts(3, held=1))


@pytest.mark.parametrize(
    ("refused", "answer"),
    [
        ({"block": [1, 2, 3]}, [[2], []]),
        ({"block": [0, 1]}, [[0], []]),
        ({"block": [99]}, [[99], []]),
        ({"areas": [(0, 3)]}, [[], [[0, 2, 1]]]),
        ({"areas": [(0, -2)]}, [[], [[0, 2, 1]]]),
        ({"areas": [(0, -1), (0, -1)]}, [[], [[0, 3, 0]]]),
        ({"areas": [(9, 1)]}, [[], [[9, 0, 0]]]),
        ({"block": [2], "areas": [(0, 3)]}, [[2], [[0, 2, 1]]]),
    ],
)
def test_the_house_withholds_all_or_nothing(
    rooms: Rooms, refused: dict[str, Any], answer: list[Any]
) -> None:
    """too-late, fenced, stale, refused, changed: each before the ones after it."""
    assert returned("change_inventory") == ["too-late", "fenced", "stale", "refused", "changed"]
    room = rooms.open(HALL)
    assert isinstance(room.hold(1, seats=(2,), areas=((0, 1),)), Held)
    assert room.change(areas=[(0, 1)]) == ["changed", START_MS, []]
    run_id = room.meta()["run_id"]
    room.set_meta(run_id="another server's")
    assert room.change(**refused, version=9, not_after_ms=START_MS - 1) == ["too-late"]
    assert room.change(**refused, version=9) == ["fenced"]
    room.set_meta(run_id=run_id)
    assert room.change(**refused, version=9) == ["stale"]
    assert room.change(**refused, epoch=9) == ["stale"]
    before = room.read()
    assert room.change(**refused) == ["refused", *answer]
    assert room.read() == before
    changes: dict[str, Any] = {"block": [3, 4], "areas": [(0, -1)], "rules": {"max_per_hold": "2"}}
    assert room.change(**changes) == ["changed", START_MS, []]
    found = room.read()
    assert found.seats == "|ohbb|oooo|"
    assert found.areas == {0: AreaCounts(3, held=1)}
    assert (found.meta["version"], found.meta["max_per_hold"]) == ("3", "2")
    assert found.deltas[-1].seats == ((3, ord("b")), (4, ord("b")))
    assert room.batch(version=2).status == "stale"


def test_what_is_withheld_or_open_already_stays_so(rooms: Rooms) -> None:
    """Withholding a withheld seat and giving an open or held one back change nothing."""
    room = rooms.open(HALL)
    assert isinstance(room.hold(1, seats=(2,)), Held)
    assert room.change(block=[4])[0] == "changed"
    assert room.change(block=[4], unblock=[1, 2])[0] == "changed"
    found = room.read()
    assert found.seats == "|ohob|oooo|"
    assert found.deltas[-1].seats == ()
    assert set(found.records) == {hold_id(1)}
