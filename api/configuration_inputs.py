"""What resellers may send about configurations and their versions."""

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, UnsetType, field

from api.catalog_inputs import CatalogName, Description, kept_name, kept_text, told_faults
from api.inputs import Body, Name
from api.problems import Fault
from engine.catalog.compact_table import TABLE_CHARACTERS_MAX
from engine.catalog.configurations import ConfigurationChanges, NewConfiguration
from engine.catalog.plan_edits import EDITS_MAX, PlanEdit
from engine.catalog.texts import line_fault

_NOTE_CHARACTERS_MAX: Final = 300
_YEAR_MIN: Final = 2000
_YEAR_MAX: Final = 2200

VersionNo = Annotated[int, Meta(ge=1, le=1_000_000)]
Day = Annotated[
    date,
    Meta(
        description="The first day, at the venue, of shows that it is for; left out: today.",
        examples=["2027-01-01"],
    ),
]
Note = Annotated[
    str,
    Meta(
        description="What is new, for your own people.",
        extra_json_schema={"maxLength": _NOTE_CHARACTERS_MAX},
        examples=["first tier removed"],
    ),
]
Table = Annotated[
    str,
    Meta(
        max_length=TABLE_CHARACTERS_MAX,
        description="A compact table, as CSV with a header: `section,row,from,to,category` for "
        "seats, `area,capacity,category` for areas.",
        examples=["section,row,from,to,category\nStalls,1,1,20,Standard\nStalls,2,1,22,Standard\n"],
    ),
]
Edits = Annotated[
    list[PlanEdit],
    Meta(
        min_length=1,
        max_length=EDITS_MAX,
        description="Small edits of a version that there is, done in their order, all or none.",
    ),
]
BasedOn = Annotated[
    VersionNo, Meta(description="The version that `edits` are of; left out: the last.")
]


class PlanSource(Body, frozen=True, kw_only=True):
    """Where a plan comes from: one of `plan` (docs/SEATING_PLANS.md), `table` and `edits`."""

    plan: Raw = field(default_factory=Raw)
    table: Table | UnsetType = UNSET
    table_name: Name | UnsetType = UNSET
    edits: Edits | UnsetType = UNSET
    based_on: BasedOn | UnsetType = UNSET

    def has_plan(self) -> bool:
        """Tell whether the plan itself was sent."""
        return bool(bytes(self.plan))

    def named(self) -> list[str]:
        """Return which ways were taken: there should be one."""
        return [
            name
            for name, there in (
                ("plan", self.has_plan()),
                ("table", self.table is not UNSET),
                ("edits", self.edits is not UNSET),
            )
            if there
        ]

    def faults(self) -> Sequence[Fault]:
        """List all that is wrong."""
        return list(self.source_faults())

    def source_faults(self) -> Iterator[Fault]:
        """Yield what is wrong with where the plan comes from."""
        if len(self.named()) != 1:
            yield Fault(f"name one of {', '.join(self.ways())}", pointer="")
        if self.based_on is not UNSET and self.edits is UNSET:
            yield Fault("is of edits alone", pointer="/based_on")
        if self.table_name is not UNSET and self.table is UNSET:
            yield Fault("is of a table alone", pointer="/table_name")

    def ways(self) -> Sequence[str]:
        """Return the members that a plan can come from."""
        return "plan", "table", "edits"


class VersionBody(PlanSource, frozen=True, kw_only=True):
    """A version to add: one of `plan`, `table` and `edits`.

    `table_name` is what the plan of a table is called; left out: as the configuration.
    """

    valid_from: Day | UnsetType = UNSET
    note: Note = ""

    def faults(self) -> Sequence[Fault]:
        """List all that is wrong."""
        return [
            *self.source_faults(),
            *_day_faults(self.valid_from),
            *_note_faults(self.note),
        ]


class ChangeBody(PlanSource, frozen=True, kw_only=True):
    """A change to look for conflicts of: one of `plan`, `table`, `edits` and `version`."""

    version: (
        Annotated[VersionNo, Meta(description="A version that the configuration has.")] | UnsetType
    ) = UNSET

    def named(self) -> list[str]:
        """Return which ways were taken: there should be one."""
        return [*PlanSource.named(self), *([] if self.version is UNSET else ["version"])]

    def ways(self) -> Sequence[str]:
        """Return the members that a plan can come from."""
        return "plan", "table", "edits", "version"


class ConfigurationBody(Body, frozen=True, kw_only=True):
    """A way to set a venue up; its versions are added then."""

    name: CatalogName
    description: Description = ""

    def faults(self) -> Sequence[Fault]:
        """List all that is wrong."""
        return list(told_faults(self.name, self.description, UNSET))

    def new(self) -> NewConfiguration:
        """Return it in the engine's words, once nothing is wrong with it."""
        return NewConfiguration(
            name=str(kept_name(self.name)), description=kept_text(self.description) or ""
        )


class CopyBody(ConfigurationBody, frozen=True, kw_only=True):
    """A copy to make; it begins with the version that is named, else with the last."""

    version: VersionNo | UnsetType = UNSET
    valid_from: Day | UnsetType = UNSET

    def faults(self) -> Sequence[Fault]:
        """List all that is wrong."""
        return [*ConfigurationBody.faults(self), *_day_faults(self.valid_from)]


class ConfigurationChangeBody(Body, frozen=True, kw_only=True):
    """What is to be changed of a configuration; what is left out stays, and null clears."""

    name: CatalogName | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET

    def faults(self) -> Sequence[Fault]:
        """List all that is wrong."""
        return list(told_faults(self.name, self.description, UNSET))

    def changes(self) -> ConfigurationChanges:
        """Return them in the engine's words, once nothing is wrong with them."""
        return ConfigurationChanges(
            name=kept_name(self.name), description=kept_text(self.description)
        )


def _day_faults(day: date | UnsetType) -> Iterator[Fault]:
    if day is not UNSET and not _YEAR_MIN <= day.year <= _YEAR_MAX:
        yield Fault(f"the year must be {_YEAR_MIN} to {_YEAR_MAX}", pointer="/valid_from")


def _note_faults(note: str) -> Iterator[Fault]:
    reason = line_fault(note, characters_max=_NOTE_CHARACTERS_MAX)
    if reason is not None:
        yield Fault(reason, pointer="/note")
