"""What resellers may send about venues."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType, field, structs

from api.catalog_inputs import (
    CatalogName,
    PicturePart,
    Pictures,
    kept_name,
    kept_pictures,
    kept_text,
    told_faults,
    too_many,
)
from api.inputs import Body, name_faults
from api.problems import Fault
from engine.catalog.pages import PublicAddress
from engine.catalog.texts import DESCRIPTION_CHARACTERS_MAX, clean_line, line_fault, text_fault
from engine.catalog.venues import Contact, NewVenue, VenueChanges, is_country, is_time_zone
from engine.tenancy.door import read_email

CONTACTS_MAX: Final = 20
_LINE_CHARACTERS_MAX: Final = 200
_PHONE_CHARACTERS_MAX: Final = 50
_LATITUDE_MAX: Final = 90
_LONGITUDE_MAX: Final = 180

_LINE: Final = {"maxLength": _LINE_CHARACTERS_MAX}

Line = Annotated[str, Meta(extra_json_schema=_LINE)]
CountryCode = Annotated[
    str, Meta(description="ISO 3166-1 alpha-2.", extra_json_schema=_LINE, examples=["DE"])
]
Latitude = Annotated[
    float,
    Meta(
        description="Degrees north (WGS 84).",
        extra_json_schema={"minimum": -_LATITUDE_MAX, "maximum": _LATITUDE_MAX},
        examples=[50.9787],
    ),
]
Longitude = Annotated[
    float,
    Meta(
        description="Degrees east (WGS 84).",
        extra_json_schema={"minimum": -_LONGITUDE_MAX, "maximum": _LONGITUDE_MAX},
        examples=[11.0328],
    ),
]
TimeZone = Annotated[
    str,
    Meta(
        description="A name of the IANA data base.",
        extra_json_schema=_LINE,
        examples=["Europe/Berlin"],
    ),
]
Accessibility = Annotated[
    str,
    Meta(
        description="What who comes in a wheelchair, sees or hears little should know: plain text.",
        extra_json_schema={"maxLength": DESCRIPTION_CHARACTERS_MAX},
        examples=["Step-free from the tram. Induction loop in the stalls."],
    ),
]


class VenueAddressPart(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where a venue is; its country stands beside it."""

    city: Annotated[Line, Meta(examples=["Erfurt"])]
    line_1: Annotated[Line, Meta(examples=["Essener Straße 20"])] = ""
    line_2: Line = ""
    postal_code: Annotated[Line, Meta(examples=["99089"])] = ""
    region: Line = ""

    def kept(self) -> PublicAddress:
        """Return it in the engine's words."""
        lines = {name: clean_line(text) for name, text in structs.asdict(self).items()}
        return PublicAddress(**lines)


class ContactPart(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Whom you call at a venue; never told to the public."""

    name: Annotated[Line, Meta(examples=["Ada Abendroth"])]
    role: Annotated[Line, Meta(examples=["house manager"])] = ""
    email: Annotated[Line, Meta(examples=["house@hall.example.com"])] = ""
    phone: Annotated[
        str,
        Meta(extra_json_schema={"maxLength": _PHONE_CHARACTERS_MAX}, examples=["+49 361 1234"]),
    ] = ""

    def kept(self) -> Contact:
        """Return it in the engine's words."""
        lines = {name: clean_line(text) for name, text in structs.asdict(self).items()}
        return Contact(**lines)


Contacts = Annotated[list[ContactPart], Meta(extra_json_schema={"maxItems": CONTACTS_MAX})]


class VenueBody(Body, frozen=True, kw_only=True):
    """A venue to keep."""

    name: CatalogName
    address: VenueAddressPart
    country: CountryCode
    latitude: Latitude | None = None
    longitude: Longitude | None = None
    time_zone: TimeZone
    contacts: Contacts = field(default_factory=list[ContactPart])
    accessibility: Accessibility = ""
    pictures: Pictures = field(default_factory=list[PicturePart])

    def faults(self) -> Sequence[Fault]:
        """List all that is wrong."""
        return list(_venue_faults(self))

    def new(self) -> NewVenue:
        """Return it in the engine's words, once nothing is wrong with it."""
        return NewVenue(
            name=str(kept_name(self.name)),
            address=self.address.kept(),
            country=self.country,
            latitude=self.latitude,
            longitude=self.longitude,
            time_zone=self.time_zone,
            contacts=tuple(contact.kept() for contact in self.contacts),
            accessibility=kept_text(self.accessibility) or "",
            pictures=kept_pictures(self.pictures) or (),
        )


class VenueChangeBody(Body, frozen=True, kw_only=True):
    """What is to be changed of a venue; what is left out stays, and null clears."""

    name: CatalogName | UnsetType = UNSET
    address: VenueAddressPart | UnsetType = UNSET
    country: CountryCode | UnsetType = UNSET
    latitude: Latitude | UnsetType | None = UNSET
    longitude: Longitude | UnsetType | None = UNSET
    time_zone: TimeZone | UnsetType = UNSET
    contacts: Contacts | UnsetType | None = UNSET
    accessibility: Accessibility | UnsetType | None = UNSET
    pictures: Pictures | UnsetType | None = UNSET

    def faults(self) -> Sequence[Fault]:
        """List all that is wrong."""
        return list(_venue_faults(self))

    def changes(self) -> VenueChanges:
        """Return them in the engine's words, once nothing is wrong with them."""
        contacts = self.contacts
        return VenueChanges(
            name=kept_name(self.name),
            address=self.address.kept() if self.address is not UNSET else UNSET,
            country=self.country,
            latitude=self.latitude,
            longitude=self.longitude,
            time_zone=self.time_zone,
            contacts=UNSET if contacts is UNSET else tuple(one.kept() for one in contacts or ()),
            accessibility=kept_text(self.accessibility),
            pictures=kept_pictures(self.pictures),
        )


def _venue_faults(body: VenueBody | VenueChangeBody) -> Iterator[Fault]:
    yield from told_faults(body.name, UNSET, body.pictures)
    if body.address:
        yield from name_faults("/address/city", body.address.city)
        for name, line in structs.asdict(body.address).items():
            yield from _line_faults(f"/address/{name}", line)
    if body.country is not UNSET and not is_country(body.country):
        yield Fault("is no ISO 3166-1 alpha-2 code, such as DE", pointer="/country")
    yield from _coordinate_faults(body)
    if body.time_zone is not UNSET and not is_time_zone(body.time_zone):
        reason = "is no time zone of the IANA data base, such as Europe/Berlin"
        yield Fault(reason, pointer="/time_zone")
    yield from _contacts_faults(body.contacts or ())
    reason = text_fault(body.accessibility) if body.accessibility else None
    if reason is not None:
        yield Fault(reason, pointer="/accessibility")


def _coordinate_faults(body: VenueBody | VenueChangeBody) -> Iterator[Fault]:
    latitude, longitude = body.latitude, body.longitude
    if [latitude is UNSET, latitude is None] != [longitude is UNSET, longitude is None]:
        missing = "/latitude" if latitude is None or latitude is UNSET else "/longitude"
        yield Fault("latitude and longitude come together", pointer=missing)
    if isinstance(latitude, float) and not -_LATITUDE_MAX <= latitude <= _LATITUDE_MAX:
        yield Fault(f"-{_LATITUDE_MAX} to {_LATITUDE_MAX} degrees", pointer="/latitude")
    if isinstance(longitude, float) and not -_LONGITUDE_MAX <= longitude <= _LONGITUDE_MAX:
        yield Fault(f"-{_LONGITUDE_MAX} to {_LONGITUDE_MAX} degrees", pointer="/longitude")


def _contacts_faults(contacts: Sequence[ContactPart]) -> Iterator[Fault]:
    yield from too_many("/contacts", contacts, CONTACTS_MAX)
    for n, contact in enumerate(contacts[:CONTACTS_MAX]):
        pointer = f"/contacts/{n}"
        yield from name_faults(f"{pointer}/name", contact.name)
        yield from _line_faults(f"{pointer}/role", contact.role)
        yield from _line_faults(f"{pointer}/phone", contact.phone, most=_PHONE_CHARACTERS_MAX)
        if contact.email and read_email(contact.email) is None:
            yield Fault("is no mail address", pointer=f"{pointer}/email")


def _line_faults(pointer: str, line: str, *, most: int = _LINE_CHARACTERS_MAX) -> Iterator[Fault]:
    reason = line_fault(line, characters_max=most)
    if reason is not None:
        yield Fault(reason, pointer=pointer)
