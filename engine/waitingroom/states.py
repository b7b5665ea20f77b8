"""The states of a waiting room, as its controller says them and people read them."""

from enum import StrEnum


class QueueState(StrEnum):
    """What happens in a waiting room."""

    OFF = "off"
    """It has not opened yet, or is switched off."""
    PRE_QUEUE = "pre-queue"
    """People join; their places are drawn later, whenever they came."""
    DRAWN = "drawn"
    """Places are drawn; the sale has not begun."""
    RUNNING = "running"
    PAUSED = "paused"
    """Nobody is admitted until the reseller goes on."""
    PASSTHROUGH = "passthrough"
    """Nobody waits, since few come; everyone is counted."""
    SOLD_OUT = "sold-out"
    CLOSED = "closed"


ADMITTING = frozenset({QueueState.RUNNING, QueueState.PASSTHROUGH})
"""States in which passes are issued."""

JOINING = frozenset(
    {
        QueueState.PRE_QUEUE,
        QueueState.DRAWN,
        QueueState.RUNNING,
        QueueState.PAUSED,
        QueueState.PASSTHROUGH,
    }
)
"""States in which people may join, unless the reseller lets the line drain."""
