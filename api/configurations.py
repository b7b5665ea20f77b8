"""Configurations: the ways to set a venue up. Keep them, copy them, archive them."""

from datetime import date
from typing import Final

from litestar import Response, Router, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from msgspec import UNSET

from api import configuration_versions
from api.catalog_inputs import CATALOG_BODY_BYTES_MAX
from api.configuration_answers import (
    ConfigurationAnswer,
    ConfigurationList,
    tell_configuration,
)
from api.configuration_inputs import ConfigurationBody, ConfigurationChangeBody, CopyBody
from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.making import Remember, make_once
from api.paging import PAGE_DEFAULT, Archived, Cursor, Limit, read_cursor
from api.problems import ProblemKind
from api.reading import check_query, optional_key, read_body
from api.venue_outcomes import Refused, parse_configuration, parse_venue, refusal_of
from engine.catalog.configurations import (
    Configuration,
    ConfigurationChanges,
    change_configuration,
    copy_configuration,
    create_configuration,
    find_configuration,
    list_configurations,
)
from engine.catalog.venues import UnknownVenue
from engine.platform.errors import store_failures
from engine.platform.ids import Prefix
from engine.tenancy.principals import Scope

_UNKNOWN: Final = (ProblemKind.CONFIGURATION_NOT_FOUND,)
_ONCE: Final = (ProblemKind.REQUEST_UNDER_WAY, ProblemKind.KEY_REUSED)


@post(
    "/{venue:str}/configurations",
    summary="Make a configuration",
    request_max_body_size=CATALOG_BODY_BYTES_MAX,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE,
        body=ConfigurationBody,
        key="honoured",
        problems=(ProblemKind.VENUE_NOT_FOUND, *_ONCE),
    ),
)
async def make(request: ApiRequest, venue: FromPath[str]) -> Response[ConfigurationAnswer]:
    """Add a way to set a venue up, an alternative to those that it has; then add a version."""
    check_query(request)
    optional_key(request)
    named = parse_venue(request, venue)
    body = await read_body(request, ConfigurationBody)
    runtime = runtime_of(request)

    def tell(made: Configuration) -> ConfigurationAnswer:
        return tell_configuration(made, runtime.ids)

    async def create(remember: Remember[Configuration]) -> Configuration:
        return _made(
            request,
            await create_configuration(
                runtime.app_engine, request.user, named, body.new(), remember
            ),
        )

    scope = f"configurations {named:016x}"
    return await make_once(
        request,
        scope,
        body.fingerprint(),
        create,
        tell=tell,
        answer=ConfigurationAnswer,
        address=_address,
    )


@get(
    "/{venue:str}/configurations",
    summary="List a venue's configurations",
    operation_class=describe(scope=Scope.CATALOG_READ, problems=(ProblemKind.VENUE_NOT_FOUND,)),
)
async def list_of_venue(
    request: ApiRequest,
    venue: FromPath[str],
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
    archived: Archived = False,  # noqa: FBT002 - a query parameter
) -> ConfigurationList:
    """List the ways to set a venue up, the newest first."""
    check_query(request, "cursor", "limit", "archived")
    runtime = runtime_of(request)
    named = parse_venue(request, venue)
    after = read_cursor(runtime.ids, Prefix.CONFIGURATION, cursor)
    with store_failures():
        found = await list_configurations(
            runtime.app_engine, request.user, named, after=after, limit=limit + 1, archived=archived
        )
    if isinstance(found, UnknownVenue):
        raise refusal_of(found, runtime.ids)
    page = [tell_configuration(one, runtime.ids) for one in found[:limit]]
    return ConfigurationList(page, page[-1].configuration if len(found) > limit else None)


@get(
    "/{configuration:str}",
    summary="Look at a configuration",
    operation_class=describe(scope=Scope.CATALOG_READ, problems=_UNKNOWN),
)
async def look(request: ApiRequest, configuration: FromPath[str]) -> ConfigurationAnswer:
    """Tell of a configuration; its seats are in its versions."""
    check_query(request)
    named = parse_configuration(request, configuration)
    with store_failures():
        found = await find_configuration(runtime_of(request).app_engine, request.user, named)
    return _tell(request, found)


@patch(
    "/{configuration:str}",
    summary="Change a configuration",
    request_max_body_size=CATALOG_BODY_BYTES_MAX,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE, body=ConfigurationChangeBody, problems=_UNKNOWN
    ),
)
async def change(request: ApiRequest, configuration: FromPath[str]) -> ConfigurationAnswer:
    """Change what is named; its seats change by another version."""
    check_query(request)
    named = parse_configuration(request, configuration)
    body = await read_body(request, ConfigurationChangeBody)
    with store_failures():
        changed = await change_configuration(
            runtime_of(request).app_engine, request.user, named, body.changes()
        )
    return _tell(request, changed)


@post(
    "/{configuration:str}/archive",
    summary="Archive a configuration",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE, problems=(*_UNKNOWN, ProblemKind.SHOWS_TO_COME)
    ),
)
async def archive(request: ApiRequest, configuration: FromPath[str]) -> ConfigurationAnswer:
    """Put it away: no show can be made from it anew. Refused while shows of it are to come.

    Repeated, it is as it was.
    """
    return await _archive(request, configuration, is_archived=True)


@post(
    "/{configuration:str}/restore",
    summary="Take an archived configuration back",
    status_code=HTTP_200_OK,
    operation_class=describe(scope=Scope.CATALOG_WRITE, problems=_UNKNOWN),
)
async def restore(request: ApiRequest, configuration: FromPath[str]) -> ConfigurationAnswer:
    """Undo its being archived. Repeated, it is as it was."""
    return await _archive(request, configuration, is_archived=False)


@post(
    "/{configuration:str}/copies",
    summary="Copy a configuration",
    request_max_body_size=CATALOG_BODY_BYTES_MAX,
    operation_class=describe(
        scope=Scope.CATALOG_WRITE,
        body=CopyBody,
        key="honoured",
        problems=(
            *_UNKNOWN,
            ProblemKind.VERSION_NOT_FOUND,
            ProblemKind.CONFIGURATION_ARCHIVED,
            *_ONCE,
        ),
    ),
)
async def copy(request: ApiRequest, configuration: FromPath[str]) -> Response[ConfigurationAnswer]:
    """Make another one of the same venue, for a season: it begins with a version of this one."""
    check_query(request)
    optional_key(request)
    named = parse_configuration(request, configuration)
    body = await read_body(request, CopyBody)
    runtime = runtime_of(request)
    first: date | None = None if body.valid_from is UNSET else body.valid_from

    def tell(made: Configuration) -> ConfigurationAnswer:
        return tell_configuration(made, runtime.ids)

    async def create(remember: Remember[Configuration]) -> Configuration:
        return _made(
            request,
            await copy_configuration(
                runtime.app_engine,
                runtime.ids,
                request.user,
                named,
                body.new(),
                version=body.version or None,
                valid_from=first,
                remember=remember,
            ),
        )

    scope = f"copies {named:016x}"
    return await make_once(
        request,
        scope,
        body.fingerprint(),
        create,
        tell=tell,
        answer=ConfigurationAnswer,
        address=_address,
    )


async def _archive(
    request: ApiRequest, configuration: str, *, is_archived: bool
) -> ConfigurationAnswer:
    check_query(request)
    named = parse_configuration(request, configuration)
    with store_failures():
        changed = await change_configuration(
            runtime_of(request).app_engine,
            request.user,
            named,
            ConfigurationChanges(),
            archived=is_archived,
        )
    return _tell(request, changed)


def _address(made: ConfigurationAnswer) -> str:
    return f"/v1/configurations/{made.configuration}"


def _tell(request: ApiRequest, found: Configuration | Refused) -> ConfigurationAnswer:
    return tell_configuration(_made(request, found), runtime_of(request).ids)


def _made(request: ApiRequest, found: Configuration | Refused) -> Configuration:
    """Return what was found or made. Raises the problem of what was refused."""
    if isinstance(found, Configuration):
        return found
    raise refusal_of(found, runtime_of(request).ids)


of_venue = Router(path="/v1/venues", tags=["venues"], route_handlers=[make, list_of_venue])
router = Router(
    path="/v1/configurations",
    tags=["venues"],
    route_handlers=[
        look,
        change,
        archive,
        restore,
        copy,
        configuration_versions.add,
        configuration_versions.list_all,
        configuration_versions.look,
        configuration_versions.export,
        configuration_versions.compare,
        configuration_versions.find_conflicts,
    ],
)
