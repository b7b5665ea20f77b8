"""Holds: claim places for a buyer, look, change the selection, give it back."""

from typing import Final

from litestar import Response, Router, delete, get, post, put
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_204_NO_CONTENT

from api.answers import HoldAnswer
from api.context import served_in_front
from api.documents import describe
from api.inputs import HoldBody, SelectionBody
from api.problems import ProblemKind
from engine.tenancy.principals import Scope

_SELECTION_PROBLEMS: Final = (
    ProblemKind.SEATS_TAKEN,
    ProblemKind.AREA_SHORT,
    ProblemKind.NONE_TOGETHER,
    ProblemKind.OVER_BUYER_LIMIT,
    ProblemKind.NOT_ON_SALE,
    ProblemKind.TOO_EARLY,
    ProblemKind.SALES_ENDED,
    ProblemKind.OVER_HOLD_LIMIT,
    ProblemKind.UNKNOWN_SEATS,
    ProblemKind.UNKNOWN_AREAS,
    ProblemKind.UNKNOWN_PRICE_LEVELS,
    ProblemKind.TICKET_TYPES_REFUSED,
)
_HOLD_PROBLEMS: Final = (
    ProblemKind.SHOW_NOT_FOUND,
    ProblemKind.HOLD_NOT_FOUND,
    ProblemKind.HOLD_RELEASED,
    ProblemKind.HOLD_EXPIRED,
)


@post(
    "/{show:str}/holds",
    summary="Hold seats and places",
    operation_class=describe(
        scope=Scope.HOLDS_WRITE,
        body=HoldBody,
        key="required",
        problems=(
            *(ProblemKind.SHOW_NOT_FOUND, ProblemKind.KEY_REUSED),
            *(ProblemKind.HOLD_RELEASED, ProblemKind.HOLD_EXPIRED),
            ProblemKind.NOT_ADMITTED,
            *_SELECTION_PROBLEMS,
        ),
    ),
)
async def hold_places(show: FromPath[str]) -> Response[HoldAnswer]:
    """Claim a selection for a buyer until a deadline: all of it, or nothing.

    A buyer's new hold on a show takes on the earliest deadline while they hold anything there.
    The same Idempotency-Key gives the same hold, as long as it lives and ten minutes beyond.
    """
    raise served_in_front(show)


@get(
    "/{show:str}/holds/{hold:str}",
    summary="Look at a hold",
    operation_class=describe(scope=Scope.HOLDS_WRITE, problems=_HOLD_PROBLEMS),
)
async def look_at_hold(show: FromPath[str], hold: FromPath[str]) -> HoldAnswer:
    """Tell how a hold stands: its places, its deadline and what it costs."""
    raise served_in_front(show, hold)


@put(
    "/{show:str}/holds/{hold:str}",
    summary="Change a hold's selection",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.HOLDS_WRITE,
        body=SelectionBody,
        problems=(
            *_HOLD_PROBLEMS,
            ProblemKind.ALREADY_PURCHASED,
            ProblemKind.HOLD_OF_BUNDLE,
            *_SELECTION_PROBLEMS,
        ),
    ),
)
async def replace_selection(show: FromPath[str], hold: FromPath[str]) -> HoldAnswer:
    """Put another selection in the place of a hold's, in one step.

    Its deadline stays. When the new places are refused, the hold keeps the old ones.
    """
    raise served_in_front(show, hold)


@delete(
    "/{show:str}/holds/{hold:str}",
    summary="Release a hold",
    status_code=HTTP_204_NO_CONTENT,
    operation_class=describe(
        scope=Scope.HOLDS_WRITE,
        problems=(
            ProblemKind.SHOW_NOT_FOUND,
            ProblemKind.HOLD_NOT_FOUND,
            ProblemKind.ALREADY_PURCHASED,
            ProblemKind.HOLD_OF_BUNDLE,
        ),
    ),
)
async def release_hold(show: FromPath[str], hold: FromPath[str]) -> None:
    """Give a hold's places back. Repeating it changes nothing and gets the same answer."""
    raise served_in_front(show, hold)


router = Router(
    path="/v1/shows",
    tags=["holds"],
    route_handlers=[hold_places, look_at_hold, replace_selection, release_hold],
)
