"""The generator where there is no wrk: `python -m loadtests.generator.python_sender`.

Reads a Load as JSON from standard input, does what send_requests.lua does, and prints a LoadResult.
It speaks just enough HTTP/1.1 for our own servers: answers have a Content-Length, or no body.
"""

import asyncio
import re
import sys
import time
from collections import Counter, deque
from math import inf
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import msgspec
import uvloop

from loadtests.generator.load import Load, LoadResult, read_requests

_FAILED: Final = 400
_RECORDING: Final = 202
_BODIES_KEPT: Final = 3
_BODY_SHOWN: Final = 300
_HEAD_ENDS: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_HOLD: Final = re.compile(rb'"hold":"(\w+)"')
_TICK_S: Final = 0.01
_CATCH_UP_S: Final = 0.1


class Sender:
    """Hands out requests to connections and counts what comes back."""

    def __init__(self, load: Load) -> None:
        """Read all requests, so that sending them costs little."""
        self._load = load
        self._requests = deque(read_requests(load.requests))
        self._purchases: deque[bytes] = deque()
        self._counted_text = load.counted.encode()
        self._purchase_head = load.purchase_head.encode()
        self._due = len(self._requests)
        self._statuses: Counter[int] = Counter()
        self._failures: list[str] = []
        self._counted = self._repeated = self._connection_errors = 0
        self._took_ms: list[float] = []
        self._began_at = self._ended_at = 0.0
        self._done = asyncio.Event()
        self._free: deque[_Connection] = deque()
        self._allowed = inf
        self._bodies = load.bodies.open("wb") if load.bodies else None

    async def send(self) -> LoadResult:
        """Send everything, or as much as is answered within the time."""
        address = urlsplit(self._load.url)
        host, port = address.hostname or "127.0.0.1", address.port or 80
        loop = asyncio.get_running_loop()
        connected = await asyncio.gather(
            *(
                loop.create_connection(lambda: _Connection(self), host, port)
                for _ in range(self._load.connections)
            )
        )
        cpu_before = time.process_time()
        self._began_at = self._ended_at = time.perf_counter()
        if self._load.requests_per_s:
            self._allowed = 0
        for _, connection in connected:
            connection.send_next()
        try:
            async with asyncio.timeout(self._load.seconds_max):
                await self._wait_until_done()
        except TimeoutError:
            self._ended_at = time.perf_counter()  # silence at the end counts, too
        cpu_s = time.process_time() - cpu_before
        for transport, _ in connected:
            transport.abort()
        if self._bodies:
            self._bodies.close()
        ranked = sorted(self._took_ms) or [0.0]
        return LoadResult(
            answered=len(self._took_ms),
            statuses=dict(self._statuses),
            counted=self._counted,
            repeated=self._repeated,
            whole=len(self._took_ms) == self._due,
            failures=self._failures,
            connection_errors=self._connection_errors,
            wall_s=self._ended_at - self._began_at,
            cpu_s=cpu_s,
            p50_ms=ranked[len(ranked) // 2],
            p99_ms=ranked[int(len(ranked) * 0.99)],
            max_ms=ranked[-1],
        )

    def next_request(self, free: "_Connection") -> bytes | None:
        """Return what a free connection is to send; nothing: it rests, or its turn comes later."""
        if self._allowed < 1:
            self._free.append(free)
            return None
        if self._purchases:
            self._allowed -= 1
            return self._purchases.popleft()
        if not self._requests:
            return None
        self._allowed -= 1
        return self._requests.popleft()

    def answer(self, status: int, body: bytes, sent_at: float) -> None:
        """Count an answer, and queue what follows from it."""
        self._ended_at = time.perf_counter()
        self._took_ms.append((self._ended_at - sent_at) * 1000)
        self._statuses[status] += 1
        if status >= _FAILED and len(self._failures) < _BODIES_KEPT:
            self._failures.append(body[:_BODY_SHOWN].decode(errors="replace"))
        if self._counted_text:
            self._counted += body.count(self._counted_text)
        if self._bodies:
            self._bodies.write(body + b"\n")
        if self._purchase_head and status < _FAILED:
            self._follow_up(status, body)
        if len(self._took_ms) == self._due:
            self._done.set()

    def lose(self) -> None:
        """Count a connection that the server closed; without any, there is nothing to wait for."""
        self._connection_errors += 1
        if self._connection_errors == self._load.connections:
            self._done.set()

    async def _wait_until_done(self) -> None:
        """Wait for the last answer; where a rate is set, allow what has become due meanwhile."""
        rate = self._load.requests_per_s
        at = time.perf_counter()
        while rate and not self._done.is_set():
            await asyncio.sleep(_TICK_S)
            now = time.perf_counter()
            # What nobody was free to send is not caught up with.
            self._allowed = min(self._allowed + rate * (now - at), max(1.0, rate * _CATCH_UP_S))
            at = now
            for connection in [self._free.popleft() for _ in range(len(self._free))]:
                connection.send_next()
        await self._done.wait()

    def _follow_up(self, status: int, body: bytes) -> None:
        is_order = b'"order":"' in body
        if is_order and status != _RECORDING:
            return
        found = _HOLD.search(body)
        if found is None:
            msg = f"an answer without a hold: {body[:_BODY_SHOWN]!r}"
            raise ValueError(msg)
        content = b'{"hold":"%b","payment_reference":"bench"}' % found[1]
        head = b"%bbuy-%b\r\nContent-Length: %d\r\n\r\n"
        self._purchases.append(head % (self._purchase_head, found[1], len(content)) + content)
        self._due += 1
        self._repeated += is_order


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's interface
        self._sender.lose()

    def send_next(self) -> None:
        request = self._sender.next_request(self)
        if request is not None and self._transport is not None:
            self._sent_at = time.perf_counter()
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_ends = self._received.find(_HEAD_ENDS)
        if head_ends < 0:
            return
        length = _LENGTH.search(self._received, 0, head_ends)
        body_at = head_ends + len(_HEAD_ENDS)
        body_ends = body_at + (int(length[1]) if length else 0)
        if len(self._received) < body_ends:
            return
        status, body = int(self._received[9:12]), self._received[body_at:body_ends]
        self._received = b""
        self._sender.answer(status, body, self._sent_at)
        self.send_next()


async def _send(load: Load) -> LoadResult:
    return await Sender(load).send()


def main() -> None:
    """Do what standard input says."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load, dec_hook=_read_path)
    result = uvloop.run(_send(load))
    sys.stdout.buffer.write(msgspec.json.encode(result) + b"\n")


def _read_path(kind: type, value: str) -> Path:
    if kind is not Path:
        msg = f"a Load has no {kind}"
        raise NotImplementedError(msg)
    return Path(value)


if __name__ == "__main__":
    main()
