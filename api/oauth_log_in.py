"""How an OAuth client shows who it is."""

from hashlib import blake2b
from http import HTTPStatus

from api.acting import note_client
from api.context import runtime_of
from api.fastlane.call import address_behind
from api.oauth_forms import ErrorCode, FormRequest, OAuthError, invalid_client, read_log_in
from engine.platform.errors import store_failures
from engine.platform.ids import IdError, Prefix
from engine.tenancy import oauth_clients
from engine.tenancy.oauth_clients import Client


async def log_in_client(request: FormRequest, form: dict[str, str]) -> Client:
    """Return the client that asks.

    Raises:
        OAuthError: `invalid_client`, or too many wrong secrets came from there.
        StoreUnavailableError: PostgreSQL can't be asked.
    """
    told = read_log_in(request, form)
    refused = invalid_client(by_header=told.by_header)
    runtime = runtime_of(request)
    try:
        named = runtime.ids.parse_entity(Prefix.OAUTH_CLIENT, told.client)
    except IdError:
        raise refused from None
    app = runtime.app_engine
    if told.secret is None:
        with store_failures():
            public = await oauth_clients.named_client(app, named)
        if public is None or not public.is_public:
            raise refused
        return public
    guess = blake2b(f"{_address(request)} {told.client}".encode(), digest_size=16).digest()
    wait_s = runtime.client_guesses.take(guess)
    if wait_s is not None:
        raise OAuthError(
            ErrorCode.TEMPORARILY_UNAVAILABLE,
            "Too many wrong secrets came from there.",
            status=HTTPStatus.TOO_MANY_REQUESTS,
            headers={"Retry-After": str(max(1, round(wait_s)))},
        )
    try:
        with store_failures():
            client = await oauth_clients.authenticate_client(app, named, told.secret)
    except BaseException:
        runtime.client_guesses.give_back(guess)
        raise
    if client is None:
        raise refused
    runtime.client_guesses.give_back(guess)
    note_client(request, client.id)
    return client


def _address(request: FormRequest) -> str:
    client = request.scope["client"]
    forwarded = ", ".join(
        value.decode("latin-1")
        for header, value in request.scope["headers"]
        if header == b"x-forwarded-for"
    )
    proxies = runtime_of(request).settings.trusted_proxies
    return address_behind(proxies, forwarded, client[0] if client else "")
