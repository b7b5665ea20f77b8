"""What clients have not read: the server takes all that it is sent, and tells nobody.

So the kernel is asked how many bytes the clients of all connections have acknowledged, in one dump
(sock_diag(7); `tcpi_bytes_acked` of linux/tcp.h, Linux 4.1 or later). Who does not read is cut off:
the connection is found among the process' own by who is at its other end, and shut down; the server
finds out as if its client had gone.
"""

import os
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_OPEN_FILES: Final = Path("/proc/self/fd")
_CHUNK_ENDS: Final = 4

# linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h
_NETLINK_SOCK_DIAG: Final = 4
_DUMP_BY_FAMILY: Final = 20
_REQUEST_DUMP: Final = 0x301
_DONE: Final = 3
_ERROR: Final = 2
_WITH_TCP_INFO: Final = 1 << 1
_TCP_INFO: Final = 2
_OPEN_STATES: Final = 1 << 1 | 1 << 8  # established; the client sends no more
_HEAD: Final = struct.Struct("=IHHII")
_REQUEST: Final = struct.Struct("=BBBxI")
_ATTRIBUTE: Final = struct.Struct("=HH")
_COUNT: Final = struct.Struct("=Q")
_ID_BYTES: Final = 48
_PEER_PORT_AT: Final = _HEAD.size + 4 + 2
_PEER_AT: Final = _HEAD.size + 4 + 4 + 16
_ATTRIBUTES_AT: Final = _HEAD.size + 72
_ACKED_AT: Final = 120
_ALIGN: Final = 4
_RECEIVE_BYTES: Final = 256 * 1024
_TIMEOUT_S: Final = 2.0
_AT_ONCE: Final = struct.pack("=ii", 1, 0)
_MAPPED: Final = bytes(10) + b"\xff\xff"

Peer = bytes
"""Who is at the other end: their address and port, packed."""


def peer_of(client: str) -> Peer:
    """Read `127.0.0.1:80` or `[::1]:80`; what is neither is nobody's."""
    host, _, port = client.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return _peer(socket.inet_pton(family, host), int(port))
    except (OSError, ValueError):
        return b""


def bytes_on_wire(content: bytes) -> int:
    """Return what a part of an answer takes as a chunk of HTTP/1.1."""
    return len(content) + len(f"{len(content):x}") + _CHUNK_ENDS


def read_acknowledged(port: int) -> dict[Peer, int]:
    """Return how many bytes each client at this port of this machine has acknowledged so far.

    Raises:
        OSError: the system does not tell.
    """
    found: dict[Peer, int] = {}
    if sys.platform != "linux":
        msg = "only Linux tells what was acknowledged"
        raise OSError(msg)
    for family in (socket.AF_INET, socket.AF_INET6):
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as asking:
            asking.settimeout(_TIMEOUT_S)
            asking.send(_dump_request(family, port))
            while _read_dump(asking.recv(_RECEIVE_BYTES), family, found):
                pass
    return found


def cut_off(peers: Iterable[Peer]) -> None:
    """End the connections of these clients."""
    wanted = set(peers)
    for name in os.listdir(_OPEN_FILES):  # noqa: PTH208 - ten thousand of them, as fast as can be
        with suppress(OSError):
            # The same connection, whatever becomes of the number meanwhile.
            _cut_off_one(os.dup(int(name)), wanted)


def _cut_off_one(file: int, wanted: set[Peer]) -> None:
    try:
        connection = socket.socket(fileno=file)
    except OSError:  # another kind of file
        os.close(file)
        return
    with connection:
        if connection.family in {socket.AF_INET, socket.AF_INET6}:
            host, port = connection.getpeername()[:2]
            if peer_of(f"[{host}]:{port}") in wanted:
                # Without lingering: the system need not keep for them what they do not read.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                connection.shutdown(socket.SHUT_RDWR)


def _peer(address: bytes, port: int) -> Peer:
    return address.removeprefix(_MAPPED) + port.to_bytes(2, "big")


def _dump_request(family: int, port: int) -> bytes:
    body = _REQUEST.pack(family, socket.IPPROTO_TCP, _WITH_TCP_INFO, _OPEN_STATES)
    body += port.to_bytes(2, "big") + bytes(_ID_BYTES - 2)
    return _HEAD.pack(_HEAD.size + len(body), _DUMP_BY_FAMILY, _REQUEST_DUMP, 0, 0) + body


def _read_dump(part: bytes, family: int, found: dict[Peer, int]) -> bool:
    """Read a part of a dump; return whether there is more."""
    at = 0
    size = 4 if family == socket.AF_INET else 16
    while at < len(part):
        length, kind, *_ = _HEAD.unpack_from(part, at)
        if kind == _DONE:
            return False
        if kind == _ERROR or length < _HEAD.size:
            msg = "the system refuses to tell what was acknowledged"
            raise OSError(msg)
        acknowledged = _acknowledged(part, at + _ATTRIBUTES_AT, at + length)
        if acknowledged is not None:
            address = part[at + _PEER_AT : at + _PEER_AT + size]
            port = int.from_bytes(part[at + _PEER_PORT_AT : at + _PEER_PORT_AT + 2], "big")
            found[_peer(address, port)] = acknowledged
        at += _aligned(length)
    return True


def _acknowledged(part: bytes, at: int, end: int) -> int | None:
    while at + _ATTRIBUTE.size <= end:
        length, kind = _ATTRIBUTE.unpack_from(part, at)
        if kind == _TCP_INFO and length >= _ATTRIBUTE.size + _ACKED_AT + _COUNT.size:
            (acknowledged,) = _COUNT.unpack_from(part, at + _ATTRIBUTE.size + _ACKED_AT)
            return acknowledged
        if length < _ATTRIBUTE.size:
            return None
        at += _aligned(length)
    return None


def _aligned(length: int) -> int:
    return -(-length // _ALIGN) * _ALIGN
