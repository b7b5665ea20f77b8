"""What bodies of the catalogue have in common: descriptions, pictures, links, and their rules.

Bounds that no JSON Schema could check alone stand in the schemas too, and are checked by hand, so
that all that is wrong with a body is told at once.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from api.inputs import name_faults
from api.problems import Fault
from engine.catalog.links import URL_CHARACTERS_MAX, link_fault
from engine.catalog.pages import Link, Picture
from engine.catalog.texts import (
    DESCRIPTION_CHARACTERS_MAX,
    clean_line,
    clean_text,
    line_fault,
    text_fault,
)
from engine.tenancy.names import NAME_CHARACTERS_MAX, clean_name

CATALOG_BODY_BYTES_MAX: Final = 256 * 1024
PICTURES_MAX: Final = 20
LINKS_MAX: Final = 20
_LINE_CHARACTERS_MAX: Final = 300
_LABEL_CHARACTERS_MAX: Final = 80

_LINE: Final = {"maxLength": _LINE_CHARACTERS_MAX}

CatalogName = Annotated[
    str,
    Meta(
        description="No control, invisible or bidirectional characters; kept in NFC.",
        extra_json_schema={"minLength": 1, "maxLength": NAME_CHARACTERS_MAX},
    ),
]
Description = Annotated[
    str,
    Meta(
        description="Plain text of any lines, kept as they are but for white space at their ends.",
        extra_json_schema={"maxLength": DESCRIPTION_CHARACTERS_MAX},
        examples=["Chamber music by candle light.\n\nDoors open an hour before."],
    ),
]
WebAddress = Annotated[
    str,
    Meta(
        description="`https`, with a host's public name.",
        extra_json_schema={"minLength": 1, "maxLength": URL_CHARACTERS_MAX},
        examples=["https://images.example.com/first-light.jpg"],
    ),
]


class PicturePart(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A picture, somewhere on the web; it is shown from there."""

    url: WebAddress
    alt: Annotated[
        str, Meta(description="What it shows, for who can't see it.", extra_json_schema=_LINE)
    ] = ""
    credit: Annotated[
        str, Meta(description="Who is to be named for it.", extra_json_schema=_LINE)
    ] = ""

    def kept(self) -> Picture:
        """Return it in the engine's words."""
        return Picture(self.url, clean_line(self.alt), clean_line(self.credit))


class LinkPart(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A page about a performer, somewhere on the web."""

    url: WebAddress
    label: Annotated[
        str,
        Meta(
            description="What it is, in a word or two.",
            extra_json_schema={"maxLength": _LABEL_CHARACTERS_MAX},
            examples=["Web site"],
        ),
    ] = ""

    def kept(self) -> Link:
        """Return it in the engine's words."""
        return Link(clean_line(self.label), self.url)


Pictures = Annotated[
    list[PicturePart],
    Meta(
        description="The first one leads.",
        extra_json_schema={"maxItems": PICTURES_MAX},
    ),
]
Links = Annotated[list[LinkPart], Meta(extra_json_schema={"maxItems": LINKS_MAX})]


def kept_name(name: str | UnsetType) -> str | UnsetType:
    """Return a name as it is kept; UNSET stays."""
    return UNSET if name is UNSET else clean_name(name)


def kept_text(text: str | UnsetType | None) -> str | UnsetType:
    """Return a text as it is kept; null clears it, UNSET stays."""
    return UNSET if text is UNSET else clean_text(text or "")


def kept_pictures(
    pictures: Sequence[PicturePart] | UnsetType | None,
) -> tuple[Picture, ...] | UnsetType:
    """Return pictures in the engine's words; null clears them, UNSET stays."""
    return UNSET if pictures is UNSET else tuple(one.kept() for one in pictures or ())


def kept_links(links: Sequence[LinkPart] | UnsetType | None) -> tuple[Link, ...] | UnsetType:
    """Return links in the engine's words; null clears them, UNSET stays."""
    return UNSET if links is UNSET else tuple(one.kept() for one in links or ())


def told_faults(
    name: str | UnsetType,
    description: str | UnsetType | None,
    pictures: Sequence[PicturePart] | UnsetType | None,
) -> Iterator[Fault]:
    """Yield what is wrong with what all pages have."""
    yield from name_faults("/name", name)
    reason = text_fault(description) if description else None
    if reason is not None:
        yield Fault(reason, pointer="/description")
    if not pictures:
        return
    yield from too_many("/pictures", pictures, PICTURES_MAX)
    for n, picture in enumerate(pictures[:PICTURES_MAX]):
        yield from _link_faults(f"/pictures/{n}", picture.url)
        yield from _line_faults(f"/pictures/{n}/alt", picture.alt, _LINE_CHARACTERS_MAX)
        yield from _line_faults(f"/pictures/{n}/credit", picture.credit, _LINE_CHARACTERS_MAX)


def links_faults(links: Sequence[LinkPart] | UnsetType | None) -> Iterator[Fault]:
    """Yield what is wrong with links."""
    if not links:
        return
    yield from too_many("/links", links, LINKS_MAX)
    for n, link in enumerate(links[:LINKS_MAX]):
        yield from _link_faults(f"/links/{n}", link.url)
        yield from _line_faults(f"/links/{n}/label", link.label, _LABEL_CHARACTERS_MAX)


def too_many(pointer: str, entries: Sequence[object], most: int) -> Iterator[Fault]:
    """Yield a fault if a list has too many entries."""
    if len(entries) > most:
        yield Fault(f"has more than {most} entries", pointer=pointer)


def _link_faults(pointer: str, url: str) -> Iterator[Fault]:
    reason = link_fault(url)
    if reason is not None:
        yield Fault(reason, pointer=f"{pointer}/url")


def _line_faults(pointer: str, line: str, most: int) -> Iterator[Fault]:
    reason = line_fault(line, characters_max=most)
    if reason is not None:
        yield Fault(reason, pointer=pointer)
