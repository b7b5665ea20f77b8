"""Loads the Lua scripts: one file each, with their includes put in, known by their SHA-1.

A script is called by its SHA, so that old and new processes of a rolling deploy each run their own
version, and is loaded on the first call or after the server has forgotten it.
"""

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from redis.exceptions import NoScriptError

from engine.platform.redis import Store

FOLDER: Final = Path(__file__).parents[2] / "lua"
_INCLUDE = re.compile(r"^--- include (\w+)$", re.MULTILINE)


class Script(msgspec.Struct, frozen=True):
    """A script as the server gets it."""

    name: str
    body: str
    sha: str

    async def call(self, redis: Store, keys: tuple[str, ...], *args: bytes | str | int) -> Any:  # noqa: ANN401 - what a script returns is decoded by its caller
        """Run the script; load it first where the server does not know it.

        Raises:
            redis.RedisError: the server refused it or could not be reached. After a lost
                connection or a time-out nobody knows whether it ran.
        """
        try:
            return await redis.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            # It did not run, so running it now is its first time. EVAL also loads it.
            return await redis.eval(self.body, len(keys), *keys, *args)

    async def call_and_wait(
        self,
        redis: Store,
        keys: tuple[str, ...],
        *args: bytes | str | int,
        replicas: int,
        timeout_ms: int,
    ) -> tuple[Any, int]:
        """Run the script as `call`, then wait until replicas have what it wrote, in one round trip.

        Returns what the script returned, and how many replicas have acknowledged: that says
        nothing unless the script has written something.

        Raises:
            redis.RedisError: as `call`.
        """
        bounds = {"replicas": replicas, "timeout_ms": timeout_ms}
        try:
            return await redis.evalsha_and_wait(self.sha, len(keys), *keys, *args, **bounds)
        except NoScriptError:
            return await redis.eval_and_wait(self.body, len(keys), *keys, *args, **bounds)


def assemble(body: str, folder: Path = FOLDER) -> str:
    """Put the included files in the places of their `--- include name` lines."""

    def included(match: re.Match[str]) -> str:
        return (folder / "includes" / f"{match[1]}.lua").read_text().rstrip()

    return _INCLUDE.sub(included, body)


def make_script(name: str, body: str) -> Script:
    """Return a script of an assembled body."""
    return Script(name, body, hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest())


@cache
def load_script(name: str) -> Script:
    """Return the script of a file `lua/<name>.lua`."""
    return make_script(name, assemble((FOLDER / f"{name}.lua").read_text()))
