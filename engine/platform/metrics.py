"""What the workers count, for Prometheus to read: docs/SETTINGS.md says where."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

_LOOPBACK: Final = "127.0.0.1"

# Not the library's own, which adds what it finds out about the process.
_REGISTRY: Final = CollectorRegistry()

CONFLICTS: Final = Counter(
    "onsale_conflicts",
    "Orders that were not recorded because another order has a place of them.",
    registry=_REGISTRY,
)
STRANDED_FACTS: Final = Counter(
    "onsale_stranded_facts",
    "Facts that can't become orders, and were kept with the reason.",
    registry=_REGISTRY,
)
RECOVERIES: Final = Counter(
    "onsale_recoveries", "Shows that were opened by a recovery.", registry=_REGISTRY
)
RECORD_BACKLOG: Final = Gauge(
    "onsale_record_backlog",
    "Sales that wait to be recorded, of the show that has the most.",
    registry=_REGISTRY,
)


@contextmanager
def serve_metrics(port: int) -> Generator[None]:
    """Serve them on a port of this machine only, beside the event loop.

    Raises:
        OSError: the port is taken.
    """
    server, thread = start_http_server(port, addr=_LOOPBACK, registry=_REGISTRY)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=1)
