"""The Locust scenario runs against the real platform, and the audit is clean afterwards."""

import json
from pathlib import Path
from subprocess import run
from sys import executable

from ops.places import ROOT
from tests.faults.reseller_desk import ResellerDesk


async def test_locusts_buyers_are_served_without_a_failure(
    desk: ResellerDesk, tmp_path: Path
) -> None:
    """Eight buyers for eight seconds: holds, purchases, releases, and no failed request."""
    report = tmp_path / "report"
    finished = run(  # noqa: ASYNC221 - nothing else is to be done meanwhile
        [
            *(executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless"),
            *("--users", "8", "--spawn-rate", "8", "--run-time", "8s", "--stop-timeout", "5"),
            *("--host", desk.stack.base_url, "--json-file", str(report)),
        ],
        cwd=ROOT,
        env=desk.stack.environment | {"TARGET_API_KEY": desk.key, "TARGET_SHOW": desk.show},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    rows = {row["name"]: row for row in json.loads(report.with_suffix(".json").read_text())}
    assert rows["POST /purchases"]["num_requests"] > 0
    assert sum(row["num_failures"] for row in rows.values()) == 0
    await desk.assert_clean()
