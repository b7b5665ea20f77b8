"""A captcha as the gate: hCaptcha, Turnstile, and what else has a siteverify address.

The proof is what the widget handed out. It is judged by a POST of `secret` and `response`, answered
by JSON with `success` (https://developers.cloudflare.com/turnstile/get-started/server-side-validation/,
https://docs.hcaptcha.com/#verify-the-user-response-server-side). Such a proof is good once, and is
never sent twice. The joiner's address is not passed on: it is optional, and nobody else's business.
"""

from typing import Final

import aiohttp
import msgspec
import structlog
from msgspec import Struct

from engine.platform.retrying import Breaker, BreakerOpenError
from engine.platform.settings import Settings, SettingsError, variable
from engine.waitingroom.gates import Challenge, GateAway, GateOutcome, Passed, Refused

ALGORITHM: Final = "captcha"
PROOF_CHARACTERS_MAX: Final = 8192
_TIMEOUT: Final = aiohttp.ClientTimeout(total=4, connect=2)
_ANSWER_BYTES_MAX: Final = 16_384
_CONNECTIONS_MAX: Final = 32
UNDER_WAY_MAX: Final = 512
_SERVER_ERROR: Final = 500
# Not the joiner's fault, and no reason to let them in.
_OUR_FAULTS: Final = frozenset(
    ("missing-input-secret", "invalid-input-secret", "sitekey-secret-mismatch", "internal-error")
)

_log = structlog.stdlib.get_logger(__name__)


class _NoVerdictError(ConnectionError):
    """What was answered is no verdict."""


class _Verdict(Struct):
    success: bool
    faults: list[str] = msgspec.field(default_factory=list[str], name="error-codes")


class CaptchaGate:
    """Asks a captcha's server. While it does not answer nobody joins, and nobody waits for it."""

    def __init__(self, url: str, secret: str, site_key: str) -> None:
        """Take the address to verify at, the site's secret, and its public key for the widget."""
        self._url = url
        self._secret = secret
        self._challenge = Challenge(site_key, 0, ALGORITHM)
        self._session: aiohttp.ClientSession | None = None
        self._under_way = 0
        self._breaker = Breaker("the captcha", self._probe, is_away=_is_away)

    async def check(self, show: int, bits: int, address: str, proof: str | None) -> GateOutcome:  # noqa: ARG002 - nobody else's business
        """Judge a proof. All shows have this gate, whatever bits they ask for."""
        if not proof or len(proof) > PROOF_CHARACTERS_MAX:
            return Refused(self._challenge, "Solve the captcha and join again with its response.")
        if self._under_way >= UNDER_WAY_MAX:
            return GateAway()
        self._under_way += 1
        try:
            with self._breaker.watch():
                verdict = await self._ask(proof)
        except BreakerOpenError:
            return GateAway()
        except (aiohttp.ClientError, OSError) as error:
            _log.warning("the captcha did not judge", error=repr(error))
            return GateAway()
        finally:
            self._under_way -= 1
        if verdict.success:
            return Passed()
        return Refused(self._challenge, "The captcha's response was not accepted; solve another.")

    async def close(self) -> None:
        """Close the connections."""
        await self._breaker.stop()
        if self._session is not None:
            await self._session.close()

    async def _ask(self, proof: str) -> _Verdict:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=_CONNECTIONS_MAX)
            self._session = aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT)
        form = {"secret": self._secret, "response": proof}
        async with self._session.post(self._url, data=form, allow_redirects=False) as response:
            if response.status >= _SERVER_ERROR:
                msg = f"status {response.status}"
                raise _NoVerdictError(msg)
            verdict = _read_verdict(await _read_bounded(response.content))
        if faults := _OUR_FAULTS.intersection(verdict.faults):
            msg = f"it blames us: {', '.join(sorted(faults))}"
            raise _NoVerdictError(msg)
        return verdict

    async def _probe(self) -> None:
        await self._ask("is anybody there")


def captcha_gate(settings: Settings) -> CaptchaGate:
    """Make the gate that `ONSALE_JOIN_GATE_URL` and its companions tell of.

    Raises:
        SettingsError: one of them is missing.
    """
    for field in ("join_gate_url", "join_gate_secret", "join_gate_site_key"):
        if not getattr(settings, field):
            msg = f"{variable(field)} is not set, and the captcha needs it"
            raise SettingsError(msg)
    return CaptchaGate(
        settings.join_gate_url, settings.join_gate_secret, settings.join_gate_site_key
    )


def _is_away(error: BaseException) -> bool:
    return isinstance(error, (aiohttp.ClientError, OSError))


async def _read_bounded(content: aiohttp.StreamReader) -> bytes:
    answer = bytearray()
    async for part in content.iter_any():
        answer += part
        if len(answer) > _ANSWER_BYTES_MAX:
            msg = "it answered too much"
            raise _NoVerdictError(msg)
    return bytes(answer)


def _read_verdict(answer: bytes) -> _Verdict:
    try:
        return msgspec.json.decode(answer, type=_Verdict)
    except msgspec.MsgspecError as error:
        msg = f"no verdict: {error}"
        raise _NoVerdictError(msg) from error
