"""The client, without awaiting. Made from `noun_awaited.py`: change that one."""

from typing import Protocol, TypeVar

from onsale_client.calls import Call

T = TypeVar("T")


class Sender(Protocol):
    """Makes calls."""

    def send(self, call: Call[T]) -> T:
        """Make a call, and return what it answers."""
        ...


class Noun:
    """What can be done with one kind of thing."""

    def __init__(self, onsale: Sender) -> None:
        """Take who makes the calls."""
        self._onsale = onsale
