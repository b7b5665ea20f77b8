"""`batch`: holds through the batch endpoint, 100 a request, beside single ones.

16 connections rather than 256: a reseller's queue drains in few requests, and 256 times 100
commands would be more than a lane's backlog.
"""

from typing import Final

from loadtests.bench.answers import batches_of
from loadtests.bench.course import OpenShow, Rush, Side, open_course
from loadtests.bench.http_bench import HttpBench
from loadtests.bench.measurement import Figure, alternate

_LEAST: Final = 4.0
_COMMANDS: Final = 100
_CONNECTIONS: Final = 16
_SHARE: Final = 4
"""One pair in so many is for the control, which is that much slower."""


def measure(bench: HttpBench) -> Figure:
    """Return holds a second in batches, beside holds a second."""
    with open_course(bench) as course:
        shows: list[OpenShow] = []

        def hold_in_batches(_: int) -> float:
            shows.append(course.open_show())
            pairs = [pair for n, pair in enumerate(shows[-1].pairs) if n % _SHARE]
            rush = Rush(
                requests=list(shows[-1].requests.batches(pairs, _COMMANDS)),
                expect=batches_of(_COMMANDS),
                connections=_CONNECTIONS,
                warm_up=bench.size.warm_up // _COMMANDS,
                counted='"status":201',
            )
            return course.run(Side.VALUE, course.api, rush)

        def hold(_: int) -> float:
            show = shows.pop()
            return course.run(Side.CONTROL, course.api, course.holds(show, show.pairs[::_SHARE]))

        rounds = alternate(bench.rounds, hold_in_batches, hold)
        course.audit()
        return course.figure("batch", rounds, units=("holds/s", "holds/s"), least=_LEAST)
