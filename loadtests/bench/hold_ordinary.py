"""`hold-ordinary`: as `hold`, beside an ordinary Litestar handler with one redis-py call a request.

Both use the site's store, so both answer after its fsync.
"""

from typing import Final

import redis

from loadtests.bench.course import OpenShow, open_course
from loadtests.bench.hold import UNITS, compare_holds
from loadtests.bench.http_bench import HttpBench
from loadtests.bench.measurement import Figure
from loadtests.controls.ordinary import REDIS_URL, seats_key

_APP: Final = "loadtests.controls.ordinary:app"
_LEAST: Final = 3.3
_SEATS_AT_ONCE: Final = 5_000
_TIMEOUT_S: Final = 30


def measure(bench: HttpBench) -> Figure:
    """Return holds a second, beside those of the ordinary handler."""
    with open_course(bench) as course:
        url = course.site.settings.redis_url
        with (
            redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S) as store,
            bench.serve(_APP, {REDIS_URL: url}) as ordinary,
        ):
            rounds = compare_holds(
                bench.rounds, course, ordinary, lambda show: fill_seats(store, show)
            )
        course.audit()
        return course.figure("hold-ordinary", rounds, units=UNITS, least=_LEAST)


def fill_seats(store: redis.Redis, show: OpenShow) -> None:
    """Fill in a show's seats."""
    labels = [label for group in show.groups for label in group]
    for first in range(0, len(labels), _SEATS_AT_ONCE):
        some = labels[first : first + _SEATS_AT_ONCE]
        store.hset(seats_key(show.id), mapping=dict.fromkeys(some, ""))
