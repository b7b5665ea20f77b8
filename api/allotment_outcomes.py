"""What became of an allotment that was asked for, as a client is told."""

from typing import assert_never

from api.allotment_inputs import AllotmentBody, AllottedPlaces
from api.outcomes import problem_of, problem_of_store
from api.problems import Fault, ProblemError, ProblemKind, invalid
from engine.catalog.allotments import AllotmentRow
from engine.catalog.allotting import NothingToAllot, Refused, TooManyAllotments, UnknownSellers
from engine.inventory.commands import Recovering
from engine.inventory.house import PlacesRefused
from engine.inventory.shows import Show
from engine.platform.ids import Ids, Prefix
from engine.platform.legible import list_some
from engine.sales.wanted import UnknownPlaces


def allotment_not_found() -> ProblemError:
    """Return the problem of an allotment that is not there, or is somebody else's."""
    return ProblemError(ProblemKind.ALLOTMENT_NOT_FOUND, "You have no allotment with this id.")


def unknown_places(outcome: UnknownPlaces, show: Show, places: AllottedPlaces) -> ProblemError:
    """Return the problem of places that the show has not, pointing to where they are named."""
    problem = problem_of(outcome, show)
    named = places.areas or {}
    heads = [
        *(["seats"] if outcome.seats else []),
        *("areas" if slug in named else "withheld_areas" for slug in outcome.areas),
        *("price_levels" for _ in outcome.price_levels),
    ]
    problem.errors = [
        Fault(fault.reason, pointer=f"/places/{head}{_area_of(fault)}")
        for fault, head in zip(problem.errors, heads, strict=True)
    ]
    return problem


def _area_of(fault: Fault) -> str:
    _, areas, area = str(fault.pointer).partition("/areas")
    return area if areas else ""


def made_or_problem(
    outcome: AllotmentRow | Refused, show: Show, ids: Ids, body: AllotmentBody
) -> AllotmentRow:
    """Return what was made.

    Raises:
        ProblemError: nothing was.
    """
    match outcome:
        case AllotmentRow():
            return outcome
        case PlacesRefused():
            raise _refused(outcome, show)
        case TooManyAllotments():
            raise ProblemError(
                ProblemKind.TOO_MANY_ALLOTMENTS,
                f"A show has {outcome.most} allotments at the most.",
                members={"most": outcome.most},
            )
        case NothingToAllot():
            raise invalid(Fault("no place is left that could be allotted", pointer="/places"))
        case UnknownSellers():
            unknown = {ids.entity(Prefix.RESELLER, one) for one in outcome.sellers}
            raise invalid(
                *(
                    Fault("is no other reseller that can sell", pointer=f"/for/{n}/reseller")
                    for n, right in enumerate(body.rights)
                    if right.reseller in unknown
                )
            )
        case Recovering():
            raise problem_of_store(outcome)
        case _:
            assert_never(outcome)


def _refused(outcome: PlacesRefused, show: Show) -> ProblemError:
    manifest = show.manifest
    labels = [label for seat in outcome.seats if (label := manifest.labels[seat]) is not None]
    left = {manifest.areas[area].slug: count for area, count in outcome.areas}
    reasons = [f"{slug} has {count} left" for slug, count in left.items()]
    if labels:
        reasons.insert(
            0, f"{list_some(labels)} can't be, since buyers or another allotment have them"
        )
    return ProblemError(
        ProblemKind.ALLOTMENT_REFUSED,
        f"Nothing was allotted: {'; '.join(reasons)}.",
        members={"seats": labels, "areas": left},
    )
