"""`script`: server time of a two-seat hold in a batch of 64, beside a pipelined SET's.

64 holds of one request are one call of the script, so its time by the hold is `evalsha`'s `usec`
over the holds; that a call really had 64 is checked by its `calls`. Buyers pick pairs all over the
hall, each seat, key and buyer is fresh, and the worker stands still, so that nobody else calls
scripts. In the same rounds, as details: the other commands, and a batch of one.
"""

import asyncio
import random
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from statistics import median
from typing import Final, TypeVar

from msgspec import Struct

from loadtests.bench.batch_door import (
    BatchDoor,
    Hold,
    UnexpectedAnswerError,
    hold_seats,
    in_batches,
    runs_of,
)
from loadtests.bench.measurement import Bench, Figure, Site, alternate
from loadtests.bench.store_side import StoreSide
from loadtests.buyers.show_setup import put_on_sale
from loadtests.generated_plans import SEATS_MAX, arena_plan

Asked = TypeVar("Asked")
"""What a batch is made of."""

TARGET_US: Final = 8.0

_BATCH: Final = 64
_SEED: Final = 1
_SETS_AT_ONCE: Final = 1000
_SET_VALUE: Final = b"x" * 64
_SEATS_SPARE: Final = 1.1
"""Seats at the end of an odd run have no neighbour left."""


class Size(Struct, frozen=True):
    """How much a round does."""

    batches: int = 40
    alone: int = 200
    warm_batches: int = 30
    """Before the first round: the first hundreds of entries of a hash are kept in another form."""
    sets: int = 20_000
    seats_min: int = 60_000

    def seats(self, rounds: int) -> int:
        """Return how many seats the show needs."""
        pairs = self.warm_batches * _BATCH + rounds * (self.batches * _BATCH + self.alone)
        return max(self.seats_min, int(2 * pairs * _SEATS_SPARE))


def measure(bench: Bench, size: Size = Size()) -> Figure:  # noqa: B008 -- frozen
    """Return µs of server time by the hold, beside µs by the SET.

    Raises:
        UnexpectedAnswerError: a command was answered otherwise, or a batch was no batch.
    """
    plan = arena_plan(min(size.seats(bench.rounds), SEATS_MAX))
    # With the worker stopped no purchase is confirmed: there is nothing to wait for.
    with (
        bench.open_site(confirm_timeout_ms="1") as site,
        StoreSide(site.settings.redis_url) as store,
    ):
        show = asyncio.run(put_on_sale(site.base_url, site.api_key, plan))
        with worker_paused(site), BatchDoor(site, show) as door:
            trial = Trial(store, door, plan, size)
            trial.warm_up()
            rounds = alternate(bench.rounds, trial.hold, trial.set)
        details = trial.details()
        settings = store.settings()
    return Figure(
        name="script",
        value=rounds.value,
        unit="µs of server time by the two-seat hold, in a batch of 64",
        control=rounds.control,
        control_unit="µs of server time by the pipelined SET",
        ratio=rounds.ratio,
        target=f"at most {TARGET_US:g} µs",
        met=rounds.value <= TARGET_US,
        rounds=list(rounds.pairs),
        details=details,
        settings=settings
        | {"batch": _BATCH, "batches_a_round": size.batches, "seed": _SEED}
        | {"buyers": "b-<8 hex>", "keys": "uuid4", "worker": "paused"},
    )


@contextmanager
def worker_paused(site: Site) -> Generator[None]:
    """Keep the worker, which sweeps by the same script, from running."""
    site.pause_worker()
    try:
        yield
    finally:
        site.resume_worker()


class Trial:
    """Rounds on one show. Times are µs by the command; each kind's are kept by its name."""

    def __init__(self, store: StoreSide, door: BatchDoor, plan: bytes, size: Size) -> None:
        """Take a show that nobody has bought from, and who looks at its store."""
        self._store = store
        self._door = door
        self._size = size
        self._pairs = [pair for run in runs_of(plan) for pair in zip(run[::2], run[1::2])]  # noqa: B905 -- an odd one is left
        random.Random(_SEED).shuffle(self._pairs)  # noqa: S311 -- where buyers look
        self._times: dict[str, list[float]] = {}
        self._unseen: set[str] = set()

    def warm_up(self) -> None:
        """Hold until the store has everything in its lasting form."""
        for batch in in_batches(self._holds(self._size.warm_batches * _BATCH), _BATCH):
            self._door.hold(batch)
        self._store.set_many(_SETS_AT_ONCE, at_once=_SETS_AT_ONCE, value=_SET_VALUE)

    def hold(self, _: int) -> float:
        """Do a round of everything; return the holds' time."""
        batches = in_batches(self._holds(self._size.batches * _BATCH), _BATCH)
        ids: list[list[str]] = []
        self.time("hold", batches, lambda batch: ids.append(self._door.hold(batch)))
        self.time("hold, repeated", batches, self._door.hold)
        rivals = [[hold_seats(hold.seats) for hold in batch] for batch in batches]
        self.time("hold, refused: seats-taken", rivals, self._be_refused)
        half = len(ids) // 2
        self.time("purchase", ids[:half], self._door.purchase)
        self.time("release", ids[half:], self._door.release)
        alone = in_batches(self._holds(self._size.alone), 1)
        self.time("hold, alone", alone, self._door.hold)
        return self._times["hold"][-1]

    def set(self, _: int) -> float:
        """Do a round of the control."""
        began = time.perf_counter()
        used = self._store.spent(
            lambda: self._store.set_many(self._size.sets, at_once=_SETS_AT_ONCE, value=_SET_VALUE),
            "set",
        )
        wall_us = (time.perf_counter() - began) * 1e6
        self._times.setdefault("SET, wall, fsync and client included", []).append(
            wall_us / self._size.sets
        )
        return used.per(used.calls)

    def details(self) -> dict[str, object]:
        """Return the medians of everything, and what the store was not asked at all."""
        return {
            "us": {name: round(median(times), 3) for name, times in self._times.items()},
            "answered_without_the_store": sorted(self._unseen),
        }

    # ------------------------------------------------------------

    def _holds(self, count: int) -> list[Hold]:
        taken, self._pairs = self._pairs[:count], self._pairs[count:]
        if len(taken) < count:
            msg = "the hall has too few seats for so many rounds"
            raise UnexpectedAnswerError(msg)
        return [hold_seats(pair) for pair in taken]

    def _be_refused(self, batch: Sequence[Hold]) -> None:
        self._door.ask(batch, expect=[HTTPStatus.CONFLICT])

    def time(
        self,
        name: str,
        batches: Sequence[Sequence[Asked]],
        act: Callable[[Sequence[Asked]], object],
    ) -> None:
        """Time batches of a kind; each must have been one call, or none if it is a refusal."""
        used = self._store.spent_by_scripts(lambda: [act(batch) for batch in batches])
        if used.calls == 0 and "refused" in name:
            # A process may know by itself that a seat is sold or held.
            self._unseen.add(name)
        elif used.calls != len(batches):
            msg = f"{name}: {len(batches)} batches were {used.calls} calls of the script"
            raise UnexpectedAnswerError(msg)
        self._times.setdefault(name, []).append(used.per(sum(map(len, batches))))
