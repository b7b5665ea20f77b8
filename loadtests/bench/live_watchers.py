"""Thousands of watchers of live seats in one process: raw sockets, nothing decoded while it counts.

`python -m loadtests.bench.live_watchers` reads a `Task` as a line of JSON and says `ready` when
each watcher has its snapshot. After the next line it counts and says `going`, after another it
counts no more and says `counted`, and after the last it tells its `Seen`.
The first few watchers keep what they are told, so that it can be compared with the truth.
"""

import resource
import select
import socket
import sys
import time
from collections import Counter
from typing import Final

import msgspec
from msgspec import Struct

KEPT: Final = 4
"""Watchers that keep what they are told."""

_READ_BYTES: Final = 256 * 1024
_AT_ONCE: Final = 100
_WAIT_S: Final = 0.05
_MS: Final = 1_000_000
_CONNECT_S: Final = 10.0
_ID: Final = b"\nid: "
_DELTA: Final = b"\nevent: delta\n"
_EVENT_ENDS: Final = b"\n\n\r\n"


class Task(Struct, frozen=True):
    """What is watched, and by how many."""

    host: str
    port: int
    target: str
    watchers: int
    addresses: int
    """Loopback addresses that they come from."""
    within_s: float
    """Each has its snapshot by then."""


class Seen(Struct, frozen=True):
    """What the watchers were told while it counted."""

    deltas: list[tuple[str, int, int]]
    """Sequence, ms since 1970, and to how many watchers that delta had come at that ms."""
    dropped: int
    """Until the end."""
    bytes: int
    cpu_s: float
    wall_s: float
    kept: list[str]
    """All that the first few were told, from the snapshot on."""


class _Watcher:
    __slots__ = ("connection", "is_ready", "kept", "part")

    def __init__(self, connection: socket.socket, kept: list[bytes] | None) -> None:
        self.connection = connection
        self.part = b""
        self.kept = kept
        self.is_ready = False


class Watchers:
    """All of them."""

    def __init__(self, task: Task) -> None:
        """Connect them."""
        raise_file_limit(task.watchers)
        self._task = task
        self._epoll = select.epoll()
        self._by_file: dict[int, _Watcher] = {}
        self._deltas: Counter[tuple[bytes, int]] = Counter()
        self._dropped = 0
        self._ready = 0
        self._bytes = 0
        self._kept: list[list[bytes]] = [[] for _ in range(min(KEPT, task.watchers))]
        self._cpu_s = self._wall_s = 0.0
        self._counts = False

    def open(self) -> None:
        """Connect, and wait until each has its snapshot."""
        task = self._task
        deadline = time.monotonic() + task.within_s
        for first in range(0, task.watchers, _AT_ONCE):
            for number in range(first, min(first + _AT_ONCE, task.watchers)):
                self._connect(number)
            wanted = min(first + _AT_ONCE, task.watchers)
            while self._ready + self._dropped < wanted:
                if time.monotonic() > deadline:
                    msg = f"only {self._ready} of {wanted} watchers had a snapshot in time"
                    raise TimeoutError(msg)
                self.read()

    def begin(self) -> None:
        """Count from now on."""
        self._counts = True
        self._cpu_s, self._wall_s = time.process_time(), time.monotonic()

    def end(self) -> None:
        """Count no more, and read on."""
        self._counts = False
        self._cpu_s = time.process_time() - self._cpu_s
        self._wall_s = time.monotonic() - self._wall_s

    def read(self) -> None:
        """Read what has come."""
        for file, _ in self._epoll.poll(_WAIT_S):
            watcher = self._by_file[file]
            try:
                data = watcher.connection.recv(_READ_BYTES)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if data:
                self._take(watcher, data)
            else:
                self._dropped += 1
                self._epoll.unregister(file)
                watcher.connection.close()
                del self._by_file[file]

    def seen(self) -> Seen:
        """Return what was counted."""
        deltas = [(at.decode(), ms, count) for (at, ms), count in self._deltas.items()]
        return Seen(
            deltas=deltas,
            dropped=self._dropped,
            bytes=self._bytes,
            cpu_s=self._cpu_s,
            wall_s=self._wall_s,
            kept=[b"".join(kept).decode() for kept in self._kept],
        )

    def _connect(self, number: int) -> None:
        task = self._task
        source = f"127.0.0.{1 + number % task.addresses}"
        connection = socket.create_connection(
            (task.host, task.port), _CONNECT_S, source_address=(source, 0)
        )
        head = f"GET {task.target} HTTP/1.1\r\nHost: {task.host}\r\n\r\n"
        connection.sendall(head.encode())
        connection.setblocking(False)  # noqa: FBT003 - the standard library's form
        kept = self._kept[number] if number < len(self._kept) else None
        self._by_file[connection.fileno()] = _Watcher(connection, kept)
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def _take(self, watcher: _Watcher, data: bytes) -> None:
        if watcher.kept is not None:
            watcher.kept.append(data)
        if watcher.part:
            data = watcher.part + data
        if not data.endswith(_EVENT_ENDS):
            watcher.part = data
            return
        watcher.part = b""
        if not watcher.is_ready and b"\nevent: snapshot\n" in data:
            watcher.is_ready = True
            self._ready += 1
        if not self._counts:
            return
        now_ms = time.time_ns() // _MS
        self._bytes += len(data)
        for event in data.split(_ID)[1:]:
            at, _, rest = event.partition(b"\n")
            if rest.startswith(_DELTA[1:]):
                self._deltas[at, now_ms] += 1


def raise_file_limit(wanted: int) -> None:
    """Let this process open so many files and some more, as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    more = wanted + 256
    if soft < more:
        limit = more if hard == resource.RLIM_INFINITY else min(more, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _main() -> None:
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    watchers = Watchers(task)
    watchers.open()
    _say("ready")
    asked = select.poll()
    asked.register(0, select.POLLIN)
    for word, act in (("going", watchers.begin), ("counted", watchers.end), ("", None)):
        while not asked.poll(0):
            watchers.read()
        sys.stdin.buffer.readline()
        if act is not None:
            act()
            _say(word)
    _say(msgspec.json.encode(watchers.seen()).decode())


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main()
