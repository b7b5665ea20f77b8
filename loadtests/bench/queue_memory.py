"""`queue-memory`: bytes of the store by the unknown waiter, and by one whom a reseller vouches for.

A million of the first kind join over HTTP, each of them leaves again, and then a million of the
other kind join. At each station the store's memory is read in two ways, and the larger counts, as
`memory` does: the growth of `used_memory` without buffers, and the sum of `MEMORY USAGE ... SAMPLES
0` over the waiting room's keys.

Who has left, or has had their pass, has a bit that says so, whatever they bought: with all bits set
a waiter takes the most that one may take for good. (How many passes live is bounded by
`checkout_max`, not by how many wait.) What stands for an identity are 8 bytes and a number; who
joins again is told the same number.

No number may be given twice, to whichever kind: all of them are compared.
"""

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from loadtests.bench.http_bench import BenchError, HttpBench
from loadtests.bench.measurement import Figure, Site
from loadtests.bench.memory import Reading
from loadtests.bench.queue_requests import QueueRequests
from loadtests.bench.queue_serving import LIMITS, RULES
from loadtests.bench.store_side import StoreSide
from loadtests.buyers.queue_setup import open_queue
from loadtests.buyers.show_setup import put_on_sale
from loadtests.generated_plans import arena_plan
from loadtests.generator import Generator, Load, write_requests

UNKNOWN_MAX: Final = 2.0
KNOWN_MAX: Final = 32.0

_PEOPLE: Final = 1_000_000
_REHEARSAL: Final = 2_000
_QUICK: Final = 5_000
_SEATS: Final = 200
_AT_ONCE: Final = 50_000
_CONNECTIONS: Final = 128
_SECONDS_MAX: Final = 240
_AGAIN: Final = 500
_TARGET: Final = f"at most {UNKNOWN_MAX:g}; {KNOWN_MAX:g} by who is vouched for"


class Given(Struct, frozen=True):
    """What who joins is told, as far as it matters here."""

    number: int
    token: str


class _Stations(Struct, frozen=True):
    """What a waiting room had grown to, and how many numbers there were."""

    joined: Reading
    left: Reading
    vouched_for: Reading
    numbers: int
    """All of them different."""


def measure(bench: HttpBench, people: int | None = None) -> Figure:
    """Return bytes by the unknown waiter who has left; the others' are in the details.

    Raises:
        BenchError: somebody was answered otherwise than hoped for, or a number was given twice.
        StoreError: the memory does not settle.
    """
    people = people or (_PEOPLE if bench.size.seats > _QUICK else _QUICK)
    with (
        bench.open_site(**LIMITS) as site,
        StoreSide(site.settings.redis_url) as store,
        tempfile.TemporaryDirectory(prefix="onsale-bench-") as folder,
    ):
        # A store allocates half a MiB of histograms, all told, as each command is first called.
        _Line(bench, site, store, Path(folder)).fill(_REHEARSAL)
        told = _Line(bench, site, store, Path(folder)).fill(people)
        settings = store.settings()
    unknown = told.left.since(_NOTHING) / people
    known = told.vouched_for.since(told.left) / people
    return Figure(
        name="queue-memory",
        value=round(unknown, 3),
        unit="bytes of the store by the unknown waiter, all bits set",
        control=None,
        control_unit=None,
        ratio=None,
        target=_TARGET,
        met=unknown <= UNKNOWN_MAX and known <= KNOWN_MAX,
        rounds=[(round(unknown, 3), None)],
        details={
            "unknown": round(told.joined.since(_NOTHING) / people, 3),
            "unknown_all_bits_set": round(unknown, 3),
            "known": round(known, 3),
            "distinct_numbers": told.numbers,
            "joined": told.joined.told(people),
            "left": told.left.told(people),
            "vouched_for": told.vouched_for.told(people),
        },
        settings=settings
        | {"unknown_people": people, "known_people": people, "rules": RULES}
        | {"identities": "JWT by HS256 for b-<number>", "joined_by": bench.generator.name}
        | LIMITS,
    )


_NOTHING: Final = Reading(0, {})


class _Line:
    """The waiting room of a show of its own."""

    def __init__(self, bench: HttpBench, site: Site, store: StoreSide, folder: Path) -> None:
        self._say = bench.say
        self._generator: Generator = bench.generator
        self._url = site.base_url
        self._store = store
        self._folder = folder
        show = asyncio.run(put_on_sale(site.base_url, site.api_key, arena_plan(_SEATS)))
        self._show = show
        self._before = store.settled_memory()
        rules = asyncio.run(open_queue(site.base_url, site.api_key, show, RULES))
        self._identity_key: str = rules["identity_key"]
        self._requests = QueueRequests(show)

    def fill(self, people: int) -> _Stations:
        """Have so many of each kind join, those of the first leave, and read at each station."""
        self._say(f"{people:,} people join")
        tokens: list[str] = []
        numbers: list[int] = []
        for some in self._join(self._requests.join() for _ in range(people)):
            tokens += [given.token for given in some]
            numbers += [given.number for given in some]
        joined = self._read()
        self._say(f"{people:,} people leave")
        for some in _chunks(map(self._requests.leave, tokens)):
            self._send(some, HTTPStatus.NO_CONTENT)
        left = self._read()
        self._say(f"{people:,} people join whom their reseller vouches for")
        for some in self._join(map(self._vouched_for, range(people))):
            numbers += [given.number for given in some]
        if len(set(numbers)) != 2 * people:
            msg = f"{2 * people - len(set(numbers))} numbers were given twice"
            raise BenchError(msg)
        self._check_again(set(numbers[people:]))
        return _Stations(joined, left, self._read(), len(set(numbers)))

    def _vouched_for(self, number: int) -> bytes:
        identity = self._requests.identity(self._identity_key, f"b-{number:07}")
        return self._requests.join(identity)

    def _join(self, requests: Iterable[bytes]) -> Iterator[list[Given]]:
        for some in _chunks(requests):
            yield self._send(some, HTTPStatus.CREATED)

    def _check_again(self, numbers: set[int]) -> None:
        """Check that some who are known are told numbers that were given, each another."""
        again = [self._vouched_for(number) for number in range(min(_AGAIN, len(numbers)))]
        told = {given.number for given in self._send(again, HTTPStatus.OK)}
        if not told <= numbers or len(told) != len(again):
            msg = "people who joined again were not told the numbers that they have"
            raise BenchError(msg)

    def _send(self, requests: Sequence[bytes], expected: HTTPStatus) -> list[Given]:
        """Send requests; return what was told, not in their order."""
        path, bodies = self._folder / "requests", self._folder / "bodies"
        write_requests(path, requests)
        result = self._generator.send(
            Load(
                url=self._url,
                requests=path,
                connections=_CONNECTIONS,
                seconds_max=_SECONDS_MAX,
                bodies=bodies,
            )
        )
        if result.statuses != {expected: len(requests)} or result.connection_errors:
            msg = f"{len(requests)} requests were answered {result.statuses}: {result.failures}"
            raise BenchError(msg)
        return [_decode(line) for line in bodies.read_bytes().split(b"\n") if line]

    def _read(self) -> Reading:
        memory = self._store.settled_memory()
        grown = memory.dataset - self._before.dataset
        return Reading(grown, self._store.bytes_of_queue(self._show))


def _chunks(requests: Iterable[bytes]) -> Iterator[list[bytes]]:
    left = iter(requests)
    while some := list(islice(left, _AT_ONCE)):
        yield some


_decode: Callable[[bytes], Given] = msgspec.json.Decoder(Given).decode
