"""A public show, as tests of what is written of it take one."""

from datetime import UTC, datetime
from typing import Any

from engine.catalog.interchange.shown import Place, ShownShow
from engine.catalog.pages import PublicAddress

SITE = "https://tickets.example"
EVENT = "evt_dev_1f0a9c3355d2e87c"
SHOW = "shw_dev_00f3a1c05e9b7d24"


def hall(**changes: Any) -> Place:  # noqa: ANN401 -- any field
    """Return a place."""
    told: dict[str, Any] = {
        "name": "Riethsporthalle",
        "venue": "ven_dev_1f0a9c3355d2e87a",
        "address": PublicAddress(line_1="Essener Str. 20", postal_code="99089", city="Erfurt"),
        "country": "DE",
        "latitude": 50.9989,
        "longitude": 11.0112,
    }
    return Place(**{**told, **changes})


def shown(**changes: Any) -> ShownShow:  # noqa: ANN401 -- any field
    """Return a show in summer, 120 minutes long, on sale."""
    told: dict[str, Any] = {
        "show": SHOW,
        "name": "First Light",
        "state": "on_sale",
        "starts_at": datetime(2027, 7, 1, 18, 0, tzinfo=UTC),
        "doors_at": datetime(2027, 7, 1, 17, 0, tzinfo=UTC),
        "duration_min": 120,
        "opens_at": datetime(2027, 1, 10, 9, 0, tzinfo=UTC),
        "changed_at": datetime(2026, 12, 1, 9, 0, tzinfo=UTC),
        "place": hall(),
        "time_zone": "Europe/Berlin",
        "event": EVENT,
        "event_name": "First Light",
        "type": "concert",
        "performers": ("Ada Abendroth", "The Kettles"),
        "price_min": 4500,
        "price_max": 9500,
        "available": 120,
        "reseller": "Erfurt Tickets",
    }
    return ShownShow(**{**told, **changes})
