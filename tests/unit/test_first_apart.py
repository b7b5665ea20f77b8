"""What goes together in a batch: no command searches another's places."""

import asyncio
from typing import cast

import pytest

from engine.inventory.allotments import NOWHERE
from engine.inventory.commands import Hold, Outcome, Packed, Selection
from engine.inventory.waiting import Waiting, first_apart
from engine.platform.ids import HoldId


def _waiting(rights: set[int], *levels: int) -> Waiting:
    selection = Selection(best=tuple((level, 2) for level in levels))
    hold = Hold(HoldId(bytes(16)), "buyer", 1000, 1, selection)
    return Waiting(
        command=hold,
        # Nobody packs it or waits for it here.
        packed=cast("Packed", b""),
        future=cast("asyncio.Future[Outcome]", None),
        knows_of_queue=False,
        types=None,
        rights=frozenset(rights),
    )


_BATCHES: list[tuple[list[tuple[set[int], list[int]]], int]] = [
    ([], 0),
    ([({1}, [7])], 1),
    ([({1}, [7]), ({1}, [7]), ({2}, [8])], 3),
    ([({1}, [7]), ({2}, [7])], 1),
    ([({1}, [7]), ({3}, [9]), ({1}, [7]), ({2}, [9, 7]), ({1}, [7])], 3),
    ([({1}, [NOWHERE]), ({2}, [NOWHERE])], 2),
    ([({1}, []), ({2}, [])], 2),
]


@pytest.mark.parametrize(("batch", "together"), _BATCHES)
def test_those_of_other_rights_wait_for_the_next_batch(
    batch: list[tuple[set[int], list[int]]], together: int
) -> None:
    """If they search under one number; what was asked first goes first."""
    assert first_apart([_waiting(rights, *levels) for rights, levels in batch]) == together
