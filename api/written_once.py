"""What is the same for all who ask and takes a while to write: written once, and kept."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

import msgspec

_DIGEST_BYTES: Final = 16
_ENTRY_BYTES: Final = 200
"""What an entry takes beside its content, about."""

_encode: Final = msgspec.msgpack.Encoder().encode


class WrittenOnce:
    """What one process has written, by what it is written of, up to a bound in bytes."""

    def __init__(self, *, bytes_max: int) -> None:
        """Take the bound; what was not asked for the longest goes first."""
        self._bytes_max = bytes_max
        self._bytes = 0
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()
        self._under_way: dict[bytes, asyncio.Task[bytes]] = {}

    async def get(self, of: object, write: Callable[[], bytes]) -> bytes:
        """Return what `write` returns, for whoever names the same `of`. Raises what it raises.

        It runs beside the event loop, which has holds to serve.
        """
        key = blake2b(_encode(of), digest_size=_DIGEST_BYTES).digest()
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._write(key, write))
        # Whoever asked first may go away: the others still want it.
        return await asyncio.shield(task)

    async def _write(self, key: bytes, write: Callable[[], bytes]) -> bytes:
        try:
            content = await asyncio.to_thread(write)
        finally:
            del self._under_way[key]
        self._kept[key] = content
        self._bytes += len(content) + _ENTRY_BYTES
        while self._bytes > self._bytes_max:
            _, forgotten = self._kept.popitem(last=False)
            self._bytes -= len(forgotten) + _ENTRY_BYTES
        return content


FOR_ALL: Final = WrittenOnce(bytes_max=32 * 1024 * 1024)
"""Calendars, feeds and pages of what is public."""
