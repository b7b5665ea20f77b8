"""What the house withholds from sale, and gives back."""

from functools import partial

from litestar import Response, Router, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from msgspec import Struct

from api.context import ApiRequest, find_show, runtime_of
from api.documents import describe
from api.inputs import BlockBody, ReleaseBlockBody
from api.life_outcomes import told_if_final
from api.outcomes import problem_of
from api.problems import ProblemKind
from api.reading import check_query, read_body
from api.repeating import Keeper, answer_once
from api.written import written_json
from engine.inventory.house import BlocksChanged
from engine.inventory.shows import Show
from engine.platform.ids import Prefix
from engine.sales.house_office import HouseOffice
from engine.tenancy.principals import Scope

_PROBLEMS = (
    ProblemKind.SHOW_NOT_FOUND,
    ProblemKind.TRANSITION_REFUSED,
    ProblemKind.BLOCKS_REFUSED,
    ProblemKind.REQUEST_UNDER_WAY,
    ProblemKind.KEY_REUSED,
    ProblemKind.UNKNOWN_SEATS,
    ProblemKind.UNKNOWN_AREAS,
)


class BlocksAnswer(Struct, frozen=True):
    """What was withheld or given back, and the inventory version since then."""

    show: str
    seats: list[str]
    areas: dict[str, int]
    inventory_version: int


@post(
    "/{show:str}/blocks",
    summary="Withhold places",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.SHOWS_WRITE, body=BlockBody, key="honoured", problems=_PROBLEMS
    ),
)
async def withhold(request: ApiRequest, show: FromPath[str]) -> Response[BlocksAnswer]:
    """Take open seats and places off sale until they are given back: all of them, or none.

    Seats that are withheld already stay so; places in areas add up.
    """
    check_query(request)
    named = await find_show(request, show)
    body = await read_body(request, BlockBody)

    tell = partial(_answer, request, named, body)

    async def act(keeper: Keeper) -> tuple[int, BlocksAnswer]:
        remember = keeper.remember(HTTP_200_OK, tell)
        with told_if_final():
            outcome = await _office(request).block(named, body.wanted(), body.reason, remember)
        if not isinstance(outcome, BlocksChanged):
            raise problem_of(outcome, named)
        return HTTP_200_OK, tell(outcome)

    answered = await answer_once(request, f"blocks {named.id:016x}", body.fingerprint(), act)
    return written_json(BlocksAnswer, answered.body, status_code=answered.status)


@post(
    "/{show:str}/blocks/release",
    summary="Give withheld places back",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.SHOWS_WRITE, body=ReleaseBlockBody, key="honoured", problems=_PROBLEMS
    ),
)
async def give_back(request: ApiRequest, show: FromPath[str]) -> Response[BlocksAnswer]:
    """Put withheld seats and places on sale again: all of them, or none.

    Seats that are on sale already stay so.
    """
    check_query(request)
    named = await find_show(request, show)
    body = await read_body(request, ReleaseBlockBody)

    tell = partial(_answer, request, named, body)

    async def act(keeper: Keeper) -> tuple[int, BlocksAnswer]:
        remember = keeper.remember(HTTP_200_OK, tell)
        with told_if_final():
            outcome = await _office(request).unblock(named, body.wanted(), remember)
        if not isinstance(outcome, BlocksChanged):
            raise problem_of(outcome, named)
        return HTTP_200_OK, tell(outcome)

    answered = await answer_once(
        request, f"blocks release {named.id:016x}", body.fingerprint(), act
    )
    return written_json(BlocksAnswer, answered.body, status_code=answered.status)


def _office(request: ApiRequest) -> HouseOffice:
    return runtime_of(request).house_office


def _answer(
    request: ApiRequest, show: Show, body: BlockBody, changed: BlocksChanged
) -> BlocksAnswer:
    return BlocksAnswer(
        show=runtime_of(request).ids.entity(Prefix.SHOW, show.id),
        seats=body.seats or [],
        areas=body.areas or {},
        inventory_version=changed.inventory_version,
    )


router = Router(path="/v1/shows", tags=["house"], route_handlers=[withhold, give_back])
