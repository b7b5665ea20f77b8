"""What a process knows to be sold of a show, and refuses without asking the store.

It is fed by the show's deltas and says no only where the script could say nothing else: a seat that
is sold stays sold within its epoch, until a return, which is a delta too. A request whose own hold
may be among the sold ones is never refused: the deltas name the holds that were sold, and a match
goes to the store, as does everything that is not known.
"""

from typing import Final

import msgspec

from engine.inventory.commands import AreaShort, NoneTogether, Refusal, SeatsTaken, Selection
from engine.inventory.facts import StreamId, read_delta
from engine.inventory.manifest import Manifest

FIRST_EPOCH: Final = 1
_SOLD: Final = ord("s")
_TAKEN: Final = frozenset(b"shb")
_FINGERPRINT_BYTES: Final = 4


class GapError(Exception):
    """Deltas are missing: what is remembered is not to be trusted."""


class SoldMemory:
    """One show's sold places in one epoch, as far as its deltas have told."""

    def __init__(self, manifest: Manifest, epoch: int) -> None:
        """Begin with nothing known."""
        self.position = StreamId(epoch, 0)
        """The last delta that was learnt from; an epoch's first one says nothing."""
        self._manifest = manifest
        self._states = bytearray(len(manifest.layout))
        self._sold_by_level = [0] * len(manifest.levels)
        self._gone_areas: set[int] = set()
        self._sold_holds: set[int] = set()
        # Whether the deltas of all sales were seen. Only then is a hold that none of them names
        # known not to be among an area's sold places.
        self._is_whole = epoch == FIRST_EPOCH

    def learn(self, at: StreamId, packed: bytes) -> None:
        """Learn from the next delta.

        Raises:
            GapError: it is not the next one, or can't be read.
        """
        if at.epoch != self.position.epoch:
            msg = f"an epoch has ended: {self.position}, then {at}"
            raise GapError(msg)
        if at.n != self.position.n + 1:
            if self.position.n:
                msg = f"deltas are missing between {self.position} and {at}"
                raise GapError(msg)
            self._is_whole = False  # the beginning was trimmed already
        try:
            delta = read_delta(packed)
        except msgspec.DecodeError as error:
            raise GapError(str(error)) from error
        self.position = at
        self._sold_holds.update(delta.sold_holds)
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
        if int.from_bytes(hold[:_FINGERPRINT_BYTES], "big") in self._sold_holds:
            return None
        states = self._states
        for seat in selection.seats:
            if states[seat] == _SOLD:
                return SeatsTaken(tuple([s for s in selection.seats if states[s] in _TAKEN]))
        if self._is_whole and self._gone_areas:
            short = tuple([(a, 0) for a, _ in selection.areas if a in self._gone_areas])
            if short:
                return AreaShort(short)
        for level, count in selection.best:
            if self._sold_by_level[level] == self._manifest.seats_by_level[level]:
                return NoneTogether(level, count)
        return None
