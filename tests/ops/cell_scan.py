"""Looks for traces of somebody in all that a cell keeps: rows, keys, and the bytes of its files."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import redis
from sqlalchemy import text

from engine.platform.database import connect_once
from engine.platform.settings import Settings

_TABLES = text(
    "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
    "WHERE schemaname NOT LIKE 'pg\\_toast%' ORDER BY 1"
)


def forms_of(marker: str | bytes | int) -> list[bytes]:
    """Return how a text, some bytes or an entity's number may be written down."""
    if isinstance(marker, str):
        return [marker.encode()]
    if isinstance(marker, int):
        packed = marker.to_bytes(8, "big")
        return [packed, packed[::-1], packed.hex().encode(), str(marker).encode()]
    return [marker, marker.hex().encode()]


class CellScan:
    """All that one cell keeps, read once."""

    def __init__(self, parts: Mapping[str, bytes]) -> None:
        """Take its parts by name."""
        self._parts = parts

    def places_of(self, marker: str | bytes | int) -> set[str]:
        """Return which parts have a trace."""
        forms = forms_of(marker)
        return {
            name for name, content in self._parts.items() if any(form in content for form in forms)
        }


async def scan_cell(settings: Settings, folder: Path) -> CellScan:
    """Read a running cell's tables, keys and files."""
    parts = {f"table {name}": content async for name, content in _tables(settings)}
    parts |= {f"key {name!r}": content for name, content in _keys(settings)}
    # Both stores have written everything by now: the checkpoint and `appendfsync always`.
    return CellScan(parts | dict(_files(folder)))


async def _tables(settings: Settings) -> AsyncGenerator[tuple[str, bytes]]:
    async with connect_once(settings.database_url) as connection:
        for table in (await connection.execute(_TABLES)).scalars().all():
            rows = await connection.execute(text(f"SELECT t::text FROM {table} AS t"))  # noqa: S608 - PostgreSQL's own names
            yield table, "\n".join(rows.scalars()).encode()
        await connection.rollback()
        unbound = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await unbound.execute(text("CHECKPOINT"))


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        with suppress(FileNotFoundError):  # a server has just removed it
            if path.is_file() and not path.is_symlink():
                yield f"file {path.relative_to(folder)}", path.read_bytes()


def _keys(settings: Settings) -> Iterator[tuple[bytes, bytes]]:
    client = cast("Any", redis.Redis.from_url(settings.redis_url, socket_timeout=30))
    with client:
        client.config_set("rdbcompression", "no")
        for key in client.scan_iter(count=1000):
            yield key, key + b" " + (client.dump(key) or b"")
        client.save()
