"""Versions of configurations: add them, look at them, compare them, see what they conflict with."""

import asyncio
from typing import Annotated, Final

import msgspec
from litestar import MediaType, Response, get, post
from litestar.params import FromPath, QueryParameter
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_304_NOT_MODIFIED
from msgspec import UNSET

from api.compressing import accepts_gzip
from api.configuration_answers import (
    ConflictsAnswer,
    DifferencesAnswer,
    VersionAnswer,
    VersionList,
    tell_conflict,
    tell_difference,
    tell_version,
)
from api.configuration_inputs import ChangeBody, VersionBody
from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.fastlane.kept import Kept
from api.paging import PAGE_DEFAULT, Cursor, Limit, no_cursor, read_cursor
from api.plan_sources import edit_version, read_sent, source_fingerprint
from api.problems import ProblemKind
from api.queueing import OneAtATime
from api.reading import SHOW_BODY_BYTES_MAX, check_query, optional_key, read_body, single_header
from api.repeating import Keeper, answer_once
from api.venue_outcomes import Refused, parse_configuration, refusal_of
from api.written import written_json
from engine.catalog.clashes import PlanPlaces, places_of
from engine.catalog.configurations import (
    Configuration,
    NewVersion,
    Outrun,
    add_version,
    find_configuration,
    find_version,
    list_versions_of,
)
from engine.catalog.conflicts import SHOWS_MAX
from engine.catalog.differences import compare_plans
from engine.catalog.versions import Version
from engine.inventory.seating_plan import SeatingPlan
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, Prefix
from engine.tenancy.principals import Scope

_UNKNOWN: Final = (ProblemKind.CONFIGURATION_NOT_FOUND,)
_NO_VERSION: Final = (*_UNKNOWN, ProblemKind.VERSION_NOT_FOUND)
_DIFFERENCES_MAX: Final = 1000
_DIFFERENCES_DEFAULT: Final = 100
_ATTEMPTS: Final = 3
_DIGITS_MAX: Final = 9
_NEVER_CHANGES: Final = "private, max-age=86400, immutable"

PlaceCursor = Annotated[
    str | None, QueryParameter(max_length=16, description="A page's `next_cursor`.")
]


@post(
    "/{configuration:str}/versions",
    summary="Add a version",
    request_max_body_size=SHOW_BODY_BYTES_MAX,
    # Bodies of up to 64 MiB, seconds of work each: one at a time in a process.
    middleware=[OneAtATime()],
    operation_class=describe(
        scope=Scope.CATALOG_WRITE,
        body=VersionBody,
        key="honoured",
        problems=(
            *_NO_VERSION,
            ProblemKind.INVALID_SEATING_PLAN,
            ProblemKind.CONFIGURATION_ARCHIVED,
            ProblemKind.REQUEST_UNDER_WAY,
            ProblemKind.KEY_REUSED,
        ),
    ),
)
async def add(request: ApiRequest, configuration: FromPath[str]) -> Response[VersionAnswer]:
    """Add the next version: a seating plan, a compact table, or small edits of one there is.

    Shows that are there keep the version that they were made from; those made from now on get the
    last one that is valid on their day.
    """
    check_query(request)
    optional_key(request)
    named = parse_configuration(request, configuration)
    body = await read_body(request, VersionBody)
    found = await _find(request, named)
    sent = await read_sent(body, found.name)
    stands_for = await asyncio.to_thread(source_fingerprint, body, sent)
    ids = runtime_of(request).ids

    async def act(keeper: Keeper) -> tuple[int, VersionAnswer]:
        return HTTP_201_CREATED, tell_version(await _add(request, found, body, sent, keeper), ids)

    answered = await answer_once(request, f"versions {named:016x}", stands_for, act)
    made = msgspec.json.decode(answered.body, type=VersionAnswer)
    where = f"/v1/configurations/{made.configuration}/versions/{made.version}"
    return written_json(
        VersionAnswer, answered.body, status_code=answered.status, headers={"Location": where}
    )


@get(
    "/{configuration:str}/versions",
    summary="List versions",
    operation_class=describe(scope=Scope.CATALOG_READ, problems=_UNKNOWN),
)
async def list_all(
    request: ApiRequest,
    configuration: FromPath[str],
    cursor: PlaceCursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> VersionList:
    """List a configuration's versions, the last added first."""
    check_query(request, "cursor", "limit")
    named = parse_configuration(request, configuration)
    before = _read_place(cursor)
    runtime = runtime_of(request)
    with store_failures():
        found = await list_versions_of(
            runtime.app_engine, request.user, named, before=before, limit=limit + 1
        )
    if not isinstance(found, list):
        raise refusal_of(found, runtime.ids)
    page = [tell_version(version, runtime.ids) for version in found[:limit]]
    return VersionList(page, f"p{page[-1].version}" if len(found) > limit else None)


@get(
    "/{configuration:str}/versions/{version_no:str}",
    summary="Look at a version",
    operation_class=describe(scope=Scope.CATALOG_READ, problems=_NO_VERSION),
)
async def look(
    request: ApiRequest, configuration: FromPath[str], version_no: FromPath[str]
) -> VersionAnswer:
    """Tell of a version: since when it is valid, and what its categories have."""
    check_query(request)
    named = parse_configuration(request, configuration)
    return tell_version(
        await _version(request, named, _read_number(version_no)), runtime_of(request).ids
    )


@get(
    "/{configuration:str}/versions/{version_no:str}/seating-plan",
    summary="Export a version's seating plan",
    media_type=MediaType.JSON,
    operation_class=describe(scope=Scope.CATALOG_READ, problems=_NO_VERSION),
)
async def export(
    request: ApiRequest, configuration: FromPath[str], version_no: FromPath[str]
) -> Response[dict[str, object]]:
    """Give the seating plan back, in the format that plans are sent in.

    It never changes: keep it. `If-None-Match` with its ETag is answered with `304`.
    """
    check_query(request)
    named = parse_configuration(request, configuration)
    found = await _version(request, named, _read_number(version_no))
    with store_failures():
        plan = await runtime_of(request).plans.plan(request.user, found.manifest_id)
    kept = Kept(f'W/"{plan.digest}"', _NEVER_CHANGES)
    headers = {"ETag": kept.etag, "Cache-Control": _NEVER_CHANGES, "Vary": "Accept-Encoding"}
    if kept.is_had(single_header(request, "if-none-match")):
        return written_json(
            dict[str, object], b"", status_code=HTTP_304_NOT_MODIFIED, headers=headers
        )
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        headers["Content-Encoding"] = "gzip"
        return written_json(dict[str, object], plan.gzipped, headers=headers)
    content = await asyncio.to_thread(plan.content)
    return written_json(dict[str, object], content, headers=headers)


@get(
    "/{configuration:str}/differences",
    summary="Compare two versions",
    operation_class=describe(scope=Scope.CATALOG_READ, problems=_NO_VERSION),
)
async def compare(  # noqa: PLR0913, PLR0917 -- each is a query parameter
    request: ApiRequest,
    configuration: FromPath[str],
    before: Annotated[
        int, QueryParameter(name="from", ge=1, le=1_000_000, description="A version's number.")
    ],
    after: Annotated[
        int, QueryParameter(name="to", ge=1, le=1_000_000, description="A version's number.")
    ],
    cursor: PlaceCursor = None,
    limit: Annotated[int, QueryParameter(ge=1, le=_DIFFERENCES_MAX)] = _DIFFERENCES_DEFAULT,
) -> DifferencesAnswer:
    """Tell what differs between two versions: first how many of each kind, then each.

    Seats come first in the order of the plans, then areas, then zones.
    """
    check_query(request, "from", "to", "cursor", "limit")
    named = parse_configuration(request, configuration)
    start = _read_place(cursor) or 0
    runtime = runtime_of(request)
    plans = [await _plan_of(request, named, number) for number in (before, after)]
    found = await asyncio.to_thread(compare_plans, *plans)
    end = start + limit
    return DifferencesAnswer(
        configuration=runtime.ids.entity(Prefix.CONFIGURATION, named),
        before=before,
        after=after,
        counts={kind: count for kind, count in found.counts.items() if count},
        differences=[tell_difference(one) for one in found.listed[start:end]],
        next_cursor=f"p{end}" if len(found.listed) > end else None,
    )


@post(
    "/{configuration:str}/conflicts",
    summary="See what a change conflicts with",
    status_code=HTTP_200_OK,
    request_max_body_size=SHOW_BODY_BYTES_MAX,
    middleware=[OneAtATime()],
    operation_class=describe(
        scope=Scope.CATALOG_READ,
        body=ChangeBody,
        problems=(*_NO_VERSION, ProblemKind.INVALID_SEATING_PLAN),
    ),
)
async def find_conflicts(
    request: ApiRequest,
    configuration: FromPath[str],
    cursor: Cursor = None,
    limit: Annotated[
        int, QueryParameter(ge=1, le=SHOWS_MAX, description="How many shows are looked at.")
    ] = SHOWS_MAX,
) -> ConflictsAnswer:
    """Name each show to come of a configuration that conflicts with a change, which is not done.

    By a seat that is sold or held and would vanish, by an area that would take fewer than are sold
    and held, or by another show at the venue at the same time.
    """
    check_query(request, "cursor", "limit")
    named = parse_configuration(request, configuration)
    runtime = runtime_of(request)
    after = read_cursor(runtime.ids, Prefix.SHOW, cursor)
    body = await read_body(request, ChangeBody)
    places = await _changed_places(request, named, body)
    with store_failures():
        found = await runtime.conflicts.find(request.user, named, places, after=after, limit=limit)
    last = None if found.last is None else runtime.ids.entity(Prefix.SHOW, found.last)
    told = [tell_conflict(one, runtime.ids) for one in found.shows]
    return ConflictsAnswer(told, found.looked_at, last)


async def _add(
    request: ApiRequest,
    configuration: Configuration,
    body: VersionBody,
    sent: SeatingPlan | None,
    keeper: Keeper,
) -> Version:
    """Add the version; edits of the last one are done anew where another has come meanwhile."""
    runtime = runtime_of(request)

    def tell(made: Version) -> VersionAnswer:
        return tell_version(made, runtime.ids)

    remember = keeper.remember(HTTP_201_CREATED, tell)
    outcome: Version | Refused = Outrun()
    for _ in range(_ATTEMPTS):
        plan, follows = sent, None
        if plan is None:
            edited = await edit_version(request, configuration, body)
            if not isinstance(edited, tuple):
                raise refusal_of(edited, runtime.ids)
            plan, base = edited
            follows = base if body.based_on is UNSET else None
        new = NewVersion(
            plan=plan, valid_from=body.valid_from or None, note=body.note, follows=follows
        )
        with store_failures():
            outcome = await add_version(
                runtime.app_engine, runtime.ids, request.user, configuration.id, new, remember
            )
        if not isinstance(outcome, Outrun):
            break
    if not isinstance(outcome, Version):
        raise refusal_of(outcome, runtime.ids)
    return outcome


async def _changed_places(request: ApiRequest, named: EntityId, body: ChangeBody) -> PlanPlaces:
    found = await _find(request, named)
    plan = await read_sent(body, found.name)
    if plan is None and body.version is not UNSET:
        plan = await _plan_of(request, named, body.version)
    elif plan is None:
        edited = await edit_version(request, found, body)
        if not isinstance(edited, tuple):
            raise refusal_of(edited, runtime_of(request).ids)
        plan, _ = edited
    return await asyncio.to_thread(places_of, plan)


async def _find(request: ApiRequest, configuration: EntityId) -> Configuration:
    runtime = runtime_of(request)
    with store_failures():
        found = await find_configuration(runtime.app_engine, request.user, configuration)
    if not isinstance(found, Configuration):
        raise refusal_of(found, runtime.ids)
    return found


async def _version(request: ApiRequest, configuration: EntityId, number: int) -> Version:
    runtime = runtime_of(request)
    with store_failures():
        found = await find_version(runtime.app_engine, request.user, configuration, number)
    if not isinstance(found, Version):
        raise refusal_of(found, runtime.ids)
    return found


async def _plan_of(request: ApiRequest, configuration: EntityId, number: int) -> SeatingPlan:
    version = await _version(request, configuration, number)
    with store_failures():
        return await runtime_of(request).plans.seating_plan(request.user, version.manifest_id)


def _read_number(text: str) -> int:
    """Return a version's number; 0, which none has, for a text that is none."""
    is_number = text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
    return int(text) if is_number else 0


def _read_place(cursor: str | None) -> int | None:
    if cursor is None:
        return None
    digits = cursor[1:]
    if cursor[:1] != "p" or not (digits.isascii() and digits.isdigit()):
        raise no_cursor()
    return int(digits[:_DIGITS_MAX])
