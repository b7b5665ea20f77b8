"""Which addresses may be told: none that leads into our own network (SSRF).

Checked three times: the URL when it is set, the addresses that its name resolves to, and the very
address of each socket that is opened, so that a name which changes in between (DNS rebinding)
leads nowhere. The addresses are those of IANA's special-purpose registries (RFC 6890).
"""

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

URL_CHARACTERS_MAX: Final = 1000

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Name = tuple[str, int, socket.AddressFamily]
_SocketInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]

_NETWORKS_REFUSED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        # An Azure host's wire server: public by its number, and only that.
        "168.63.129.16/32",
    )
)
# Of IPv6 only what is handed out for the Internet, and of that not what stands for something else:
# protocol assignments with Teredo and ORCHID, documentation, 6to4, and SRv6's.
_INTERNET: Final = ipaddress.ip_network("2000::/3")
_WITHIN_REFUSED: Final = tuple(
    ipaddress.ip_network(network)
    for network in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)

_HTTPS_PORT: Final = 443
_PORT_MIN: Final = 1024
_PORTS_REFUSED: Final = frozenset(
    {
        *(1433, 1521, 2049, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4001, 4194, 5432, 5601),
        *(5672, 5900, 5984, 5985, 5986, 6000, 6379, 6380, 6443, 6667, 7001, 8500, 8600, 9042),
        *(9092, 9200, 9300, 10_250, 10_255, 10_256, 11_211, 15_672, 26_379, 27_017, 27_018),
    }
)
_LOOK_UPS_MAX: Final = 256


class AddressRefusedError(OSError):
    """An address that must not be told."""

    def __init__(self) -> None:
        """Say so, and no more: what is inside our own network is nobody's business."""
        super().__init__("its address is not on the public Internet")


def find_url_fault(text: str, *, private: bool) -> str | None:
    """Return why no endpoint may have this URL; None: it may.

    `private` lets loopback pass, and `http` to it: for tests and development only.
    """
    url = _read_url(text)
    if isinstance(url, str):
        return url
    host = url.host or ""
    address = _literal(host)
    is_own = private and (host == "localhost" or (address is not None and address.is_loopback))
    if is_own and url.scheme in {"http", "https"}:
        return None
    if url.scheme != "https":
        return "must begin with https://"
    if address is not None and not is_allowed(address, private=private):
        return "must have an address on the public Internet"
    if address is None and ("." not in host.strip(".") or _is_internal(host)):
        return "must have a host's name on the public Internet"
    return _find_port_fault(url.port or 0)


def _find_port_fault(port: int) -> str | None:
    if port != _HTTPS_PORT and (port < _PORT_MIN or port in _PORTS_REFUSED):
        return f"must be at port 443, or at one from {_PORT_MIN} on; {port} is refused"
    return None


def is_allowed(address: Address, *, private: bool) -> bool:
    """Tell whether an IP address is on the Internet, or loopback where that passes."""
    if private and address.is_loopback:
        return True
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in _NETWORKS_REFUSED)
    is_global = address.scope_id is None and address in _INTERNET
    return is_global and not any(address in network for network in _WITHIN_REFUSED)


def _check(where: str, *, private: bool) -> None:
    address = _literal(where)
    if address is None or not is_allowed(address, private=private):
        raise AddressRefusedError


def open_checked_socket(info: _SocketInfo, *, private: bool) -> socket.socket:
    """Open a socket for the address that aiohttp is about to connect to, once it is checked.

    Raises:
        AddressRefusedError: it is refused.
    """
    family, kind, protocol, _, where = info
    _check(where[0], private=private)
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
            _check(where, private=self._private)
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


def _read_url(text: str) -> URL | str:
    """Return a URL, or why it is none that two parsers would read alike."""
    if len(text) > URL_CHARACTERS_MAX:
        return f"must have at most {URL_CHARACTERS_MAX} characters"
    # A backslash is a slash to some, and white space is cut out by others.
    if not text.isascii() or not text.isprintable() or " " in text or "\\" in text:
        return "must be visible ASCII without a backslash"
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError:  # the host too is read only here: as IDNA it may be none
        return "must be a URL"
    if not host or port is None:
        return "must be a URL with a host"
    if "@" in url.raw_authority or "#" in text:
        return "must have neither a user, a password nor a fragment"
    return url


def _is_internal(host: str) -> bool:
    """Tell whether a name is one of a private network, or a number in disguise."""
    last = host.rstrip(".").rpartition(".")[2].lower()
    # The last label of a public name is never a number (RFC 3696): 0x7f.1 and 127.1 are addresses.
    return last in _INTERNAL_DOMAINS or last[:1].isdigit()


_INTERNAL_DOMAINS: Final = frozenset(
    {"local", "localhost", "internal", "intranet", "lan", "home", "corp", "private", "test"}
    | {"invalid", "example", "arpa", "onion", "localdomain", "cluster"}
)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
