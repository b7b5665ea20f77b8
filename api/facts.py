"""The log of facts: everything that webhooks carry, from wherever a receiver left off."""

import re
from typing import Annotated, Final

from litestar import Router, get
from litestar.params import QueryParameter

from api.context import ApiRequest, parse_show, runtime_of
from api.documents import describe
from api.fact_answers import FactPage, tell_page
from api.paging import no_cursor
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.reading import check_query
from engine.facts.log import Cursor, CursorExpiredError, Wanted
from engine.facts.reading import WAIT_S_MAX
from engine.facts.types import FactType
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, IdError, Ids
from engine.tenancy.principals import Scope

PAGE_MAX: Final = 500
_PAGE_DEFAULT: Final = 100
_ID: Final = re.compile(r"[a-z]+_[a-z0-9]+_[0-9a-f]+")


@get(
    "/",
    summary="Read what happened",
    operation_class=describe(scope=Scope.FACTS_READ, problems=(ProblemKind.CURSOR_EXPIRED,)),
)
async def list_facts(  # noqa: PLR0913, PLR0917 - the query's parameters
    request: ApiRequest,
    after: Annotated[
        str | None,
        QueryParameter(
            max_length=64,
            description="A page's `next_cursor`. Left out: from the oldest fact that is kept on.",
        ),
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_MAX)] = _PAGE_DEFAULT,
    type: Annotated[  # noqa: A002 - the parameter's name
        str | None,
        QueryParameter(max_length=500, description="Only these types, with commas between them."),
    ] = None,
    object: Annotated[  # noqa: A002 - the parameter's name
        str | None,
        QueryParameter(max_length=100, description="Only what is about this id."),
    ] = None,
    show: Annotated[
        str | None, QueryParameter(max_length=64, description="Only what is about this show.")
    ] = None,
    wait: Annotated[
        int,
        QueryParameter(
            ge=0,
            le=WAIT_S_MAX,
            description="For so many seconds wait for a fact, if there is none yet.",
        ),
    ] = 0,
) -> FactPage:
    """Tell what happened, in order, from a cursor on: each fact once, none left out.

    Facts are kept for 30 days. Keep `next_cursor` once you have dealt with a page, and go on with
    it; it is given also with an empty page. With a filter a page may have few facts, or none, while
    there `has_more`.
    """
    check_query(request, "after", "limit", "type", "object", "show", "wait")
    runtime = runtime_of(request)
    cursor = None if after is None else _read_cursor(runtime.ids, request.user, after)
    wanted = Wanted(
        types=None if type is None else _read_types(type),
        object=None if object is None else _read_object(object),
        show=None if show is None else _read_show(runtime.ids, show),
    )
    try:
        with store_failures():
            page = await runtime.facts.read(request.user, cursor, limit, wanted, wait)
    except CursorExpiredError as error:
        oldest = runtime.ids.cursor(request.user, error.oldest.xid, error.oldest.id)
        raise ProblemError(
            ProblemKind.CURSOR_EXPIRED,
            "Facts behind this cursor are not kept any more; the oldest that are come after"
            f" {oldest}.",
            members={"oldest": oldest},
        ) from None
    return tell_page(page, request.user, runtime.ids)


def _read_cursor(ids: Ids, reseller: EntityId, text: str) -> Cursor:
    try:
        return Cursor(*ids.parse_cursor(reseller, text))
    except IdError:
        raise no_cursor(parameter="after") from None


def _read_types(text: str) -> list[FactType]:
    try:
        return [FactType(name) for name in dict.fromkeys(text.split(","))]
    except ValueError:
        listed = ", ".join(FactType)
        raise invalid(Fault(f"types are {listed}", parameter="type")) from None


def _read_object(text: str) -> str:
    if not _ID.fullmatch(text):
        raise invalid(Fault("is no id", parameter="object"))
    return text


def _read_show(ids: Ids, text: str) -> EntityId:
    try:
        return parse_show(ids, text)
    except IdError:
        raise invalid(Fault("is no show's id", parameter="show")) from None


router = Router(path="/v1/facts", tags=["facts"], route_handlers=[list_facts])
