"""What clients send to edit the map that a show sells."""

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.inputs import BLOCKED_SEATS_MAX, NO_CONTROLS, Body, SeatLabel, Slug, repeated_seats
from api.problems import Fault
from engine.sales.editing import CAPACITY_MAX, EditKind, WantedEdit, WantedRow

EDITS_MAX: Final = 100
ROWS_MAX: Final = 1000

_RowName = Annotated[str, Meta(max_length=200)]

_SEATS: Final = ("seats", "rows")
_FIELDS: Final[dict[EditKind, tuple[str, ...]]] = {
    EditKind.MOVE_SEATS: (*_SEATS, "price_level"),
    EditKind.TAKE_OUT: _SEATS,
    EditKind.PUT_BACK: _SEATS,
    EditKind.MOVE_AREA: ("area", "price_level"),
    EditKind.SET_CAPACITY: ("area", "capacity"),
}


class RowInput(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A row of a zone as `GET /v1/shows/{show}/seats` names both, or a part of it.

    With `from` and `to`, numbers of two seats: these, and all between them.
    """

    zone: _RowName
    row: _RowName
    first: _RowName | UnsetType = msgspec.field(default=UNSET, name="from")
    last: _RowName | UnsetType = msgspec.field(default=UNSET, name="to")


class EditInput(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """One edit. `kind` says which of the other fields it has.

    `move_seats`, `take_out`, `put_back`: `seats`, `rows` or both. `move_area`, `set_capacity`:
    `area`. Those that move: `price_level`. `set_capacity`: `capacity`, sold places included.
    """

    kind: EditKind
    seats: Annotated[list[SeatLabel], Meta(max_length=BLOCKED_SEATS_MAX)] | UnsetType = UNSET
    rows: Annotated[list[RowInput], Meta(max_length=ROWS_MAX)] | UnsetType = UNSET
    area: Slug | UnsetType = UNSET
    price_level: Slug | UnsetType = UNSET
    capacity: Annotated[int, Meta(ge=0, le=CAPACITY_MAX)] | UnsetType = UNSET

    def wanted(self) -> WantedEdit:
        """Return it in the engine's words."""
        return WantedEdit(
            kind=self.kind,
            seats=self.seats or (),
            rows=[
                WantedRow(row.zone, row.row, row.first or None, row.last or None)
                for row in self.rows or ()
            ],
            area=self.area or "",
            price_level=self.price_level or "",
            capacity=self.capacity or 0,
        )

    def faults(self, pointer: str) -> list[Fault]:
        """List what does not fit its kind, below a pointer."""
        mine = _FIELDS[self.kind]
        faults = [
            Fault(f"does not go with {self.kind}", pointer=f"{pointer}/{name}")
            for name in ("seats", "rows", "area", "price_level", "capacity")
            if name not in mine and getattr(self, name) is not UNSET
        ]
        if mine[:2] == _SEATS and not self.seats and not self.rows:
            faults.append(Fault("name at least one of seats and rows", pointer=pointer))
        faults += [
            Fault(f"is needed for {self.kind}", pointer=f"{pointer}/{name}")
            for name in mine
            if name not in _SEATS and getattr(self, name) is UNSET
        ]
        faults += [
            Fault("from and to go together", pointer=f"{pointer}/rows/{n}")
            for n, row in enumerate(self.rows or ())
            if (row.first is UNSET) != (row.last is UNSET)
        ]
        repeated = repeated_seats(self.seats or [])
        return faults + [Fault(one.reason, pointer=f"{pointer}/seats") for one in repeated]


class EditsBody(Body, frozen=True, kw_only=True):
    """Edits that are done together, or not at all."""

    edits: Annotated[list[EditInput], Meta(min_length=1, max_length=EDITS_MAX)]
    reason: Annotated[str, Meta(max_length=200, pattern=NO_CONTROLS)] = ""
    inventory_version: (
        Annotated[
            int,
            Meta(
                ge=1,
                le=2**53,
                description="The one that you know: another's change since then is `409`.",
            ),
        ]
        | None
    ) = None

    def wanted(self) -> list[WantedEdit]:
        """Return the edits in the engine's words."""
        return [edit.wanted() for edit in self.edits]

    def told(self) -> list[dict[str, Any]]:
        """Return the edits as they are kept, to be told again."""
        return [msgspec.to_builtins(edit) for edit in self.edits]

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        return [fault for n, edit in enumerate(self.edits) for fault in edit.faults(f"/edits/{n}")]
