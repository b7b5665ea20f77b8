"""Runs wrk with a Lua script, and reads what the script's `done` printed.

What a script may do: https://github.com/wg/wrk/blob/master/SCRIPTING. Its callbacks run per
thread, not per connection.
"""

import os
import resource
import subprocess
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct

from loadtests.generator.pinning import children_on

_ANSWER_TIMEOUT_S: Final = 30
_OTHER_FILES: Final = 256
_VERSION_TIMEOUT_S: Final = 10
_OUTPUT_SHOWN: Final = 2000


class GeneratorError(Exception):
    """The load generator failed, or made no sense; the message has what it printed."""


class WrkResult(Struct, frozen=True, kw_only=True):
    """One run of wrk."""

    told: dict[str, Any]
    """The JSON object on the last line that the script's `done` printed."""
    wall_s: float
    """From wrk's start to its end, with the reading of the script's files."""
    cpu_s: float
    """Of wrk's process, user and system; other children that end meanwhile would count, too."""


def wrk_version(wrk: Path) -> str:
    """Return its name and version as results tell it: `wrk 4.1.0`."""
    done = subprocess.run(  # noqa: S603 -- wrk itself
        [str(wrk), "--version"],
        env=_environment(wrk, {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,  # it ends with 1 after its version
        timeout=_VERSION_TIMEOUT_S,
    )
    words = done.stdout.split()
    if len(words) < 2 or words[0] != "wrk":  # noqa: PLR2004 -- name and version
        msg = f"{wrk} does not tell its version: {(done.stdout + done.stderr).strip()}"
        raise GeneratorError(msg)
    return f"wrk {words[1].removeprefix('debian/').partition('-')[0]}"


def run_wrk(  # noqa: PLR0913 -- wrk's own options, all by name
    wrk: Path,
    *,
    url: str,
    script: Path,
    connections: int,
    threads: int,
    seconds: int,
    environment: Mapping[str, str],
    cpus: Collection[int],
    timeout_s: float,
) -> WrkResult:
    """Run wrk against `url` for `seconds`, on these cores (none: on any), and read its result.

    `environment` is for the script's `os.getenv`; its `require` finds the files beside it. The
    whole run may take `timeout_s`.

    What wrk's page does not tell:
    - Its main thread sleeps for all of `seconds`, whether its threads have stopped or not. A script
      that is done earlier ends the sleep with SIGINT to its own process.
    - `request` is called once more than requests are sent: wrk first looks at one and drops it.
    - A connection whose `request` returned an empty string rests for good, at no cost.
    - `done` runs in a Lua state of its own: it reads the threads' globals with `thread:get`.

    Raises:
        GeneratorError: it was not done in time, failed, or its `done` printed no JSON object.
    """
    _allow_files(connections + _OTHER_FILES)
    command = [
        str(wrk),
        *("--threads", str(threads), "--connections", str(connections)),
        *("--duration", f"{seconds}s", "--timeout", f"{_ANSWER_TIMEOUT_S}s"),
        *("--script", str(script), url),
    ]
    cpu_before, began = _children_cpu_s(), time.monotonic()
    try:
        with children_on(cpus):
            done = subprocess.run(  # noqa: S603 -- wrk itself
                command,
                env=_environment(wrk, {"LUA_PATH": f"{script.parent}/?.lua;;"} | dict(environment)),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=timeout_s,
            )
    except subprocess.TimeoutExpired as error:
        msg = f"wrk was not done within {timeout_s:.0f} s"
        raise GeneratorError(msg) from error
    wall_s = time.monotonic() - began
    printed = (done.stdout + done.stderr)[-_OUTPUT_SHOWN:].strip()
    if done.returncode != 0:
        msg = f"wrk failed with exit code {done.returncode}:\n{printed}"
        raise GeneratorError(msg)
    objects = [line for line in done.stdout.splitlines() if line.startswith("{")]
    try:
        told = msgspec.json.decode(objects[-1], type=dict[str, Any])
    except (IndexError, msgspec.DecodeError) as error:
        msg = f"{script.name} printed no JSON object when wrk was done:\n{printed}"
        raise GeneratorError(msg) from error
    return WrkResult(told=told, wall_s=wall_s, cpu_s=_children_cpu_s() - cpu_before)


def _environment(wrk: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which an unpacked wrk finds the LuaJIT unpacked with it."""
    libraries = wrk.parent.parent.glob("lib/*/libluajit-5.1.so.2")
    folders = [str(library.parent) for library in libraries]
    path = ":".join([*folders, *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    return dict(os.environ) | {"LD_LIBRARY_PATH": path} | dict(given)


def _allow_files(count: int) -> None:
    """Raise this process's limit of open files, which its children inherit, where it is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
