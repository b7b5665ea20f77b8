"""What clients may send about credentials."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from api.inputs import Body, Moment, Name, name_faults, years_out_of_bounds
from api.problems import Fault
from engine.tenancy.principals import Scope

OVERLAP_S_MAX: Final = 30 * 24 * 3600

Scopes = Annotated[
    list[Scope],
    Meta(
        min_length=1,
        max_length=50,
        description="What the credential may do. None that the asking credential lacks.",
    ),
]
_ExpiresAt = Annotated[Moment | None, Meta(description="Null: it does not expire.")]


class KeyBody(Body, frozen=True, kw_only=True):
    """An API key to make."""

    name: Name
    scopes: Scopes
    expires_at: _ExpiresAt = None

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        return [
            *name_faults("/name", self.name),
            *repeated_scopes(self.scopes),
            *faults_of_expiry(self.expires_at),
        ]


class KeyChangeBody(Body, frozen=True, kw_only=True):
    """What to change of an API key."""

    name: Name | UnsetType = UNSET

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        return name_faults("/name", self.name)


class RotateKeyBody(Body, frozen=True, kw_only=True):
    """How to put a new credential in the place of one."""

    overlap_s: Annotated[
        int, Meta(ge=0, le=OVERLAP_S_MAX, description="How long both open, in seconds.")
    ] = 24 * 3600
    expires_at: _ExpiresAt = None

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        return faults_of_expiry(self.expires_at)


def repeated_scopes(scopes: Sequence[Scope]) -> list[Fault]:
    """List each scope that was named before."""
    return [
        Fault(f"{scope} is named twice", pointer=f"/scopes/{n}")
        for n, scope in enumerate(scopes)
        if scope in scopes[:n]
    ]


def faults_of_expiry(expires_at: datetime | None) -> list[Fault]:
    """List why a credential can't expire then."""
    faults = years_out_of_bounds({"expires_at": expires_at})
    if faults or expires_at is None or expires_at > datetime.now(UTC) + timedelta(seconds=1):
        return faults
    return [Fault("must be in the future", pointer="/expires_at")]
