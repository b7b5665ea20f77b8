"""The doctor: each thing that can be wrong is found, and its remedy told."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis import Redis
from sqlalchemy import text

from engine.platform.database import connect_once
from engine.platform.settings import Settings, environment_of
from ops.doctor import Finding, State, examine
from ops.doctor.examination import examine_servers, judge_clocks
from ops.doctor.findings import judge_version
from ops.doctor.machine import judge_disk
from ops.doctor.store import Clock
from ops.places import ROOT
from ops.servers import create_database, postgres_url
from ops.stack import Stack


def find(findings: list[Finding], subject: str) -> Finding:
    """Return the finding about a subject."""
    (finding,) = (finding for finding in findings if finding.subject == subject)
    return finding


@pytest.fixture(scope="module")
def careless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Servers of one's own, to be set wrongly."""
    directory = tmp_path_factory.mktemp("careless")
    with Stack(directory, with_api=False, with_worker=False, environment={}) as stack:
        yield stack


def test_a_good_set_up_has_no_findings_but_ok(servers: Stack) -> None:
    """The embedded servers are as the doctor wants them."""
    findings = list(examine_servers(servers.settings))
    assert {finding.state for finding in findings} == {State.OK}, findings
    assert {"inventory store", "ledger", "roles", "migrations", "clocks"} <= {
        finding.subject for finding in findings
    }


@pytest.mark.parametrize(
    ("setting", "bad", "good"),
    [
        ("appendfsync", "everysec", "always"),
        ("appendonly", "no", "yes"),
        ("maxmemory-policy", "allkeys-lru", "noeviction"),
    ],
)
def test_a_store_that_could_lose_an_answered_purchase_fails(
    careless: Stack, setting: str, bad: str, good: str
) -> None:
    """Each of the three settings that durability rests on, wrong in a real Valkey."""
    with Redis.from_url(careless.settings.redis_url) as client:
        client.config_set(setting, bad)
        finding = find(list(examine_servers(careless.settings)), setting)
        client.config_set(setting, good)
    assert (finding.state, finding.seen) == (State.FAIL, bad)
    assert f"CONFIG SET {setting} {good}" in finding.remedy


def test_nearly_full_memory_is_a_warning(careless: Stack) -> None:
    """A full store refuses new holds: the house hears of it before."""
    with Redis.from_url(careless.settings.redis_url) as client:
        client.config_set("maxmemory", "1mb")
        finding = find(list(examine_servers(careless.settings)), "memory")
        client.config_set("maxmemory", "0")
    assert finding.state is State.WARN


async def _execute(stack: Stack, statement: str) -> None:
    async with connect_once(stack.settings.database_url) as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text(statement))


def test_a_database_that_was_never_migrated_fails(careless: Stack) -> None:
    """The remedy is a command."""
    sockets = careless.directory / "run"
    create_database(sockets)
    fresh = msgspec.structs.replace(
        careless.settings, database_url=postgres_url(sockets, "postgres", "postgres")
    )
    finding = find(list(examine_servers(fresh)), "migrations")
    assert (finding.state, finding.remedy) == (State.FAIL, "run ./onsale migrate")


async def _findings(settings: Settings) -> list[Finding]:
    def look() -> list[Finding]:
        return list(examine_servers(settings))

    import asyncio  # noqa: PLC0415

    return await asyncio.to_thread(look)


async def test_migrations_that_are_behind_fail(careless: Stack) -> None:
    """An older revision than the program's own."""
    await _execute(careless, "UPDATE alembic_version SET version_num = '0000-' || version_num")
    finding = find(await _findings(careless.settings), "migrations")
    await _execute(careless, "UPDATE alembic_version SET version_num = substr(version_num, 6)")
    assert finding.state is State.FAIL
    assert finding.seen.startswith("at 0000")


async def test_a_role_that_looks_past_row_level_security_fails(careless: Stack) -> None:
    """Resellers would see each other's rows."""
    await _execute(careless, "ALTER ROLE onsale_app BYPASSRLS")
    finding = find(await _findings(careless.settings), "roles")
    await _execute(careless, "ALTER ROLE onsale_app NOBYPASSRLS")
    assert finding.state is State.FAIL
    assert "onsale_app" in finding.seen


async def test_a_missing_role_fails(careless: Stack) -> None:
    """Both the role and the log-in that needs it are told."""
    await _execute(careless, "ALTER ROLE onsale_auditor RENAME TO onsale_stranger")
    findings = await _findings(careless.settings)
    await _execute(careless, "ALTER ROLE onsale_stranger RENAME TO onsale_auditor")
    assert find(findings, "roles").seen == "missing: onsale_auditor"
    assert find(findings, "log-in as onsale_auditor").state is State.FAIL


async def test_a_ledger_that_could_lose_a_commit_fails(careless: Stack) -> None:
    """synchronous_commit = off answers before the fsync."""
    await _execute(careless, "ALTER ROLE postgres SET synchronous_commit = off")
    finding = find(await _findings(careless.settings), "PostgreSQL's synchronous_commit")
    await _execute(careless, "ALTER ROLE postgres RESET synchronous_commit")
    assert (finding.state, finding.seen) == (State.FAIL, "off")


def test_servers_that_cannot_be_reached_fail_soon(servers: Stack, tmp_path: Path) -> None:
    """Nobody listens: both are told, with what to do, and no traceback."""
    nowhere = msgspec.structs.replace(
        servers.settings,
        redis_url=f"unix://{tmp_path}/none.sock",
        database_url=f"postgresql://nobody@/onsale?host={tmp_path}",
    )
    findings = list(examine_servers(nowhere))
    for subject in ("inventory store", "ledger"):
        assert find(findings, subject).state is State.FAIL


@pytest.mark.parametrize(
    ("product", "version", "state"),
    [
        ("Redis", "6.2.14", State.FAIL),
        ("Redis", "7.0.15", State.OK),
        ("Valkey", "7.2.0", State.OK),
        ("Valkey", "7.0.1", State.FAIL),
        ("PostgreSQL", "14.11 (Debian 14.11-1)", State.FAIL),
        ("PostgreSQL", "15.0", State.OK),
        ("PostgreSQL", "18.6", State.OK),
    ],
)
def test_a_server_that_is_too_old_fails(product: str, version: str, state: State) -> None:
    """Redis 7.0, Valkey 7.2 and PostgreSQL 15 are the oldest that we take."""
    assert judge_version(product, version).state is state


@pytest.mark.parametrize(
    ("ahead_s", "uncertain_s", "state"),
    [
        (0.2, 0.0, State.OK),
        (0.3, 0.0, State.FAIL),
        (-0.3, 0.0, State.FAIL),
        # A round trip of 200 ms may explain 100 ms of it.
        (0.3, 0.1, State.OK),
    ],
)
def test_clocks_more_than_a_quarter_second_apart_fail(
    ahead_s: float, uncertain_s: float, state: State
) -> None:
    """What a slow answer leaves open counts for the clock, not against it."""
    clocks = [Clock("this machine", 0.0, 0.0), Clock("ledger", ahead_s, uncertain_s)]
    (finding,) = judge_clocks(clocks)
    assert finding.state is state


@pytest.mark.parametrize(
    ("free", "state"), [(100 << 20, State.FAIL), (1 << 30, State.WARN), (50 << 30, State.OK)]
)
def test_a_disk_that_is_nearly_full_is_told(free: int, state: State) -> None:
    """Under 2 GiB a warning, under 256 MiB a failure."""
    assert judge_disk(free).state is state


def test_a_taken_port_fails_and_says_how_to_go_on(tmp_path: Path) -> None:
    """Another program has the port that `up` would use."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        findings = list(examine({"ONSALE_PORT": str(port)}, tmp_path))
    finding = find(findings, f"port {port}")
    assert finding.state is State.FAIL
    assert "--port" in finding.remedy


def test_a_data_directory_that_cannot_be_made_fails(tmp_path: Path) -> None:
    """A file is in the way."""
    (tmp_path / "file").touch()
    finding = find(list(examine({}, tmp_path / "file" / "data")), "data directory")
    assert finding.state is State.FAIL


def test_a_setting_that_does_not_fit_fails(servers: Stack, tmp_path: Path) -> None:
    """The message names the variable."""
    environment = environment_of(servers.settings) | {"ONSALE_SECRET": "short"}
    finding = find(list(examine(environment, tmp_path)), "settings")
    assert "ONSALE_SECRET" in finding.seen


def doctor(*words: str, environment: dict[str, str]) -> tuple[int, dict[str, Any]]:
    """Run the command with --json."""
    done = subprocess.run(
        [sys.executable, "-m", "ops", "doctor", "--json", *words],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.returncode, json.loads(done.stdout)


def test_the_exit_code_is_one_if_something_fails(careless: Stack, tmp_path: Path) -> None:
    """So that a script can ask; the JSON has the same findings."""
    environment = environment_of(careless.settings) | {"ONSALE_PORT": str(_free_port())}
    data = ("--data", str(tmp_path))
    code, told = doctor(*data, environment=environment)
    bad = [one for one in told["findings"] if one["state"] != "ok"]
    assert (code, told["ok"]) == (0, True), bad
    with Redis.from_url(careless.settings.redis_url) as client:
        client.config_set("appendfsync", "everysec")
        code, told = doctor(*data, environment=environment)
        client.config_set("appendfsync", "always")
    assert (code, told["ok"]) == (1, False)
    assert any(
        finding["subject"] == "appendfsync" and finding["state"] == "fail"
        for finding in told["findings"]
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
