"""`purchase`: hold, then purchase until it is confirmed, beside holds alone.

Confirmed means that the order's row is committed. Both on the same show, on seats of their own.
"""

from typing import Final

from loadtests.bench.course import OpenShow, Side, open_course
from loadtests.bench.http_bench import HttpBench
from loadtests.bench.measurement import Figure, alternate

_LEAST: Final = 0.2


def measure(bench: HttpBench) -> Figure:
    """Return confirmed orders a second, beside holds a second."""
    with open_course(bench) as course:
        shows: list[OpenShow] = []

        def buy(_: int) -> float:
            shows.append(course.open_show())
            return course.run(
                Side.VALUE, course.api, course.purchases(shows[-1], shows[-1].pairs[::2])
            )

        def hold(_: int) -> float:
            show = shows.pop()
            return course.run(Side.CONTROL, course.api, course.holds(show, show.pairs[1::2]))

        rounds = alternate(bench.rounds, buy, hold)
        course.audit()
        return course.figure("purchase", rounds, units=("orders/s", "holds/s"), least=_LEAST)
