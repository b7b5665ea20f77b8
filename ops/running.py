"""How other commands find the running stack."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from engine.platform.settings import Settings, environment_of, load_settings, variable
from ops.places import CELLS, HOME

_FILE: Final = "stack.json"


class NotRunningError(Exception):
    """No stack runs and the environment names no servers; the message says what to do."""


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """A stack that a process of this machine runs."""

    pid: int
    base_url: str
    environment: dict[str, str]
    """The `ONSALE_*` variables that make up its settings: with its secret, hence mode 0600."""

    @property
    def region(self) -> str:
        """Its cell's code."""
        return self.environment[variable("region")]


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


def list_running(data: Path = HOME) -> dict[Path, Running]:
    """Return what runs in this folder and in those of its cells, by folder."""
    folders = [data, *sorted((data / CELLS).glob("*/"))]
    found = {folder: find_running(folder) for folder in folders}
    return {folder: running for folder, running in found.items() if running is not None}


def find_folder(region: str | None = None, data: Path = HOME) -> Path | None:
    """Return the folder of the cell that runs here, or of that region's; None: none does.

    Raises:
        NotRunningError: several run and no region is named, or that region's does not.
    """
    running = list_running(data)
    regions = {one.region: folder for folder, one in running.items()}
    if region is not None:
        if region not in regions:
            here = f"here run {', '.join(regions)}" if regions else "no stack runs here"
            msg = f"no cell of {region} runs here: {here}"
            raise NotRunningError(msg)
        return regions[region]
    if len(running) > 1:
        msg = f"several cells run here: say which, by --region {' or --region '.join(regions)}"
        raise NotRunningError(msg)
    return next(iter(running), None)


def find_settings(
    environment: Mapping[str, str] | None = None,
    directory: Path = HOME,
    *,
    region: str | None = None,
) -> Settings:
    """Return the settings from the environment, else those of the stack that runs here.

    With a region: of that one's cell, which runs here.

    Raises:
        NotRunningError: neither is there, or it is not clear which.
        SettingsError: the environment names servers, but something is missing or does not fit.
    """
    given = os.environ if environment is None else environment
    if region is None and given.get(variable("redis_url")) and given.get(variable("database_url")):
        return load_settings(given)
    folder = find_folder(region, directory)
    running = None if folder is None else find_running(folder)
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
