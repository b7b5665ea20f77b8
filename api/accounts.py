"""The account: a reseller's legal and billing side."""

from typing import assert_never

from litestar import Router, get, patch

from api.account_answers import AccountAnswer, tell_account
from api.account_inputs import AccountChangeBody
from api.account_outcomes import problem_of_account
from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.problems import ProblemKind
from api.reading import check_query, read_body
from engine.platform.errors import store_failures
from engine.tenancy.accounts import Account, LegalUnfit, NoAccount, change_account, find_account
from engine.tenancy.principals import Scope

_PROBLEMS = (ProblemKind.NO_ACCOUNT,)


@get(
    "/",
    summary="Look at your account",
    operation_class=describe(scope=Scope.ACCOUNT_READ, problems=_PROBLEMS),
)
async def look(request: ApiRequest) -> AccountAnswer:
    """Tell the account of the live reseller that asks; of tax id and payout account the end."""
    check_query(request)
    with store_failures():
        found = await find_account(runtime_of(request).door, request.user)
    return _told(request, found)


@patch(
    "/",
    summary="Change your account",
    operation_class=describe(
        scope=Scope.ACCOUNT_MANAGE, body=AccountChangeBody, problems=_PROBLEMS
    ),
)
async def change(request: ApiRequest) -> AccountAnswer:
    """Change what is named, all of it or nothing. Owners are told by mail of a new payout account.

    An address or a payout account is replaced as a whole. `tax_id: null` takes it away, where the
    country has none.
    """
    check_query(request)
    body = await read_body(request, AccountChangeBody)
    with store_failures():
        changed = await change_account(runtime_of(request).door, request.user, body.changes())
    return _told(request, changed)


def _told(request: ApiRequest, outcome: Account | NoAccount | LegalUnfit) -> AccountAnswer:
    match outcome:
        case Account():
            return tell_account(outcome, runtime_of(request).ids)
        case NoAccount() | LegalUnfit():
            raise problem_of_account(outcome)
        case _:
            assert_never(outcome)


router = Router(path="/v1/account", tags=["accounts"], route_handlers=[look, change])
