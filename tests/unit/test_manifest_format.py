"""A manifest is read back as it was compiled, and one of another format not at all."""

import hashlib
import zlib
from pathlib import Path

import pytest

from engine.inventory.compile_manifest import compile_manifest
from engine.inventory.manifest import Manifest
from engine.inventory.manifest_format import FORMAT, pack_manifest, unpack_manifest
from engine.inventory.seating_plan import read_plan
from loadtests.generated_plans import arena_plan

_REAL_HALL = Path(__file__).parents[2] / "loadtests/data/riethsporthalle.seatingplan.json"
_ARENA = arena_plan(1_000, floor_areas=2)
_SPECIAL = b"""
{"name": "Special", "categories": [{"name": "Stalls"}],
 "zones": [{"name": "Main", "position": {"x": 0, "y": 0}, "entrance": "North", "gate": "4",
  "rows": [{"row_number": "A", "seats": [
   {"seat_guid": "a-1", "seat_number": "1", "category": "Stalls", "accessible": true,
    "position": {"x": 0, "y": 0}},
   {"seat_guid": "a-2", "seat_number": "2", "category": "Stalls", "companion_of": "a-1",
    "position": {"x": 10, "y": 0}},
   {"seat_guid": "a-3", "seat_number": "3", "category": "Stalls", "restricted_view": true,
    "position": {"x": 60, "y": 0}}]}]}]}
"""


def compiled(plan: bytes) -> Manifest:
    """Compile a plan."""
    return compile_manifest(read_plan(plan))


@pytest.mark.parametrize("plan", [_REAL_HALL.read_bytes(), _ARENA, _SPECIAL])
def test_what_is_read_is_what_was_compiled(plan: bytes) -> None:
    """All of it, what is derived, too."""
    manifest = compiled(plan)
    again = unpack_manifest(pack_manifest(manifest))
    for name in Manifest.__struct_fields__:
        assert getattr(again, name) == getattr(manifest, name), name


def test_rows_share_their_seats_numbers() -> None:
    """A process keeps two million seats: not two million texts."""
    again = unpack_manifest(pack_manifest(compiled(_ARENA)))
    assert again is not None
    numbers = [number for number in again.numbers if number is not None]
    assert len(numbers) == 1_000
    assert len({id(number) for number in numbers}) == len(set(numbers)) < 100


def test_another_format_is_not_read() -> None:
    """As of a version that runs beside this one: the plan is compiled instead."""
    packed = pack_manifest(compiled(_ARENA))
    assert unpack_manifest(bytes([FORMAT + 1]) + packed[1:]) is None


def test_what_is_spoilt_is_refused() -> None:
    """Nothing is sold from it."""
    packed = pack_manifest(compiled(_ARENA))
    with pytest.raises(zlib.error):
        unpack_manifest(packed[:-10])


def test_a_change_of_what_is_compiled_makes_another_format() -> None:
    """What is kept would be something else than what is compiled: raise FORMAT, then this."""
    content = zlib.decompress(memoryview(pack_manifest(compiled(_SPECIAL)))[1:])
    fields = ("name", "layout", "labels", "numbers", "rows", "levels", "areas", "traits")
    digest = hashlib.sha256(content).hexdigest()[:16]
    assert Manifest.__struct_fields__[: len(fields)] == fields
    assert (FORMAT, digest) == (1, "4ed529147a3f52ec")
