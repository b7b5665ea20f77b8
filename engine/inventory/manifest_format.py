"""Writes manifests down as they are kept beside their plans, and reads them back.

To read a plan of 60 000 seats and compile it takes a process twenty times as long as to read what
came of it. So whoever keeps a plan keeps that, too, in the same row; the row never changes, and a
database that is made to change its plan forgets what came of the old one. It is read from there
alone: what it says is the ledger's word.
"""

import zlib
from typing import Final

import msgspec
from msgspec import Struct

from engine.inventory.manifest import Area, Manifest, PriceLevel, Row, Traits

FORMAT: Final = 1
"""To be raised by any change of what is compiled or written here: what an older or a newer version
wrote is not read, and the plan compiled instead."""

_LEVEL: Final = 1
"""Of compression: others take ten times as long for as good as nothing."""


class _Kept(Struct, frozen=True, array_like=True):
    """A manifest without what is derived from the rest."""

    name: str
    layout: str
    labels: tuple[str | None, ...]
    numbers: tuple[str | None, ...]
    """Each once: every row has a seat 1."""
    number_by_position: tuple[int, ...]
    """Which of these."""
    rows: tuple[Row, ...]
    levels: tuple[PriceLevel, ...]
    areas: tuple[Area, ...]
    traits: dict[int, Traits]


_decoder: Final = msgspec.msgpack.Decoder(_Kept)


def pack_manifest(manifest: Manifest) -> bytes:
    """Write a manifest down, to be kept beside the plan that it was compiled from."""
    number_of = {number: n for n, number in enumerate(dict.fromkeys(manifest.numbers))}
    kept = _Kept(
        manifest.name,
        manifest.layout,
        manifest.labels,
        tuple(number_of),
        tuple(map(number_of.__getitem__, manifest.numbers)),
        manifest.rows,
        manifest.levels,
        manifest.areas,
        manifest.traits,
    )
    return bytes([FORMAT]) + zlib.compress(msgspec.msgpack.encode(kept), _LEVEL)


def unpack_manifest(packed: bytes) -> Manifest | None:
    """Read a manifest; None if it was written in another format.

    Raises:
        zlib.error, msgspec.DecodeError, ValueError: it is spoilt.
    """
    if packed[0] != FORMAT:
        return None
    kept = _decoder.decode(zlib.decompress(memoryview(packed)[1:]))
    return Manifest(
        name=kept.name,
        layout=kept.layout,
        labels=kept.labels,
        numbers=tuple(map(kept.numbers.__getitem__, kept.number_by_position)),
        rows=kept.rows,
        levels=kept.levels,
        areas=kept.areas,
        traits=kept.traits,
    )
