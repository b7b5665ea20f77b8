"""Whatever is sent as a seating plan is read whole or refused, with its place, and soon."""

import json
import time
from contextlib import suppress
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.seating_plan import SeatingPlanError, export_plan, read_plan
from tests.unit.plan_world import refusal, setting, small_plan


@pytest.mark.parametrize(
    ("head", "repeated", "times", "tail", "pointer", "reason"),
    [
        (b"", b" ", 64 * 1024**2 + 1, b"", "", "has more than 64 MiB"),
        (b"[", b"{},", 2_000_000, b"{}]", "", "has more than 4000000 values"),
        (b"", b"[", 3_000_000, b"", "", "is nested too deeply"),
        (
            b'{"name":"x","categories":[],"zones":[',
            b"{},",
            1_900_000,
            b"{}]}",
            "/zones",
            "has more than 10000 entries",
        ),
        (
            b'{"name":"x","zones":[],"categories":[',
            b'{"name":"a"},',
            1_300_000,
            b"1]}",
            "/categories",
            "has more than 250 entries",
        ),
        (
            b'{"name":"x","categories":[],"zones":[{"position":{"x":0,"y":0},"rows":[',
            b'{"row_number":"1","seats":[{},{},{}]},',
            9_999,
            b"1]}]}",
            "/zones/0/rows/0/seats/0",
            "lacks the field 'seat_guid'",
        ),
        (
            b'{"zones":[],"categories":[],"name":"',
            b"a",
            60_000_000,
            b'"}',
            "/name",
            "has more than 200 characters",
        ),
    ],
)
def test_a_hostile_plan_is_refused_within_seconds(  # noqa: PLR0913, PLR0917 - a document and its fault
    head: bytes, repeated: bytes, times: int, tail: bytes, pointer: str, reason: str
) -> None:
    """Whatever is sent, the answer is a clear refusal, and soon."""
    document = head + repeated * times + tail
    started = time.monotonic()
    error = refusal(document)
    assert time.monotonic() - started < 15
    assert (error.faults[0].pointer, error.faults[0].reason) == (pointer, reason)


def _places(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    if isinstance(value, dict):
        for key, member in cast("dict[str, object]", value).items():
            found += _places(member, (*path, key))
    elif isinstance(value, list):
        for n, item in enumerate(cast("list[object]", value)):
            found += _places(item, (*path, n))
    return found


def _resolve(document: object, pointer: str) -> object:
    """Follow a JSON pointer, as RFC 6901 says."""
    place = document
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(place, list):
            place = cast("list[object]", place)[int(name)]
        else:
            place = cast("dict[str, object]", place)[name]
    return place


SMALL_PLACES = [place for place in _places(small_plan()) if place]
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["Stalls", "A-1", "", "rectangle", "/", "~"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["x", "y", "name", "seats", "capacity", "a/b", "~"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(SMALL_PLACES), JSON_VALUES), min_size=1, max_size=4))
def test_whatever_stands_in_a_plan_is_read_whole_or_refused_by_places_that_exist(
    changes: list[tuple[tuple[str | int, ...], object]],
) -> None:
    """A plan with arbitrary values in it compiles and is written back, or every fault resolves."""
    plan = small_plan()
    for place, value in changes:
        # A place may be gone with an earlier change.
        if place in _places(plan):
            setting(*place, to=value)(plan)
    try:
        read = read_plan(json.dumps(plan))
    except SeatingPlanError as error:
        for fault in error.faults:
            _resolve(plan, fault.pointer)
        return
    assert json.loads(export_plan(read)) == plan
    compile_manifest(read)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_at_all_are_refused_as_a_fault(document: bytes) -> None:
    """No input makes anything but a refusal."""
    assert refusal(document).faults


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_plan_with_a_damaged_byte_is_read_or_refused(data: st.DataObject) -> None:
    """Damage on the way gives a refusal, or another plan that is sound."""
    document = bytearray(json.dumps(small_plan()).encode())
    at = data.draw(st.integers(0, len(document) - 1))
    document[at] = data.draw(st.integers(0, 255))
    with suppress(SeatingPlanError):
        compile_manifest(read_plan(bytes(document)))
