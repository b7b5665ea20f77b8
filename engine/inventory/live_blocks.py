"""Which part of a show somebody watches: all of it, some seats, a price level, a zone."""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from engine.inventory.manifest import Manifest

SEATS_WATCHED_MAX: Final = 50


class Block(Struct, frozen=True):
    """A part of a show. Two of the same part are equal."""

    kind: str
    """`all`, `seats`, `level` or `zone`."""
    names: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]
    """Positions `[start, end)`, rising."""
    areas: tuple[int, ...]

    def cut(self, states: bytes | bytearray) -> bytes:
        """Return the states of its positions, in their order."""
        return b"".join(bytes(states[start:end]) for start, end in self.ranges)

    def mask(self, positions: int) -> bytes | None:
        """Return a byte a position, 1 where it is of this part; None: none is needed.

        Of all of a show none is, and of seats by label neither: they are few, and there may be
        thousands of such parts, each of which would be as large as the show.
        """
        if self.kind in {"all", "seats"}:
            return None
        mask = bytearray(positions)
        for start, end in self.ranges:
            mask[start:end] = b"\1" * (end - start)
        return bytes(mask)


class NoSuchBlock(Struct, frozen=True):
    """The show has no such seats, price level or zone."""

    names: tuple[str, ...]


def whole_show(manifest: Manifest) -> Block:
    """Return all of a show."""
    return Block(
        "all", (), ((0, len(manifest.layout)),), tuple(n for n, _ in manifest.areas_told())
    )


def some_seats(manifest: Manifest, labels: Iterable[str]) -> Block | NoSuchBlock:
    """Return the seats with these labels."""
    found = {label: manifest.index(label) for label in labels}
    unknown = tuple(label for label, position in found.items() if position is None)
    if unknown:
        return NoSuchBlock(unknown)
    by_position = sorted((p, label) for label, p in found.items() if p is not None)
    names = tuple(label for _, label in by_position)
    return Block("seats", names, tuple((p, p + 1) for p, _ in by_position), ())


def price_level(manifest: Manifest, slug: str) -> Block | NoSuchBlock:
    """Return a price level's seats and areas."""
    level = manifest.level_index(slug)
    if level is None:
        return NoSuchBlock((slug,))
    areas = tuple(n for n, area in manifest.areas_told() if area.price_level == slug)
    ranges = tuple(sorted(manifest.levels[level].ranges))
    return Block("level", (slug,), ranges, areas)


def drawn_anew(block: Block, manifest: Manifest) -> Block:
    """Return a part as it is after an edit of the show's places: of price levels only, another."""
    if block.kind != "level":
        return block
    found = price_level(manifest, block.names[0])
    return found if isinstance(found, Block) else block


def zone(manifest: Manifest, name: str) -> Block | NoSuchBlock:
    """Return a zone's rows."""
    ranges = tuple(sorted((row.start, row.end) for row in manifest.rows if row.zone == name))
    return Block("zone", (name,), ranges, ()) if ranges else NoSuchBlock((name,))


def cut_changes(block: Block, mask: bytes | None, seats: Mapping[int, int]) -> Mapping[int, int]:
    """Return the changes that are in a part; `mask` is the part's own."""
    if block.kind == "seats":
        return {start: seats[start] for start, _ in block.ranges if start in seats}
    if mask is None:
        return seats
    return {position: state for position, state in seats.items() if mask[position]}
