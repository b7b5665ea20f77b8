"""The batch script against the reference model, by sequences that Hypothesis thinks of.

`ONSALE_MODEL_EXAMPLES=20000 pytest tests/lua/test_state_machine.py` runs as many random sequences;
without it the same ones are run every time. `ONSALE_MODEL_SHRINK=1` makes a failing one as short as
possible, which can take minutes.
"""

import os

import pytest

from tests.lua.show_room import Rooms
from tests.model.inventory_machine import run_machine

_RANDOM_EXAMPLES = int(os.environ.get("ONSALE_MODEL_EXAMPLES", "0"))


@pytest.mark.timeout(0 if _RANDOM_EXAMPLES else 120)
def test_the_script_answers_and_keeps_what_the_reference_model_does(rooms: Rooms) -> None:
    """Whatever is asked in whatever order, the script and the model agree in every key."""
    run_machine(
        rooms.client,
        examples=_RANDOM_EXAMPLES or 80,
        derandomize=not _RANDOM_EXAMPLES,
        shrink=bool(os.environ.get("ONSALE_MODEL_SHRINK")),
    )
