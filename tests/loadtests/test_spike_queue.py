"""`./onsale spike --queue`: how passes are watched, how they are judged, and a whole run."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from click.testing import CliRunner
from redis import Redis

from loadtests.bench.machine import read_machine
from loadtests.buyers.queue_setup import open_queue, read_queue
from loadtests.buyers.show_setup import RefusedShowError, put_on_sale
from loadtests.generated_plans import arena_plan
from loadtests.spike.queue_watch import (
    Look,
    QueueRules,
    QueueWatch,
    most_at_once,
    over_cap,
    rate_bound_violations,
)
from loadtests.spike.report import QueuedReport
from ops.cli import main
from ops.places import ROOT
from ops.resellers import make_reseller
from ops.stack import Stack

_RULES = QueueRules(rate=10.0, burst=5.0, checkout_max=3)


def _looks(*issued: int, every_s: float = 0.1) -> list[Look]:
    return [Look(n * every_s, count, 0) for n, count in enumerate(issued)]


# ---------------------------------------------------------------- judging


@pytest.mark.parametrize(
    ("looks", "violations"),
    [
        ([], 0),
        (_looks(0, 1, 2, 3, 4, 5), 0),
        (_looks(0, 5), 0),
        (_looks(0, 6), 0),  # a pass that came due meanwhile
        (_looks(0, 7), 1),
        (_looks(100, 106, 107, 108, 109), 0),
        (_looks(100, 106, 107, 109, 109), 1),
        (_looks(*([0] * 50), 6, 7, 8), 0),  # what was not used for long adds nothing to the burst
        (_looks(*([0] * 50), 7, 8, 8), 2),
        (_looks(0, 0, 7, 7, 7, 7), 1),
    ],
)
def test_no_window_may_have_more_passes_than_rate_times_window_plus_burst(
    looks: list[Look], violations: int
) -> None:
    """Ten a second, five at once."""
    assert rate_bound_violations(looks, _RULES) == violations
    assert rate_bound_violations(looks, _RULES) == _by_all_windows(looks, _RULES)


def test_the_checkout_is_over_its_cap_when_more_passes_live() -> None:
    """As many as may are not too many."""
    looks = [Look(n, 0, live) for n, live in enumerate((0, 3, 4, 2, 5))]
    assert (most_at_once(looks), over_cap(looks, _RULES)) == (5, 2)
    assert (most_at_once([]), over_cap([], _RULES)) == (0, 0)


def _by_all_windows(looks: list[Look], rules: QueueRules) -> int:
    return sum(
        any(
            end.issued - begin.issued > rules.rate * (end.at - begin.at) + rules.burst + 1e-6
            for begin in looks[:n]
        )
        for n, end in enumerate(looks)
    )


@pytest.mark.parametrize(
    ("changes", "is_good"),
    [
        ({}, True),
        ({"occupancy_over_cap": 1}, False),
        ({"rate_bound_violations": 1}, False),
        ({"passes": 0}, False),
        ({"audit": "findings"}, False),
        ({"failures": 1}, False),
        ({"queue_looks": 0, "audit": "clean"}, False),
        ({"queue_looks": 0, "audit": "not run", "passes": None}, True),
    ],
)
def test_a_run_is_good_only_if_neither_cap_nor_rate_was_exceeded(
    changes: dict[str, Any], *, is_good: bool
) -> None:
    """And its audit is clean, as of any run; without the stores there is nothing to judge by."""
    report: dict[str, Any] = {
        "scenario": "on_sale",
        "requests": 10,
        "failures": 0,
        "told_to_wait": 0,
        "commands": 0,
        "audit": "clean",
        "wall_s": 1.0,
        "rate": 10.0,
        "p50_ms": 1.0,
        "p99_ms": 1.0,
        "peak_mib": {},
        "took": {},
        "lag_max": 0,
        "answers": {},
        "command_answers": {},
        "users": 1,
        "report": "",
        "machine": msgspec.to_builtins(read_machine()),
        "checkout_max": 3,
        "queue_rate": 10.0,
        "queue_burst": 5.0,
        "occupancy_max": 3,
        "occupancy_over_cap": 0,
        "passes": 5,
        "rate_bound_violations": 0,
        "queue_looks": 9,
    }
    assert msgspec.convert(report | changes, QueuedReport).is_good is is_good


# ---------------------------------------------------------------- watching


async def test_looks_see_what_the_store_has(servers: Stack) -> None:
    """Passes so far, passes that live, and the store's own time; the last look is after the end."""
    show = 0xDEADBEEF01
    keys = [f"{{{show:016x}}}:queue", f"{{{show:016x}}}:queue-passes"]
    watch = QueueWatch(servers.settings, show, _RULES)
    over = asyncio.Event()
    with Redis.from_url(servers.settings.redis_url) as redis:
        looking = asyncio.create_task(watch.look_on(over))
        try:
            await asyncio.sleep(0.3)
            redis.hset(keys[0], "issued", "41")
            redis.zadd(keys[1], {"7": 1.0, "8": 2.0})
            over.set()
            await looking
            seconds, _ = cast("tuple[int, int]", redis.time())
        finally:
            redis.delete(*keys)
    assert (watch.looks[0].issued, watch.looks[0].occupancy) == (0, 0)
    assert (watch.looks[-1].issued, watch.looks[-1].occupancy) == (41, 2)
    assert watch.looks[-1].at == pytest.approx(seconds, abs=5)
    assert len(watch.looks) >= 3


# ---------------------------------------------------------------- a whole run


@pytest.mark.timeout(120)
def test_fans_go_through_the_waiting_room_of_a_show_and_it_audits_clean(
    stack: Stack, tmp_path: Path
) -> None:
    """They join, wait, claim, hold and buy with the pass; what is told of the passes adds up."""
    issued = asyncio.run(make_reseller(stack.settings, "Queue Ltd"))
    show = asyncio.run(put_on_sale(stack.base_url, issued.text, arena_plan(600)))
    rules = {"rate": 4.0, "burst": 4.0, "checkout_max": 5, "pass_ttl_s": 60}
    asyncio.run(open_queue(stack.base_url, issued.text, show, rules))
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "ops", "spike", "--scenario", "on_sale", "--queue", "--json"),
            *("--host", stack.base_url, "--api-key", issued.text, "--show", show),
            *("--users", "10", "--time", "6s", "--report", str(tmp_path)),
        ],
        cwd=ROOT,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report: dict[str, Any] = msgspec.json.decode(ended.stdout.splitlines()[-1])
    assert (report["failures"], report["audit"]) == (0, "clean")
    assert (report["checkout_max"], report["queue_rate"], report["queue_burst"]) == (5, 4.0, 4.0)
    assert (report["occupancy_over_cap"], report["rate_bound_violations"]) == (0, 0)
    assert 0 < report["occupancy_max"] <= 5
    answers = report["answers"]
    assert report["passes"] == answers["queue: claim"]["200"] > 3
    assert {"queue: join", "queue: serving", "hold", "purchase"} <= set(answers)
    document = msgspec.json.decode((tmp_path / "result.json").read_bytes())
    assert len(document["queue"]) == report["queue_looks"] > 50
    assert "passes that live" in (tmp_path / "picture.svg").read_text(encoding="utf-8")


def test_a_show_without_a_waiting_room_can_not_be_queued_for(stack: Stack) -> None:
    """It is told, before anything is played."""
    issued = asyncio.run(make_reseller(stack.settings, "Queue Ltd"))
    show = asyncio.run(put_on_sale(stack.base_url, issued.text, arena_plan(20)))
    with pytest.raises(RefusedShowError, match="no-queue"):
        asyncio.run(read_queue(stack.base_url, issued.text, show))
    with pytest.raises(RefusedShowError, match="rate"):
        asyncio.run(open_queue(stack.base_url, issued.text, show, {"rate": -1, "checkout_max": 1}))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("browse", "--queue"), "--queue is for on_sale"),
        (("--scenario", "soak", "--queue"), "--queue is for on_sale"),
        (("--requests", "10", "--queue"), "--requests"),
        (("on_sale", "--scenario", "browse"), "name one scenario"),
        (("on_sale", "--queue", "--host", "http://127.0.0.1:1"), "--api-key"),
        (("--scenario", "on_sale", "--queue", "--host", "http://127.0.0.1:1"), "--api-key"),
    ],
)
def test_what_does_not_fit_together_is_told(
    words: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both spellings of a scenario are read; nothing is started."""
    for name in ("ONSALE_REDIS_URL", "TARGET_API_KEY", "TARGET_SHOW"):
        monkeypatch.delenv(name, raising=False)
    told = CliRunner().invoke(main, ["spike", *words])
    assert told.exit_code == 2
    assert says in told.output
