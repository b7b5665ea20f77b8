"""What the routes of venues and configurations share: what is named, and what is refused."""

from typing import assert_never

from api.context import ApiRequest, runtime_of
from api.problems import ProblemError, ProblemKind
from engine.catalog.configurations import (
    ConfigurationArchived,
    Outrun,
    UnknownConfiguration,
    UnknownVersion,
)
from engine.catalog.venues import FutureShows, UnknownVenue
from engine.platform.ids import EntityId, IdError, Ids, Prefix

Refused = (
    UnknownVenue
    | UnknownConfiguration
    | UnknownVersion
    | ConfigurationArchived
    | Outrun
    | FutureShows
)


def parse_venue(request: ApiRequest, text: str) -> EntityId:
    """Read a venue's id.

    Raises:
        ProblemError: `venue-not-found`.
    """
    try:
        return runtime_of(request).ids.parse_entity(Prefix.VENUE, text)
    except IdError:
        raise no_venue() from None


def parse_configuration(request: ApiRequest, text: str) -> EntityId:
    """Read a configuration's id.

    Raises:
        ProblemError: `configuration-not-found`.
    """
    try:
        return runtime_of(request).ids.parse_entity(Prefix.CONFIGURATION, text)
    except IdError:
        raise _no_configuration() from None


def no_venue() -> ProblemError:
    """Return the problem of a venue that is not there, or not to be seen by who asks."""
    return ProblemError(ProblemKind.VENUE_NOT_FOUND, "There is no such venue.")


def refusal_of(refused: Refused, ids: Ids) -> ProblemError:
    """Return the problem that tells a client why nothing was done."""
    match refused:
        case UnknownVenue():
            return no_venue()
        case UnknownConfiguration():
            return _no_configuration()
        case UnknownVersion():
            return ProblemError(
                ProblemKind.VERSION_NOT_FOUND, "This configuration has no such version."
            )
        case ConfigurationArchived():
            return ProblemError(
                ProblemKind.CONFIGURATION_ARCHIVED,
                "The configuration, or its venue, is archived; take it back first.",
            )
        case Outrun():
            return ProblemError(
                ProblemKind.OVERLOADED,
                "Others are adding versions of this configuration; repeat in a moment.",
            )
        case FutureShows():
            return _shows_to_come(refused, ids)
        case _:
            assert_never(refused)


def _no_configuration() -> ProblemError:
    return ProblemError(ProblemKind.CONFIGURATION_NOT_FOUND, "You have no such configuration.")


def _shows_to_come(refused: FutureShows, ids: Ids) -> ProblemError:
    named = [
        {"show": ids.entity(Prefix.SHOW, show.id), "name": show.name, "starts_at": show.starts_at}
        for show in refused.shows
    ]
    listed = ", ".join(show.name for show in refused.shows[:5])
    others = len(refused.shows) - 5
    return ProblemError(
        ProblemKind.SHOWS_TO_COME,
        f"Shows are to come there: {listed}{f' and {others} more' if others > 0 else ''}.",
        members={"shows": named},
    )
