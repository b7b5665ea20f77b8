"""`opening`: drafts of 60 000 seats that no process knows, from the call to open to a first hold.

One draft is made over HTTP, and its rows are copied, plan and all, as whoever made the others has
long gone. Each is opened after the one before has come to rest, and nothing else happens. The CPU
is all that is used from the call until some seconds after it, so that what the workers do of a show
once it is open is in it; what they use at rest is subtracted.
"""

import time
from collections.abc import Sequence
from contextlib import closing
from http import HTTPStatus
from statistics import median
from typing import Any, Final

from msgspec import Struct

from loadtests.bench.catalog_fill import copy_draft
from loadtests.bench.catalog_model import Caller
from loadtests.bench.http_bench import FULL, BenchError, HttpBench
from loadtests.bench.measurement import Figure, Site
from loadtests.bench.processes import cpu_seconds
from loadtests.buyers.show_setup import show_body
from loadtests.generated_plans import arena_plan

OPENED_S_MOST: Final = 2.0
SEATS: Final = 60_000
SEATS_QUICK: Final = 2_000

_OPENED_LEAST: Final = 5
_AFTER_S: Final = 4.0
_AFTER_S_QUICK: Final = 0.5
_HELD_WITHIN_S: Final = 60.0
_LOOK_S: Final = 0.02


class Held(Struct, frozen=True):
    """A hold, and for how long it was waited."""

    hold: str
    took_s: float


class Opened(Struct, frozen=True):
    """What each of some openings took."""

    took_s: list[float]
    cpu_s: dict[str, float]
    """CPU seconds of one, by part."""

    def told(self) -> dict[str, Any]:
        """Return it as details of a figure."""
        return {
            "openings": len(self.took_s),
            "s": round(median(self.took_s), 3),
            "s_max": round(max(self.took_s), 3),
            "cpu_s_each": self.cpu_s,
        }


def measure(bench: HttpBench) -> Figure:
    """Return seconds from the call to the first hold.

    Raises:
        BenchError: something was answered otherwise than hoped for, or not in time.
    """
    is_full = bench.size == FULL
    seats = SEATS if is_full else SEATS_QUICK
    with (
        bench.open_site() as site,
        closing(Caller(site.base_url, site.api_key)) as caller,
    ):
        body = show_body(arena_plan(seats)) | {"state": "draft"}
        level = next(iter(body["prices"]))
        draft = caller.post("/v1/shows", body).json()["show"]
        # One more: the first finds connections closed, statements unprepared, caches empty.
        count = 1 + (max(bench.rounds, _OPENED_LEAST) if is_full else 1)
        bench.say(f"copying {count} drafts of {seats:,} seats")
        drafts = [copy_draft(site.settings.database_url, draft) for _ in range(count)]
        after_s = _AFTER_S if is_full else _AFTER_S_QUICK
        time.sleep(after_s)
        opened = open_each(bench, site, caller, drafts, level, after_s)
    return Figure(
        name="opening",
        value=opened.told()["s"],
        unit="s from the call to the first hold",
        control=None,
        control_unit=None,
        ratio=None,
        target=f"at most {OPENED_S_MOST:g}, of {seats:,} seats",
        met=opened.told()["s"] <= OPENED_S_MOST,
        rounds=[(round(took, 3), None) for took in opened.took_s],
        details=opened.told(),
        settings={"seats": seats, "cpu_until_s_after": after_s},
    )


def open_each(  # noqa: PLR0913, PLR0917 - the parts of a bench
    bench: HttpBench,
    site: Site,
    caller: Caller,
    drafts: Sequence[str],
    level: str,
    after_s: float,
) -> Opened:
    """Open drafts one after the other, the first of them unmeasured."""
    at_rest = _at_rest(site, after_s)
    took: list[float] = []
    spent = dict.fromkeys(at_rest, 0.0)
    for number, show in enumerate(drafts):
        held, cpu = _opened_and_rested(site, caller, show, level, after_s)
        bench.say(f"opened in {held:.2f} s")
        if number:
            took.append(held)
            spent = {part: spent[part] + cpu[part] - at_rest[part] for part in spent}
    return Opened(took, {part: round(used / len(took), 3) for part, used in spent.items()})


def _opened_and_rested(
    site: Site, caller: Caller, show: str, level: str, after_s: float
) -> tuple[float, dict[str, float]]:
    processes = site.processes()
    before, until = cpu_seconds(processes), time.monotonic() + after_s
    took_s = open_show(caller, show, level, show[-12:]).took_s
    time.sleep(max(0.0, until - time.monotonic()))
    after = cpu_seconds(processes)
    return took_s, {part: after[part] - before[part] for part in after}


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


def _at_rest(site: Site, seconds: float) -> dict[str, float]:
    """Return the CPU seconds that pass while nothing happens, by part."""
    processes = site.processes()
    before = cpu_seconds(processes)
    time.sleep(seconds)
    after = cpu_seconds(processes)
    return {part: after[part] - before[part] for part in after}
