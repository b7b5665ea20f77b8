"""Watchers of live seats while the store is killed, loses its data, or the API is killed."""

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
import msgspec

from tests.faults.reseller_desk import ResellerDesk, empty, told

_LETTERS = {"open": "o", "held": "h", "sold": "s", "blocked": "b"}
_TRUE_WITHIN_S = 30


class _Watcher:
    """A client as docs/LIVE.md describes it: it comes back with the last id that it was told."""

    def __init__(self, desk: ResellerDesk) -> None:
        self._url = f"{desk.stack.base_url}/v1/shows/{desk.show}/live"
        self._headers = {"Authorization": f"Bearer {desk.key}"}
        self.id = ""
        self.states: list[str] = []
        self.names: list[str] = []

    async def watch(self) -> None:
        """Watch for ever."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=20)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    last = {"Last-Event-ID": self.id} if self.id else {}
                    async with session.get(self._url, headers=last) as answer:
                        if answer.status == 200:
                            await self._read(answer)
                await asyncio.sleep(0.2)

    async def _read(self, answer: aiohttp.ClientResponse) -> None:
        event: dict[str, str] = {}
        async for line in answer.content:
            field, _, value = line.decode().rstrip("\n").partition(": ")
            if field:
                event[field] = value
                continue
            if "data" in event:
                self._learn(event["event"], msgspec.json.decode(event["data"]))
            self.id = event.get("id", self.id)
            event = {}

    def _learn(self, name: str, content: dict[str, Any]) -> None:
        self.names.append(name)
        if name == "snapshot":
            packed = base64.b64decode(content["states"])
            self.states = ["ohsb"[byte >> shift & 3] for byte in packed for shift in (0, 2, 4, 6)]
        for field, letter in _LETTERS.items():
            for position in content.get(field, ()):
                self.states[position] = letter

    def knows(self, states: str) -> bool:
        """Tell whether all seats are known as they are."""
        known = zip(states, self.states, strict=False)
        return bool(self.states) and all(one in {"|", two} for one, two in known)


@contextlib.asynccontextmanager
async def _watching(desk: ResellerDesk) -> AsyncGenerator[_Watcher]:
    watcher = _Watcher(desk)
    task = asyncio.create_task(watcher.watch())
    try:
        await _until_true(desk, watcher)
        yield watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until_true(desk: ResellerDesk, watcher: _Watcher) -> None:
    """Wait until the watcher knows what availability tells."""
    deadline = time.monotonic() + _TRUE_WITHIN_S
    while True:
        answer = await desk.ask("GET", f"/v1/shows/{desk.show}/availability")
        states = told(answer, 200)["seat_map"]["states"]
        await asyncio.sleep(0.3)
        if watcher.knows(states):
            return
        assert time.monotonic() < deadline, f"not the truth; was told {watcher.names}"


async def test_after_kill_9_of_valkey_watchers_get_the_next_epochs_snapshot(
    desk: ResellerDesk,
) -> None:
    """On the same stream, and what follows are its deltas."""
    async with _watching(desk) as watcher:
        await desk.sell("B-1-1", "B-1-2")
        await _until_true(desk, watcher)
        desk.stack.valkey.kill()
        await desk.sell("B-1-3", buyer="b-2")
        await _until_true(desk, watcher)
        assert watcher.id.startswith("2-")
        assert watcher.names.count("snapshot") == 2
        assert watcher.names[-1] == "delta"


async def test_after_the_stores_data_were_lost_watchers_see_what_the_ledger_has(
    desk: ResellerDesk,
) -> None:
    """A hold that was lost with them is open again."""
    async with _watching(desk) as watcher:
        await desk.sell("A-1-1", "A-1-2")
        told(await desk.hold("A-1-3", buyer="b-2"), 201)
        await _until_true(desk, watcher)
        desk.stack.valkey.stop()
        empty(desk.stack.directory / "valkey")
        await asyncio.sleep(4)
        assert watcher.names[-1] == "gone"
        desk.stack.valkey.start()
        await _until_true(desk, watcher)
        assert "s" in watcher.states
        assert "h" not in watcher.states


async def test_a_killed_api_leaves_no_hole(desk: ResellerDesk) -> None:
    """Whoever comes back to its successor is told what they missed, or all."""
    async with _watching(desk) as watcher:
        await desk.sell("B-2-1", "B-2-2")
        await _until_true(desk, watcher)
        desk.stack.api.kill()
        await desk.sell("B-2-3", buyer="b-2")
        await _until_true(desk, watcher)
        told(await desk.hold("B-2-4", buyer="b-3"), 201)
        await _until_true(desk, watcher)
