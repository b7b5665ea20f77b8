"""What every noun's methods are sent by, to be awaited."""

from typing import Protocol, TypeVar

from onsale_client.calls import Call

T = TypeVar("T")


class AsyncSender(Protocol):
    """Makes calls."""

    async def send(self, call: Call[T]) -> T:
        """Make a call, and return what it answers."""
        ...


class AsyncNoun:
    """What can be done with one kind of thing."""

    def __init__(self, onsale: AsyncSender) -> None:
        """Take who makes the calls."""
        self._onsale = onsale
