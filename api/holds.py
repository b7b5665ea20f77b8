"""Holds: claim places for a buyer, look, change the selection, give it back."""

from typing import Final

from litestar import Response, Router, delete, get, post, put
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_204_NO_CONTENT

from api.answers import HoldAnswer, tell_hold
from api.context import ApiRequest, find_show, parse_hold, runtime_of
from api.documents import describe
from api.inputs import HoldBody, SelectionBody
from api.outcomes import problem_of
from api.problems import ProblemKind
from api.reading import body_fingerprint, check_query, read_body, require_key
from engine.inventory.commands import Done
from engine.sales.box_office import HoldView

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
        body=HoldBody,
        key="required",
        problems=(
            *(ProblemKind.SHOW_NOT_FOUND, ProblemKind.KEY_REUSED),
            *(ProblemKind.HOLD_RELEASED, ProblemKind.HOLD_EXPIRED),
            *_SELECTION_PROBLEMS,
        ),
    ),
)
async def hold_places(request: ApiRequest, show: FromPath[str]) -> Response[HoldAnswer]:
    """Claim a selection for a buyer until a deadline: all of it, or nothing.

    A buyer's new hold on a show takes on the earliest deadline while they hold anything there.
    The same Idempotency-Key gives the same hold, as long as it lives and ten minutes beyond.
    """
    check_query(request)
    key = require_key(request)
    named = await find_show(request, show)
    body = await read_body(request, HoldBody)
    runtime = runtime_of(request)
    outcome = await runtime.box_office.hold(
        named,
        key,
        buyer=body.buyer,
        ttl_ms=body.ttl_s * 1000,
        wanted=body.wanted(),
        fingerprint=body_fingerprint(body),
    )
    if not isinstance(outcome, HoldView):
        raise problem_of(outcome, named)
    answer = tell_hold(outcome, runtime.ids)
    return Response(
        answer,
        status_code=HTTP_201_CREATED,
        headers={"Location": f"/v1/shows/{answer.show}/holds/{answer.hold}"},
    )


@get(
    "/{show:str}/holds/{hold:str}",
    summary="Look at a hold",
    operation_class=describe(problems=_HOLD_PROBLEMS),
)
async def look_at_hold(request: ApiRequest, show: FromPath[str], hold: FromPath[str]) -> HoldAnswer:
    """Tell how a hold stands: its places, its deadline and what it costs."""
    check_query(request)
    named = await find_show(request, show)
    runtime = runtime_of(request)
    outcome = await runtime.box_office.look(named, parse_hold(request, named, hold))
    if not isinstance(outcome, HoldView):
        raise problem_of(outcome, named)
    return tell_hold(outcome, runtime.ids)


@put(
    "/{show:str}/holds/{hold:str}",
    summary="Change a hold's selection",
    status_code=HTTP_200_OK,
    operation_class=describe(
        body=SelectionBody,
        problems=(*_HOLD_PROBLEMS, ProblemKind.ALREADY_PURCHASED, *_SELECTION_PROBLEMS),
    ),
)
async def replace_selection(
    request: ApiRequest, show: FromPath[str], hold: FromPath[str]
) -> HoldAnswer:
    """Put another selection in the place of a hold's, in one step.

    Its deadline stays. When the new places are refused, the hold keeps the old ones.
    """
    check_query(request)
    named = await find_show(request, show)
    held = parse_hold(request, named, hold)
    body = await read_body(request, SelectionBody)
    runtime = runtime_of(request)
    outcome = await runtime.box_office.replace(named, held, body.wanted(), body_fingerprint(body))
    if not isinstance(outcome, HoldView):
        raise problem_of(outcome, named)
    return tell_hold(outcome, runtime.ids)


@delete(
    "/{show:str}/holds/{hold:str}",
    summary="Release a hold",
    status_code=HTTP_204_NO_CONTENT,
    operation_class=describe(
        problems=(
            ProblemKind.SHOW_NOT_FOUND,
            ProblemKind.HOLD_NOT_FOUND,
            ProblemKind.ALREADY_PURCHASED,
        )
    ),
)
async def release_hold(request: ApiRequest, show: FromPath[str], hold: FromPath[str]) -> None:
    """Give a hold's places back. Repeating it changes nothing and gets the same answer."""
    check_query(request)
    named = await find_show(request, show)
    runtime = runtime_of(request)
    outcome = await runtime.box_office.release(named, parse_hold(request, named, hold))
    if not isinstance(outcome, Done):
        raise problem_of(outcome, named)


router = Router(
    path="/v1/shows",
    tags=["holds"],
    route_handlers=[hold_places, look_at_hold, replace_selection, release_hold],
)
