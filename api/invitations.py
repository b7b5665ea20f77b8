"""Invitations: bring people into an account, by mail."""

from typing import assert_never

from litestar import Router, delete, get, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_201_CREATED, HTTP_204_NO_CONTENT

from api.account_answers import (
    InvitationAnswer,
    InvitationPage,
    UserAnswer,
    tell_invitation,
    tell_user,
)
from api.account_inputs import AcceptBody, InvitationBody
from api.account_outcomes import invitation_not_found, problem_of_account
from api.context import ApiRequest, runtime_of
from api.credentials import require_scope
from api.documents import describe
from api.paging import PAGE_DEFAULT, Cursor, Limit, read_cursor
from api.problems import ProblemKind
from api.reading import check_query, read_body, require_json_accepted
from engine.platform.errors import store_failures
from engine.platform.ids import IdError, Prefix
from engine.tenancy import invitations
from engine.tenancy.accounts import NoAccount
from engine.tenancy.invitations import Invitation, IsUser, PersonUnfit, TooManyInvitations
from engine.tenancy.mailed import TokenUnknown
from engine.tenancy.principals import Scope
from engine.tenancy.sessions import Busy, Throttled
from engine.tenancy.sign_up import AddressTaken
from engine.tenancy.users import RoleExceeds, User


@post(
    "/",
    summary="Invite somebody",
    guards=[require_scope],
    operation_class=describe(
        scope=Scope.USERS_MANAGE,
        body=InvitationBody,
        problems=(
            ProblemKind.NO_ACCOUNT,
            ProblemKind.USER_EXISTS,
            ProblemKind.TOO_MANY_INVITATIONS,
            ProblemKind.TOO_MANY_ATTEMPTS,
        ),
    ),
)
async def create(request: ApiRequest) -> InvitationAnswer:
    """Invite somebody to your account, by a mail that is good for 7 days, and once.

    Inviting an address again ends its earlier invitation, so a repetition does no harm; a few times
    an hour, then it is too many. Your credential needs every scope of the role.
    """
    check_query(request)
    body = await read_body(request, InvitationBody)
    runtime = runtime_of(request)
    with store_failures():
        outcome = await invitations.invite(
            runtime.door, request.user, body.email, body.role, held=request.auth.scopes
        )
    match outcome:
        case Invitation():
            return tell_invitation(outcome, runtime.ids)
        case NoAccount() | IsUser() | RoleExceeds() | TooManyInvitations() | Throttled():
            raise problem_of_account(outcome)
        case _:
            assert_never(outcome)


@get(
    "/",
    summary="List open invitations",
    guards=[require_scope],
    operation_class=describe(scope=Scope.USERS_MANAGE),
)
async def list_own(
    request: ApiRequest,
    cursor: Cursor = None,
    limit: Limit = PAGE_DEFAULT,
) -> InvitationPage:
    """List your account's invitations that nobody has accepted yet, by id."""
    check_query(request, "cursor", "limit")
    runtime = runtime_of(request)
    after = read_cursor(runtime.ids, Prefix.INVITATION, cursor)
    # One more than asked for tells whether there is a next page.
    with store_failures():
        found = await invitations.list_invitations(
            runtime.door, request.user, after=after, limit=limit + 1
        )
    page = [tell_invitation(one, runtime.ids) for one in found[:limit]]
    return InvitationPage(page, page[-1].invitation if len(found) > limit else None)


@delete(
    "/{invitation:str}",
    summary="Revoke an invitation",
    status_code=HTTP_204_NO_CONTENT,
    guards=[require_scope],
    operation_class=describe(
        scope=Scope.USERS_MANAGE, problems=(ProblemKind.INVITATION_NOT_FOUND,)
    ),
)
async def revoke(request: ApiRequest, invitation: FromPath[str]) -> None:
    """End an invitation that nobody has accepted yet."""
    check_query(request)
    runtime = runtime_of(request)
    try:
        named = runtime.ids.parse_entity(Prefix.INVITATION, invitation)
    except IdError:
        raise invitation_not_found() from None
    with store_failures():
        if not await invitations.revoke_invitation(runtime.door, request.user, named):
            raise invitation_not_found()


@post(
    "/accept",
    summary="Accept an invitation",
    status_code=HTTP_201_CREATED,
    operation_class=describe(
        scope=None,
        body=AcceptBody,
        problems=(ProblemKind.INVITATION_NOT_FOUND, ProblemKind.ADDRESS_TAKEN),
    ),
)
async def accept(request: ApiRequest) -> UserAnswer:
    """Become a user of the account that invited you, by the secret in the mail: once."""
    check_query(request)
    body = await read_body(request, AcceptBody)
    runtime = runtime_of(request)
    with store_failures():
        outcome = await invitations.accept_invitation(
            runtime.door, body.token, body.name, body.password
        )
    match outcome:
        case User():
            return tell_user(outcome, runtime.ids)
        case TokenUnknown() | AddressTaken() | PersonUnfit() | Busy():
            raise problem_of_account(outcome)
        case _:
            assert_never(outcome)


router = Router(
    path="/v1/invitations",
    tags=["users"],
    guards=[require_json_accepted],
    route_handlers=[create, list_own, revoke, accept],
)
