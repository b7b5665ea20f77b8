"""`failover`: purchases on a cluster whose primary is killed while they go on.

Counted from when a replica was seen to be elected until a purchase is confirmed again. Then the
node that was lost comes back, and the next round begins. At the end every order that was confirmed
to a buyer must be there, and the stores are audited.
"""

import asyncio
import time
from typing import Final

from loadtests.auditor import audit
from loadtests.bench.batch_door import runs_of
from loadtests.bench.http_bench import BenchError
from loadtests.bench.measurement import ClusterBench, ClusterSite, Figure
from loadtests.bench.outage import Queue, check_confirmed, figure_of, until_held
from loadtests.buyers.show_setup import put_on_sale
from loadtests.generated_plans import arena_plan

TARGET_S: Final = 5.0

_SEATS: Final = 20_000
_BEFORE_S: Final = 1.0
_AFTER_S: Final = 1.0
_ID_HEX: Final = 16


def measure(bench: ClusterBench, seats: int = _SEATS) -> Figure:
    """Return seconds from the election to a confirmed purchase.

    Raises:
        BenchError: nobody could buy again, an order is lost, or the audit is not clean.
    """
    plan = arena_plan(seats)
    with bench.open_cluster_site() as ground:
        site = ground.site
        show = asyncio.run(put_on_sale(site.base_url, site.api_key, plan))
        queue = Queue(site, show, [seat for run in runs_of(plan) for seat in run])
        rounds = [
            asyncio.run(_lose_primary(bench, ground, show, queue)) for _ in range(bench.rounds)
        ]
        asyncio.run(check_confirmed(site, queue.confirmed))
        audited = asyncio.run(audit(site.settings))
    if audited.findings:
        msg = f"the audit is not clean: {audited.findings[0]}"
        raise BenchError(msg)
    return figure_of(
        "failover",
        "s from the election to a confirmed purchase",
        [took for took, _ in rounds],
        at_most_s=TARGET_S,
        details={
            "election_s": [round(elected, 3) for _, elected in rounds],
            "confirmed": len(queue.confirmed),
        },
        settings={"nodes": "3 primaries, 3 replicas", "seats": seats, "audit": "clean"},
    )


async def _lose_primary(
    bench: ClusterBench, ground: ClusterSite, show: str, queue: Queue
) -> tuple[float, float]:
    async with queue.crowded(buy=True) as had:
        await until_held(had, time.monotonic())
        await asyncio.sleep(_BEFORE_S)
        lost = time.monotonic()
        elected = await asyncio.to_thread(ground.lose_primary, f"{{{show[-_ID_HEX:]}}}:meta")
        took = await until_held(had, elected) - elected
        await asyncio.sleep(_AFTER_S)
    await asyncio.to_thread(ground.restore_primaries)
    bench.say(f"elected after {elected - lost:.2f} s, sold again {took:.3f} s later")
    return took, elected - lost
