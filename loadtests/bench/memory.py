"""`memory`: bytes of the store by the open seat, the live hold of two, and the sold seat.

A show of 60 000 seats goes on sale, is held by buyers of two as far as pairs go, and all of that is
bought. At each station the store's memory is read in two ways, and the larger counts: the growth
of `used_memory` (what the allocator handed out, without the buffers of clients and of the AOF) and
the sum of `MEMORY USAGE ... SAMPLES 0` over the show's keys.

An open seat's bytes are all that a show has before the first hold. A live hold's are what the show
grew by: buyer, deadline and deltas included. A sold seat's are again all that the show has, seat
string and replay records included, once the worker has recorded the sales and trimmed their
stream, as it does behind the ledger; the deltas, a window whose size does not depend on how much
was sold, are removed by hand before.

A small show does all of it first, since a store allocates a histogram of latencies, half a MiB in
all, as each command is first called.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from loadtests.bench.batch_door import COMMANDS_MAX, BatchDoor, Hold, hold_seats, runs_of
from loadtests.bench.measurement import Bench, Figure, Site
from loadtests.bench.store_side import StoreSide
from loadtests.buyers.show_setup import put_on_sale
from loadtests.generated_plans import arena_plan

OPEN_SEAT_MAX: Final = 2.0
LIVE_HOLD_MAX: Final = 250.0
SOLD_SEAT_MAX: Final = 130.0

_SEATS: Final = 60_000
_REHEARSAL_SEATS: Final = 200
_STAGES: Final = 4
_RECORDED_WITHIN_S: Final = 300.0


class Reading(Struct, frozen=True):
    """What a show takes at one moment."""

    allocated: int
    """How much the store's memory grew since before the show."""
    by_key: dict[str, int]

    @property
    def by_keys(self) -> int:
        """The sum over the show's keys."""
        return sum(self.by_key.values())

    def since(self, before: "Reading") -> int:
        """Return the growth, by the way of reading that gives more."""
        return max(self.allocated - before.allocated, self.by_keys - before.by_keys)

    def told(self, units: int) -> dict[str, Any]:
        """Return it in bytes by the unit, for the details."""
        return {
            "units": units,
            "allocated": round(self.allocated / units, 2),
            "keys": round(self.by_keys / units, 2),
            "by_key": {key: round(size / units, 2) for key, size in self.by_key.items()},
        }


class _Stations(Struct, frozen=True):
    """What a show took, from its opening to the last sale."""

    holds: int
    opened: Reading
    held: list[tuple[int, Reading]]
    """With how many holds were live then."""
    sold_with_deltas: Reading
    sold: Reading


_NOTHING: Final = Reading(0, {})


def measure(bench: Bench, seats: int = _SEATS) -> Figure:
    """Return bytes by the sold seat; the open seat's and the live hold's are in the details.

    Raises:
        UnexpectedAnswerError: the API answered otherwise than hoped for.
        StoreError: the memory does not settle, or the sales are not recorded and trimmed.
    """
    plan = arena_plan(seats)
    # A second behind the ledger instead of a quarter of an hour: the same trimming, sooner.
    with (
        bench.open_site(sales_kept_s="1", confirm_timeout_ms="1") as site,
        StoreSide(site.settings.redis_url) as store,
    ):
        _sell_out(site, store, arena_plan(_REHEARSAL_SEATS), bench.say)
        told = _sell_out(site, store, plan, bench.say)
        settings = store.settings()
    values = {
        "open_seat": told.opened.since(_NOTHING) / seats,
        "live_hold": told.held[-1][1].since(told.opened) / told.holds,
        "sold_seat": told.sold.since(_NOTHING) / (2 * told.holds),
    }
    return Figure(
        name="memory",
        value=round(values["sold_seat"], 2),
        unit="bytes of the store by the sold seat, two an order",
        control=None,
        control_unit=None,
        ratio=None,
        target=f"at most {SOLD_SEAT_MAX:g}; {OPEN_SEAT_MAX:g} by the open seat, "
        f"{LIVE_HOLD_MAX:g} by the live hold of two",
        met=(
            values["open_seat"] <= OPEN_SEAT_MAX
            and values["live_hold"] <= LIVE_HOLD_MAX
            and values["sold_seat"] <= SOLD_SEAT_MAX
        ),
        rounds=[(round(values["sold_seat"], 2), None)],
        details={name: round(value, 2) for name, value in values.items()}
        | {
            "open": told.opened.told(seats),
            "held": told.held[-1][1].told(told.holds),
            "held_at": {
                count: round(reading.since(told.opened) / count, 2) for count, reading in told.held
            },
            "sold": told.sold.told(2 * told.holds),
            "sold_with_deltas": told.sold_with_deltas.told(2 * told.holds),
        },
        settings=settings
        | {"seats": seats, "hold_ids": "16 bytes", "buyers": "b-<8 hex>", "keys": "uuid4"}
        | {"sales": "trimmed by the worker, 1 s behind the ledger", "deltas": "trimmed by hand"},
    )


def _sell_out(site: Site, store: StoreSide, plan: bytes, say: Callable[[str], None]) -> _Stations:
    """Put a show on sale, hold all that goes in twos, buy it, and read at each station."""
    holds = [hold_seats(pair) for run in runs_of(plan) for pair in _pairs(run)]
    before = store.settled_memory()
    show = asyncio.run(put_on_sale(site.base_url, site.api_key, plan))

    def read() -> Reading:
        memory = store.settled_memory()
        return Reading(memory.dataset - before.dataset, store.bytes_by_key(show))

    opened = read()
    with BatchDoor(site, show) as door:
        say(f"{len(holds)} holds of two")
        ids, held = _hold_all(door, holds, read)
        say(f"{len(holds)} orders of two")
        for some in _chunks(ids):
            door.purchase(some)
    store.wait_until_trimmed(show, _RECORDED_WITHIN_S)
    sold_with_deltas = read()
    store.trim_deltas(show)
    return _Stations(len(holds), opened, held, sold_with_deltas, read())


def _hold_all(
    door: BatchDoor, holds: Sequence[Hold], read: Callable[[], Reading]
) -> tuple[list[str], list[tuple[int, Reading]]]:
    """Hold everything, and read on the way: a hash takes more right after it has grown."""
    ids: list[str] = []
    stages: list[tuple[int, Reading]] = []
    for stage in range(_STAGES):
        upto = len(holds) * (stage + 1) // _STAGES
        for some in _chunks(holds[len(ids) : upto]):
            ids += door.hold(some)
        stages.append((len(ids), read()))
    return ids, stages


def _pairs(run: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(run[::2], run[1::2], strict=False))


def _chunks(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[n : n + COMMANDS_MAX] for n in range(0, len(items), COMMANDS_MAX)]
