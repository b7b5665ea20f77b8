"""`search`: events found among 100 000 shows in 5 000 venues, over HTTP, by 50 at once.

Four ways to search, each by itself: words, nearness, facets, price. Every request asks for another
thing, so that next to nothing is told from a cache; then the same is measured as it is served,
where as in life a few things are asked for most of the time. The value is the worst 99th percentile
of the four as served. The control asks PostgreSQL for the words by `ILIKE`, with a pool of its own.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from msgspec import structs

from loadtests.bench.answers import all_shown
from loadtests.bench.http_bench import FULL, HttpBench
from loadtests.bench.measurement import Figure, Site
from loadtests.bench.search_fill import connect, fill
from loadtests.generated_catalogue import Catalogue, generate_catalogue
from loadtests.generator import Load, LoadResult, write_requests

CONNECTIONS: Final = 50
_HALLS: Final = 5000
_HALLS_QUICK: Final = 50
_P99_MS_MOST: Final = 50.0
_SEED: Final = 11
_CONTROL_CONNECTIONS: Final = 4
_CONTROL_REQUESTS: Final = 400
# Of what is asked for, as served: the first has a tenth of all, and so on as 1 / rank.
_POPULAR: Final = 500
LIMITS: Final = {"address_rate_max": "0"}
"""All come from this machine's one address."""

_ILIKE: Final = """
SELECT listings.*, available, price_min FROM listings JOIN listing_counts USING (show_id)
WHERE is_public AND starts_at >= now() AND (name ILIKE $1 OR performers::text ILIKE $1
    OR venue ILIKE $1 OR city ILIKE $1) ORDER BY starts_at LIMIT 21
"""


class Asker:
    """Makes up what is searched for."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Take what there is to find."""
        self._catalogue = catalogue
        self._luck = random.Random(_SEED)  # noqa: S311 -- what people look for

    def keyword(self) -> dict[str, str]:
        """Words of a name, mostly a performer's."""
        name = self._luck.choice(self._catalogue.performers).removeprefix("The ")
        town = self._luck.choice(self._catalogue.towns).name
        return {"search": self._luck.choice((name, name, name.split()[0], f"{name} {town}"))}

    def near(self) -> dict[str, str]:
        """What there is around somebody."""
        hall = self._luck.choice(self._catalogue.halls)
        latitude = hall.latitude + self._luck.gauss(0, 0.1)
        longitude = hall.longitude + self._luck.gauss(0, 0.1)
        return {"near": f"{latitude:.5f},{longitude:.5f}", "within_km": "25"}

    def facet(self) -> dict[str, str]:
        """What a town has, told by facets."""
        show = self._luck.choice(self._catalogue.shows)
        day = show.starts_at.strftime("%Y-%m-%d")
        return {"city": show.hall.town.name, "from": day, "facets": "true"}

    def price(self) -> dict[str, str]:
        """The cheapest, from a day on."""
        show = self._luck.choice(self._catalogue.shows)
        sort = self._luck.choice(("price", "price", "price", "-price"))
        return {"sort": sort, "from": show.starts_at.strftime("%Y-%m-%dT%H:%M:%SZ")}


def measure(bench: HttpBench) -> Figure:
    """Return the worst 99th percentile of the four, as they are served."""
    halls = _HALLS if bench.size == FULL else _HALLS_QUICK
    catalogue = generate_catalogue(halls=halls)
    with bench.open_site(**LIMITS) as site, tempfile.TemporaryDirectory() as folder:
        bench.say(f"listing {len(catalogue.shows)} shows")
        asyncio.run(fill(site.settings.database_url, catalogue))
        asker = Asker(catalogue)
        kinds = {"keyword": asker.keyword, "near": asker.near}
        kinds |= {"facet": asker.facet, "price": asker.price}
        _warm(site)
        told: dict[str, list[dict[str, Any]]] = {}
        for number in range(bench.rounds):
            for kind, ask in kinds.items():
                requests = Path(folder) / f"{kind}-{number}"
                each = _send(bench, site, requests, _different(ask, bench.size.requests_max))
                told.setdefault(f"{kind}, each another", []).append(each)
                served = _send(bench, site, requests, _popular(ask, bench.size.requests_max))
                told.setdefault(kind, []).append(served)
        control = asyncio.run(_control(site.settings.database_url, asker))
    return _figure(bench, len(catalogue.shows), told, control)


def _warm(site: Site) -> None:
    """Wait until the first search is answered: a process opens its connections for it."""
    httpx.get(f"{site.base_url}/v1/events", timeout=30).raise_for_status()


def _different(ask: Callable[[], dict[str, str]], count: int) -> list[dict[str, str]]:
    return [ask() for _ in range(min(count, 20_000))]


def _popular(ask: Callable[[], dict[str, str]], count: int) -> list[dict[str, str]]:
    asked = [ask() for _ in range(_POPULAR)]
    weights = [1 / rank for rank in range(1, _POPULAR + 1)]
    luck = random.Random(_SEED)  # noqa: S311 -- what people look for
    return luck.choices(asked, weights, k=min(count, 20_000))


def _send(
    bench: HttpBench, site: Site, requests: Path, asked: Sequence[dict[str, str]]
) -> dict[str, Any]:
    head = "Host: bench.invalid\r\nAccept: application/json\r\n\r\n"
    write_requests(
        requests, [f"GET /v1/events?{urlencode(one)} HTTP/1.1\r\n{head}".encode() for one in asked]
    )
    load = Load(
        url=site.base_url,
        requests=requests,
        connections=CONNECTIONS,
        seconds_max=bench.size.seconds_max,
        cpus=(),
    )
    result: LoadResult = bench.generator.send(load)
    answered = all_shown(result)
    return {
        "p50_ms": round(result.p50_ms, 2),
        "p99_ms": round(result.p99_ms, 2),
        "answers_per_s": round(answered / result.wall_s, 1),
    }


async def _control(url: str, asker: Asker) -> dict[str, float]:
    """Ask for words by `ILIKE`, 50 at once, over a few connections."""
    connections = [await connect(url) for _ in range(_CONTROL_CONNECTIONS)]
    free: asyncio.Queue[int] = asyncio.Queue()
    for number in range(_CONTROL_CONNECTIONS):
        free.put_nowait(number)
    took_ms: list[float] = []
    left = [asker.keyword()["search"] for _ in range(_CONTROL_REQUESTS)]

    async def ask_on() -> None:
        while left:
            words, began = left.pop(), time.perf_counter()
            number = await free.get()
            try:
                await connections[number].fetch(_ILIKE, f"%{words}%")
            finally:
                free.put_nowait(number)
            took_ms.append(1000 * (time.perf_counter() - began))

    await asyncio.gather(*(ask_on() for _ in range(CONNECTIONS)))
    for connection in connections:
        await connection.close()
    took_ms.sort()
    return {
        "p50_ms": round(median(took_ms), 2),
        "p99_ms": round(took_ms[int(0.99 * len(took_ms))], 2),
    }


def _figure(
    bench: HttpBench, shows: int, told: dict[str, list[dict[str, Any]]], control: dict[str, float]
) -> Figure:
    medians = {
        kind: {name: median(one[name] for one in rounds) for name in rounds[0]}
        for kind, rounds in told.items()
    }
    served = {kind: one for kind, one in medians.items() if "," not in kind}
    worst = max(one["p99_ms"] for one in served.values())
    rounds = [max(told[kind][n]["p99_ms"] for kind in served) for n in range(bench.rounds)]
    return Figure(
        name="search",
        value=worst,
        unit="ms (p99)",
        control=control["p99_ms"],
        control_unit="ms (p99, ILIKE)",
        ratio=round(worst / control["p99_ms"], 4),
        target=f"at most {_P99_MS_MOST:g} ms",
        met=worst <= _P99_MS_MOST,
        rounds=[(one, control["p99_ms"]) for one in rounds],
        details={"p99_ms": worst, **medians, "control": control},
        settings={
            "shows": shows,
            "connections": CONNECTIONS,
            **structs.asdict(bench.size),
            **LIMITS,
        },
    )
