"""What the routes of events and performers share: who is named, and what is refused."""

from collections.abc import Collection, Sequence

from api.context import ApiRequest, runtime_of
from api.problems import Fault, ProblemError, ProblemKind
from engine.catalog.selling import StillSelling
from engine.platform.ids import EntityId, IdError, Ids, Prefix


def parse_event(request: ApiRequest, text: str) -> EntityId:
    """Read an event's id.

    Raises:
        ProblemError: `event-not-found`.
    """
    try:
        return runtime_of(request).ids.parse_entity(Prefix.EVENT, text)
    except IdError:
        raise no_event() from None


def parse_performer(request: ApiRequest, text: str) -> EntityId:
    """Read a performer's id.

    Raises:
        ProblemError: `performer-not-found`.
    """
    try:
        return runtime_of(request).ids.parse_entity(Prefix.PERFORMER, text)
    except IdError:
        raise no_performer() from None


def no_event() -> ProblemError:
    """Return the problem of an event that is not there, or not to be seen by who asks."""
    return ProblemError(ProblemKind.EVENT_NOT_FOUND, "There is no such event.")


def no_performer() -> ProblemError:
    """Return the problem of a performer who is not there, or not to be seen by who asks."""
    return ProblemError(ProblemKind.PERFORMER_NOT_FOUND, "There is no such performer.")


def still_selling(ids: Ids, refused: StillSelling) -> ProblemError:
    """Return the problem of what can't be archived, with the shows that keep it from that."""
    named = [
        {
            "show": ids.entity(Prefix.SHOW, show.id),
            "name": show.name,
            "starts_at": show.starts_at,
        }
        for show in refused.shows
    ]
    listed = ", ".join(show.name for show in refused.shows)
    return ProblemError(
        ProblemKind.STILL_SELLING,
        f"Shows to come of it sell, or are about to: {listed}. Close or cancel them first.",
        members={"shows": named},
    )


def read_performers(ids: Ids, named: Sequence[str]) -> list[EntityId | None]:
    """Return the ids of performers, None in the place of what is none.

    Raises:
        ForeignIdError: one is another cell's.
    """
    return [_read_performer(ids, text) for text in named]


def performer_faults(
    named: Sequence[EntityId | None], unknown: Collection[EntityId]
) -> list[Fault]:
    """List the performers of a body who can't be billed."""
    return [
        Fault("is none of your performers, or is archived", pointer=f"/performers/{n}")
        for n, performer in enumerate(named)
        if performer is None or performer in unknown
    ]


def _read_performer(ids: Ids, text: str) -> EntityId | None:
    try:
        return ids.parse_entity(Prefix.PERFORMER, text)
    except IdError:
        return None
