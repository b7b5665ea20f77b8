"""`recovery-many`: a thousand open shows after their server was killed and came back.

One of them is the busiest: buyers ask for its seats again and again. At each of the others one
buyer asks once a second, as `Retry-After` tells them. Counted from when the server has read its
data and answers until a seat was held at every show.
"""

import asyncio
import random
import time
from statistics import median
from typing import Final

from msgspec import structs

from loadtests.bench.batch_door import runs_of
from loadtests.bench.measurement import Bench, Figure, Site
from loadtests.bench.outage import Queue, figure_of
from loadtests.bench.store_side import StoreSide
from loadtests.buyers.show_setup import put_on_sale
from loadtests.generated_plans import arena_plan

ALL_TARGET_S: Final = 30.0
BUSIEST_TARGET_S: Final = 2.0

_SHOWS: Final = 1_000
_SEATS: Final = 300
_BUYERS: Final = 4
_CREATED_AT_ONCE: Final = 4
_ASKS_EACH_S: Final = 1.0


def measure(bench: Bench, shows: int = _SHOWS, seats: int = _SEATS) -> Figure:
    """Return seconds from the server's return until all shows sell.

    Raises:
        BenchError: a show did not sell again.
        RefusedShowError: one could not be put on sale.
    """
    plan = arena_plan(seats)
    with bench.open_site() as site, StoreSide(site.settings.redis_url) as store:
        bench.say(f"putting {shows} shows on sale")
        ids = asyncio.run(_create(site, plan, shows))
        labels = [seat for run in runs_of(plan) for seat in run]
        busiest, *others = (Queue(site, show, labels) for show in ids)
        rounds = [asyncio.run(_restart(bench, site, busiest, others)) for _ in range(bench.rounds)]
        settings = store.settings()
    busiest_s = [one for one, _ in rounds]
    figure = figure_of(
        "recovery-many",
        "s from the server's return until all shows sell",
        [last for _, last in rounds],
        at_most_s=ALL_TARGET_S,
        details={
            "busiest": round(median(busiest_s), 3),
            "busiest_rounds": [round(one, 3) for one in busiest_s],
        },
        settings=settings | {"shows": shows, "seats": seats, "buyers_of_the_busiest": _BUYERS},
    )
    return structs.replace(
        figure,
        target=f"{figure.target}, the busiest {BUSIEST_TARGET_S:g} s",
        met=figure.met and median(busiest_s) <= BUSIEST_TARGET_S,
    )


async def _create(site: Site, plan: bytes, shows: int) -> list[str]:
    limit = asyncio.Semaphore(_CREATED_AT_ONCE)

    async def create() -> str:
        async with limit:
            return await put_on_sale(site.base_url, site.api_key, plan)

    return await asyncio.gather(*(create() for _ in range(shows)))


async def _restart(
    bench: Bench, site: Site, busiest: Queue, others: list[Queue]
) -> tuple[float, float]:
    await asyncio.to_thread(site.restart_store, 0)
    serves = time.monotonic()
    impatient = [busiest.first_held() for _ in range(_BUYERS)]
    first, *_, last = sorted(await asyncio.gather(*impatient, *map(_come, others)))
    bench.say(f"{first - serves:.3f} s, all after {last - serves:.2f} s")
    return first - serves, last - serves


async def _come(queue: Queue) -> float:
    await asyncio.sleep(random.uniform(0, _ASKS_EACH_S))  # noqa: S311 -- no secret
    return await queue.first_held(_ASKS_EACH_S)
