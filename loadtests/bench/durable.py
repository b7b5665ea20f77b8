"""`durable`: `hold` with `appendfsync always`, the normal, beside `everysec` on the same server."""

from typing import Final

from loadtests.bench.course import OpenShow, Side, open_course
from loadtests.bench.hold import UNITS
from loadtests.bench.http_bench import HttpBench
from loadtests.bench.measurement import Figure, alternate

_LEAST: Final = 0.9


def measure(bench: HttpBench) -> Figure:
    """Return holds a second that are on disk when they are answered, beside others."""
    with open_course(bench) as course:
        shows: list[OpenShow] = []

        def hold(_: int) -> float:
            shows.append(course.open_show())
            holds = course.holds(shows[-1], shows[-1].pairs[::2])
            return course.run(Side.VALUE, course.api, holds)

        def hold_sometime_on_disk(_: int) -> float:
            show = shows.pop()
            course.change_store("appendfsync", "everysec")
            try:
                return course.run(Side.CONTROL, course.api, course.holds(show, show.pairs[1::2]))
            finally:
                course.change_store("appendfsync", "always")

        rounds = alternate(bench.rounds, hold, hold_sometime_on_disk)
        course.audit()
        return course.figure("durable", rounds, units=UNITS, least=_LEAST)
