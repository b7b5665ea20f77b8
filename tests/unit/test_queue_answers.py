"""What is told of a draw, and what must be believed of it."""

import pytest

from api.queue_answers import tell_draw
from engine.inventory.keys import queue_keys
from engine.platform.ids import EntityId
from engine.waitingroom.queues import Queue
from engine.waitingroom.rules import DRAND, Beacon
from tests.engine.queue_ground import rules_of

_SHOW = EntityId(7)


def new_queue(beacon: Beacon | None = None) -> Queue:
    """Return a queue of which nothing but its beacon matters."""
    return Queue(
        show=_SHOW,
        show_text="shw_dev_0000000000000007",
        reseller=EntityId(5),
        rules=rules_of(beacon=beacon),
        secret=bytes(32),
        commitment=bytes(32),
        beacon_value=None,
        count=None,
        closed_at=None,
        drawn_at=None,
        digest=None,
        epoch=1,
        numbers_ceiling=0,
        serving_ceiling=0,
        skipped=(),
        version=1,
        keys=queue_keys(_SHOW),
    )


@pytest.mark.parametrize(
    ("beacon", "words"),
    [
        (None, "the operator"),
        (Beacon(DRAND, 9), "nobody knew"),
        (Beacon("dice"), "fetch it yourself"),
    ],
)
def test_what_a_draw_trusts_is_said_for_each_kind_of_beacon(
    beacon: Beacon | None, words: str
) -> None:
    """Whoever knows the secret and tells the value could have chosen: that is said."""
    assert words in tell_draw(new_queue(beacon)).trust
