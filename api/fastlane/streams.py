"""How many streams of a kind one process keeps open, and how many of them for one source."""

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, TypeVar

from api.problems import ProblemError, ProblemKind
from engine.platform.rate_limits import source_of

STREAMS_MAX: Final = 4096
OF_ONE_ADDRESS_MAX: Final = 32
"""Many people share an address behind a carrier's NAT; the shared document is there for all."""

OF_QUEUE: Final = "the shared document"


class Streams:
    """The streams of one kind of one process."""

    def __init__(
        self,
        *,
        at_once_max: int = STREAMS_MAX,
        of_one_address_max: int = OF_ONE_ADDRESS_MAX,
        of_one_reseller_max: int | None = None,
        instead: str = OF_QUEUE,
    ) -> None:
        """Begin with none; `instead` is what there is for who finds none free."""
        self._at_once_max = at_once_max
        self._of_one_address_max = of_one_address_max
        self._of_one_reseller_max = of_one_reseller_max or at_once_max
        self._instead = instead
        self._open: Counter[bytes] = Counter()
        self._open_of_reseller: Counter[int] = Counter()
        self._count = 0

    @contextmanager
    def opened(self, address: str, reseller: int = 0) -> Generator[None]:
        """Count a stream to an address, of a reseller, until the end of the block.

        Raises:
            ProblemError: `overloaded`: there are too many already.
        """
        source = source_of(address)
        is_one_too_many = (
            self._open[source] >= self._of_one_address_max
            or self._open_of_reseller[reseller] >= self._of_one_reseller_max
        )
        if is_one_too_many or self._count >= self._at_once_max:
            detail = f"Too many listen, here or from this address; ask for {self._instead} instead."
            raise ProblemError(ProblemKind.OVERLOADED, detail)
        self._count += 1
        _add(self._open, source, 1)
        _add(self._open_of_reseller, reseller, 1)
        try:
            yield
        finally:
            self._count -= 1
            _add(self._open, source, -1)
            _add(self._open_of_reseller, reseller, -1)


_Key = TypeVar("_Key", bytes, int)


def _add(counter: Counter[_Key], key: _Key, more: int) -> None:
    counter[key] += more
    if not counter[key]:
        del counter[key]
