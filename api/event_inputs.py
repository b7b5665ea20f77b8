"""What resellers may send about events and performers."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType, field

from api.catalog_inputs import (
    CatalogName,
    Description,
    LinkPart,
    Links,
    PicturePart,
    Pictures,
    kept_links,
    kept_name,
    kept_pictures,
    kept_text,
    links_faults,
    told_faults,
    too_many,
)
from api.inputs import Body, Moment, years_out_of_bounds
from api.problems import Fault
from engine.catalog.events import EventChanges, EventType, NewEvent, Visibility
from engine.catalog.languages import TAG_CHARACTERS_MAX, language_tag
from engine.catalog.performers import NewPerformer, PerformerChanges
from engine.platform.ids import EntityId

PERFORMERS_MAX: Final = 100
LANGUAGES_MAX: Final = 20
AGE_MAX: Final = 99

TypeOfEvent = Annotated[
    str, Meta(extra_json_schema={"enum": [*EventType]}, examples=[EventType.CONCERT])
]
SeenBy = Annotated[
    str,
    Meta(
        description="Whether the public may see it at all.",
        extra_json_schema={"enum": [*Visibility]},
        examples=[Visibility.PUBLIC],
    ),
]
AgeMin = Annotated[
    int,
    Meta(
        description="Years that who comes must have.",
        extra_json_schema={"minimum": 0, "maximum": AGE_MAX},
        examples=[16],
    ),
]
Languages = Annotated[
    list[
        Annotated[
            str, Meta(extra_json_schema={"maxLength": TAG_CHARACTERS_MAX}, examples=["de", "en-GB"])
        ]
    ],
    Meta(
        description="BCP 47 tags of language, script and region; `zxx`: without words.",
        extra_json_schema={"maxItems": LANGUAGES_MAX},
    ),
]
Performers = Annotated[
    list[Annotated[str, Meta(max_length=64, examples=["prf_dev_1f0a9c3355d2e87d"])]],
    Meta(
        description="Ids of your performers, in billing order; replaced as a whole.",
        extra_json_schema={"maxItems": PERFORMERS_MAX},
    ),
]
PublicFrom = Annotated[
    Moment | None, Meta(description="The public sees it from then on; null: at once.")
]


class EventBody(Body, frozen=True, kw_only=True):
    """An event to promote."""

    name: CatalogName
    type: TypeOfEvent
    description: Description = ""
    pictures: Pictures = field(default_factory=list[PicturePart])
    age_min: AgeMin | None = None
    languages: Languages = field(default_factory=list[str])
    visibility: SeenBy = Visibility.PUBLIC
    public_from: PublicFrom = None
    performers: Performers = field(default_factory=list[str])

    def unfit(self) -> Iterator[Fault]:
        """Yield all that is wrong with it but for who its performers are."""
        yield from _event_faults(self)

    def new(self, performers: tuple[EntityId, ...]) -> NewEvent:
        """Return it in the engine's words, once nothing is wrong with it."""
        return NewEvent(
            name=str(kept_name(self.name)),
            type=EventType(self.type),
            description=kept_text(self.description) or "",
            pictures=kept_pictures(self.pictures) or (),
            age_min=self.age_min,
            languages=_kept_tags(self.languages) or (),
            visibility=Visibility(self.visibility),
            public_from=self.public_from,
            performers=performers,
        )


class EventChangeBody(Body, frozen=True, kw_only=True):
    """What is to be changed of an event; what is left out stays, and null clears."""

    name: CatalogName | UnsetType = UNSET
    type: TypeOfEvent | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    pictures: Pictures | UnsetType | None = UNSET
    age_min: AgeMin | UnsetType | None = UNSET
    languages: Languages | UnsetType | None = UNSET
    visibility: SeenBy | UnsetType = UNSET
    public_from: PublicFrom | UnsetType = UNSET
    performers: Performers | UnsetType | None = UNSET

    def unfit(self) -> Iterator[Fault]:
        """Yield all that is wrong with it but for who its performers are."""
        yield from _event_faults(self)

    def changes(self, performers: tuple[EntityId, ...]) -> EventChanges:
        """Return them in the engine's words, once nothing is wrong with them."""
        return EventChanges(
            name=kept_name(self.name),
            type=UNSET if self.type is UNSET else EventType(self.type),
            description=kept_text(self.description),
            pictures=kept_pictures(self.pictures),
            age_min=self.age_min,
            languages=_kept_tags(self.languages),
            visibility=UNSET if self.visibility is UNSET else Visibility(self.visibility),
            public_from=self.public_from,
            performers=UNSET if self.performers is UNSET else performers,
        )


class PerformerBody(Body, frozen=True, kw_only=True):
    """A performer, who can be billed on events then."""

    name: CatalogName
    description: Description = ""
    pictures: Pictures = field(default_factory=list[PicturePart])
    links: Links = field(default_factory=list[LinkPart])

    def faults(self) -> Sequence[Fault]:
        """List all that is wrong."""
        return _performer_faults(self.name, self.description, self.pictures, self.links)

    def new(self) -> NewPerformer:
        """Return it in the engine's words."""
        return NewPerformer(
            name=str(kept_name(self.name)),
            description=kept_text(self.description) or "",
            pictures=kept_pictures(self.pictures) or (),
            links=kept_links(self.links) or (),
        )


class PerformerChangeBody(Body, frozen=True, kw_only=True):
    """What is to be changed of a performer; what is left out stays, and null clears."""

    name: CatalogName | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    pictures: Pictures | UnsetType | None = UNSET
    links: Links | UnsetType | None = UNSET

    def faults(self) -> Sequence[Fault]:
        """List all that is wrong."""
        return _performer_faults(self.name, self.description, self.pictures, self.links)

    def changes(self) -> PerformerChanges:
        """Return them in the engine's words."""
        return PerformerChanges(
            name=kept_name(self.name),
            description=kept_text(self.description),
            pictures=kept_pictures(self.pictures),
            links=kept_links(self.links),
        )


def _performer_faults(
    name: str | UnsetType,
    description: str | UnsetType | None,
    pictures: list[PicturePart] | UnsetType | None,
    links: list[LinkPart] | UnsetType | None,
) -> list[Fault]:
    return [*told_faults(name, description, pictures), *links_faults(links)]


def _event_faults(told: EventBody | EventChangeBody) -> Iterator[Fault]:
    yield from told_faults(told.name, told.description, told.pictures)
    yield from _choice_faults("/type", told.type, EventType)
    yield from _choice_faults("/visibility", told.visibility, Visibility)
    age = told.age_min
    if isinstance(age, int) and not 0 <= age <= AGE_MAX:
        yield Fault(f"must be 0 to {AGE_MAX}", pointer="/age_min")
    yield from years_out_of_bounds({"public_from": told.public_from or None})
    if told.languages:
        yield from _language_faults(told.languages)
    if told.performers:
        yield from too_many("/performers", told.performers, PERFORMERS_MAX)
        yield from _repeated("/performers", told.performers[:PERFORMERS_MAX])


def _choice_faults(
    pointer: str, chosen: str | UnsetType, among: type[EventType] | type[Visibility]
) -> Iterator[Fault]:
    known: list[StrEnum] = list(among)
    if chosen is not UNSET and chosen not in known:
        yield Fault(f"must be one of {', '.join(known)}", pointer=pointer)


def _language_faults(tags: Sequence[str]) -> Iterator[Fault]:
    yield from too_many("/languages", tags, LANGUAGES_MAX)
    canonical = [language_tag(tag) for tag in tags[:LANGUAGES_MAX]]
    for n, tag in enumerate(canonical):
        if tag is None:
            yield Fault("is no language: BCP 47, such as de or en-GB", pointer=f"/languages/{n}")
    yield from _repeated("/languages", canonical)


def _repeated(pointer: str, entries: Sequence[str | None]) -> Iterator[Fault]:
    for n, entry in enumerate(entries):
        if entry is not None and entry in entries[:n]:
            yield Fault(f"{entry} is named twice", pointer=f"{pointer}/{n}")


def _kept_tags(tags: Sequence[str] | UnsetType | None) -> tuple[str, ...] | UnsetType:
    if tags is UNSET:
        return UNSET
    return tuple(filter(None, (language_tag(tag) for tag in tags or ())))
