"""When a request is sent again: if that is safe, and bounded in tries and in time."""

import random
import time
from typing import Final

from msgspec import Struct

from onsale_client.errors import NoAnswerError
from onsale_client.wire import Request, Response, TransportError

_COME_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
"""With its key, or by its nature, a request acts once, so that it can follow a fault, too."""


class Repeats(Struct, frozen=True):
    """How often, and for how long, a request is repeated that was not answered."""

    tries: int = 8
    total_s: float = 30.0
    """No repetition begins later than this after the first try."""
    first_pause_s: float = 0.1
    """It doubles with each try, up to `pause_s_max`; each pause is 0.5 to 1 of that."""
    pause_s_max: float = 5.0


class Course(Struct):
    """One request's way through its repetitions."""

    repeats: Repeats
    request: Request
    began: float
    tries: int = 0

    @classmethod
    def begin(cls, repeats: Repeats, request: Request) -> "Course":
        """Return the course of a request that is about to be sent."""
        return cls(repeats, request, time.monotonic())

    def after(self, response: Response) -> float | None:
        """Return how long to wait before it is sent again; None: this is its answer."""
        self.tries += 1
        if response.status not in _COME_AGAIN or not self.request.may_repeat:
            return None
        told = response.headers.get("retry-after", "")
        pause = (
            max(self._pause(), min(float(told), self.repeats.pause_s_max))
            if (told.isascii() and told.isdigit())
            else self._pause()
        )
        return pause if self._has_time(pause) else None

    def after_failure(self, error: TransportError) -> float:
        """Return how long to wait before it is sent again.

        Raises:
            NoAnswerError: there were enough tries, or it is not safe to send it twice.
        """
        self.tries += 1
        pause = self._pause()
        if not self.request.may_repeat or not self._has_time(pause):
            raise NoAnswerError(self.request, self.tries) from error
        return pause

    def _has_time(self, pause: float) -> bool:
        over = time.monotonic() + pause - self.began
        return self.tries < self.repeats.tries and over <= self.repeats.total_s

    def _pause(self) -> float:
        doubled = self.repeats.first_pause_s * 2.0 ** (self.tries - 1)
        return min(doubled, self.repeats.pause_s_max) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret
