"""Small edits of a seating plan, which make the next one: the shapes of the edits, and `edit_plan`.

They are done in their order, all of them or none. What is wrong with any is told at once, each by
its JSON pointer into the list. Of a seat, its label says which one; of a row or a zone, what the
plan calls it, where it calls no other so.
"""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from engine.catalog.plan_draft import Draft, DraftError
from engine.inventory.seating_plan import export_plan, read_plan
from engine.inventory.seating_plan_faults import (
    FAULTS_LISTED_MAX,
    Faults,
    PlanFault,
    SeatingPlanError,
    below,
)
from engine.inventory.seating_plan_format import (
    ROW_SEATS_MAX,
    Capacity,
    Label,
    Name,
    SeatingPlan,
    Word,
)

EDITS_MAX: Final = 1000
SEATS_NAMED_MAX: Final = 5000

SeatNo = Annotated[int, Meta(ge=0, le=999_999)]
Labels = Annotated[list[Label], Meta(min_length=1, max_length=SEATS_NAMED_MAX)]
LabelPrefix = Annotated[
    str,
    Meta(
        max_length=57,
        pattern=r"\A[^\x00-\x1f\x7f-\x9f]*\Z",
        description="What a seat's label has before its number; else as the row's other seats, or "
        "`<zone>-<row>-`.",
    ),
]


class _Edit(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="edit"):
    """One edit."""


class AddPlanRow(_Edit, frozen=True, kw_only=True, tag="add_row"):
    """Put a row of seats below the last of a zone; where there is no such zone, make it."""

    zone: Name
    row: Label
    first: SeatNo = 1
    last: SeatNo
    category: Name
    label_prefix: LabelPrefix | UnsetType = UNSET


class RemovePlanRow(_Edit, frozen=True, kw_only=True, tag="remove_row"):
    """Take a row away, with its seats."""

    zone: Name
    row: Label


class AddPlanSeats(_Edit, frozen=True, kw_only=True, tag="add_seats"):
    """Put seats behind the last of a row."""

    zone: Name
    row: Label
    first: SeatNo
    last: SeatNo
    category: Name
    label_prefix: LabelPrefix | UnsetType = UNSET


class RemovePlanSeats(_Edit, frozen=True, kw_only=True, tag="remove_seats"):
    """Take seats away; a row that has none left goes, too."""

    seats: Labels


class AddPlanCategory(_Edit, frozen=True, kw_only=True, tag="add_category"):
    """Make a category, the last in the plan's order."""

    name: Name
    color: Word | UnsetType = UNSET


class SetPlanCategory(_Edit, frozen=True, kw_only=True, tag="set_category"):
    """Put seats, whole rows of a zone, and areas in a category."""

    category: Name
    seats: Labels | UnsetType = UNSET
    zone: Name | UnsetType = UNSET
    rows: Annotated[list[Label], Meta(min_length=1, max_length=1000)] | UnsetType = UNSET
    areas: Annotated[list[Name], Meta(min_length=1, max_length=1000)] | UnsetType = UNSET


class AddPlanArea(_Edit, frozen=True, kw_only=True, tag="add_area"):
    """Make an area of general admission, in a zone of its own or below one's rows."""

    area: Label
    capacity: Capacity
    category: Name
    zone: Name | UnsetType = UNSET


class RemovePlanArea(_Edit, frozen=True, kw_only=True, tag="remove_area"):
    """Take an area away, named by its slug."""

    area: Name


class SetPlanCapacity(_Edit, frozen=True, kw_only=True, tag="set_capacity"):
    """Say how many an area takes, named by its slug."""

    area: Name
    capacity: Capacity


class SetSeatAttributes(_Edit, frozen=True, kw_only=True, tag="set_attributes"):
    """Say what is special about seats; what is left out stays, `null` clears."""

    seats: Labels
    accessible: bool | UnsetType | None = UNSET
    companion_of: Label | UnsetType | None = UNSET
    restricted_view: bool | UnsetType | None = UNSET


class SetZoneAttributes(_Edit, frozen=True, kw_only=True, tag="set_zone"):
    """Say by which entrance and gate a zone is reached; what is left out stays, `null` clears."""

    zone: Name
    entrance: Word | UnsetType | None = UNSET
    gate: Word | UnsetType | None = UNSET


PlanEdit = (
    AddPlanRow
    | RemovePlanRow
    | AddPlanSeats
    | RemovePlanSeats
    | AddPlanCategory
    | SetPlanCategory
    | AddPlanArea
    | RemovePlanArea
    | SetPlanCapacity
    | SetSeatAttributes
    | SetZoneAttributes
)


class PlanEditsError(ValueError):
    """The edits can't be done; `faults` point into their list, `""` is what comes of them all."""

    def __init__(self, faults: Sequence[PlanFault], more: int = 0) -> None:
        """Take at least one fault."""
        super().__init__("; ".join(f"{fault.pointer}: {fault.reason}" for fault in faults))
        self.faults = tuple(faults)
        self.more = more


def edit_plan(plan: SeatingPlan, edits: Sequence[PlanEdit]) -> SeatingPlan:
    """Return the plan that the edits make of one.

    Raises:
        PlanEditsError: with all that is wrong.
    """
    draft = Draft(plan)
    faults = Faults()
    for n, edit in enumerate(edits):
        try:
            _apply(draft, edit)
        except DraftError as error:
            for fault in error.faults:
                faults.add(below("", n) + fault.pointer, fault.reason)
    if not faults.count:
        try:
            # As it will be read again: its types have bounds, too.
            return read_plan(export_plan(draft.plan()))
        except SeatingPlanError as refusal:
            for fault in refusal.faults:
                faults.add("", f"then {fault.pointer or 'the plan'}: {fault.reason}")
    raise PlanEditsError(faults.listed[:FAULTS_LISTED_MAX], faults.count - len(faults.listed))


def _apply(draft: Draft, edit: PlanEdit) -> None:  # noqa: C901 - a table with a row an edit
    match edit:
        case AddPlanRow():
            _check_numbers(edit.first, edit.last)
            draft.add_row(
                edit.zone,
                edit.row,
                range(edit.first, edit.last + 1),
                edit.category,
                edit.label_prefix,
            )
        case RemovePlanRow():
            draft.remove_row(edit.zone, edit.row)
        case AddPlanSeats():
            _check_numbers(edit.first, edit.last)
            draft.add_seats(
                edit.zone,
                edit.row,
                range(edit.first, edit.last + 1),
                edit.category,
                edit.label_prefix,
            )
        case RemovePlanSeats():
            draft.remove_seats(edit.seats)
        case AddPlanCategory():
            draft.add_category(edit.name, edit.color)
        case SetPlanCategory():
            _set_category(draft, edit)
        case AddPlanArea():
            draft.add_area(edit.zone, edit.area, edit.capacity, edit.category)
        case RemovePlanArea():
            draft.remove_area(edit.area)
        case SetPlanCapacity():
            draft.set_capacity(edit.area, edit.capacity)
        case SetSeatAttributes():
            changes = {
                "accessible": edit.accessible,
                "companion_of": edit.companion_of,
                "restricted_view": edit.restricted_view,
            }
            draft.set_attributes(edit.seats, changes)
        case SetZoneAttributes():
            draft.set_zone(edit.zone, {"entrance": edit.entrance, "gate": edit.gate})


def _set_category(draft: Draft, edit: SetPlanCategory) -> None:
    if not (edit.seats or edit.rows or edit.areas):
        raise DraftError(PlanFault("", "name at least one of seats, rows and areas"))
    if (edit.zone is UNSET) != (edit.rows is UNSET):
        raise DraftError(PlanFault("/rows", "rows come with the zone that they are in"))
    draft.set_category(
        edit.category,
        seats=edit.seats or (),
        zone=edit.zone or "",
        rows=edit.rows or (),
        areas=edit.areas or (),
    )


def _check_numbers(first: int, last: int) -> None:
    if first > last:
        raise DraftError(PlanFault("/last", f"is less than first: {last} and {first}"))
    if last - first >= ROW_SEATS_MAX:
        raise DraftError(PlanFault("/last", f"a row has {ROW_SEATS_MAX} seats at most"))
