"""`migration`: a show of 60 000 seats, half of it sold, moves to another node while it sells.

The slot is moved at once (`CLUSTER MIGRATESLOTS`), and nothing is lost on the way. Counted is the
longest time in which no buyer held a seat, from before the move until well after it. The holds that
lived before must live afterwards.
"""

import asyncio
import time
from typing import Final

from loadtests.bench.batch_door import runs_of
from loadtests.bench.measurement import ClusterBench, ClusterSite, Figure
from loadtests.bench.outage import Queue, check_held, figure_of, longest_gap, sell_half, until_held
from loadtests.buyers.show_setup import put_on_sale
from loadtests.generated_plans import arena_plan

TARGET_S: Final = 0.5

_SEATS: Final = 60_000
_LIVE_HOLDS: Final = 1_000
_BEFORE_S: Final = 1.0
_AFTER_S: Final = 2.0
_ID_HEX: Final = 16


def measure(bench: ClusterBench, seats: int = _SEATS, live_holds: int = _LIVE_HOLDS) -> Figure:
    """Return the seconds in which the show did not sell.

    Raises:
        BenchError: nobody could hold a seat, or a hold was lost.
        UnexpectedAnswerError: the API answered otherwise than hoped for.
    """
    plan = arena_plan(seats)
    with bench.open_cluster_site(confirm_timeout_ms="1") as ground:
        site = ground.site
        show = asyncio.run(put_on_sale(site.base_url, site.api_key, plan))
        left = [seat for run in runs_of(plan) for seat in run]
        live = sell_half(site, show, left, live_holds)
        queue = Queue(site, show, left)
        rounds = [asyncio.run(_move(bench, ground, show, queue)) for _ in range(bench.rounds)]
        asyncio.run(check_held(site, show, live))
    return figure_of(
        "migration",
        "s without a hold while the show moved",
        rounds,
        at_most_s=TARGET_S,
        details={"holds_kept": len(live)},
        settings={"nodes": "3 primaries, 3 replicas", "moved": "CLUSTER MIGRATESLOTS"}
        | {"seats": seats, "sold": "every other pair", "live_holds": live_holds},
    )


async def _move(bench: ClusterBench, ground: ClusterSite, show: str, queue: Queue) -> float:
    async with queue.crowded() as had:
        began = await until_held(had, time.monotonic())
        await asyncio.sleep(_BEFORE_S)
        await asyncio.to_thread(ground.move_key, f"{{{show[-_ID_HEX:]}}}:meta")
        sold_again = await until_held(had, time.monotonic())
        await asyncio.sleep(_AFTER_S)
    gap = longest_gap(had, began, sold_again + _AFTER_S)
    bench.say(f"did not sell for {gap:.3f} s")
    return gap
