"""The people who act for an account: list, look at, give a role, log out, remove."""

from typing import Final, assert_never

from litestar import Router, delete, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_204_NO_CONTENT
from msgspec import UNSET

from api.account_answers import UserAnswer, UserPage, tell_user
from api.account_inputs import RoleBody
from api.account_outcomes import problem_of_account, user_not_found
from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.paging import PAGE_DEFAULT, Cursor, Limit, read_cursor
from api.problems import ProblemKind
from api.reading import check_query, read_body
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, IdError, Prefix
from engine.tenancy import users
from engine.tenancy.principals import Scope
from engine.tenancy.users import LastOwner, LoggedOut, Removed, RoleExceeds, UnknownUser, User

_OF_USER: Final = (ProblemKind.USER_NOT_FOUND,)


@get("/", summary="List your users", operation_class=describe(scope=Scope.USERS_MANAGE))
async def list_own(
    request: ApiRequest,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> UserPage:
    """List the people who act for your account, by id."""
    check_query(request, "cursor", "limit")
    runtime = runtime_of(request)
    after = read_cursor(runtime.ids, Prefix.USER, cursor)
    # One more than asked for tells whether there is a next page.
    with store_failures():
        found = await users.list_users(runtime.door, request.user, after=after, limit=limit + 1)
    page = [tell_user(user, runtime.ids) for user in found[:limit]]
    return UserPage(page, page[-1].user if len(found) > limit else None)


@get(
    "/{user:str}",
    summary="Look at a user",
    operation_class=describe(scope=Scope.USERS_MANAGE, problems=_OF_USER),
)
async def look(request: ApiRequest, user: FromPath[str]) -> UserAnswer:
    """Tell one of the people who act for your account."""
    check_query(request)
    return await _look(request, _user_of(request, user))


@patch(
    "/{user:str}",
    summary="Give a user another role",
    operation_class=describe(
        scope=Scope.USERS_MANAGE, body=RoleBody, problems=(*_OF_USER, ProblemKind.LAST_OWNER)
    ),
)
async def change(request: ApiRequest, user: FromPath[str]) -> UserAnswer:
    """Give a user another role, which logs them out everywhere. The last owner stays one.

    Your credential needs every scope of the role, and of the one that they had.
    """
    check_query(request)
    body = await read_body(request, RoleBody)
    found = _user_of(request, user)
    if body.role is UNSET:
        return await _look(request, found)
    runtime = runtime_of(request)
    with store_failures():
        outcome = await users.change_role(
            runtime.door, request.user, found, body.role, held=request.auth.scopes
        )
    match outcome:
        case User():
            return tell_user(outcome, runtime.ids)
        case UnknownUser() | LastOwner() | RoleExceeds():
            raise problem_of_account(outcome)
        case _:
            assert_never(outcome)


@delete(
    "/{user:str}",
    summary="Remove a user",
    status_code=HTTP_204_NO_CONTENT,
    operation_class=describe(
        scope=Scope.USERS_MANAGE, problems=(*_OF_USER, ProblemKind.LAST_OWNER)
    ),
)
async def remove(request: ApiRequest, user: FromPath[str]) -> None:
    """Remove a user, log them out everywhere, and erase their name and address.

    Your credential needs every scope of their role. The last owner stays.
    """
    check_query(request)
    found = _user_of(request, user)
    with store_failures():
        outcome = await users.remove_user(
            runtime_of(request).door, request.user, found, held=request.auth.scopes
        )
    match outcome:
        case Removed():
            return
        case UnknownUser() | LastOwner() | RoleExceeds():
            raise problem_of_account(outcome)
        case _:
            assert_never(outcome)


@post(
    "/{user:str}/log-out",
    summary="Log a user out everywhere",
    status_code=HTTP_204_NO_CONTENT,
    operation_class=describe(scope=Scope.USERS_MANAGE, problems=_OF_USER),
)
async def log_out(request: ApiRequest, user: FromPath[str]) -> None:
    """End a user's sessions, and every token that was given to them till now.

    Your credential needs every scope of their role.
    """
    check_query(request)
    found = _user_of(request, user)
    with store_failures():
        outcome = await users.log_out_user(
            runtime_of(request).door, request.user, found, held=request.auth.scopes
        )
    match outcome:
        case LoggedOut():
            return
        case UnknownUser() | RoleExceeds():
            raise problem_of_account(outcome)
        case _:
            assert_never(outcome)


async def _look(request: ApiRequest, user: EntityId) -> UserAnswer:
    runtime = runtime_of(request)
    with store_failures():
        found = await users.find_user(runtime.door, request.user, user)
    if isinstance(found, UnknownUser):
        raise problem_of_account(found)
    return tell_user(found, runtime.ids)


def _user_of(request: ApiRequest, text: str) -> EntityId:
    try:
        return runtime_of(request).ids.parse_entity(Prefix.USER, text)
    except IdError:
        raise user_not_found() from None


router = Router(
    path="/v1/users", tags=["users"], route_handlers=[list_own, look, change, remove, log_out]
)
