"""Sends an exact number of requests: with wrk where there is one, else from Python."""

import os
import resource
import secrets
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from loadtests.buyers.tally import Receipt, Tally
from loadtests.generator import GeneratorError, run_wrk
from loadtests.generator.wrk import wrk_version
from loadtests.spike.groups import Group

SCRIPT: Final = Path(__file__).with_name("hold_buy_release.lua")
RECEIPTS: Final = ".receipts"

_WRK_THREADS: Final = 2
_RATE_MIN: Final = 150
"""Requests a second below which a run is given up."""
_GRACE_S: Final = 120


class Errand(Struct, frozen=True, kw_only=True):
    """What to send, and where."""

    base_url: str
    api_key: str
    show: str
    requests: int
    connections: int
    groups: Sequence[Group]
    folder: Path
    """Where the generators leave their files; nobody else's."""


class _Told(Struct, frozen=True):
    """The line that a generator prints when it is done."""

    answered: int
    wall_s: float
    errors: dict[str, int]
    """Of connections, by what they were about: connect, read, write, timeout."""
    max_ms: float
    corrected_p50_ms: float | None = None
    corrected_p99_ms: float | None = None


class Sent(_Told, frozen=True, kw_only=True):
    """How it went."""

    generator: str
    """`python`, or wrk with its version."""
    cpu_s: float
    """That the generator used, user and system."""


def send(errand: Errand, wrk: Path | None) -> Sent:
    """Send everything and return when all is answered, or when that took too long.

    Raises:
        GeneratorError: the generator failed or was not done in time.
    """
    lines = [msgspec.json.encode(group) + b"\n" for group in errand.groups]
    (errand.folder / "groups.txt").write_bytes(b"".join(lines))
    threads = min(_WRK_THREADS, errand.connections)
    environment = {
        "TARGET_API_KEY": errand.api_key,
        "TARGET_SHOW": errand.show,
        "SPIKE_FOLDER": str(errand.folder),
        "SPIKE_REQUESTS": str(errand.requests),
        "SPIKE_THREADS": str(threads),
        "SPIKE_RUN": secrets.token_hex(4),
    }
    seconds_max = _GRACE_S + errand.requests // _RATE_MIN
    if wrk is None:
        return _send_by_python(errand, environment, seconds_max)
    done = run_wrk(
        wrk,
        url=errand.base_url,
        script=SCRIPT,
        connections=errand.connections,
        threads=threads,
        seconds=seconds_max,
        environment=environment,
        cpus=(),
        timeout_s=seconds_max + _GRACE_S,
    )
    return _read(done.told, wrk_version(wrk), done.cpu_s)


def read_receipts(folder: Path, groups: Sequence[Group]) -> Tally:
    """Return what the buyers were told that they had bought."""
    tally = Tally()
    for path in sorted(folder.glob(f"*{RECEIPTS}")):
        for line in path.read_text(encoding="ascii").splitlines():
            order, _, group = line.partition(" ")
            tally.receive(Receipt(order, tuple(sorted(groups[int(group)])), ()))
    return tally


def _send_by_python(errand: Errand, environment: Mapping[str, str], seconds_max: int) -> Sent:
    cpu_before = _children_cpu_s()
    words = ("loadtests.spike.python_generator", errand.base_url, str(errand.connections))
    try:
        done = subprocess.run(  # noqa: S603 -- our own module
            [sys.executable, "-m", *words],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=True,
            timeout=seconds_max,
        )
        told = msgspec.json.decode(done.stdout.splitlines()[-1], type=dict[str, Any])
    except subprocess.TimeoutExpired as error:
        msg = f"the generator was not done within {seconds_max} s"
        raise GeneratorError(msg) from error
    except subprocess.CalledProcessError as error:
        msg = f"the generator failed: {str(error.stderr)[-2000:]}"
        raise GeneratorError(msg) from error
    return _read(told, "python", _children_cpu_s() - cpu_before)


def _read(told: dict[str, Any], generator: str, cpu_s: float) -> Sent:
    try:
        return msgspec.convert(told | {"generator": generator, "cpu_s": cpu_s}, Sent)
    except msgspec.ValidationError as error:
        msg = f"{generator} told something else: {error}: {told}"
        raise GeneratorError(msg) from error


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
