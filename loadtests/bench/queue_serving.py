"""`queue-serving`: the document that everybody in line polls, beside a bare application.

256 connections, one API worker on one core; the control answers every GET with a constant of the
same size. In each round it is also measured while people join at a bounded rate, as a second
generator has it: a million in some half an hour. What their joins take of the API's core is missing
from the documents of that time, and its ratio is to the control's answers without any.
"""

import asyncio
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from loadtests.bench.answers import all_created, all_shown
from loadtests.bench.course import Course, OpenShow, Rush, Side, open_course
from loadtests.bench.http_bench import CONTROL as HTTP_CONTROL
from loadtests.bench.http_bench import HttpBench
from loadtests.bench.measurement import Figure, alternate
from loadtests.bench.queue_requests import QueueRequests
from loadtests.buyers.queue_setup import open_queue
from loadtests.generator import Load, LoadResult, write_requests
from loadtests.generator.choosing import PythonGenerator

CONTROL: Final = "loadtests.controls.queue:app"
RULES: Final = {"rate": 20, "checkout_max": 500}
"""Of the waiting room; nobody who joins here claims a pass."""
LIMITS: Final = {"join_rate_max": "60000000", "join_burst": "1000000"} | {
    "address_rate_max": "1000000"
}
"""All joins come from this machine's one address: the limits are on, and too high to be met."""

_LEAST: Final = 0.8
_JOINS_PER_S: Final = 500.0
_JOINING_CONNECTIONS: Final = 32
_STARTING_S: Final = 1.0
_LONGER_S: Final = 2


def measure(bench: HttpBench) -> Figure:
    """Return documents a second, beside the bare application's answers a second."""
    with open_course(bench, **LIMITS) as course, bench.serve(CONTROL, {}) as bare:
        size = bench.size
        show = open_room(course)
        request = QueueRequests(show.id).serving()
        asking = Rush(
            requests=[request] * (size.warm_up + size.requests_max),
            expect=all_shown,
            warm_up=size.warm_up,
        )
        joiners = _Joiners(bench, course, show)

        def ask(_: int) -> float:
            with joiners.joining():
                course.run(Side.WITH_JOINS, course.api, structs.replace(asking, warm_up=0))
            return course.run(Side.VALUE, course.api, asking)

        rounds = alternate(bench.rounds, ask, lambda _: course.run(Side.CONTROL, bare, asking))
        course.audit()
        figure = course.figure(
            "queue-serving", rounds, units=("documents/s", "answers/s"), least=_LEAST
        )
    with_joins = figure.details[Side.WITH_JOINS] | joiners.told()
    with_joins["ratio"] = round(with_joins["rate"] / rounds.control, 3)
    control_us = figure.details[Side.CONTROL]["cpu_us_a_unit"].get(HTTP_CONTROL)
    api_us = with_joins["cpu_us_a_unit"].get(course.api.part)
    if control_us and api_us:
        with_joins["ratio_by_server_cpu"] = round(control_us / api_us, 3)
    return structs.replace(
        figure,
        met=figure.met and with_joins["ratio"] >= _LEAST,
        target=f"{figure.target}, also while people join",
        details=figure.details | {Side.WITH_JOINS.value: with_joins},
        settings=figure.settings | {"rules": RULES} | LIMITS,
    )


def open_room(course: Course) -> OpenShow:
    """Put a show on sale, behind a waiting room."""
    site = course.site
    show = course.open_show()
    asyncio.run(open_queue(site.base_url, site.api_key, show.id, RULES))
    return show


class _Joiners:
    """People who join at a bounded rate while something else is measured."""

    def __init__(self, bench: HttpBench, course: Course, show: OpenShow) -> None:
        self._seconds = bench.size.seconds_max + _LONGER_S
        self._cpus = bench.cores.others
        self._url = course.site.base_url
        self._file = course.folder / "joins"
        count = int(_JOINS_PER_S * self._seconds) + _JOINING_CONNECTIONS
        write_requests(self._file, [QueueRequests(show.id).join()] * count)
        self._results: list[LoadResult] = []

    @contextmanager
    def joining(self) -> Generator[None]:
        """Have people join from before the block until after it."""
        load = Load(
            url=self._url,
            requests=Path(self._file),
            connections=_JOINING_CONNECTIONS,
            seconds_max=self._seconds,
            cpus=self._cpus,
            requests_per_s=_JOINS_PER_S,
        )
        with ThreadPoolExecutor(1) as thread:
            joining = thread.submit(PythonGenerator().send, load)
            time.sleep(_STARTING_S)
            yield
            result = joining.result()
        all_created(result)
        self._results.append(result)

    def told(self) -> dict[str, Any]:
        """Return what came of them."""
        answered = sum(result.answered for result in self._results)
        wall_s = sum(result.wall_s for result in self._results)
        return {
            "joins": answered,
            "joins_per_s": round(answered / wall_s, 1),
            "joins_per_s_set": _JOINS_PER_S,
            "join_p99_ms": max(result.p99_ms for result in self._results),
        }
