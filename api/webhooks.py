"""Webhooks: endpoints, their secrets, what became of telling them, and telling them again."""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED, HTTP_204_NO_CONTENT

from api import webhook_deliveries
from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.reading import check_query, optional_key, read_body
from api.repeating import Keeper, answer_once
from api.webhook_answers import (
    EndpointAnswer,
    EndpointMade,
    EndpointPage,
    PingAnswer,
    SecretPage,
    tell_endpoint,
    tell_ping,
    tell_secrets,
)
from api.webhook_inputs import EndpointBody, EndpointChanges, RotateWebhookSecretBody
from api.webhook_outcomes import find_endpoint, no_endpoint, now, parse_endpoint, webhooks_of
from engine.facts.log import Cursor
from engine.notify.endpoints import (
    ENDPOINTS_MAX,
    Endpoint,
    NewEndpoint,
    TooManyEndpoints,
    UnknownEndpoint,
    UrlRefused,
)
from engine.notify.pinging import TooManyPings
from engine.platform.errors import store_failures
from engine.platform.ids import Prefix
from engine.tenancy.principals import Scope

_END: Final = Cursor(2**63 - 1, 2**63 - 1)
_FIRST_MOMENT: Final = datetime(2000, 1, 1, tzinfo=UTC)
_LAST_MOMENT: Final = datetime(2201, 1, 1, tzinfo=UTC)
_SCOPE: Final = Scope.WEBHOOKS_MANAGE
_UNKNOWN: Final = (ProblemKind.ENDPOINT_NOT_FOUND,)


@post(
    "/",
    summary="Make an endpoint",
    operation_class=describe(
        scope=_SCOPE,
        body=EndpointBody,
        key="honoured",
        problems=(
            ProblemKind.TOO_MANY_ENDPOINTS,
            ProblemKind.REQUEST_UNDER_WAY,
            ProblemKind.KEY_REUSED,
        ),
    ),
)
async def make(request: ApiRequest) -> Response[EndpointMade]:
    """Have facts sent to a URL from now on. The answer has the secrets to verify them with."""
    check_query(request)
    optional_key(request)
    body = await read_body(request, EndpointBody)
    types = None if body.types is None else tuple(body.types)
    runtime = runtime_of(request)

    async def act(_keeper: Keeper) -> tuple[int, EndpointAnswer]:
        new = NewEndpoint(body.url, body.description, types)
        with store_failures():
            made = await runtime.webhooks.endpoints.make(request.user, new, now())
        match made:
            case TooManyEndpoints():
                raise ProblemError(
                    ProblemKind.TOO_MANY_ENDPOINTS,
                    f"There are {ENDPOINTS_MAX} already; delete one that is not needed.",
                )
            case UrlRefused():
                raise _refused(made)
            case Endpoint():
                return HTTP_201_CREATED, tell_endpoint(made, runtime.ids)

    # Secrets are no part of the answer that is kept for a repetition: they are read anew.
    answered = await answer_once(request, "webhook-endpoints", body.fingerprint(), act)
    told = msgspec.json.decode(answered.body, type=EndpointAnswer)
    endpoint = runtime.ids.parse_entity(Prefix.ENDPOINT, told.endpoint)
    with store_failures():
        secrets = await runtime.webhooks.endpoints.secrets(request.user, endpoint, now())
    if isinstance(secrets, UnknownEndpoint):  # deleted since
        raise no_endpoint()
    made = EndpointMade(**msgspec.structs.asdict(told), secrets=tell_secrets(secrets))
    return Response(
        made,
        status_code=answered.status,
        headers={"Location": f"/v1/webhook-endpoints/{told.endpoint}"},
    )


@get("/", summary="List your endpoints", operation_class=describe(scope=_SCOPE))
async def list_own(request: ApiRequest) -> EndpointPage:
    """List all of them, the oldest first, and how each stands."""
    check_query(request)
    runtime = runtime_of(request)
    with store_failures():
        found = await runtime.webhooks.endpoints.list_all(request.user)
    return EndpointPage([tell_endpoint(endpoint, runtime.ids) for endpoint in found], None)


@get(
    "/{endpoint:str}",
    summary="Look at an endpoint",
    operation_class=describe(scope=_SCOPE, problems=_UNKNOWN),
)
async def look(request: ApiRequest, endpoint: FromPath[str]) -> EndpointAnswer:
    """Tell where it is, what it wants, and how it has behaved."""
    check_query(request)
    return tell_endpoint(await find_endpoint(request, endpoint), runtime_of(request).ids)


@patch(
    "/{endpoint:str}",
    summary="Change an endpoint",
    operation_class=describe(scope=_SCOPE, body=EndpointChanges, problems=_UNKNOWN),
)
async def change(request: ApiRequest, endpoint: FromPath[str]) -> EndpointAnswer:
    """Change what is named; `"types": null` wants every type.

    While an endpoint is disabled, facts make no deliveries for it: have them replayed afterwards.
    """
    check_query(request)
    named = parse_endpoint(request, endpoint)
    body = await read_body(request, EndpointChanges)
    with store_failures():
        changed = await webhooks_of(request).endpoints.change(
            request.user, named, body.changes(), now()
        )
    match changed:
        case UnknownEndpoint():
            raise no_endpoint()
        case UrlRefused():
            raise _refused(changed)
        case Endpoint():
            return tell_endpoint(changed, runtime_of(request).ids)


@delete(
    "/{endpoint:str}",
    summary="Delete an endpoint",
    status_code=HTTP_204_NO_CONTENT,
    operation_class=describe(scope=_SCOPE, problems=_UNKNOWN),
)
async def remove(request: ApiRequest, endpoint: FromPath[str]) -> None:
    """Tell it nothing any more, and forget it with its secrets and deliveries."""
    check_query(request)
    named = parse_endpoint(request, endpoint)
    with store_failures():
        if not await webhooks_of(request).endpoints.delete(request.user, named, now()):
            raise no_endpoint()


@get(
    "/{endpoint:str}/secret",
    summary="What signatures are verified with",
    operation_class=describe(scope=_SCOPE, problems=_UNKNOWN),
)
async def show_secret(request: ApiRequest, endpoint: FromPath[str]) -> Response[SecretPage]:
    """Tell the secrets in force, the newest first: during a rotation two."""
    check_query(request)
    named = parse_endpoint(request, endpoint)
    with store_failures():
        secrets = await webhooks_of(request).endpoints.secrets(request.user, named, now())
    if isinstance(secrets, UnknownEndpoint):
        raise no_endpoint()
    return _secret(SecretPage(tell_secrets(secrets)))


@post(
    "/{endpoint:str}/rotate-secret",
    summary="Make fresh secrets",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=_SCOPE, body=RotateWebhookSecretBody, key="honoured", problems=_UNKNOWN
    ),
)
async def rotate_secret(request: ApiRequest, endpoint: FromPath[str]) -> Response[SecretPage]:
    """Sign with fresh secrets and, for the overlap, with those before too.

    With the same Idempotency-Key it is done once.
    """
    check_query(request)
    named = parse_endpoint(request, endpoint)
    body = await read_body(request, RotateWebhookSecretBody)
    endpoints = webhooks_of(request).endpoints

    async def act(_keeper: Keeper) -> tuple[int, SecretPage]:
        overlap = timedelta(seconds=body.overlap_s)
        with store_failures():
            rotated = await endpoints.rotate_secrets(request.user, named, now(), overlap)
        if isinstance(rotated, UnknownEndpoint):
            raise no_endpoint()
        return HTTP_200_OK, SecretPage([])

    scope = f"webhook-secrets {named:016x}"
    await answer_once(request, scope, body.fingerprint(), act)
    with store_failures():
        secrets = await endpoints.secrets(request.user, named, now())
    if isinstance(secrets, UnknownEndpoint):
        raise no_endpoint()
    return _secret(SecretPage(tell_secrets(secrets)))


@post(
    "/{endpoint:str}/ping",
    summary="Send a test event",
    status_code=HTTP_200_OK,
    operation_class=describe(scope=_SCOPE, problems=_UNKNOWN),
)
async def ping(request: ApiRequest, endpoint: FromPath[str]) -> PingAnswer:
    """Send an event of the type `ping` at once, and tell what came of it; also if disabled."""
    check_query(request)
    named = parse_endpoint(request, endpoint)
    with store_failures():
        sent = await webhooks_of(request).pinger.ping(request.user, named, now())
    match sent:
        case UnknownEndpoint():
            raise no_endpoint()
        case TooManyPings():
            raise ProblemError(
                ProblemKind.OVERLOADED, "Another test event is on its way; repeat in a moment."
            )
        case _:
            return tell_ping(sent)


def _refused(refused: UrlRefused) -> ProblemError:
    return invalid(Fault(refused.reason, pointer="/url"))


def _secret(page: SecretPage) -> Response[SecretPage]:
    return Response(page, headers={"Cache-Control": "no-store"})


router = Router(
    path="/v1/webhook-endpoints",
    tags=["webhooks"],
    route_handlers=[
        make,
        list_own,
        look,
        change,
        remove,
        show_secret,
        rotate_secret,
        ping,
        webhook_deliveries.list_deliveries,
        webhook_deliveries.look_at_delivery,
        webhook_deliveries.replay,
    ],
)
