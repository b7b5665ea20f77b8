"""Which addresses may be told: none that leads into our own network (SSRF).

Checked three times: the URL when it is set, and in `engine.notify.resolving` the addresses that its
name resolves to and the very address of each socket that is opened, so that a name which changes in
between (DNS rebinding) leads nowhere. The addresses are those of IANA's special-purpose registries
(RFC 6890).
"""

import ipaddress
from typing import Final

from yarl import URL

URL_CHARACTERS_MAX: Final = 1000

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

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


def check_address(where: str, *, private: bool) -> None:
    """Let an IP address pass if it may be told.

    Raises:
        AddressRefusedError: it may not, or it is none.
    """
    address = _literal(where)
    if address is None or not is_allowed(address, private=private):
        raise AddressRefusedError


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
