"""`queue-join`: numbers given over HTTP, beside a bare application that reads and decodes as much.

256 connections, one API worker on one core, nobody tells who they are. All is as it is elsewhere:
the store writes each batch to disk before it is answered, the limit by address looks at each join,
and the worker's controller commits how far numbers may go in PostgreSQL.
"""

from typing import Final

from loadtests.bench.answers import all_created
from loadtests.bench.course import Rush, Side, open_course
from loadtests.bench.http_bench import BenchError, HttpBench
from loadtests.bench.measurement import Figure, alternate
from loadtests.bench.queue_requests import QueueRequests
from loadtests.bench.queue_serving import CONTROL, LIMITS, RULES, open_room
from loadtests.bench.store_side import StoreSide

_LEAST: Final = 0.45


def measure(bench: HttpBench) -> Figure:
    """Return joins a second, beside the bare application's answers a second."""
    with open_course(bench, **LIMITS) as course, bench.serve(CONTROL, {}) as bare:
        size = bench.size
        show = open_room(course)
        joins = Rush(
            requests=[QueueRequests(show.id).join()] * (size.warm_up + size.requests_max),
            expect=all_created,
            warm_up=size.warm_up,
        )
        rounds = alternate(
            bench.rounds,
            lambda _: course.run(Side.VALUE, course.api, joins),
            lambda _: course.run(Side.CONTROL, bare, joins),
        )
        course.audit()
        figure = course.figure("queue-join", rounds, units=("joins/s", "answers/s"), least=_LEAST)
        with StoreSide(course.site.settings.redis_url) as store:
            given = store.numbers_given(show.id)
    answered = figure.details[Side.VALUE]["answered"]
    if given < answered:
        msg = f"{answered} people were told a number, but only {given} numbers were given"
        raise BenchError(msg)
    figure.settings.update({"rules": RULES, "numbers_given": given} | LIMITS)
    return figure
