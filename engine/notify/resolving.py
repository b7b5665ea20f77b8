"""Opens connections to checked addresses only: those of names, and each socket's own."""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from engine.notify.addresses import check_address

_LOOK_UPS_MAX: Final = 256

_Name = tuple[str, int, socket.AddressFamily]
_SocketInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


def open_checked_socket(info: _SocketInfo, *, private: bool) -> socket.socket:
    """Open a socket for the address that aiohttp is about to connect to, once it is checked.

    Raises:
        AddressRefusedError: it is refused.
    """
    family, kind, protocol, _, where = info
    check_address(where[0], private=private)
    opened = socket.socket(family, kind, protocol)
    opened.setblocking(False)  # noqa: FBT003 - the library's
    return opened


class CheckedResolver(AbstractResolver):
    """Resolves names to public addresses only, in threads of its own.

    A name server that is silent keeps a thread for long: those that everybody shares must not be
    used up by it, and no name has more than one.
    """

    def __init__(self, *, private: bool) -> None:
        """Take whether loopback passes."""
        self._private = private
        self._threads = ThreadPoolExecutor(_LOOK_UPS_MAX, thread_name_prefix="webhook-names")
        self._under_way: dict[_Name, asyncio.Task[list[tuple[int, str]]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name.

        Raises:
            AddressRefusedError: one of them is refused: a name that leads inside at all is none
                of an honest receiver.
            OSError: the name does not resolve.
        """
        name = host, port, family
        asking = self._under_way.get(name)
        if asking is None:
            asking = self._under_way[name] = asyncio.create_task(self.look_up(*name))
            asking.add_done_callback(partial(self._end, name))
        # Who waits no longer leaves the thread with it to whoever asks next.
        found = await asyncio.shield(asking)
        results: list[ResolveResult] = []
        for kind, where in found:
            check_address(where, private=self._private)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=where,
                    port=port,
                    family=kind,
                    proto=0,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        return results

    def _end(self, name: _Name, asked: asyncio.Task[list[tuple[int, str]]]) -> None:
        self._under_way.pop(name, None)
        if not asked.cancelled():
            asked.exception()  # nobody may be left to hear it

    async def look_up(
        self, host: str, port: int, family: socket.AddressFamily
    ) -> list[tuple[int, str]]:
        """Return families and addresses of a name, unchecked. A test has its own."""

        def ask() -> list[tuple[int, str]]:
            infos = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
            return [(info[0], str(info[4][0])) for info in infos]

        return await asyncio.get_running_loop().run_in_executor(self._threads, ask)

    async def close(self) -> None:
        """Let go of the threads; one that still waits for a name server ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
