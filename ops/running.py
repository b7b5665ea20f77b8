"""How other commands find the running stack."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from engine.platform.settings import Settings, environment_of, load_settings, variable
from ops.places import HOME

_FILE: Final = "stack.json"


class NotRunningError(Exception):
    """No stack runs and the environment names no servers; the message says what to do."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A stack that a process of this machine runs."""

    pid: int
    base_url: str
    environment: dict[str, str]
    """The `ONSALE_*` variables that make up its settings: with its secret, hence mode 0600."""


def write_running(directory: Path, settings: Settings, base_url: str) -> None:
    """Leave word of a stack that runs in this directory."""
    running = Running(pid=os.getpid(), base_url=base_url, environment=environment_of(settings))
    path = directory / _FILE
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(running)))
    fresh.rename(path)


def forget_running(directory: Path) -> None:
    """Take the word back."""
    (directory / _FILE).unlink(missing_ok=True)


def find_running(directory: Path = HOME) -> Running | None:
    """Return the stack that runs in this directory, if one does."""
    try:
        running = msgspec.json.decode((directory / _FILE).read_bytes(), type=Running)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, msgspec.DecodeError) as error:
        msg = f"{directory / _FILE} can't be read: {error}"
        raise NotRunningError(msg) from error
    return running if _is_alive(running.pid) else None


def find_settings(environment: Mapping[str, str] | None = None, directory: Path = HOME) -> Settings:
    """Return the settings from the environment, else those of the stack that runs here.

    Raises:
        NotRunningError: neither is there.
        SettingsError: the environment names servers, but something is missing or does not fit.
    """
    given = os.environ if environment is None else environment
    if given.get(variable("redis_url")) and given.get(variable("database_url")):
        return load_settings(given)
    running = find_running(directory)
    if running is None:
        msg = (
            "no stack runs here: run `./onsale up` in another terminal, or set "
            f"{variable('redis_url')}, {variable('database_url')} and {variable('secret')} "
            "for servers of your own"
        )
        raise NotRunningError(msg)
    return load_settings(running.environment)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # it is another user's
    return True
