"""The life of a show: announce it, open and close its sale, let it rest, take it up again."""

import asyncio
import time
from functools import partial
from typing import Annotated, Final

from litestar import Response, Router, post
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_202_ACCEPTED
from msgspec import Meta, Struct

from api.context import ApiRequest, find_show, runtime_of, stores_of
from api.documents import describe
from api.life_outcomes import changed_or_problem
from api.opening import is_opened
from api.problems import ProblemKind
from api.reading import check_query
from api.repeating import Keeper, answer_once
from api.written import written_json
from engine.catalog.life import LifeChanged, act, life_of
from engine.catalog.show_looks import is_selling, read_life
from engine.catalog.transitions import SCOPE, Action
from engine.inventory.house import RulesChanged
from engine.inventory.shows import Show
from engine.platform.database import Transaction
from engine.platform.errors import store_failures
from engine.platform.ids import Prefix
from engine.runtime import Serving

_ARCHIVED_WITHIN_S: Final = 8
_PAUSE_S: Final = 0.2

OpensNow = Annotated[
    bool, QueryParameter(description="If `opens_at` is to come, it becomes this moment.")
]


class LifeAnswer(Struct, frozen=True):
    """The state that a show is in now, and what may be done next."""

    show: str
    state: Annotated[str, Meta(examples=["paused"])]
    selling: Annotated[bool, Meta(description="Whether it takes holds now.")]
    inventory_version: int
    allowed: Annotated[list[str], Meta(examples=[["resume", "close", "cancel"]])]


_step: Final = partial(
    post,
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=SCOPE,
        key="honoured",
        problems=(
            ProblemKind.SHOW_NOT_FOUND,
            ProblemKind.TRANSITION_REFUSED,
            ProblemKind.REQUEST_UNDER_WAY,
            ProblemKind.KEY_REUSED,
        ),
    ),
)


@_step("/{show:str}/announce", summary="Announce a show")
async def announce(request: ApiRequest, show: FromPath[str]) -> Response[LifeAnswer]:
    """Make a draft known. It is not sold until it is opened; places can be withheld from now on."""
    return await _take(request, show, Action.ANNOUNCE)


@_step("/{show:str}/open", summary="Open a show's sale")
async def open_sale(
    request: ApiRequest,
    show: FromPath[str],
    now: OpensNow = False,  # noqa: FBT002 - a query parameter
) -> Response[LifeAnswer]:
    """Put a show on sale, for the first time or again: it sells from `opens_at` to `closes_at`.

    One that was archived is brought back from the ledger first.
    """
    return await _take(request, show, Action.OPEN, "now", opens_now=now)


@_step("/{show:str}/pause", summary="Pause a show's sale")
async def pause(request: ApiRequest, show: FromPath[str]) -> Response[LifeAnswer]:
    """Hold nothing new. What is held already may still be bought until its deadline."""
    return await _take(request, show, Action.PAUSE)


@_step("/{show:str}/resume", summary="Resume a show's sale")
async def resume(request: ApiRequest, show: FromPath[str]) -> Response[LifeAnswer]:
    """Go on with a sale that is paused."""
    return await _take(request, show, Action.RESUME)


@_step("/{show:str}/close", summary="Close a show's sale")
async def close(request: ApiRequest, show: FromPath[str]) -> Response[LifeAnswer]:
    """End the sale early. What is held already may still be bought; `open` takes it up again."""
    return await _take(request, show, Action.CLOSE)


@_step("/{show:str}/archive", summary="Archive a show")
async def archive(request: ApiRequest, show: FromPath[str]) -> Response[LifeAnswer]:
    """Take the inventory of a show that is closed or over out of memory; `open` brings it back.

    Shows that are past or cancelled are archived by themselves. It waits until all of the show is
    recorded and nobody holds places: `200` says that it is done, `202` that it will be.
    """
    check_query(request)
    found = await find_show(request, show)
    runtime = runtime_of(request)

    async def do(_: Keeper) -> tuple[int, LifeAnswer]:
        with store_failures():
            outcome = await act(stores_of(runtime), request.user, found.id, Action.ARCHIVE)
        changed = changed_or_problem(outcome)
        is_done = await _is_archived(runtime, found)
        return HTTP_200_OK if is_done else HTTP_202_ACCEPTED, tell_life(runtime, changed)

    answered = await answer_once(request, f"archive {found.id:016x}", 0, do)
    return written_json(LifeAnswer, answered.body, status_code=answered.status)


async def _is_archived(runtime: Serving, show: Show) -> bool:
    """Wait until the workers have archived a show; False if that takes too long."""
    deadline = time.monotonic() + _ARCHIVED_WITHIN_S
    while True:
        with store_failures():
            life = await read_life(runtime.own_reads, show.reseller, show.id)
        if life is None or life.archived_at is not None:
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(_PAUSE_S)


async def _take(
    request: ApiRequest, show: str, action: Action, *parameters: str, opens_now: bool = False
) -> Response[LifeAnswer]:
    check_query(request, *parameters)
    found = await find_show(request, show)
    runtime = runtime_of(request)

    async def do(keeper: Keeper) -> tuple[int, LifeAnswer]:
        async def keep(transaction: Transaction, changed: RulesChanged) -> None:
            await keeper.keep(transaction, HTTP_200_OK, tell_life(runtime, life_of(changed)))

        with store_failures():
            outcome = await act(
                stores_of(runtime),
                request.user,
                found.id,
                action,
                opens_now=opens_now,
                finish=keep,
            )
        return HTTP_200_OK, tell_life(runtime, changed_or_problem(outcome))

    scope = f"{action} {found.id:016x}"
    answered = await answer_once(request, scope, int(opens_now), do)
    await is_opened(runtime, found)
    return written_json(LifeAnswer, answered.body, status_code=answered.status)


def tell_life(runtime: Serving, changed: LifeChanged) -> LifeAnswer:
    """Tell the state that a show is in now."""
    row = changed.row
    return LifeAnswer(
        show=runtime.ids.entity(Prefix.SHOW, row["id"]),
        state=changed.state,
        selling=is_selling(changed.state, row["opens_at"], row["closes_at"]),
        inventory_version=changed.inventory_version,
        allowed=[action.value for action in changed.allowed],
    )


router = Router(
    path="/v1/shows",
    tags=["shows"],
    route_handlers=[announce, open_sale, pause, resume, close, archive],
)
