"""How many streams one process keeps open, and how many of them for one address."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from api.problems import ProblemError, ProblemKind
from engine.platform.rate_limits import source_of

STREAMS_MAX: Final = 4096
OF_ONE_ADDRESS_MAX: Final = 32
"""Many people share an address behind a carrier's NAT; the shared document is there for all."""

_TOO_MANY: Final = (
    "Too many listen, here or from this address; ask for the shared document instead."
)


class Streams:
    """The streams of one process."""

    def __init__(
        self, *, at_once_max: int = STREAMS_MAX, of_one_address_max: int = OF_ONE_ADDRESS_MAX
    ) -> None:
        """Begin with none."""
        self._at_once_max = at_once_max
        self._of_one_address_max = of_one_address_max
        self._open: Counter[bytes] = Counter()
        self._count = 0

    @contextmanager
    def opened(self, address: str) -> Generator[None]:
        """Count a stream to an address until the end of the block.

        Raises:
            ProblemError: `overloaded`: there are too many already.
        """
        source = source_of(address)
        is_one_too_many = self._open[source] >= self._of_one_address_max
        if is_one_too_many or self._count >= self._at_once_max:
            raise ProblemError(ProblemKind.OVERLOADED, _TOO_MANY)
        self._count += 1
        self._open[source] += 1
        try:
            yield
        finally:
            self._count -= 1
            self._open[source] -= 1
            if not self._open[source]:
                del self._open[source]
