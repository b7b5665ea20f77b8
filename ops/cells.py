"""Several cells on one machine: where each keeps its data, and what it knows of the others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from engine.platform.settings import Settings, variable
from ops.child import StackError
from ops.places import CELLS
from ops.port import Port
from ops.stack import address_of

_DEFAULT: Final = "dev"
_FILE: Final = "region"
_SECRET: Final = "secret"  # noqa: S105 - a file's name
_OWN: Final = (
    *("redis_url", "queue_redis_url", "database_url", "app_database_url", "recorder_database_url"),
    *("auditor_database_url", "secret", "queue_secrets", "sealing_keys"),
)
"""What two cells must not share."""


class CellPlan(Struct, frozen=True):
    """A cell that is about to run."""

    region: str
    directory: Path
    port: Port
    environment: dict[str, str]


def plan_cells(
    data: Path,
    regions: Sequence[str],
    *,
    host: str,
    ports: Sequence[Port],
    environment: Mapping[str, str],
) -> list[CellPlan]:
    """Return the cells to run, each with the addresses of all others; no region: the one as ever.

    Raises:
        StackError: several are to run, and the environment names a store or a secret for all.
    """
    if len(regions) > 1:
        _refuse_shared(environment)
    chosen = regions or [environment.get(variable("region")) or _region_of(data) or _DEFAULT]
    addresses = {
        region: address_of(host, port.number) for region, port in zip(chosen, ports, strict=True)
    }
    is_one = len(chosen) == 1
    homes = [_home_of(data, one, is_one=is_one) if regions else data for one in chosen]
    for home, region in zip(homes, chosen, strict=True):
        _note(home, region)
    return [
        CellPlan(region, home, port, _environment(environment, region, _others(addresses, region)))
        for region, home, port in zip(chosen, homes, ports, strict=True)
    ]


def _others(addresses: Mapping[str, str], region: str) -> str:
    return ",".join(f"{other}={at}" for other, at in addresses.items() if other != region)


def _environment(given: Mapping[str, str], region: str, others: str) -> dict[str, str]:
    elsewhere = given.get(variable("cells"), "")
    told = ",".join(filter(None, (others, elsewhere)))
    return {**given, variable("region"): region, variable("cells"): told}


def _home_of(data: Path, region: str, *, is_one: bool) -> Path:
    """Return a region's folder: one below `data`, or that itself if it is the region's.

    So is one that is nobody's yet, for a cell that runs alone.
    """
    own = _region_of(data)
    below = data / CELLS / region
    is_free = own is None and is_one and not below.exists()
    return data if own == region or is_free else below


def _region_of(data: Path) -> str | None:
    """Return whose data these are, `dev`'s if they do not say; None: there are none."""
    file = data / _FILE
    if file.exists():
        return file.read_text(encoding="ascii").strip()
    return _DEFAULT if (data / _SECRET).exists() else None


def _note(home: Path, region: str) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (home / _FILE).exists() and not (home / _SECRET).exists():
            (home / _FILE).write_text(f"{region}\n", encoding="ascii")
    except OSError as error:
        msg = f"{home} can't be written ({error.strerror}); choose another folder with --data"
        raise StackError(msg) from error


def _refuse_shared(environment: Mapping[str, str]) -> None:
    shared = [variable(field) for field in _OWN if environment.get(variable(field))]
    if shared:
        msg = (
            f"{', '.join(shared)} would be shared by several cells, which share nothing: unset "
            "that, or run each cell with its own"
        )
        raise StackError(msg)


def tell_cells(cells: Sequence[tuple[Settings, str, Path]]) -> list[str]:
    """Return a table of cells that run: settings, address and folder of each."""
    rows = [("cell", "address", "data")]
    rows += [(settings.region, address, str(folder)) for settings, address, folder in cells]
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
        for row in rows
    ]
    return [f"  {line.rstrip()}" for line in lines]
