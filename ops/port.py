"""Finding a TCP port, and keeping it from others until the API listens and while it restarts."""

import errno
import socket
from contextlib import suppress
from typing import Final, Self

_TRIES: Final = 100


class PortTakenError(Exception):
    """Another program listens on the port, or another Onsale has reserved it."""


class Port:
    """A reserved TCP port: another `Port` on it is refused, our own API may listen on it.

    Granian sets SO_REUSEPORT, with which two copies of ours could share a port without noticing.
    So the port is first taken without it, which fails if anybody has it; then the option is turned
    on, which lets Granian join; and the socket no longer listens, so that no connection ends here.
    """

    def __init__(self, host: str, number: int) -> None:
        """Reserve port `number`; 0 lets the system choose a free one.

        Raises:
            PortTakenError: somebody else has it.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family)
        try:
            # Without this, connections that ended a minute ago count as somebody who has it.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # The kernel takes back a port that it chose itself once the socket stops listening.
            self._socket.bind((host, number or _any_free(host, family)))
            self._socket.listen(1)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with suppress(OSError):  # where a listening socket can't be shut down, it just waits
                self._socket.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            self._socket.close()
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                msg = f"port {number} on {host}: {error.strerror}"
                raise PortTakenError(msg) from error
            raise
        self.number: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give it back."""
        self._socket.close()

    def __enter__(self) -> Self:
        """Return the port itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.close()


def _any_free(host: str, family: socket.AddressFamily) -> int:
    with socket.socket(family) as chosen:
        chosen.bind((host, 0))
        return int(chosen.getsockname()[1])


def first_free(host: str, preferred: int) -> Port:
    """Reserve the preferred port or the next free one.

    Raises:
        PortTakenError: a hundred ports in a row are taken.
    """
    for number in range(preferred, min(preferred + _TRIES, 65_536)):
        with suppress(PortTakenError):
            return Port(host, number)
    msg = f"ports {preferred} to {preferred + _TRIES - 1} on {host} are all taken"
    raise PortTakenError(msg)
