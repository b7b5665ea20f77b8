"""What clients have not read: the server takes all that it is sent, and tells nobody.

So the kernel is asked how many bytes a connection's client has acknowledged (tcp(7), `TCP_INFO`;
Linux 4.1 or later). A connection is found among the process' own by who is at its other end, and
only looked at, or cut off; the server finds out as if its client had gone.
"""

import os
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

CAN_BE_TOLD: Final = sys.platform == "linux"

_OPEN_FILES: Final = Path("/proc/self/fd")
# struct tcp_info of linux/tcp.h: tcpi_bytes_acked.
_ACKED_AT: Final = 120
_INFO_BYTES: Final = 128
_CHUNK_ENDS: Final = 4

Peer = tuple[str, int]


def peer_of(client: str) -> Peer:
    """Read `127.0.0.1:80` or `[::1]:80`."""
    host, _, port = client.rpartition(":")
    return host.strip("[]"), int(port) if port.isdigit() else 0


def bytes_on_wire(content: bytes) -> int:
    """Return what a part of an answer takes as a chunk of HTTP/1.1."""
    return len(content) + len(f"{len(content):x}") + _CHUNK_ENDS


def find_connections(peers: Iterable[Peer], known: Iterable[int]) -> dict[Peer, int]:
    """Return the connections to these peers; `known` are files that need not be looked at."""
    wanted = set(peers)
    passed = set(known)
    found: dict[Peer, int] = {}
    for name in os.listdir(_OPEN_FILES):  # noqa: PTH208 - ten thousand of them, as fast as can be
        file = int(name)
        if file not in passed:
            peer = _peer_at(file)
            if peer in wanted:
                found[peer] = file
    return found


def read_acknowledged(file: int, peer: Peer) -> int | None:
    """Return how many bytes a client has acknowledged; None: it is not at this connection."""
    with suppress(OSError), _Looked(file) as looked:
        if looked.getpeername()[:2] == peer:
            info = looked.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
            (acknowledged,) = struct.unpack_from("=Q", info, _ACKED_AT)
            return acknowledged
    return None


def cut_off(file: int, peer: Peer) -> None:
    """End a client's connection, if it still is theirs."""
    with suppress(OSError):
        own = os.dup(file)  # the same connection, whatever becomes of the number meanwhile
        with socket.socket(fileno=own) as connection:
            if connection.getpeername()[:2] == peer:
                connection.shutdown(socket.SHUT_RDWR)


def _peer_at(file: int) -> Peer | None:
    with suppress(OSError), _Looked(file) as looked:
        return looked.getpeername()[:2]
    return None


class _Looked:
    """A connection of somebody else's: it is not closed afterwards."""

    def __init__(self, file: int) -> None:
        self._socket = socket.socket(fileno=file)

    def __enter__(self) -> socket.socket:
        return self._socket

    def __exit__(self, *_: object) -> None:
        self._socket.detach()
