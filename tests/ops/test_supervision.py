"""Children that die are started again, and none outlives its supervisor."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from ops.child import Child, Plan, StackError, Supervisor
from ops.places import ROOT
from ops.stack import Stack

RESTART_WITHIN_S = 5


def _until(condition: Callable[[], bool], within_s: float = RESTART_WITHIN_S) -> float:
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "not in time"
        time.sleep(0.01)
    return time.monotonic() - began


def _always(_pid: int) -> bool:
    return True


def _plan(directory: Path, program: str, is_ready: Callable[[int], bool] = _always) -> Plan:
    return Plan(
        name="example",
        command=lambda: (sys.executable, "-c", program),
        environment={},
        log=directory / "example.log",
        is_ready=is_ready,
        stop_timeout_s=1.0,
    )


def _is_alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text(encoding="utf-8")
    except FileNotFoundError:
        return False


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Servers of one's own, to be killed."""
    with Stack(tmp_path, with_api=False, with_worker=False, environment={}) as stack:
        yield stack


def test_a_killed_valkey_serves_again_within_five_seconds(stack: Stack) -> None:
    """It is started alone, and what it had answered is there."""
    with Redis.from_url(stack.settings.redis_url) as client:
        client.set("kept", "yes")
    before, neighbour = stack.valkey.pid, stack.postgres.pid
    stack.valkey.kill()
    _until(lambda: stack.valkey.restarts == 1 and stack.valkey.running)
    stack.valkey.wait_until_ready(RESTART_WITHIN_S)
    assert stack.valkey.pid != before
    assert stack.postgres.pid == neighbour
    with Redis.from_url(stack.settings.redis_url) as client:
        assert client.get("kept") == b"yes"


def test_a_killed_postgresql_serves_again_within_five_seconds(stack: Stack) -> None:
    """It recovers by itself, the pid file of the killed one in its way."""
    began = time.monotonic()
    stack.postgres.kill()
    _until(lambda: stack.postgres.restarts > 0)
    stack.postgres.wait_until_ready(RESTART_WITHIN_S)
    assert time.monotonic() - began < RESTART_WITHIN_S


def test_a_stopped_child_stays_down_until_it_is_started(stack: Stack) -> None:
    """The supervisor revives what died, not what was stopped."""
    stack.valkey.stop()
    time.sleep(0.5)
    assert not stack.valkey.running
    stack.valkey.start()
    assert stack.valkey.running
    assert stack.valkey.restarts == 0


def test_a_paused_child_hangs_and_goes_on(stack: Stack) -> None:
    """SIGSTOP: alive but silent; SIGCONT: as if nothing had been."""
    with Redis.from_url(stack.settings.redis_url, socket_timeout=0.3) as client:
        stack.valkey.pause()
        with pytest.raises(RedisTimeoutError):
            client.ping()
        assert stack.valkey.running
        stack.valkey.resume()
        assert client.ping()


def test_a_child_that_keeps_failing_is_started_ever_more_slowly(tmp_path: Path) -> None:
    """0.2 s, then twice as long each time: a broken child does not eat the machine."""
    lines: list[str] = []
    child = Child(_plan(tmp_path, "raise SystemExit(3)"), lines.append)
    supervisor = Supervisor([child])
    child.start()
    supervisor.start()
    try:
        _until(lambda: child.restarts >= 3)
    finally:
        child.stop()
        supervisor.stop()
    told = [line for line in lines if "exit code 3" in line]
    waits = [float(line.partition("again in ")[2].split()[0]) for line in told]
    assert waits[0] == pytest.approx(0.2)
    assert all(later == pytest.approx(min(2 * earlier, 5)) for earlier, later in pairwise(waits))


def test_a_child_that_ends_at_its_start_is_told_with_its_log(tmp_path: Path) -> None:
    """The message has the name, the log's path and its last lines."""
    plan = _plan(tmp_path, "raise SystemExit('no such luck')", lambda _pid: False)
    with pytest.raises(StackError, match=r"example ended at its start(.|\n)*no such luck"):
        Child(plan, print).start()


def test_a_child_that_ignores_the_stop_is_killed(tmp_path: Path) -> None:
    """Stopping takes its time-out and no longer."""
    program = (
        "import pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "time.sleep(60)"
    )
    plan = _plan(tmp_path, program, lambda _pid: (tmp_path / "ready").exists())
    child = Child(plan, print)
    child.start()
    child.stop()
    assert not child.running


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_what_a_dead_child_forked_is_ended_before_it_is_started_again(tmp_path: Path) -> None:
    """A worker process of a killed API would keep the port and serve on."""
    mark = tmp_path / "forked"
    program = (
        "import os, pathlib, time\n"
        "if os.fork() == 0:\n"
        "    much = b'x' * 2**29  # SIGKILL ends at once only who has little to give back\n"
        f"    pathlib.Path({str(mark)!r}).write_text(str(os.getpid()))\n"
        "time.sleep(60)"
    )
    child = Child(_plan(tmp_path, program), print)
    supervisor = Supervisor([child])
    child.start()
    supervisor.start()
    try:
        _until(lambda: mark.exists() and mark.read_text() != "")
        forked = int(mark.read_text())
        os.kill(child.pid, signal.SIGKILL)
        _until(lambda: child.restarts == 1)
        assert not _is_alive(forked)
    finally:
        child.stop()
        supervisor.stop()


def test_a_log_that_grew_large_makes_room_at_the_next_start(tmp_path: Path) -> None:
    """At most the limit and what one run adds is kept, and the one before."""
    log = tmp_path / "example.log"
    log.write_bytes(b"x" * (10 * 1024 * 1024 + 1))
    child = Child(_plan(tmp_path, "print('fresh')"), print)
    child.start()
    _until(lambda: not child.running)
    child.stop()
    assert log.read_text() == "fresh\n"
    assert (tmp_path / "example.old.log").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux tells the children")
def test_nothing_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """`kill -9` of the process that started the servers ends the servers too."""
    program = (
        "import pathlib, sys, time\n"
        "from ops.stack import Stack\n"
        "stack = Stack(pathlib.Path(sys.argv[1]), with_api=False, with_worker=False,"
        " environment={})\n"
        "stack.start()\n"
        "print(*[child.pid for child in stack.children], flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        pids = [int(word) for word in supervisor.stdout.readline().split()]
        assert len(pids) == 2
        supervisor.kill()
    _until(lambda: not any(_is_alive(pid) for pid in pids))
    with Stack(tmp_path, with_api=False, with_worker=False, environment={}) as stack:
        assert stack.valkey.running
