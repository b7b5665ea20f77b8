"""Calendars are written once for all who ask at a time, whoever of them goes away."""

import asyncio
import time

import pytest

from api import interchange


async def test_a_calendar_iswritten_once_for_all_who_ask() -> None:
    """Of several keys each once; the first who asked need not wait for it."""
    written: list[bytes] = []

    def write_of(key: bytes) -> bytes:
        time.sleep(0.05)  # as a large calendar takes, in a thread
        written.append(key)
        return key

    async def ask(key: bytes) -> bytes:
        return await interchange.written_once(key, lambda: write_of(key))

    first = asyncio.create_task(ask(b"one"))
    await asyncio.sleep(0)
    others = [asyncio.create_task(ask(key)) for key in (b"one", b"one", b"two")]
    await asyncio.sleep(0.01)
    first.cancel()
    assert await asyncio.gather(*others) == [b"one", b"one", b"two"]
    assert sorted(written) == [b"one", b"two"]
    with pytest.raises(asyncio.CancelledError):
        await first
