"""`./onsale spike` on the real platform: scenarios, a number of requests, and the exit status."""

import asyncio
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, cast

import msgspec
import pytest
from click.testing import CliRunner
from redis import Redis

from loadtests.buyers.show_setup import put_on_sale
from loadtests.generated_plans import arena_plan
from loadtests.generator import find_generator
from loadtests.spike.rush import Rush, run_rush
from loadtests.spike.venue import Venue
from ops.cli import main
from ops.places import HOME, ROOT
from ops.resellers import make_reseller
from ops.stack import Stack

_PROMISED = (
    *("requests", "answered", "errors", "overloaded", "sold", "double_sold", "audit", "wall_s"),
    *("rate", "p50_ms", "p99_ms", "max_ms", "peak_mib"),
)


def _open_venue(stack: Stack, seats: int, areas: int = 0) -> Venue:
    async def open_it() -> Venue:
        issued = await make_reseller(stack.settings, "Spike Ltd")
        plan = arena_plan(seats, floor_areas=areas)
        show = await put_on_sale(stack.base_url, issued.text, plan)
        return Venue(base_url=stack.base_url, api_key=issued.text, show=show, parts=dict)

    return asyncio.run(open_it())


def _spike(
    *words: str, environment: dict[str, str] | None = None
) -> tuple[int, dict[str, Any], str]:
    """Run the command; return its exit code, the object of its last line, and all else."""
    ended = subprocess.run(
        [sys.executable, "-m", "ops", "spike", *words, "--json"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    lines = ended.stdout.splitlines()
    assert lines, ended.stderr
    return ended.returncode, msgspec.json.decode(lines[-1]), ended.stderr


def _at(venue: Venue, tmp_path: Path) -> list[str]:
    return [
        *("--host", venue.base_url, "--api-key", venue.api_key, "--show", venue.show),
        *("--report", str(tmp_path / "report")),
    ]


@pytest.mark.parametrize(
    ("scenario", "kinds"),
    [
        ("on_sale", {"show", "availability", "seats", "hold", "purchase"}),
        ("browse", {"show", "seating plan", "availability"}),
        ("reseller_feed", {"show", "batch"}),
        ("soak", {"show", "availability", "hold"}),
    ],
)
def test_a_scenario_is_served_without_a_failure_and_audits_clean(
    stack: Stack, tmp_path: Path, scenario: str, kinds: set[str]
) -> None:
    """A dozen visitors for some seconds at a deployment that runs already, with all reports."""
    venue = _open_venue(stack, 600, areas=1)
    code, report, told = _spike(
        scenario,
        *("--users", "12", "--time", "3s", *_at(venue, tmp_path)),
        environment=stack.environment,
    )
    assert code == 0, told
    assert (report["failures"], report["audit"]) == (0, "clean")
    assert kinds <= set(report["answers"])
    assert report["requests"] == sum(sum(n.values()) for n in report["answers"].values()) > 30
    folder = tmp_path / "report"
    assert "<svg" in (folder / "picture.svg").read_text(encoding="utf-8")
    assert "<html" in (folder / "locust.html").read_text(encoding="utf-8").lower()
    assert msgspec.json.decode((folder / "result.json").read_bytes())["seconds"]
    rows = msgspec.json.decode((folder / "locust.json").read_bytes(), type=list[dict[str, Any]])
    counted = sum(row["num_requests"] for row in rows)
    assert counted == report["requests"] + report["commands"], "Locust's own count is the same"
    if scenario == "reseller_feed":
        assert report["commands"] >= 100 * report["answers"]["batch"]["200"]
        assert report["command_answers"]["purchase in a batch"]["201"] > 0


@pytest.mark.timeout(120)
def test_three_thousand_requests_are_all_answered_and_audited(tmp_path: Path) -> None:
    """The headline run in small, on a platform of its own: every promise of its last line."""
    code, report, told = _spike(
        *("--requests", "3000", "--seats", "300", "--connections", "60"),
        *("--report", str(tmp_path / "report")),
    )
    assert code == 0, told
    assert tuple(report)[: len(_PROMISED)] == _PROMISED
    assert (report["requests"], report["answered"], report["errors"]) == (3000, 3000, 0)
    assert (report["double_sold"], report["lost"], report["audit"]) == (0, 0, "clean")
    done = report["holds_won"] + report["holds_refused"] + report["purchases"] + report["releases"]
    assert done + report["overloaded"] == 3000
    assert 200 < report["sold"] <= 300
    assert 0 < report["p50_ms"] <= report["p99_ms"] <= report["max_ms"] + 1
    if sys.platform == "linux":
        peaks = report["peak_mib"]
        assert min(peaks[part] for part in ("valkey", "postgres", "worker", "api")) > 1
    if find_generator(HOME / "tools" / "wrk"):
        assert report["generator"].startswith("wrk ")
    assert Path(report["report"]) == tmp_path / "report"
    result = tmp_path / "report" / "result.json"
    assert msgspec.json.decode(result.read_bytes())["samples"][-1]["lag"] == 0


async def test_the_generator_in_python_stands_in_for_wrk(stack: Stack) -> None:
    """Where there is no wrk the same is sent, counted and judged, only slower."""
    venue = await asyncio.to_thread(_open_venue, stack, 200)
    rush = Rush(requests=1200, connections=20, wrk=None)
    rushed = await run_rush(rush, venue, stack.settings, lambda _: None)
    assert (rushed.sent.generator, rushed.sent.answered, rushed.errors) == ("python", 1200, 0)
    assert rushed.counted.answered == 1200
    assert rushed.verdict.sold == rushed.told_sold > 100
    assert (rushed.verdict.double_sold, rushed.verdict.lost) == (0, 0)
    assert rushed.audit.is_clean


def test_throughput_without_a_clean_audit_is_a_failure(stack: Stack, tmp_path: Path) -> None:
    """Every request is answered well, but a seat is sold that nobody has bought."""
    venue = _open_venue(stack, 300)
    seats = f"{{{venue.show_number:016x}}}:seats"
    with Redis.from_url(stack.settings.redis_url) as redis:
        position = cast("bytes", redis.get(seats)).rindex(b"o")
        redis.setrange(seats, position, "s")
        code, report, told = _spike(
            *("browse", "--users", "3", "--time", "2", *_at(venue, tmp_path)),
            environment=stack.environment,
        )
        redis.setrange(seats, position, "o")
    assert (code, report["failures"], report["audit"]) == (1, 0, "findings")
    assert "seat-without-record" in told


class _Shop(BaseHTTPRequestHandler):
    """A shop that asks to wait once, then serves its plan, and has lost its availability."""

    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        """Answer."""
        what = self.path.rpartition("/")[2]
        self.asked[what] += 1
        if what == "shw_dev_1":
            self._say(200, {"price_levels": [], "areas": [], "status": "open"})
        elif what == "seating-plan" and self.asked[what] == 1:
            self._say(503, {"type": "urn:onsale:problem:overloaded"}, retry_after="0")
        elif what == "availability":
            self._say(500, {"type": "urn:onsale:problem:internal-error"})
        else:
            self._say(200, {"seats": [], "next_cursor": None})

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Print nothing."""

    def _say(self, status: int, body: object, retry_after: str | None = None) -> None:
        content = msgspec.json.encode(body)
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def shop() -> Iterator[str]:
    """The shop's address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Shop)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)


def test_a_503_is_waited_for_and_a_500_is_a_failure(shop: str, tmp_path: Path) -> None:
    """The first is counted apart and repeated, the second fails the run."""
    code, report, told = _spike(
        *("browse", "--users", "1", "--time", "3", "--host", shop, "--no-audit"),
        *("--api-key", "k", "--show", "shw_dev_1", "--report", str(tmp_path)),
    )
    assert code == 1, told
    assert report["audit"] == "not run"
    assert report["told_to_wait"] == 1 == report["answers"]["seating plan: told to wait"]["503"]
    assert report["answers"]["seating plan"] == {"200": 1}
    assert report["failures"] == report["answers"]["availability"]["500 failed"] > 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--requests", "10", "browse"), "--requests"),
        (("--requests", "10", "--web"), "--requests"),
        (("--host", "http://127.0.0.1:1"), "--api-key"),
        (
            ("--host", "http://127.0.0.1:1", "--api-key", "k", "--show", "s"),
            "ONSALE_DATABASE_URL",
        ),
        (("--time", "soon"), "soon"),
        (("--time", "0"), "no time"),
        (("rehearsal",), "rehearsal"),
    ],
)
def test_what_does_not_fit_together_is_told_before_anything_starts(
    words: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 2, as for any misuse."""
    for name in ("ONSALE_REDIS_URL", "TARGET_API_KEY", "TARGET_SHOW"):
        monkeypatch.delenv(name, raising=False)
    told = CliRunner().invoke(main, ["spike", *words])
    assert told.exit_code == 2
    assert says in told.output
