"""The gates: the proof of work, one of one's own, and a captcha whose server may do anything."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from engine.platform.settings import Settings, SettingsError
from engine.waitingroom.captcha import (
    PROOF_CHARACTERS_MAX,
    UNDER_WAY_MAX,
    CaptchaGate,
    captcha_gate,
)
from engine.waitingroom.gates import GateAway, JoinGate, Passed, ProofGate, Refused, load_gate
from engine.waitingroom.proof_of_work import ProofOfWork, SpentSlot, solve

SHOW = 17
ADDRESS = "203.0.113.7"
CAPTCHA = "engine.waitingroom.captcha:captcha_gate"
WORK = ProofOfWork(b"s" * 32)


@dataclass
class Siteverify:
    """A captcha's server that answers what it is told to."""

    url: str = ""
    status: int = 200
    answer: str = '{"success": true}'
    pause_s: float = 0
    location: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    async def serve(self, request: web.Request) -> web.Response:
        """Note what was asked, and answer."""
        self.asked.append(dict(await request.post()))
        await asyncio.sleep(self.pause_s)
        headers = {"Location": self.location} if self.location else None
        return web.Response(status=self.status, text=self.answer, headers=headers)


@pytest.fixture
async def siteverify() -> AsyncIterator[Siteverify]:
    """Serve on some port of this machine."""
    server = Siteverify()
    application = web.Application()
    application.router.add_post("/siteverify", server.serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/siteverify"
    yield server
    await runner.cleanup()


@pytest.fixture
async def captcha(siteverify: Siteverify) -> AsyncIterator[CaptchaGate]:
    """Ask that server."""
    gate = CaptchaGate(siteverify.url, "its secret", "its site key")
    yield gate
    await gate.close()


async def test_a_show_without_bits_asks_for_no_proof() -> None:
    """Nor looks at what was sent."""
    gate = ProofGate(WORK)
    assert await gate.check(SHOW, 0, ADDRESS, None) == Passed()
    assert await gate.check(SHOW, 0, ADDRESS, "nonsense") == Passed()


async def test_a_show_with_bits_gives_a_challenge_and_takes_its_proof() -> None:
    """And tells what is to be marked as spent."""
    gate = ProofGate(WORK)
    refused = await gate.check(SHOW, 8, ADDRESS, None)
    assert isinstance(refused, Refused)
    assert (refused.challenge.bits, refused.challenge.algorithm) == (8, "sha256")
    passed = await gate.check(SHOW, 8, ADDRESS, solve(refused.challenge.challenge, 8))
    assert isinstance(passed, Passed)
    assert isinstance(passed.spent, SpentSlot)


async def test_a_proof_that_does_not_count_gets_another_challenge() -> None:
    """With the reason, and never the same one."""
    gate = ProofGate(WORK)
    given = [await gate.check(SHOW, 8, ADDRESS, proof) for proof in ("", "nonsense", "é")]
    refused = [outcome for outcome in given if isinstance(outcome, Refused)]
    assert len({outcome.challenge.challenge for outcome in refused}) == 3
    assert all(outcome.detail for outcome in refused)


async def test_the_settings_name_the_gate() -> None:
    """None is the proof of work; one of one's own is whatever has its methods."""
    assert isinstance(load_gate(_settings()), ProofGate)
    captcha = load_gate(_settings(CAPTCHA, join_gate_url="http://127.0.0.1:1/"))
    assert isinstance(captcha, CaptchaGate)
    assert isinstance(captcha, JoinGate)
    await captcha.close()


@pytest.mark.parametrize(
    "path",
    ["nothing", ":", "no_such_module:gate", "engine.waitingroom.gates:no_such", "json:dumps"],
)
def test_a_gate_that_can_not_be_had_is_named(path: str) -> None:
    """At the start, not at the first joiner."""
    with pytest.raises(SettingsError, match="ONSALE_JOIN_GATE"):
        load_gate(_settings(path))
    with pytest.raises(SettingsError, match="ONSALE_JOIN_GATE_URL"):
        load_gate(_settings(CAPTCHA))


async def test_a_captchas_verdict_is_taken(siteverify: Siteverify, captcha: CaptchaGate) -> None:
    """Its server is told the secret and the response, and not who joins."""
    assert await captcha.check(SHOW, 0, ADDRESS, "a response") == Passed()
    assert siteverify.asked == [{"secret": "its secret", "response": "a response"}]
    siteverify.answer = '{"success": false, "error-codes": ["invalid-input-response"]}'
    for status in (200, 400):
        siteverify.status = status
        refused = await captcha.check(SHOW, 0, ADDRESS, "a response")
        assert isinstance(refused, Refused)
        assert refused.challenge.challenge == "its site key"
        assert refused.challenge.algorithm == "captcha"


@pytest.mark.parametrize("proof", [None, "", "x" * (PROOF_CHARACTERS_MAX + 1)])
async def test_without_a_response_no_captcha_is_asked(
    siteverify: Siteverify, captcha: CaptchaGate, proof: str | None
) -> None:
    """Which would be a way to have us ask it a lot."""
    assert isinstance(await captcha.check(SHOW, 0, ADDRESS, proof), Refused)
    assert siteverify.asked == []


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (500, '{"success": true}'),
        (200, ""),
        (200, "<html>"),
        (200, "{}"),
        (200, '{"success": "true"}'),
        (200, '{"success": 1}'),
        (200, "[true]"),
        (200, '{"success": true, "more": "' + "x" * 20_000 + '"}'),
        (200, '{"success": false, "error-codes": ["invalid-input-secret"]}'),
    ],
)
async def test_no_verdict_lets_nobody_in(
    siteverify: Siteverify, captcha: CaptchaGate, status: int, answer: str
) -> None:
    """Nor is it the joiner's fault."""
    siteverify.status, siteverify.answer = status, answer
    assert await captcha.check(SHOW, 0, ADDRESS, "a response") == GateAway()


async def test_the_secret_follows_no_redirect(siteverify: Siteverify, captcha: CaptchaGate) -> None:
    """Wherever it would go."""
    siteverify.status, siteverify.answer, siteverify.location = 307, "", siteverify.url
    assert await captcha.check(SHOW, 0, ADDRESS, "a response") == GateAway()
    assert len(siteverify.asked) == 1


async def test_nobody_waits_for_a_captcha_that_is_silent(
    siteverify: Siteverify, captcha: CaptchaGate
) -> None:
    """The first ones for some seconds, then nobody until it answers again."""
    siteverify.pause_s = 30
    began = time.monotonic()
    first = await asyncio.gather(*(_ask(captcha) for _ in range(8)))
    assert first == [GateAway()] * 8
    assert time.monotonic() - began < 10
    began, asked = time.monotonic(), len(siteverify.asked)
    assert [await _ask(captcha) for _ in range(100)] == [GateAway()] * 100
    assert time.monotonic() - began < 1
    assert len(siteverify.asked) - asked <= 1
    siteverify.pause_s = 0
    async with asyncio.timeout(20):
        while await _ask(captcha) != Passed():  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.05)


async def test_who_comes_beyond_the_bound_does_not_wait(
    siteverify: Siteverify, captcha: CaptchaGate
) -> None:
    """A flood of responses is no queue of ours."""
    siteverify.pause_s = 1
    waiting = [asyncio.create_task(_ask(captcha)) for _ in range(UNDER_WAY_MAX)]
    await asyncio.sleep(0.1)
    began = time.monotonic()
    assert await _ask(captcha) == GateAway()
    assert time.monotonic() - began < 0.5
    assert Passed() in await asyncio.gather(*waiting)


def test_the_captcha_names_each_setting_that_it_lacks() -> None:
    """Of three."""
    bare = Settings(redis_url="", database_url="", secret="x" * 32, join_gate_url="http://h/")
    with pytest.raises(SettingsError, match="ONSALE_JOIN_GATE_SECRET"):
        captcha_gate(bare)


async def _ask(gate: JoinGate) -> object:
    return await gate.check(SHOW, 0, ADDRESS, "a response")


def _settings(join_gate: str = "", join_gate_url: str = "") -> Settings:
    return Settings(
        redis_url="",
        database_url="",
        secret="x" * 32,
        join_gate=join_gate,
        join_gate_url=join_gate_url,
        join_gate_secret="its secret",  # noqa: S106 - of nothing
        join_gate_site_key="its site key",
    )
