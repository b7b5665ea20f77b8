"""What the waiting room's page reads of a request."""

from types import SimpleNamespace
from typing import cast

from web.visit import PageRequest, Visit


def test_every_line_of_who_was_forwarded_for_counts() -> None:
    """A proxy may add a line of its own: who stops at the first believes what anybody can send."""
    scope = {
        "headers": [
            (b"x-forwarded-for", b"203.0.113.9, 198.51.100.1"),
            (b"host", b"shop.example"),
            (b"x-forwarded-for", b"192.0.2.7"),
        ],
        "scheme": "https",
        "query_string": b"",
        "client": ("127.0.0.1", 80),
    }
    came_from = Visit(cast("PageRequest", SimpleNamespace(scope=scope)), "shw").came_from
    assert came_from.forwarded == "203.0.113.9, 198.51.100.1, 192.0.2.7"
    assert came_from.address == "127.0.0.1"
