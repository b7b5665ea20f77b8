"""The demo and its crowd: a hall sells out exactly once, also while parts of the platform die."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.platform.database import create_engine
from engine.platform.settings import OWNER_ROLE
from engine.tenancy.resellers import create_reseller
from loadtests.auditor import audit
from loadtests.buyers import Crowd, Habits, reach_verdict
from loadtests.buyers.show_setup import put_on_sale
from loadtests.buyers.storefront import Storefront
from loadtests.buyers.tally import Tally
from loadtests.generated_plans import arena_plan
from ops.places import ROOT
from ops.stack import Stack

_PROMISED = {
    "seats",
    "sold",
    "purchases_answered",
    "double_sold",
    "lost",
    "audit",
    "holds_per_s",
    "p50_ms",
    "p99_ms",
}


def _watch(_front: Storefront, _tally: Tally) -> None:
    """Nobody looks."""


@pytest.mark.timeout(240)
def test_the_demo_sells_out_seats_and_areas_and_tells_so_in_its_last_line(tmp_path: Path) -> None:
    """`./onsale demo --plan FILE --json` ends with the promised object and exit code 0."""
    plan = tmp_path / "plan.json"
    plan.write_bytes(arena_plan(240, floor_areas=2, floor_capacity=60))
    command = [sys.executable, "-m", "ops", "demo", "--plan", str(plan), "--buyers", "60", "--json"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=200, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    lines = ended.stdout.decode().splitlines()
    assert len(lines) == 1, "everything but the object goes to stderr"
    report: dict[str, Any] = msgspec.json.decode(lines[-1])
    assert report.keys() >= _PROMISED
    assert (report["seats"], report["sold"], report["audit"]) == (360, 360, "clean")
    assert (report["double_sold"], report["lost"], report["errors"]) == (0, 0, 0)
    assert report["abandoned"] == report["expired"] > 0
    assert b"#" in ended.stderr, "the hall is drawn where there is no terminal, too"


@pytest.mark.timeout(240)
async def test_a_hall_sells_out_exactly_once_while_everything_is_killed(tmp_path: Path) -> None:
    """Store, API, worker and ledger are killed in the rush: every seat is sold once, none lost."""
    with Stack(tmp_path, environment={}) as stack:
        owner = create_engine(stack.settings, OWNER_ROLE, connections_max=1)
        key = await create_reseller(owner, stack.settings.region, "Faults")
        await owner.dispose()
        show = await put_on_sale(stack.base_url, key.text, arena_plan(1000))
        crowd = Crowd(
            base_url=stack.base_url,
            api_key=key.text,
            show=show,
            buyers=40,
            seed=7,
            habits=Habits(think_s=0.15),
        )
        killed: list[str] = []

        async def kill_one_after_the_other() -> None:
            for child in (stack.valkey, stack.api, stack.worker, stack.postgres):
                await asyncio.sleep(1.2)
                await asyncio.to_thread(child.kill)
                killed.append(child.name)

        killing = asyncio.create_task(kill_one_after_the_other())
        await crowd.sell_out(150, _watch)
        await killing
        verdict = await reach_verdict(
            stack.settings, int(show[-16:], 16), crowd.tally, expected=1000, patience_s=15
        )
        result = await audit(stack.settings)
    assert killed == ["valkey", "api", "worker", "postgres"]
    assert crowd.tally.error_examples == []
    assert (verdict.sold, verdict.double_sold, verdict.lost) == (1000, 0, 0)
    assert result.findings == []
    assert crowd.tally.tickets == 1000
