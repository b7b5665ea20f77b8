"""`./onsale up`, as a newcomer meets it."""

import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ops.places import ROOT
from ops.running import Running, find_running

START_TIMEOUT_S = 60
RESTART_WITHIN_S = 5
READY_WITHIN_S = 30


class Up:
    """A running `up`: what it has printed, and the lines that it offers to try."""

    def __init__(self, process: subprocess.Popen[str], directory: Path, out: Path) -> None:
        """Take the process, its data directory and the file that it prints to."""
        self.process = process
        self.directory = directory
        self.out = out

    @property
    def printed(self) -> str:
        """Everything so far, both streams."""
        return self.out.read_text(encoding="utf-8")

    @property
    def running(self) -> Running:
        """The word that it left for other commands."""
        running = find_running(self.directory)
        assert running is not None
        return running

    @property
    def curls(self) -> list[str]:
        """The lines to try."""
        return [line for line in self.printed.splitlines() if line.startswith("  curl ")]

    def stop(self, number: signal.Signals = signal.SIGINT) -> float:
        """Send a signal, wait for the end and return how long it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(20)
        return time.monotonic() - began


@contextmanager
def up(directory: Path, *options: str, wait_for: str = "serving on") -> Generator[Up]:
    """Run `up` in a directory until the block ends."""
    directory.mkdir(exist_ok=True)
    out = directory / "printed.txt"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ONSALE_")}
    words = [sys.executable, "-m", "ops", "up", "--data", str(directory), *options]
    with out.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdout=file, stderr=file, text=True
        )
    running = Up(process, directory, out)
    try:
        until(lambda: wait_for in running.printed or process.poll() is not None, START_TIMEOUT_S)
        yield running
    finally:
        if process.poll() is None:
            running.stop()


def until(condition: Callable[[], bool], within_s: float) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def run_curl(line: str) -> Any:  # noqa: ANN401 -- whatever JSON it answers
    """Do what a printed curl line says, without needing curl."""
    words = iter(shlex.split(line)[1:])
    headers: dict[str, str] = {}
    url, data = "", None
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = next(words).encode()
        elif not word.startswith("-"):
            url = word
    request = urllib.request.Request(url, data=data, headers=headers)  # noqa: S310 -- up's address
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def is_ready(running: Running) -> bool:
    """Ask the API whether it can serve."""
    address = running.base_url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=2)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def processes_of(directory: Path) -> list[str]:
    """Return the processes that carry the stack's directory in their command or environment."""
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue  # it has just ended, or is somebody else's
        if os.fsencode(str(directory)) in told and int(entry.name) != os.getpid():
            found.append(entry.name)
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_three_lines_work_and_a_second_up_finds_the_sale(tmp_path: Path) -> None:
    """Hold, buy, look; Ctrl-C leaves no process; the next `up` has the key, show and sold seat."""
    directory, port = tmp_path / "data", str(free_port())
    with up(directory, "--port", port) as first:
        hold, buy, look = first.curls
        held = run_curl(hold)
        assert held["status"] == "held"
        bought = run_curl(buy)
        assert bought["hold"] == held["hold"]
        assert bought["status"] == "confirmed"
        (seat,) = run_curl(look)["seats"]
        assert (seat["seat"], seat["status"]) == (held["seats"][0], "sold")
        assert first.stop() < 10
        assert first.process.returncode == 0
    assert processes_of(directory) == []
    assert not (directory / "stack.json").exists()
    with up(directory, "--port", port) as second:
        (seat,) = run_curl(look)["seats"]
        assert seat["status"] == "sold"
        assert second.curls[2] != look


def test_a_killed_api_and_worker_are_back_within_five_seconds(tmp_path: Path) -> None:
    """Each restart is told in a line, and the platform serves again."""
    with up(tmp_path / "data", "--port", str(free_port()), "--no-demo") as running:
        for name in ("api", "worker"):
            kill_child(running, name)
            until(lambda: f"{name} was started again" in running.printed, RESTART_WITHIN_S)  # noqa: B023 -- used at once
        until(lambda: is_ready(running.running), READY_WITHIN_S)


def test_terminate_stops_it_as_well(tmp_path: Path) -> None:
    """A service supervisor sends SIGTERM: the same orderly end, exit code 0."""
    with up(tmp_path / "data", "--port", str(free_port()), "--no-demo") as running:
        assert running.stop(signal.SIGTERM) < 10
        assert running.process.returncode == 0
        assert running.printed.rstrip().endswith("stopped")


def test_ctrl_c_while_it_starts_stops_it_too(tmp_path: Path) -> None:
    """What was started by then is stopped in order."""
    directory = tmp_path / "data"
    with up(
        directory, "--port", str(free_port()), "--no-demo", wait_for="starting postgres"
    ) as running:
        running.stop()
        assert running.process.returncode == 0
    # What a killed server leaves of itself ends a moment later.
    until = time.monotonic() + 5
    while processes_of(directory) and time.monotonic() < until:
        time.sleep(0.1)
    assert processes_of(directory) == []


def test_a_port_that_was_asked_for_and_is_taken_is_told(tmp_path: Path) -> None:
    """No other port is taken instead; nothing is started; the message has the way out."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with up(tmp_path / "data", "--port", port) as refused:
            assert refused.process.wait(10) == 1
            assert f"port {port}" in refused.printed
            assert "--port" in refused.printed
            assert "starting" not in refused.printed


def free_port() -> int:
    """Return a port that nobody uses at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def kill_child(running: Up, name: str) -> None:
    """Kill a child of `up` by its pid, as the kernel would for want of memory."""
    mark = {"api": b"web.app:app", "worker": b"-m\0workers"}[name]
    children = Path(f"/proc/{running.process.pid}/task")
    for pid in {word for path in children.glob("*/children") for word in path.read_text().split()}:
        if mark in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(int(pid), signal.SIGKILL)
            return
    pytest.fail(f"{name} does not run")
