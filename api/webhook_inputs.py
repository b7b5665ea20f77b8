"""What resellers may send about their webhooks."""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType

from api.inputs import KEY_PATTERN, Body, Moment, years_out_of_bounds
from api.problems import Fault
from engine.facts.types import FactType
from engine.notify.addresses import URL_CHARACTERS_MAX
from engine.notify.endpoints import OVERLAP_MAX, Changes

_OVERLAP_S_MAX: Final = int(OVERLAP_MAX.total_seconds())
NO_CONTROLS: Final = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"

Url = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=URL_CHARACTERS_MAX,
        pattern=KEY_PATTERN,
        description="Where facts are sent: `https`, by a public name or address.",
        examples=["https://shop.example.com/hooks"],
    ),
]
Description = Annotated[str, Meta(max_length=200, pattern=NO_CONTROLS)]
Types = Annotated[
    list[FactType],
    Meta(
        min_length=1,
        max_length=len(FactType),
        description="The types of facts that are sent; null: all, also those that are yet to come.",
    ),
]


class EndpointBody(Body, frozen=True, kw_only=True):
    """An endpoint to be told of facts."""

    url: Url
    description: Description = ""
    types: Types | None = None


class EndpointChanges(Body, frozen=True, kw_only=True):
    """What is to be changed of an endpoint; what is left out stays."""

    url: Url | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    types: Types | UnsetType | None = UNSET
    enabled: Annotated[
        bool | UnsetType,
        Meta(description="false: it is told nothing. true: it is, from now on."),
    ] = UNSET

    def changes(self) -> Changes:
        """Return them in the engine's words."""
        types = self.types
        return Changes(
            url=self.url,
            description=self.description,
            types=tuple(types) if types else types if types is None else UNSET,
            enabled=self.enabled,
        )


class RotateWebhookSecretBody(Body, frozen=True, kw_only=True):
    """How long the secrets before the fresh ones sign too."""

    overlap_s: Annotated[
        int, Meta(ge=0, le=_OVERLAP_S_MAX, description="Seconds; 0: not at all.")
    ] = 86_400


class ReplayBody(Body, frozen=True, kw_only=True):
    """What is to be told again: one fact, or all between two places or moments.

    Of a range that has more than 5000 facts the answer says where to go on.
    """

    fact: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    after: (
        Annotated[
            str, Meta(max_length=100, description="A cursor of the log, which is not included.")
        ]
        | UnsetType
    ) = UNSET
    through: (
        Annotated[str, Meta(max_length=100, description="A cursor of the log, included.")]
        | UnsetType
    ) = UNSET
    since: Moment | UnsetType = UNSET
    until: Moment | UnsetType = UNSET

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        ranges = [self.after, self.through, self.since, self.until]
        of_range = any(bound is not UNSET for bound in ranges)
        if (self.fact is not UNSET) == of_range:
            return [Fault("name a fact, or at least one bound of a range, not both", pointer="")]
        return years_out_of_bounds({"since": self.since or None, "until": self.until or None})
