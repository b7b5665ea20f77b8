"""What a load generator is asked for, and what it tells."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from msgspec import Struct


class Load(Struct, frozen=True, kw_only=True):
    """Requests to send, each once, as fast as they are answered."""

    url: str
    """The server, without a path: a request names its own."""
    requests: Path
    """A file by `write_requests`."""
    connections: int
    seconds_max: int
    """What has not been answered by then is dropped."""
    cpus: tuple[int, ...] = ()
    """The cores that the generator may use; none: any."""
    counted: str = ""
    """A text to count in the answers' bodies."""
    purchase_head: str = ""
    """Start and headers of a purchase, up to `Idempotency-Key: `. If there is one, each answer to a
    hold is followed by its purchase, which is repeated until it is confirmed."""
    bodies: Path | None = None
    """A file for the answers' bodies, a line each, in the order in which they came."""
    requests_per_s: float = 0.0
    """How many to send a second at the most; 0: as fast as they are answered. Only the generator in
    Python keeps to a rate."""


class LoadResult(Struct, frozen=True, kw_only=True):
    """What came back."""

    answered: int
    statuses: dict[int, int]
    """Answers by status code."""
    counted: int
    """How often the text to count was there."""
    repeated: int
    """Purchases that were sent again because they were being recorded still."""
    whole: bool
    """Whether everything was answered before the time was over."""
    failures: list[str]
    """How the first few bodies with a status of 400 or more begin."""
    connection_errors: int
    """Connections that failed or broke, and answers that did not come within 30 s."""
    wall_s: float
    """From the first request to the last answer, or until the time was over."""
    cpu_s: float
    """The generator's own, in that time."""
    p50_ms: float
    p99_ms: float
    max_ms: float


class Generator(Protocol):
    """Something that can put a server under load."""

    name: str
    """As results tell it: `wrk 4.1.0`, or `python`."""

    def send(self, load: Load) -> LoadResult:
        """Send all of it and wait for the answers.

        Raises:
            GeneratorError: it failed, or was not done in time.
        """
        ...


def write_requests(path: Path, requests: Iterable[bytes]) -> None:
    """Write requests one after the other, each below a line with its length in bytes."""
    with path.open("wb") as file:
        for request in requests:
            file.write(b"%d\n" % len(request) + request)


def read_requests(path: Path) -> Iterator[bytes]:
    """Read what `write_requests` wrote."""
    with path.open("rb") as file:
        while length := file.readline():
            yield file.read(int(length))
