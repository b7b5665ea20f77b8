"""Closes a server of asyncio so that whoever was let in just before is known, and can be closed."""

import asyncio
from typing import Final

_PASSES: Final = 4
"""Of the loop, from a connection that is let in to whoever serves it: two, and some to spare."""


async def stop_listening(server: asyncio.Server) -> None:
    """Let nobody in any more, and then close the server; what is connected stays so.

    A connection that was let in and is not yet told of when the server is closed fails within
    asyncio (CPython 3.11): its socket stays open until the garbage is collected.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    for _ in range(_PASSES):
        await asyncio.sleep(0)
    server.close()
