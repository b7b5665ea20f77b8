"""What is shared between processes of two versions is kept under a key that has its shape."""

import subprocess
import sys
from datetime import datetime
from typing import Any

import pytest
from msgspec import Struct

from engine.catalog import finder
from engine.catalog.facet_shelf import Shelf
from engine.catalog.finder import Answer, Asked
from engine.catalog.search import Facets
from engine.catalog.search_terms import Wanted
from engine.platform.cached_reads import shape_of

_PRINT = "from engine.catalog.finder import _SHAPES; print(_SHAPES)"


class _Part(Struct):
    shows: int


class _Whole(Struct):
    parts: list[_Part]
    at: datetime


def _changed(name: str = "_Whole", **fields: Any) -> type[Struct]:  # noqa: ANN401 - types
    import msgspec  # noqa: PLC0415 - only here

    kinds = {"parts": list[_Part], "at": datetime} | fields
    return msgspec.defstruct(name, [*kinds.items()])


@pytest.mark.parametrize(
    "other",
    [
        _changed(at=str),
        _changed(until=datetime),
        _changed(parts=list[_changed("_Part", at=int)]),
        _changed(parts=tuple[_Part, ...]),
        list[_Whole],
    ],
)
def test_another_shape_is_told_from_it(other: type) -> None:
    """Whatever of it, or of a part of it, has changed."""
    assert shape_of(other) != shape_of(_Whole)


def test_a_version_has_the_same_shapes_in_all_its_processes() -> None:
    """Else none would find what another has read."""
    shapes = {kind: finder._key(kind, Asked(Wanted())).split(":")[1] for kind in _KINDS}  # pyright: ignore[reportPrivateUsage]
    assert shapes == {kind: shape_of(kept) for kind, kept in _KINDS.items()}
    told = subprocess.run([sys.executable, "-c", _PRINT], check=True, capture_output=True)
    assert told.stdout.decode().strip() == repr(shapes)


_KINDS = {"search": Answer, "facets": Facets, "shelf": Shelf}
