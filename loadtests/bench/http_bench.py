"""What a measurement over HTTP may ask for, beside what every measurement may."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Final, Protocol

from msgspec import Struct

from loadtests.bench.measurement import Bench, Site
from loadtests.generator import Generator

CONTROL: Final = "control"
"""What a control's processes are called."""


class BenchError(Exception):
    """A measurement saw what it may not see; the message says what. It gives no figure."""


class Cores(Struct, frozen=True):
    """Which cores run what; empty where there is only one, and nothing is pinned."""

    server: tuple[int, ...]
    """The server that is measured: the API, or a control."""
    others: tuple[int, ...]
    """Everything else: load generator, stores, worker."""


class Size(Struct, frozen=True, kw_only=True):
    """How large a round is."""

    seats: int = 120_000
    """Of the show that a round sells."""
    requests_max: int = 50_000
    seconds_max: int = 3
    """A round ends when its requests are answered, or after this time."""
    warm_up: int = 1_000
    """Requests that are sent before each round and not measured."""
    sold_out_seats: int = 6_000
    """Of the show that is sold out beforehand."""
    watchers: int = 10_000
    """Who watch a show live."""
    watching_s: float = 20.0


FULL: Final = Size()
QUICK: Final = Size(
    seats=2_000,
    requests_max=600,
    seconds_max=1,
    warm_up=50,
    sold_out_seats=300,
    watchers=100,
    watching_s=3.0,
)
"""Shows that a measurement works; its figures mean nothing."""


class Server(Struct, frozen=True):
    """A server to be measured."""

    base_url: str
    part: str
    """Which of the processes it is itself: `api` or `control`."""
    processes: Callable[[], Mapping[str, list[int]]]
    """Process ids by part."""


class HttpBench(Bench, Protocol):
    """What a measurement over HTTP may ask for."""

    @property
    def generator(self) -> Generator:
        """Who puts the servers under load."""
        ...

    @property
    def cores(self) -> Cores:
        """Where everything runs."""
        ...

    @property
    def size(self) -> Size:
        """How large a round is."""
        ...

    def open_kept_site(self, name: str, **settings: str) -> AbstractContextManager[Site]:
        """Start a platform with the data that a measurement of this name had, if they are kept."""
        ...

    def serve(self, app: str, environment: Mapping[str, str]) -> AbstractContextManager[Server]:
        """Serve an ASGI application, `module:name`, with the API's own options and one process."""
        ...
