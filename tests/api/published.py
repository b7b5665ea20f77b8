"""An event that everybody can look at: rows of the ledger, put there by hand."""

import asyncio
import time
from datetime import UTC, date, datetime
from typing import Any

import httpx
from msgspec import Struct
from sqlalchemy import insert, select, update

from engine.platform.database import create_engine
from engine.platform.ids import Ids, Prefix, new_entity_id
from engine.platform.settings import OWNER_ROLE, Settings
from engine.platform.tables import (
    configuration_versions,
    configurations,
    event_performers,
    events,
    metadata,
    performers,
    shows,
    venues,
)
from ops.stack import Stack
from tests.api.by_hand import change_by_hand
from tests.api.conftest import new_key
from tests.api.front_desk import FrontDesk

WITHIN_S = 20
_PICTURE = {"url": "https://cdn.example/light.jpg", "alt": "A stage", "credit": "Ada"}
Rows = list[tuple[Any, dict[str, Any]]]


class Published(Struct, frozen=True):
    """A public event with one show, of a performer's, at a venue."""

    settings: Settings
    http: httpx.Client
    desk: FrontDesk
    reseller: str
    rows: dict[str, int]
    ids: dict[str, str]

    def address(self, kind: str, tail: str = "calendar.ics") -> str:
        """Return where something of it is."""
        return f"/v1/{kind}s/{self.ids[kind]}/{tail}"

    def addresses(self) -> list[str]:
        """Return all that names it."""
        kinds = ("show", "event", "performer", "venue")
        event = self.ids["event"]
        return [
            *(self.address(kind) for kind in kinds),
            f"/v1/events/{event}/schema.json",
            f"/events/{event}",
        ]

    def change(self, table: str, one: int, **values: object) -> None:
        """Change a row, as its owner could."""
        changed = metadata.tables[table]
        statement = update(changed).where(changed.c.id == one).values(**values)
        change_by_hand(self.settings, statement)

    def until(self, address: str, status: int) -> httpx.Response:
        """Wait until an address is answered so."""
        return until(self.http, address, status)

    def new_show(self, **values: object) -> str:
        """Give the event another show."""
        desk = self.desk.new_show(duration_min=None)
        change_by_hand(self.settings, self.named(desk.id, **values))
        return desk.id

    def named(self, show: str, **values: object) -> Any:  # noqa: ANN401 -- SQL
        """Return what makes a show one of the event's."""
        one = int(show.rpartition("_")[2], 16)
        told = {"event_id": self.rows["event"], **values}
        return update(shows).where(shows.c.id == one).values(**told)


def until(http: httpx.Client, address: str, status: int) -> httpx.Response:
    """Wait until an address is answered so: a worker lists what has changed."""
    ends = time.monotonic() + WITHIN_S
    while (answer := http.get(address)).status_code != status:
        assert time.monotonic() < ends, (address, answer.status_code, answer.text)
        time.sleep(0.1)
    return answer


def once(http: httpx.Client, address: str, text: bytes) -> httpx.Response:
    """Wait until an answer has a text."""
    ends = time.monotonic() + WITHIN_S
    while text not in (answer := http.get(address)).content:
        assert time.monotonic() < ends, (text, address, answer.text)
        time.sleep(0.1)
    return answer


async def _reseller_of(settings: Settings, show: int) -> tuple[int, int]:
    engine = create_engine(settings, OWNER_ROLE)
    try:
        async with engine.begin() as connection:
            of = select(shows.c.reseller_id, shows.c.manifest_id).where(shows.c.id == show)
            row = (await connection.execute(of)).one()
    finally:
        await engine.dispose()
    return row[0], row[1]


def publish(stack: Stack, http: httpx.Client, name: str = "First Light") -> Published:
    """Make one, and wait until it is listed."""
    key = asyncio.run(new_key(stack.settings, "Erfurt Tickets"))
    desk = FrontDesk(stack.base_url, key)
    show = desk.new_show(name=name, starts_at="2099-07-01T18:00:00Z")
    show_id = int(show.id.rpartition("_")[2], 16)
    reseller, manifest = asyncio.run(_reseller_of(stack.settings, show_id))
    rows: dict[str, int] = {
        kind: new_entity_id() for kind in ("venue", "performer", "event", "configuration")
    }
    rows["show"] = show_id
    ids = Ids(stack.settings.region, bytes(16))
    told = {
        kind: ids.entity(Prefix[kind.upper()], rows[kind])
        for kind in ("venue", "performer", "event", "show")
    }
    made = Published(stack.settings, http, desk, ids.entity(Prefix.RESELLER, reseller), rows, told)
    change_by_hand(
        stack.settings,
        *_statements(rows, reseller, manifest, name),
        made.named(
            show.id,
            configuration_id=rows["configuration"],
            configuration_version=1,
            duration_min=120,
            doors_at=datetime(2099, 7, 1, 17, tzinfo=UTC),
        ),
    )
    for address in made.addresses():
        once(http, address, b"Riethsporthalle")
    return made


def _statements(rows: dict[str, int], reseller: int, manifest: int, name: str) -> list[Any]:
    address = {"line_1": "Essener Str. 20", "postal_code": "99089", "city": "Erfurt"}
    venue = {"name": "Riethsporthalle", "address": address, "city": "Erfurt", "country": "DE"}
    place = {"latitude": 50.9989, "longitude": 11.0112, "time_zone": "Europe/Berlin"}
    version = {"version": 1, "manifest_id": manifest, "valid_from": date(2020, 1, 1), "capacity": 9}
    promoted = {"type": "concert", "description": "An evening.", "age_min": 16}
    of = {"configuration_id": rows["configuration"]}
    made: Rows = [
        (venues, {"id": rows["venue"], **venue, **place}),
        (
            configurations,
            {"id": rows["configuration"], "venue_id": rows["venue"], "name": "Seated"},
        ),
        (configuration_versions, {**of, **version}),
        (performers, {"id": rows["performer"], "name": "Ada Abendroth"}),
        (
            events,
            {
                "id": rows["event"],
                "name": name,
                **promoted,
                "languages": ["de"],
                "pictures": [_PICTURE],
            },
        ),
        (
            event_performers,
            {"event_id": rows["event"], "billing_no": 1, "performer_id": rows["performer"]},
        ),
    ]
    return [insert(table).values(**row, reseller_id=reseller) for table, row in made]
