"""`hold`: two-seat holds over HTTP, beside a bare application that decodes the same bodies.

256 connections, one API worker on one core. Each hold has a buyer, a key and two neighbouring seats
of its own, all over a fresh hall in each round; the control gets the very same requests.
"""

from collections.abc import Callable
from typing import Final

from loadtests.bench.course import BARE, Course, OpenShow, Rush, Side, open_course
from loadtests.bench.http_bench import HttpBench, Server
from loadtests.bench.measurement import Figure, Rounds, alternate

UNITS: Final = ("holds/s", "holds/s")

_LEAST: Final = 0.42


def measure(bench: HttpBench) -> Figure:
    """Return holds a second, beside the bare application's answers a second."""
    with open_course(bench) as course, bench.serve(BARE, {}) as bare:
        rounds = compare_holds(bench.rounds, course, bare)
        course.audit()
        return course.figure("hold", rounds, units=("holds/s", "answers/s"), least=_LEAST)


def compare_holds(
    rounds: int,
    course: Course,
    control: Server,
    prepare: Callable[[OpenShow], None] = lambda _: None,
) -> Rounds:
    """Send the same holds to the API and to a control, `prepare`d for each round's show."""
    sent: list[Rush] = []

    def hold(_: int) -> float:
        show = course.open_show()
        prepare(show)
        sent.append(course.holds(show, show.pairs))
        return course.run(Side.VALUE, course.api, sent[-1])

    def hold_there(_: int) -> float:
        return course.run(Side.CONTROL, control, sent.pop())

    return alternate(rounds, hold, hold_there)
