"""How a cluster is named: `redis+cluster://[user:password@]host:port,host:port[?options]`.

The nodes named are where to ask first; the others are learnt from them. With `rediss+cluster://`
every connection is by TLS. The options are those of a `redis://` URL.
"""

from typing import Final

from msgspec import Struct

CLUSTER_SCHEMES: Final = ("redis+cluster", "rediss+cluster")

_PORT_MAX: Final = 65_535


class Address(Struct, frozen=True, order=True):
    """Where a node answers."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as it stands in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ClusterUrl(Struct, frozen=True):
    """A cluster's URL in its parts."""

    scheme: str
    log_in: str
    """`user:password@`, or nothing."""
    seeds: tuple[Address, ...]
    query: str

    def of(self, address: Address) -> str:
        """Return the URL of one node."""
        query = f"?{self.query}" if self.query else ""
        return f"{self.scheme}://{self.log_in}{address}/0{query}"


def is_cluster_url(url: str) -> bool:
    """Tell whether a URL names a cluster, however well."""
    return url.partition("://")[0].lower() in CLUSTER_SCHEMES


def parse_cluster_url(url: str) -> ClusterUrl:
    """Read a cluster's URL.

    Raises:
        ValueError: it does not name nodes; the message names no password.
    """
    # By hand: the library takes several hosts, one in brackets, for one that is malformed.
    if not is_cluster_url(url):
        msg = f"a cluster's URL starts with one of {', '.join(s + '://' for s in CLUSTER_SCHEMES)}"
        raise ValueError(msg)
    scheme, _, rest = url.partition("://")
    place, _, query = rest.partition("?")
    place, _, database = place.partition("/")
    if database not in {"", "0"}:
        msg = f"a cluster has one database, without a name: take /{database} away"
        raise ValueError(msg)
    log_in, at, nodes = place.rpartition("@")
    seeds = tuple(parse_address(node) for node in nodes.split(","))
    return ClusterUrl(scheme.lower().partition("+")[0], log_in + at, seeds, query)


def parse_address(text: str) -> Address:
    """Read `host:port`; a host with colons may stand in brackets.

    Raises:
        ValueError: it is not that.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) <= _PORT_MAX:
        msg = f"{text!r} is not host:port; a cluster's nodes are named host:port,host:port,..."
        raise ValueError(msg)
    return Address(host, int(port))
