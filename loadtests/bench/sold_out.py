"""`sold-out`: holds on a show that has nothing left, beside the bare application.

What most requests of an on-sale are: each is answered 409, from buyers who all want seats that are
sold. The control gets the very same requests.
"""

from itertools import cycle, islice
from typing import Final

from msgspec import structs

from loadtests.bench.answers import all_refused
from loadtests.bench.course import BARE, Rush, Side, open_course
from loadtests.bench.http_bench import HttpBench
from loadtests.bench.measurement import Figure, alternate

_LEAST: Final = 0.65


def measure(bench: HttpBench) -> Figure:
    """Return refusals a second, beside the bare application's answers a second."""
    with open_course(bench) as course, bench.serve(BARE, {}) as bare:
        size = bench.size
        show = course.open_show(size.sold_out_seats)
        course.sell(show, show.groups)
        wanted = islice(cycle(show.pairs), size.warm_up + size.requests_max)
        holds = Rush(requests=list(show.requests.holds(wanted)), warm_up=size.warm_up)
        rounds = alternate(
            bench.rounds,
            lambda _: course.run(
                Side.VALUE, course.api, structs.replace(holds, expect=all_refused)
            ),
            lambda _: course.run(Side.CONTROL, bare, holds),
        )
        course.audit()
        return course.figure("sold-out", rounds, units=("refusals/s", "answers/s"), least=_LEAST)
