"""What resellers say of their shows: the bodies, with every bound in the type."""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, Raw, UnsetType

from api.inputs import Body, Bps, Moment, Name, Slug, Ttl, years_out_of_bounds
from api.problems import Fault
from engine.catalog.shows import (
    BUYER_LIMIT_MAX,
    DURATION_MIN_MAX,
    FACE_VALUE_MAX,
    HOLD_TTL_USUAL_S,
    LIMIT_MAX,
    PaymentMethod,
    Visibility,
)
from engine.catalog.transitions import ShowState

ID_CHARACTERS_MAX: Final = 64

EventId = Annotated[str, Meta(min_length=1, max_length=ID_CHARACTERS_MAX)]
ConfigurationId = Annotated[str, Meta(min_length=1, max_length=ID_CHARACTERS_MAX)]
VersionNo = Annotated[int, Meta(ge=1, le=10_000)]
Duration = Annotated[int, Meta(ge=1, le=DURATION_MIN_MAX, description="Minutes.")]
PerHold = Annotated[int, Meta(ge=1, le=LIMIT_MAX)]
PerBuyer = Annotated[int, Meta(ge=1, le=BUYER_LIMIT_MAX)]
VisibilityText = Annotated[
    str, Meta(pattern=r"^(public|hidden)$(?!\n)", description="`public` or `hidden`.")
]
_METHODS: Final = "|".join(PaymentMethod)
PaymentMethods = Annotated[
    list[Annotated[str, Meta(pattern=rf"^({_METHODS})$(?!\n)", examples=["card"])]],
    Meta(
        min_length=1,
        max_length=len(PaymentMethod),
        description=f"What buyers are offered: of {', '.join(PaymentMethod)}.",
    ),
]
_FIRST_STATES: Final = (ShowState.DRAFT, ShowState.ANNOUNCED, ShowState.ON_SALE)
FirstState = Annotated[
    str,
    Meta(
        pattern=rf"^({'|'.join(_FIRST_STATES)})$(?!\n)",
        description="A draft is its reseller's alone, and has no inventory yet; an announced show "
        "is not sold until it is opened.",
    ),
]
_MOMENTS: Final = ("starts_at", "opens_at", "closes_at", "doors_at", "public_from")


class ShowBody(Body, frozen=True, kw_only=True):
    """A show, with the seating plan that it sells from, or the configuration that has it."""

    name: Name
    venue: (
        Annotated[
            Name, Meta(description="Of a show with a plan of its own; else the venue's name.")
        ]
        | UnsetType
    ) = UNSET
    starts_at: Moment
    opens_at: Moment
    closes_at: Moment | None = None
    currency: Annotated[str, Meta(pattern="^[A-Z]{3}$", examples=["EUR"])]
    tax_bps: Bps = 0
    prices: Annotated[
        dict[Slug, Annotated[int, Meta(ge=0, le=FACE_VALUE_MAX)]],
        Meta(
            max_length=250,
            description="Face value in minor units, for every price level of the plan: its "
            "category's name as a slug (`Kategorie I` is `kategorie-i`).",
        ),
    ]
    max_per_hold: PerHold = 10
    max_per_buyer: PerBuyer = 10
    plan: Raw | UnsetType = UNSET
    event: EventId | UnsetType = UNSET
    configuration: ConfigurationId | UnsetType = UNSET
    configuration_version: VersionNo | UnsetType = UNSET
    doors_at: Moment | None = None
    duration_min: Duration | None = None
    visibility: VisibilityText = Visibility.PUBLIC.value
    public_from: Moment | None = None
    hold_ttl_s: Ttl = HOLD_TTL_USUAL_S
    payment_methods: PaymentMethods | UnsetType = UNSET
    state: FirstState = ShowState.ON_SALE.value

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        return [
            *years_out_of_bounds({field: getattr(self, field) for field in _MOMENTS}),
            *repeated_methods(self.payment_methods),
        ]


class ShowChangeBody(Body, frozen=True, kw_only=True):
    """What is to be other of a show; what is left out stays, `null` clears."""

    name: Name | UnsetType = UNSET
    starts_at: Moment | UnsetType = UNSET
    opens_at: Moment | UnsetType = UNSET
    closes_at: Moment | UnsetType | None = UNSET
    doors_at: Moment | UnsetType | None = UNSET
    duration_min: Duration | UnsetType | None = UNSET
    event: EventId | UnsetType | None = UNSET
    visibility: VisibilityText | UnsetType = UNSET
    public_from: Moment | UnsetType | None = UNSET
    max_per_hold: PerHold | UnsetType = UNSET
    max_per_buyer: PerBuyer | UnsetType = UNSET
    hold_ttl_s: Ttl | UnsetType = UNSET
    payment_methods: PaymentMethods | UnsetType = UNSET

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        moments = {field: getattr(self, field) for field in _MOMENTS}
        said = {field: moment or None for field, moment in moments.items()}
        return [*years_out_of_bounds(said), *repeated_methods(self.payment_methods)]


def repeated_methods(methods: list[str] | UnsetType) -> list[Fault]:
    """List each payment method that was named before."""
    named = methods or []
    return [
        Fault(f"{method} is named twice", pointer=f"/payment_methods/{n}")
        for n, method in enumerate(named)
        if method in named[:n]
    ]
