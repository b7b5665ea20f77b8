"""`recovery`: a show of 60 000 seats, half of it sold, after its server was killed and came back.

Counted from when the server has read its data and answers until a buyer holds a seat again. The
holds that lived before must live afterwards.

The server is down for long enough that live holds' deadlines are put off, so the show is written
anew from the ledger. In the same rounds, as a detail: it is back at once, and the show is opened as
it stands.
"""

import asyncio
import time
from statistics import median
from typing import Final

from loadtests.bench.batch_door import runs_of
from loadtests.bench.measurement import Bench, Figure, Site
from loadtests.bench.outage import Queue, check_held, figure_of, sell_half, until_held
from loadtests.bench.store_side import StoreSide
from loadtests.buyers.show_setup import put_on_sale
from loadtests.generated_plans import arena_plan

TARGET_S: Final = 2.0

_SEATS: Final = 60_000
_LIVE_HOLDS: Final = 1_000
_DOWN_S: Final = 4.0
_RECORDED_WITHIN_S: Final = 300.0


def measure(bench: Bench, seats: int = _SEATS, live_holds: int = _LIVE_HOLDS) -> Figure:
    """Return seconds from the server's return to the first hold.

    Raises:
        BenchError: nobody could hold a seat, or a hold was lost.
        UnexpectedAnswerError: the API answered otherwise than hoped for.
    """
    plan = arena_plan(seats)
    # A second behind the ledger, so that it is seen when all is recorded.
    with (
        bench.open_site(sales_kept_s="1", confirm_timeout_ms="1") as site,
        StoreSide(site.settings.redis_url) as store,
    ):
        show = asyncio.run(put_on_sale(site.base_url, site.api_key, plan))
        left = [seat for run in runs_of(plan) for seat in run]
        live = sell_half(site, show, left, live_holds)
        store.wait_until_trimmed(show, _RECORDED_WITHIN_S)
        queue = Queue(site, show, left)
        rounds: list[float] = []
        at_once: list[float] = []
        for _ in range(bench.rounds):
            rounds.append(asyncio.run(_restart(bench, site, queue, _DOWN_S)))
            at_once.append(asyncio.run(_restart(bench, site, queue, 0)))
        asyncio.run(check_held(site, show, live))
        settings = store.settings()
    return figure_of(
        "recovery",
        "s from the server's return to the first hold",
        rounds,
        at_most_s=TARGET_S,
        details={
            "back_at_once": round(median(at_once), 3),
            "back_at_once_most": round(max(at_once), 3),
            "holds_kept": len(live),
        },
        settings=settings
        | {"seats": seats, "sold": "every other pair", "live_holds": live_holds}
        | {"down_s": _DOWN_S},
    )


async def _restart(bench: Bench, site: Site, queue: Queue, down_s: float) -> float:
    async with queue.crowded() as had:
        await until_held(had, time.monotonic())
        await asyncio.to_thread(site.restart_store, down_s)
        serves = time.monotonic()
        took = await until_held(had, serves) - serves
    bench.say(f"down for {down_s:g} s, sold again after {took:.3f} s")
    return took
