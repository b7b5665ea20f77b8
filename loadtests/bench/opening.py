"""`opening`: drafts of 60 000 seats that no process knows, from the call to open to a first hold.

One draft is made over HTTP, and its rows are copied, plan and all, as whoever made the others has
long gone. Each is opened after the one before has come to rest, and nothing else happens. The CPU
is all that is used from the call until some seconds after it, so that what the workers do of a show
once it is open is in it; what they use at rest is subtracted.
"""

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from http import HTTPStatus
from statistics import median
from typing import Any, Final, TypeVar

from msgspec import Struct

from loadtests.bench.catalog_fill import copy_draft
from loadtests.bench.catalog_model import Caller
from loadtests.bench.http_bench import FULL, BenchError, HttpBench
from loadtests.bench.measurement import Figure, Site
from loadtests.bench.processes import cpu_seconds
from loadtests.buyers.show_setup import show_body
from loadtests.generated_plans import arena_plan

OPENED_S_MOST: Final = 2.0

_SEATS: Final = 60_000
_SEATS_QUICK: Final = 2_000
_OPENED_LEAST: Final = 5
_WITHIN_S: Final = 4.0
_WITHIN_S_QUICK: Final = 0.5
_HELD_WITHIN_S: Final = 60.0
_LOOK_S: Final = 0.02

T = TypeVar("T")


class Held(Struct, frozen=True):
    """A hold, and for how long it was waited."""

    hold: str
    took_s: float


class Opened(Struct, frozen=True):
    """What each of some openings took."""

    seats: int
    shows: list[str]
    """They are open; nobody holds places of them."""
    took_s: list[float]
    """Of all but the first."""
    cpu_s: dict[str, float]
    """CPU seconds of one, by part, until `cpu_within_s` after the call."""
    cpu_within_s: float

    def told(self) -> dict[str, Any]:
        """Return it as details of a figure."""
        return {
            "seats": self.seats,
            "openings": len(self.took_s),
            "s": round(median(self.took_s), 3),
            "s_max": round(max(self.took_s), 3),
            "cpu_s_each": self.cpu_s,
            "cpu_within_s": self.cpu_within_s,
        }


def measure(bench: HttpBench) -> Figure:
    """Return seconds from the call to the first hold.

    Raises:
        BenchError: something was answered otherwise than hoped for, or not in time.
    """
    with (
        bench.open_site() as site,
        closing(Caller(site.base_url, site.api_key)) as caller,
    ):
        opened = open_drafts(bench, site, caller)
    told = opened.told()
    return Figure(
        name="opening",
        value=told["s"],
        unit="s from the call to the first hold",
        control=None,
        control_unit=None,
        ratio=None,
        target=f"at most {OPENED_S_MOST:g}, of {opened.seats:,} seats",
        met=told["s"] <= OPENED_S_MOST,
        rounds=[(round(took, 3), None) for took in opened.took_s],
        details=told,
        settings={"copied": "drafts that no process knows"},
    )


def open_drafts(bench: HttpBench, site: Site, caller: Caller) -> Opened:
    """Open large drafts that no process knows, one after the other, as often as asked for.

    One more is opened first and not measured: it finds connections closed, statements unprepared.

    Raises:
        BenchError: something was answered otherwise than hoped for, or not in time.
    """
    is_full = bench.size == FULL
    seats, within_s = (_SEATS, _WITHIN_S) if is_full else (_SEATS_QUICK, _WITHIN_S_QUICK)
    count = 1 + (max(bench.rounds, _OPENED_LEAST) if is_full else 1)
    body = show_body(arena_plan(seats)) | {"state": "draft"}
    level = next(iter(body["prices"]))
    draft = caller.post("/v1/shows", body).json()["show"]
    bench.say(f"copying {count} drafts of {seats:,} seats")
    shows = [copy_draft(site.settings.database_url, draft) for _ in range(count)]
    time.sleep(within_s)  # what the new drafts made to be done
    _, at_rest = spending(site, partial(time.sleep, within_s))
    took: list[float] = []
    cpu = dict.fromkeys(at_rest, 0.0)
    for number, show in enumerate(shows):
        held, used = spending(site, partial(_open_and_rest, caller, show, level, within_s))
        bench.say(f"{seats:,} seats opened in {held.took_s:.2f} s")
        if number:
            took.append(held.took_s)
            cpu = {part: cpu[part] + used[part] - at_rest[part] for part in cpu}
        caller.delete(f"/v1/shows/{show}/holds/{held.hold}")
    each = {part: round(all_of_it / len(took), 3) for part, all_of_it in cpu.items()}
    return Opened(seats, shows, took, each, within_s)


def _open_and_rest(caller: Caller, show: str, level: str, within_s: float) -> Held:
    until = time.monotonic() + within_s
    held = open_show(caller, show, level, f"l{show[-12:]}")
    time.sleep(max(0.0, until - time.monotonic()))
    return held


def open_show(caller: Caller, show: str, level: str, buyer: str) -> Held:
    """Open a draft; return how many seconds it takes until somebody holds places, and the hold."""
    began = time.monotonic()
    caller.post(f"/v1/shows/{show}/open")
    held = hold(caller, show, level, buyer)
    return Held(held, time.monotonic() - began)


def hold(caller: Caller, show: str, level: str, buyer: str) -> str:
    """Hold two places; ask again as long as the show is not ready."""
    body = {"best_available": {"price_level": level, "quantity": 2}, "buyer": buyer, "ttl_s": 600}
    until = time.monotonic() + _HELD_WITHIN_S
    while time.monotonic() < until:
        answer = caller.send("POST", f"/v1/shows/{show}/holds", body, f"hold-{buyer}")
        if answer.status_code == HTTPStatus.CREATED:
            return str(answer.json()["hold"])
        if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
            msg = f"a hold was answered {answer.status_code}: {answer.text[:500]}"
            raise BenchError(msg)
        time.sleep(_LOOK_S)
    msg = f"no hold within {_HELD_WITHIN_S:.0f} s"
    raise BenchError(msg)


def spending(site: Site, act: Callable[[], T]) -> tuple[T, dict[str, float]]:
    """Do something; return what that gave, and the CPU seconds that it took, by part."""
    processes = site.processes()
    before = cpu_seconds(processes)
    done = act()
    after = cpu_seconds(processes)
    return done, {part: round(after[part] - before[part], 2) for part in after}
