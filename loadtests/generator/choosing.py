"""The two generators behind one face, and which of them this machine gets."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from loadtests.generator.finding import find_generator
from loadtests.generator.load import Load, LoadResult
from loadtests.generator.pinning import children_on
from loadtests.generator.wrk import GeneratorError, run_wrk, wrk_version

_SCRIPT: Final = Path(__file__).parent / "send_requests.lua"
_ROOT: Final = Path(__file__).resolve().parent.parent.parent
_MARGIN_S: Final = 60
"""For reading the requests, connecting, and the last answers."""


def choose_generator(cache: Path, say: Callable[[str], None]) -> "WrkGenerator | PythonGenerator":
    """Return wrk, fetched into `cache` if need be, or the one in Python where it can't be had."""
    wrk = find_generator(cache, say)
    return PythonGenerator() if wrk is None else WrkGenerator(wrk)


class WrkGenerator:
    """Sends with one thread of wrk."""

    def __init__(self, wrk: Path) -> None:
        """Take wrk's path.

        Raises:
            GeneratorError: it does not run.
        """
        self._wrk = wrk
        self.name = wrk_version(wrk)

    def send(self, load: Load) -> LoadResult:
        """Send all of it and wait for the answers, as `Generator` has it."""
        if load.requests_per_s:
            msg = "wrk keeps to no rate: ask the generator in Python"
            raise GeneratorError(msg)
        result = run_wrk(
            self._wrk,
            url=load.url,
            script=_SCRIPT,
            connections=load.connections,
            threads=1,
            seconds=load.seconds_max,
            environment={
                "LOAD_REQUESTS": str(load.requests),
                "LOAD_COUNTED": load.counted,
                "LOAD_PURCHASE": load.purchase_head,
                "LOAD_BODIES": str(load.bodies or ""),
            },
            cpus=load.cpus,
            timeout_s=load.seconds_max + _MARGIN_S,
        )
        try:
            # Keys of a JSON object are strings: not strict, so that statuses become numbers.
            return msgspec.convert(result.told, LoadResult, strict=False)
        except msgspec.ValidationError as error:
            msg = f"{_SCRIPT.name} told something else than its result: {error}"
            raise GeneratorError(msg) from error


class PythonGenerator:
    """Sends from a Python process of its own."""

    name = "python"

    def send(self, load: Load) -> LoadResult:
        """Send all of it and wait for the answers, as `Generator` has it."""
        try:
            with children_on(load.cpus):
                done = subprocess.run(
                    [sys.executable, "-m", "loadtests.generator.python_sender"],
                    cwd=_ROOT,
                    input=msgspec.json.encode(load, enc_hook=str),
                    capture_output=True,
                    check=False,
                    timeout=load.seconds_max + _MARGIN_S,
                )
        except subprocess.TimeoutExpired as error:
            msg = f"the Python generator was not done within {error.timeout:.0f} s"
            raise GeneratorError(msg) from error
        if done.returncode != 0:
            msg = f"the Python generator failed:\n{done.stderr.decode(errors='replace')[-2000:]}"
            raise GeneratorError(msg)
        return msgspec.json.decode(done.stdout, type=LoadResult)
