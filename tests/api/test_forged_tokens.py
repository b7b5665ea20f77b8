"""Access tokens that were forged, have ended, or are of elsewhere open nothing."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api.credentials import Credentials
from api.problems import ProblemError, ProblemKind
from engine.platform.database import create_engine
from engine.platform.ids import EntityId, Ids
from engine.platform.sealing import Sealer
from engine.platform.settings import APP_ROLE
from engine.tenancy.oauth_endings import end_token
from engine.tenancy.oauth_tokens import AccessTokens, Bearer, told_region
from engine.tenancy.principals import EVERY_SCOPE, Recognised, Scope
from engine.tenancy.signing import load_keys
from ops.stack import Stack
from tests.api.forgeries import Forger, forgeries
from tests.api.oauth_desk import OAuthDesk, bearer, open_desk

_RESELLER, _CLIENT, _USER, _GRANT = (EntityId(n) for n in (71, 72, 73, 74))


class Ground(Struct):
    """Tokens of a stack's own issuer, on a clock that is pushed."""

    app: AsyncEngine
    sealer: Sealer
    tokens: AccessTokens
    now: list[float]

    async def make(self, *, person: bool = False, at_s: float | None = None) -> str:
        """Return a good token."""
        bearer = Bearer(
            client=_CLIENT,
            acts_for=_RESELLER,
            scopes=frozenset({Scope.SHOWS_READ}),
            user=_USER if person else None,
            grant=_GRANT if person else None,
        )
        return await self.tokens.make(bearer, time.time() if at_s is None else at_s)

    async def is_good(self, token: str) -> bool:
        """Tell whether a token opens anything, once what ended has been read again."""
        self.now[0] += 25
        return await self.tokens.recognise(token) is not None

    async def forger(self) -> Forger:
        """Return who knows everything, the real key too."""
        token = await self.make()
        header, claims = (_read(part) for part in token.split(".")[:2])
        async with self.app.connect() as connection:
            keys = await load_keys(connection, self.sealer)
        return Forger(header, claims, keys.signer.private, token)


def _read(part: str) -> dict[str, Any]:
    return json.loads(base64.urlsafe_b64decode(part + "=="))


@pytest.fixture
async def ground(stack: Stack) -> AsyncIterator[Ground]:
    """What makes tokens as the stack does."""
    settings = stack.settings
    app = create_engine(settings, APP_ROLE)
    sealer = Sealer(settings.list_sealing_keys(), settings.secret.encode())
    ids = Ids(settings.region, settings.secret.encode())
    now = [1000.0]
    tokens = AccessTokens(app, sealer, ids, settings.site_address(), monotonic=lambda: now[0])
    yield Ground(app, sealer, tokens, now)
    await tokens.stop()
    await app.dispose()


async def test_hundreds_of_forged_tokens_are_refused(stack: Stack, ground: Ground) -> None:
    """Each with the same 401, by the fast lane and behind it; the good one they came from opens."""
    forger = await ground.forger()
    listed = list(forgeries(forger))
    assert len(listed) > 300
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=30) as http:
        good = await http.get("/v1/shows", headers=bearer(forger.token))
        assert good.status_code == 200
        never = "/v1/shows/shw_dev_0123456789abcdef/availability"
        for n, (told, forged) in enumerate(listed):
            assert await ground.tokens.recognise(forged) is None, told
            headers = {b"Authorization": b"Bearer " + forged.encode()}
            answer = await http.get(("/v1/shows", never)[n % 2], headers=headers)
            # Very long headers are refused before anybody looks at them.
            assert answer.status_code in {401, 431, 400}, told
            if len(forged) < 5000:
                assert answer.status_code == 401, told
                assert 'error="invalid_token"' in answer.headers["www-authenticate"] or (
                    " " in forged or not forged
                ), told


async def test_nothing_else_that_is_secret_is_a_bearers(desk: OAuthDesk) -> None:
    """A client's secret, its name, or a person's session."""
    client = await desk.register()
    async with await desk.browser() as browser:
        for told in (f"{client.secret}", client.id, browser.cookies["onsale_session"]):
            assert await desk.call(told) == 401


@pytest.fixture
async def desk(stack: Stack) -> AsyncIterator[OAuthDesk]:
    """An approved account."""
    async with open_desk(stack) as desk:
        yield desk


async def test_a_token_ends_when_it_says(ground: Ground) -> None:
    """To the second."""
    assert await ground.is_good(await ground.make(at_s=time.time() - 590))
    assert not await ground.is_good(await ground.make(at_s=time.time() - 600))


async def test_a_token_of_another_issuer_is_refused(ground: Ground) -> None:
    """Though it has the same key: a cell's address is its name; and each tells its region."""
    ids = Ids("eu", b"x" * 32)
    other = AccessTokens(ground.app, ground.sealer, ids, "https://eu.onsale.example")
    token = await other.make(
        Bearer(client=_CLIENT, acts_for=_RESELLER, scopes=EVERY_SCOPE), time.time()
    )
    assert await other.recognise(token) is not None
    assert not await ground.is_good(token)
    assert told_region(token) == "eu"
    assert told_region("onsale_dev_live_x") is None
    await other.stop()


@pytest.mark.parametrize("kind", ["token", "grant", "client", "user", "reseller"])
async def test_what_ends_a_token_is_known_everywhere_within_30_seconds(
    ground: Ground, kind: str
) -> None:
    """By itself, its grant, client, user or reseller; one that begins later is good."""
    token = await ground.make(person=True, at_s=time.time() - 2)
    assert await ground.is_good(token)
    jti = _read(token.split(".")[1])["jti"]
    numbers = {"grant": _GRANT, "client": _CLIENT, "user": _USER, "reseller": _RESELLER}
    subject = jti if kind == "token" else f"{numbers[kind]:016x}"
    if kind == "token":
        await end_token(ground.app, _RESELLER, jti)
    else:
        async with ground.app.begin() as connection:
            await connection.execute(
                text("INSERT INTO ended_tokens (kind, subject, ended_at) VALUES (:k, :s, now())"),
                {"k": kind, "s": subject},
            )
    try:
        assert not await ground.is_good(token)
        later = await ground.make(person=True, at_s=time.time() + 2)
        assert await ground.is_good(later) == (kind != "grant")
    finally:
        async with ground.app.begin() as connection:
            await connection.execute(
                text("DELETE FROM ended_tokens WHERE kind = :k AND subject = :s"),
                {"k": kind, "s": subject},
            )


async def test_a_revoked_token_is_refused_by_a_running_process(desk: OAuthDesk) -> None:
    """Within half a minute, over HTTP."""
    client = await desk.register()
    given = await desk.tokens(grant_type="client_credentials", **client.log_in())
    token = given["access_token"]
    assert await desk.call(token) == 200
    await desk.ask("/oauth/revoke", token=token, **client.log_in())
    async with asyncio.timeout(31):
        while await desk.call(token) == 200:  # noqa: ASYNC110 - of another process
            await asyncio.sleep(1)
    assert await desk.call(token) == 401


async def test_known_tokens_cost_no_signature_check(ground: Ground) -> None:
    """They are remembered for some seconds, by digest, and never longer than they are good."""
    asked = [0]

    async def recognise(token: str) -> Recognised | None:
        asked[0] += 1
        return await ground.tokens.recognise(token)

    async def nobody(_: str) -> Recognised | None:
        return None

    credentials = Credentials(nobody, lambda: ground.now[0], region="dev", recognise=recognise)
    header = f"Bearer {await ground.make(at_s=time.time() - 595)}"
    assert credentials.recall(header) is None
    principal = await credentials.identify(header)
    assert principal.reseller == _RESELLER
    for _ in range(10):
        assert credentials.recall(header) is principal
    assert asked == [1]
    ground.now[0] += 6
    assert credentials.recall(header) is None, "it has ended by now"
    with pytest.raises(ProblemError) as refused:
        await credentials.identify("Bearer " + "a" * 20 + "." + "b" * 20 + "." + "c" * 86)
    assert refused.value.kind is ProblemKind.UNAUTHORIZED
