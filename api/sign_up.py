"""Signing up: who has no credential yet."""

from typing import assert_never

import msgspec
from litestar import Response, Router, post
from litestar.status_codes import HTTP_201_CREATED

from api.account_answers import SignUpAnswer, tell_sign_up
from api.account_inputs import SignUpBody
from api.account_outcomes import problem_of_account
from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.problems import ProblemKind
from api.reading import check_query, optional_key, read_body, require_json_accepted
from api.sources import source_of_request
from api.written import written_json
from engine.platform.errors import store_failures
from engine.tenancy.sessions import Busy, Throttled
from engine.tenancy.sign_up import Asked, NewSignUp, SignedUp, sign_up


@post(
    "/",
    summary="Sign up",
    operation_class=describe(
        scope=None, body=SignUpBody, key="honoured", problems=(ProblemKind.TOO_MANY_ATTEMPTS,)
    ),
)
async def create(request: ApiRequest) -> Response[SignUpAnswer]:
    """Make an account with its first owner, a live reseller, and a sandbox with an API key.

    The sandbox works at once. The live reseller gets keys when an operator has approved the
    account. The owner is sent a mail, and can sign in once they have opened the page in it.

    Whether the address has a log-in already is not told: the answer is the same.
    """
    check_query(request)
    key = optional_key(request)
    body = await read_body(request, SignUpBody)
    runtime = runtime_of(request)
    new = NewSignUp(
        legal=body.legal(), owner_name=body.owner_name, email=body.email, password=body.password
    )
    asked = None if key is None else Asked(key, body.fingerprint())
    source = source_of_request(request)
    with store_failures():
        outcome = await sign_up(runtime.door, runtime.ids, new, source, asked)
    match outcome:
        case SignedUp():
            told = tell_sign_up(outcome, runtime.ids)
        case Throttled() | Busy():
            raise problem_of_account(outcome)
        case _:
            assert_never(outcome)
    return written_json(
        SignUpAnswer,
        msgspec.json.encode(told),
        status_code=HTTP_201_CREATED,
        headers={"Cache-Control": "no-store"},
    )


router = Router(
    path="/v1/sign-up", tags=["accounts"], guards=[require_json_accepted], route_handlers=[create]
)
