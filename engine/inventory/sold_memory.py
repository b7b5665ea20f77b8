"""What a process knows to be sold of a show, and refuses without asking the store.

It is fed by the show's deltas, from the first one on, and says no only where the script could say
nothing else: a seat that is sold stays sold within its epoch, until a return, which is a delta too.
The deltas also name every hold that was made: a request whose own hold may be among them goes to
the store, and so does everything that is not known.
"""

from typing import Final

import msgspec

from engine.inventory.commands import AreaShort, NoneTogether, Refusal, SeatsTaken, Selection
from engine.inventory.facts import StreamId, read_delta
from engine.inventory.manifest import Manifest

FIRST_EPOCH: Final = 1
"""The only one whose deltas tell of all holds: a recovery carries holds over without a delta."""

_SOLD: Final = ord("s")
_TAKEN: Final = frozenset(b"shb")
_PREFIX_BYTES: Final = 4
_MADE_BITS: Final = 23
_DROPPED_BITS: Final = 8 * _PREFIX_BYTES - _MADE_BITS


class GapError(Exception):
    """Deltas are missing: what is remembered is not to be trusted."""


class SoldMemory:
    """One show's sold places in its first epoch, as far as its deltas have told."""

    def __init__(self, manifest: Manifest) -> None:
        """Begin with nothing known."""
        self.position = StreamId(FIRST_EPOCH, 0)
        """The last delta that was learnt from; an epoch's first one says nothing."""
        self._manifest = manifest
        self._states = bytearray(len(manifest.layout))
        self._sold_by_level = [0] * len(manifest.levels)
        self._gone_areas: set[int] = set()
        # A bit for each hold that was made, by the first bits of its id. With half a million holds
        # one request in 17 meets another's bit and is asked about for nothing.
        self._made = bytearray(1 << (_MADE_BITS - 3))

    def rebase(self, manifest: Manifest) -> None:
        """Go on by what an edit has made of the show's places: positions are the same."""
        sold = bytes(
            level
            for level, state in zip(manifest.level_by_position, self._states, strict=True)
            if state == _SOLD
        )
        self._sold_by_level = [sold.count(level) for level in range(len(manifest.levels))]
        self._manifest = manifest

    def learn(self, at: StreamId, packed: bytes) -> None:
        """Learn from the next delta.

        Raises:
            GapError: it is not the next one, or can't be read.
        """
        if at != StreamId(self.position.epoch, self.position.n + 1):
            msg = f"{at} does not follow {self.position}"
            raise GapError(msg)
        try:
            delta = read_delta(packed)
        except msgspec.DecodeError as error:
            raise GapError(str(error)) from error
        self.position = at
        for prefix in delta.made:
            bit = prefix >> _DROPPED_BITS
            self._made[bit >> 3] |= 1 << (bit & 7)
        states, level_of = self._states, self._manifest.level_by_position
        changes = iter(delta.seats)
        for position, state in zip(changes, changes, strict=True):
            if state == _SOLD:
                self._sold_by_level[level_of[position]] += 1
            elif states[position] == _SOLD:
                self._sold_by_level[level_of[position]] -= 1
            states[position] = state
        for area, opened, held, *_ in delta.areas:
            (self._gone_areas.discard if opened or held else self._gone_areas.add)(area)

    def refuse(self, hold: bytes, selection: Selection) -> Refusal | None:
        """Return why a selection can't be held for certain; None: ask the store."""
        bit = int.from_bytes(hold[:_PREFIX_BYTES], "big") >> _DROPPED_BITS
        if self._made[bit >> 3] & 1 << (bit & 7):
            return None
        taken: list[int] = []
        is_sold = False
        for seat in selection.seats:
            state = self._states[seat]
            if state in _TAKEN:
                taken.append(seat)
                is_sold = is_sold or state == _SOLD
        if is_sold:
            return SeatsTaken(tuple(taken))
        if self._gone_areas:
            short = tuple([(a, 0) for a, _ in selection.areas if a in self._gone_areas])
            if short:
                return AreaShort(short)
        for level, count in selection.best:
            if self._sold_by_level[level] == self._manifest.seats_by_level[level]:
                return NoneTogether(level, count)
        return None
