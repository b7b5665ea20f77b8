"""The load generator for where there is no wrk: `python -m loadtests.spike.python_generator URL N`.

N is how many connections it opens. It reads the same environment and folder as
`hold_buy_release.lua`, writes the same files and prints the same line, at a fraction of the rate.
"""

import asyncio
import os
import random
import sys
import time
from pathlib import Path
from typing import Final

import aiohttp
import msgspec
import uvloop

from loadtests.spike.buyers import Asking, Buyers, Kind
from loadtests.spike.seconds import SUFFIX, SecondsWriter

_TIMEOUT: Final = aiohttp.ClientTimeout(total=30)
_UNAVAILABLE: Final = 503


class _Client:
    """All connections; each sends its next request when its last one is answered."""

    def __init__(self, session: aiohttp.ClientSession, buyers: Buyers, folder: Path) -> None:
        lines = (folder / "groups.txt").read_text(encoding="utf-8").splitlines()
        self._groups: list[list[str]] = [msgspec.json.decode(line) for line in lines]
        self._session = session
        self._buyers = buyers
        self._seconds = SecondsWriter(folder / f"python-0{SUFFIX}")
        self._show = f"/v1/shows/{os.environ['TARGET_SHOW']}"
        self.answered = 0
        self.errors = {"connect": 0, "read": 0, "write": 0, "timeout": 0}
        self.max_ms = 0.0

    async def work(self, connections: int) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self._connection())
        self._seconds.close()

    async def _connection(self) -> None:
        while (asked := self._buyers.ask()) is not None:
            began = time.perf_counter()
            kind = asked.kind
            try:
                status, body = await self._send(asked)
            except TimeoutError:
                self.errors["timeout"] += 1
                continue
            except aiohttp.ClientConnectorError:
                self.errors["connect"] += 1
                continue
            except aiohttp.ClientError:
                self.errors["read"] += 1
                continue
            took_s = time.perf_counter() - began
            self.max_ms = max(self.max_ms, took_s * 1000)
            overloaded = status == _UNAVAILABLE and b":overloaded" in body
            answer = "overloaded" if overloaded else str(status)
            self._seconds.note(kind, answer, int(took_s * 1e6))
            self._buyers.learn(asked, status, body)
            self.answered += 1

    async def _send(self, asked: Asking) -> tuple[int, bytes]:
        if asked.kind is Kind.RELEASE:
            path = f"{self._show}/holds/{asked.hold}"
            async with self._session.delete(path) as response:
                return response.status, await response.read()
        if asked.kind is Kind.HOLD:
            path, key = f"{self._show}/holds", asked.key
            body = {"seats": self._groups[asked.group], "buyer": asked.key}
        else:
            path, key = f"{self._show}/purchases", f"p-{asked.key}"
            body = {"hold": asked.hold, "payment_reference": asked.key}
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        content = msgspec.json.encode(body)
        async with self._session.post(path, data=content, headers=headers) as response:
            return response.status, await response.read()


async def _run(base_url: str, connections: int) -> None:
    folder = Path(os.environ["SPIKE_FOLDER"])
    groups = len((folder / "groups.txt").read_text(encoding="utf-8").splitlines())
    quota = int(os.environ["SPIKE_REQUESTS"])
    buyers = Buyers(groups, quota, os.environ["SPIKE_RUN"], random.Random(1))  # noqa: S311 -- dice
    async with aiohttp.ClientSession(
        base_url,
        connector=aiohttp.TCPConnector(limit=0),
        headers={"Authorization": f"Bearer {os.environ['TARGET_API_KEY']}"},
        timeout=_TIMEOUT,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept-Encoding",),
    ) as session:
        client = _Client(session, buyers, folder)
        began = time.monotonic()
        await client.work(connections)
        wall_s = time.monotonic() - began
    lines = [f"{order} {group}\n" for order, group in buyers.receipts]
    (folder / "python-0.receipts").write_text("".join(lines), encoding="utf-8")
    told = {
        "answered": client.answered,
        "wall_s": wall_s,
        "errors": client.errors,
        "max_ms": client.max_ms,
    }
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")


def main(arguments: list[str]) -> None:
    """Send what the environment asks for to the address given, over so many connections."""
    base_url, connections = arguments
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(base_url, int(connections)))


if __name__ == "__main__":
    main(sys.argv[1:])
