"""What edits have changed of the plan that a show sells from: an overlay on its manifest.

A manifest is shared by all shows of one plan and never changes. Each edit of a show keeps the whole
overlay as it stands after it, and the price version from which on it counts: so that a sale that is
recorded late is priced by the levels that it was sold at. Positions never change.
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct
from msgspec.structs import replace

from engine.inventory.manifest import NO_LEVEL, SEPARATOR, Manifest, PriceLevel

Runs = tuple[tuple[int, int, int], ...]
"""`[start, end)` positions, rising, and a value that all of them have."""


class Overlay(Struct, frozen=True, omit_defaults=True):
    """All that a show's edits have changed, in indexes of its manifest."""

    levels: Runs = ()
    """Seats that are in another price level than in the plan."""
    removed: Runs = ()
    """Seats that are taken out; the value says nothing."""
    area_levels: tuple[tuple[int, int], ...] = ()
    """Areas and the index of their level."""
    capacities: tuple[tuple[int, int], ...] = ()
    """Areas and their capacity."""
    shares: tuple[tuple[int, int], ...] = ()
    """Areas that come after the plan's: of which one they have places, and with how many they
    began."""

    def with_changes(
        self,
        *,
        levels: Mapping[int, int],
        taken_out: Iterable[int],
        put_back: Iterable[int],
        area_levels: Mapping[int, int],
        capacities: Mapping[int, int],
    ) -> "Overlay":
        """Return it with more changes on top; seats by position, the rest by index."""
        gone = (_expand(self.removed).keys() | set(taken_out)) - set(put_back)
        return Overlay(
            levels=_runs({**_expand(self.levels), **levels}),
            removed=_runs(dict.fromkeys(gone, 1)),
            area_levels=tuple(sorted({**dict(self.area_levels), **area_levels}.items())),
            capacities=tuple(sorted({**dict(self.capacities), **capacities}.items())),
            shares=self.shares,
        )

    def with_capacities(self, capacities: Mapping[int, int]) -> "Overlay":
        """Return it with other capacities of some areas."""
        merged = {**dict(self.capacities), **capacities}
        return replace(self, capacities=tuple(sorted(merged.items())))

    def without_shares(self) -> "Overlay":
        """Return it with the places of all shares back in their areas."""
        if not self.shares:
            return self
        capacities = dict(self.capacities)
        # Who makes a share tells its capacity and its area's, and no area comes behind shares.
        first = max(capacities) - len(self.shares) + 1
        for n, (area, _) in enumerate(self.shares, first):
            capacities[area] += capacities.pop(n)
        return replace(self, capacities=tuple(sorted(capacities.items())), shares=())

    @property
    def seats_removed(self) -> int:
        """How many seats are taken out."""
        return sum(end - start for start, end, _ in self.removed)


def lay_over(manifest: Manifest, overlay: Overlay) -> Manifest:
    """Return a plan's manifest as a show's edits have left it.

    The ranges of a level keep the order of positions: the plan's best rows first.
    """
    levels = bytearray(manifest.level_by_position)
    for start, end, level in overlay.levels:
        levels[start:end] = bytes([level]) * (end - start)
    layout = bytearray(manifest.layout, "ascii")
    for start, end, _ in overlay.removed:
        layout[start:end] = SEPARATOR.encode() * (end - start)
        levels[start:end] = bytes([NO_LEVEL]) * (end - start)
    ranges: list[list[tuple[int, int]]] = [[] for _ in manifest.levels]
    for level, start, end in _ranges(levels):
        ranges[level].append((start, end))
    area_levels, capacities = dict(overlay.area_levels), dict(overlay.capacities)
    areas = tuple(
        replace(
            area,
            capacity=capacities.get(n, area.capacity),
            price_level=manifest.levels[area_levels[n]].slug
            if n in area_levels
            else area.price_level,
        )
        for n, area in enumerate(manifest.areas)
    )
    shares = tuple(
        replace(areas[parent], capacity=capacities.get(n, begun), parent=parent)
        for n, (parent, begun) in enumerate(overlay.shares, len(areas))
    )
    return Manifest(
        name=manifest.name,
        layout=layout.decode(),
        labels=manifest.labels,
        numbers=manifest.numbers,
        rows=manifest.rows,
        levels=tuple(
            PriceLevel(level.slug, level.name, level.color, tuple(found))
            for level, found in zip(manifest.levels, ranges, strict=True)
        ),
        areas=areas + shares,
        traits=manifest.traits,
    )


def _ranges(levels: bytes | bytearray) -> Iterator[tuple[int, int, int]]:
    """Yield level, first position and end of what has seats of one level and separators only."""
    level = start = end = -1
    for position, here in enumerate(levels):
        if here == NO_LEVEL:
            continue
        if here != level:
            if level >= 0:
                yield level, start, end
            level, start = here, position
        end = position + 1
    if level >= 0:
        yield level, start, end


def _expand(runs: Runs) -> dict[int, int]:
    return {position: value for start, end, value in runs for position in range(start, end)}


def _runs(values: Mapping[int, int]) -> Runs:
    runs: list[tuple[int, int, int]] = []
    for position, value in sorted(values.items()):
        if runs and runs[-1][1:] == (position, value):
            runs[-1] = (runs[-1][0], position + 1, value)
        else:
            runs.append((position, position + 1, value))
    return tuple(runs)
