"""How allotments are told."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct

from api.allotment_inputs import AllottedPlaces
from api.availability import Counts
from engine.catalog.allotments import AllotmentRow
from engine.catalog.released import Released
from engine.inventory.availability import InventoryState
from engine.platform.ids import Ids, Prefix


class AllotmentAnswer(Struct, frozen=True, kw_only=True):
    """An allotment. `codes` says how many that all know; nothing can tell which."""

    allotment: str
    show: str
    name: str
    places: AllottedPlaces
    seats: int
    places_in_areas: int
    codes: int
    personal_codes: bool
    channels: list[str]
    resellers: list[str]
    begins_at: datetime | None
    ends_at: datetime | None
    inventory_version: int
    made_at: datetime
    ended_at: datetime | None
    ended_by: str | None


class AllotmentTold(AllotmentAnswer, frozen=True, kw_only=True):
    """An allotment, and how its places stand; of one that has ended, those that it had."""

    counts: Counts


class AllotmentPage(Struct, frozen=True):
    """A show's allotments, the newest first. `next_cursor` is null on the last page."""

    allotments: list[AllotmentAnswer]
    next_cursor: str | None


class ReceivedAllotment(Struct, frozen=True, kw_only=True):
    """Places of another reseller's show that you may sell, from `begins_at` to `ends_at`."""

    allotment: str
    released_by: str
    show: str
    show_name: str
    venue: str
    starts_at: datetime
    state: str
    name: str
    places: AllottedPlaces
    seats: int
    places_in_areas: int
    begins_at: datetime | None
    ends_at: datetime | None
    released_at: datetime
    ended_at: datetime | None


class ReceivedPage(Struct, frozen=True):
    """What was released to you, the newest first. `reseller` is your own id, to be told to others.

    `next_cursor` is null on the last page.
    """

    reseller: str
    allotments: list[ReceivedAllotment]
    next_cursor: str | None


class PersonalCode(Struct, frozen=True):
    """A code that is good for one buyer."""

    buyer: str
    code: str


class CodesAnswer(Struct, frozen=True):
    """Personal codes, in the order of the buyers."""

    codes: list[PersonalCode]


def tell_allotment(row: AllotmentRow, *, ids: Ids) -> AllotmentAnswer:
    """Tell an allotment."""
    return AllotmentAnswer(**_told(row, ids))


def tell_received(one: Released, ids: Ids) -> ReceivedAllotment:
    """Tell an allotment to whom it was released."""
    return ReceivedAllotment(
        allotment=ids.entity(Prefix.ALLOTMENT, one.id),
        released_by=ids.entity(Prefix.RESELLER, one.reseller_id),
        show=ids.entity(Prefix.SHOW, one.show_id),
        show_name=one.show_name,
        venue=one.venue,
        starts_at=one.starts_at,
        state=one.state,
        name=one.name,
        places=msgspec.convert(one.asked, AllottedPlaces),
        seats=one.seat_count,
        places_in_areas=one.place_count,
        begins_at=one.begins_at,
        ends_at=one.ends_at,
        released_at=one.created_at,
        ended_at=one.ended_at,
    )


def tell_standing(row: AllotmentRow, state: InventoryState, *, ids: Ids) -> AllotmentTold:
    """Tell an allotment, and how its places stand."""
    counted = state.count(row.seats, [share.share for share in row.shares])
    return AllotmentTold(**_told(row, ids), counts=Counts(**msgspec.structs.asdict(counted)))


def _told(row: AllotmentRow, ids: Ids) -> dict[str, Any]:
    return {
        "allotment": ids.entity(Prefix.ALLOTMENT, row.id),
        "show": ids.entity(Prefix.SHOW, row.show_id),
        "name": row.name,
        "places": msgspec.convert(row.asked, AllottedPlaces),
        "seats": row.seat_count,
        "places_in_areas": row.place_count,
        "codes": len(row.code_digests),
        "personal_codes": row.is_personal,
        "channels": row.channels,
        "resellers": [ids.entity(Prefix.RESELLER, one) for one in row.sellers],
        "begins_at": row.begins_at,
        "ends_at": row.ends_at,
        "inventory_version": row.inventory_version,
        "made_at": row.created_at,
        "ended_at": row.ended_at,
        "ended_by": row.ended_by,
    }
