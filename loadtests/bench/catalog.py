"""`catalog`: 2 000 resellers with 50 shows each, all on sale, and what that costs those who sell.

What is measured with all of them there: CPU seconds of the workers while nothing happens, and the
rows that they read; a reseller's own list of shows; the first look at a show that no process knows,
and the first hold; a show's way from draft to the first hold, one of 60 000 seats, too; the store's
memory before, while and after a show is in it. The value is the worker's CPU at rest, the control
what it is with no shows.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from http import HTTPStatus
from pathlib import Path
from statistics import median
from typing import Any, Final

from msgspec import Struct

from loadtests.bench.answers import all_shown
from loadtests.bench.catalog_fill import Model, fill_ledger, fill_store, number_of, read
from loadtests.bench.catalog_model import Caller, make_model, make_show, rows_table
from loadtests.bench.http_bench import FULL, BenchError, HttpBench
from loadtests.bench.measurement import Figure, Site
from loadtests.bench.opening import OPENED_S_MOST, hold, open_drafts, open_show, spending
from loadtests.bench.processes import cpu_seconds
from loadtests.bench.store_side import StoreSide
from loadtests.generated_catalogue import Catalogue, generate_catalogue
from loadtests.generator import Load, write_requests

AT_REST_CPU_MOST: Final = 0.5
LIST_P99_MS_MOST: Final = 50.0
SWITCHED_P99_MS_MOST: Final = 250.0

_HALLS: Final = 5_000
_HALLS_QUICK: Final = 10
_ROWS: Final = 10
_SEATS_A_ROW: Final = 12
_REST_S: Final = 30.0
_REST_S_QUICK: Final = 2.0
_CONNECTIONS: Final = 8
_ARCHIVED_WITHIN_S: Final = 60.0
_SETTLED_WITHIN_S: Final = 180.0
_LOOK_S: Final = 0.05
_OPENED: Final = 20
_NO_LIMITS: Final = {"address_rate_max": "0", "key_rate_max": "0"}
"""All come from one address, and by one key."""

_READ_ROWS: Final = (
    "SELECT coalesce(sum(seq_tup_read), 0)::bigint, coalesce(sum(seq_scan), 0)::bigint,"
    " coalesce(sum(idx_tup_fetch), 0)::bigint FROM pg_stat_user_tables"
)
_SCANNED: Final = (
    "SELECT relname, seq_tup_read FROM pg_stat_user_tables WHERE seq_tup_read > 0"
    " ORDER BY seq_tup_read DESC"
)


class _Rest(Struct, frozen=True):
    """What a second costs in which nobody does anything."""

    cpu: dict[str, float]
    """CPU seconds, by part."""
    rows_by_index: float
    rows_by_scan: float
    scanned: dict[str, float]
    """Rows that were read without an index, by table."""


def measure(bench: HttpBench) -> Figure:
    """Return what the worker uses at rest; all else is in the details.

    Raises:
        BenchError: something was answered otherwise than hoped for, or not in time.
    """
    is_full = bench.size == FULL
    catalogue = generate_catalogue(halls=_HALLS if is_full else _HALLS_QUICK)
    with (
        tempfile.TemporaryDirectory() as folder,
        bench.open_site(**_NO_LIMITS) as site,
        StoreSide(site.settings.redis_url) as store,
        closing(Caller(site.base_url, site.api_key)) as caller,
    ):
        made = make_model(caller, rows_table(_ROWS, _SEATS_A_ROW))
        rest_s = _REST_S if is_full else _REST_S_QUICK
        empty = _at_rest(site, rest_s)
        told = _fill(bench, site, catalogue, made)
        full = _at_rest(site, rest_s)
        bench.say(f"at rest: {full.cpu}")
        own = _own_shows(caller)
        told["list"] = _list(bench, site, Path(folder))
        told["switch"] = _switch(caller, own)
        opened = _OPENED if is_full else 2
        told["open"], cpu = spending(site, lambda: _open_many(caller, made, opened))
        told["open"] |= {"cpu_s_each": {part: round(s / opened, 3) for part, s in cpu.items()}}
        told["open_large"] = _open_large(bench, site, store, caller)
        settings = store.settings() | {"shows": len(catalogue.shows)}
    return _figure((empty, full), told, settings | _NO_LIMITS)


def _fill(
    bench: HttpBench, site: Site, catalogue: Catalogue, made: Mapping[str, Any]
) -> dict[str, Any]:
    """Copy the show that was made to all others; return how long that took."""
    url, show = site.settings.database_url, number_of(made["show"])
    _wait_until(lambda: _count_of(url, show) is not None, "the model is counted")
    [[reseller]] = read(url, f"SELECT reseller_id FROM shows WHERE id = {show}")  # noqa: S608
    model = Model(
        show=show,
        configuration=number_of(made["configuration"]),
        event=number_of(made["event"]),
        reseller=reseller,
    )
    bench.say(f"putting {len(catalogue.shows):,} shows on sale")
    site.pause_worker()
    began = time.monotonic()
    try:
        asyncio.run(fill_ledger(url, catalogue, model))
        fill_store(site.settings.redis_url, catalogue, f"{show:016x}")
    finally:
        site.resume_worker()
    filled_s = time.monotonic() - began
    _settle(site)
    return {"filled_s": round(filled_s, 1)}


def _count_of(url: str, show: int) -> str | None:
    rows = read(url, f"SELECT counted_for FROM listing_counts WHERE show_id = {show}")  # noqa: S608
    return rows[0][0] if rows else None


def _settle(site: Site) -> None:
    """Wait until the worker has looked at all shows once, and uses the same CPU again."""
    until, before = time.monotonic() + _SETTLED_WITHIN_S, float("inf")
    while time.monotonic() < until:
        now = _used(site, _REST_S_QUICK)["worker"]
        if now >= 0.9 * before:
            return
        before = now


def _used(site: Site, seconds: float) -> dict[str, float]:
    processes = site.processes()
    before, began = cpu_seconds(processes), time.monotonic()
    time.sleep(seconds)
    after, took_s = cpu_seconds(processes), time.monotonic() - began
    return {part: round((after[part] - before[part]) / took_s, 3) for part in after}


def _at_rest(site: Site, seconds: float) -> _Rest:
    url = site.settings.database_url
    [before], scans_before = read(url, _READ_ROWS), _scanned(url)
    began = time.monotonic()
    cpu = _used(site, seconds)
    [after], scans = read(url, _READ_ROWS), _scanned(url)
    took_s = time.monotonic() - began
    more = {table: count - scans_before.get(table, 0) for table, count in scans.items()}
    return _Rest(
        cpu,
        round((after[2] - before[2]) / took_s, 1),
        round((after[0] - before[0]) / took_s, 1),
        {table: round(count / took_s, 1) for table, count in more.items() if count},
    )


def _scanned(url: str) -> dict[str, int]:
    """Return how many rows of each table were read without an index so far."""
    return {str(table): int(count) for table, count in read(url, _SCANNED)}


def _own_shows(caller: Caller) -> list[str]:
    """Return the caller's shows, but for the model, which is not new to anybody."""
    page = caller.get("/v1/shows?limit=200").json()["shows"]
    return [show["show"] for show in page if show["name"] != "Model Night"]


def _list(bench: HttpBench, site: Site, folder: Path) -> dict[str, float]:
    """Ask for the list of one's shows, as fast as it is answered."""
    count = min(bench.size.requests_max, 20_000)
    head = f"Host: bench.invalid\r\nAuthorization: Bearer {site.api_key}\r\n\r\n"
    request = f"GET /v1/shows?limit=50 HTTP/1.1\r\n{head}".encode()
    write_requests(folder / "list", [request] * count)
    load = Load(
        url=site.base_url,
        requests=folder / "list",
        connections=_CONNECTIONS,
        seconds_max=max(bench.size.seconds_max, 3),
    )
    before = cpu_seconds(site.processes())
    result = bench.generator.send(load)
    after = cpu_seconds(site.processes())
    answered = all_shown(result)
    return {
        "p50_ms": round(result.p50_ms, 2),
        "p99_ms": round(result.p99_ms, 2),
        **{
            f"{part}_cpu_ms": round(1000 * (after[part] - before[part]) / answered, 2)
            for part in ("api", "postgres")
            if part in after
        },
    }


def _switch(caller: Caller, shows: Sequence[str]) -> dict[str, float]:
    """Look at shows that no process knows, hold at once, and look at them again."""
    cold: list[float] = []
    held: list[float] = []
    warm: list[float] = []
    for number, show in enumerate(shows):
        cold.append(_ms(lambda show=show: caller.get(f"/v1/shows/{show}/availability")))
        held.append(
            _ms(lambda show=show, number=number: hold(caller, show, "standard", f"s{number}"))
        )
        warm.append(_ms(lambda show=show: caller.get(f"/v1/shows/{show}/availability")))
    return {
        "shows": len(shows),
        "cold_p50_ms": round(median(cold), 2),
        "cold_max_ms": round(max(cold), 2),
        "first_hold_p50_ms": round(median(held), 2),
        "first_hold_max_ms": round(max(held), 2),
        "warm_p50_ms": round(median(warm), 2),
    }


def _open_many(caller: Caller, made: Mapping[str, Any], count: int) -> dict[str, float]:
    """Open drafts of a hall one after the other; count from the call to a hold."""
    levels = [level["price_level"] for level in made["price_levels"]]
    took: list[float] = []
    for number in range(count):
        draft = make_show(caller, made["configuration"], made["event"], levels, state="draft")[
            "show"
        ]
        took.append(open_show(caller, draft, "standard", f"o{number}").took_s)
    return {"p50_ms": round(1000 * median(took), 1), "max_ms": round(1000 * max(took), 1)}


def _open_large(bench: HttpBench, site: Site, store: StoreSide, caller: Caller) -> dict[str, Any]:
    """Open large shows, then end their sale and archive them; read the store's memory each time."""
    before = store.settled_memory()
    opened = open_drafts(bench, site, caller)
    bytes_open = [sum(store.bytes_by_key(show).values()) for show in opened.shows]
    for show in opened.shows:
        caller.post(f"/v1/shows/{show}/close")
        _archive(caller, show)
    left = sum(sum(store.bytes_by_key(show).values()) for show in opened.shows)
    after = store.settled_memory()
    grown = max(left, after.dataset - before.dataset) / len(opened.shows)
    bench.say(f"{median(bytes_open):,} bytes each, {left} left")
    return opened.told() | {
        "bytes_open": median(bytes_open),
        "bytes_grown_when_archived": round(grown),
        "bytes_of_its_keys_when_archived": left,
    }


def _archive(caller: Caller, show: str) -> None:
    _wait_until(
        lambda: caller.post(f"/v1/shows/{show}/archive").status_code == HTTPStatus.OK,
        "the show is archived",
        _ARCHIVED_WITHIN_S,
    )


def _ms(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return 1000 * (time.monotonic() - began)


def _wait_until(is_so: Callable[[], bool], what: str, within_s: float = 30.0) -> None:
    until = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > until:
            msg = f"not within {within_s:.0f} s: {what}"
            raise BenchError(msg)
        time.sleep(_LOOK_S)


def _figure(rests: tuple[_Rest, _Rest], told: dict[str, Any], settings: dict[str, Any]) -> Figure:
    empty, full = rests
    value, control = full.cpu.get("worker", 0.0), empty.cpu.get("worker", 0.0)
    large = told["open_large"]
    met = (
        value <= AT_REST_CPU_MOST
        and told["list"]["p99_ms"] <= LIST_P99_MS_MOST
        and told["switch"]["cold_max_ms"] <= SWITCHED_P99_MS_MOST
        and large["s"] <= OPENED_S_MOST
        and large["bytes_of_its_keys_when_archived"] == 0
    )
    return Figure(
        name="catalog",
        value=value,
        unit="CPU s a second, of a worker at rest",
        control=control,
        control_unit="CPU s a second, with one show",
        ratio=round(value / control, 2) if control else None,
        target=f"at most {AT_REST_CPU_MOST:g}; own list {LIST_P99_MS_MOST:g} ms (p99), a cold show"
        f" {SWITCHED_P99_MS_MOST:g} ms, {large['seats']:,} seats open in {OPENED_S_MOST:g} s, their"
        " memory given back",
        met=met,
        rounds=[(value, control)],
        details={
            "at_rest": full.cpu,
            "at_rest_empty": empty.cpu,
            "rows_a_second_by_index": full.rows_by_index,
            "rows_a_second_by_scan": full.rows_by_scan,
            "scanned": full.scanned,
            **told,
        },
        settings=settings,
    )
