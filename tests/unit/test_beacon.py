"""drand's rounds: which one belongs to a moment, and what is believed of a server's answer."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from msgspec import Struct

from engine.waitingroom.beacon import (
    CHAIN,
    GENESIS,
    BeaconError,
    BeaconTooEarlyError,
    address_of,
    check_beacon,
    published_at,
    round_at,
)
from engine.waitingroom.beacon_fetching import fetch_beacon

# Round 1000 of the chain, as every server of it tells.
SIGNATURE = (
    "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125"
    "e342b73a8dd2bacbe47e4b6b63ed5e39"
)
RANDOMNESS = "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd"
ROUND = {"round": 1000, "randomness": RANDOMNESS, "signature": SIGNATURE}


class Answer(Struct):
    """What the server answers to whoever asks for a round."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = {}


def _tell(**changes: object) -> Answer:
    return Answer(json.dumps(ROUND | changes).encode())


@asynccontextmanager
async def _server(answer: Answer) -> AsyncGenerator[str]:
    """Serve one answer where the chain's rounds are."""

    async def serve(request: web.Request) -> web.StreamResponse:
        if request.match_info["round"] == "77":
            await asyncio.sleep(5)
        return web.Response(body=answer.body, status=answer.status, headers=answer.headers)

    app = web.Application()
    app.router.add_get(f"/{CHAIN}/public/{{round}}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _fetch(answer: Answer, round_number: int = 1000) -> bytes:
    async with _server(answer) as server, aiohttp.ClientSession() as session:
        return await fetch_beacon(session, round_number, server=server, timeout_s=1)


def test_a_known_round_has_its_known_time() -> None:
    """As drand's own clients tell of these rounds."""
    assert published_at(1000) == datetime(2023, 8, 23, 15, 59, 24, tzinfo=UTC)
    assert published_at(27_946_612) == datetime(2026, 4, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("after_s", "expected"),
    [(-1e6, 1), (-0.001, 1), (0, 2), (0.001, 2), (2.999, 2), (3, 3), (3.5, 3), (2997, 1001)],
)
def test_a_moment_s_round_is_published_after_it(after_s: float, expected: int) -> None:
    """Strictly: a value that is told at the very moment may have been known."""
    moment = GENESIS + timedelta(seconds=after_s)
    assert round_at(moment) == expected
    assert published_at(expected) > moment


def test_a_value_is_the_hash_of_its_signature() -> None:
    """A real one; not one with a digit changed, nor none at all."""
    assert check_beacon(1000, RANDOMNESS, SIGNATURE).hex() == RANDOMNESS
    for randomness, signature in (
        (RANDOMNESS[:-1] + "c", SIGNATURE),
        (RANDOMNESS, SIGNATURE[:-1] + "8"),
        (RANDOMNESS[:-2], SIGNATURE),
        (RANDOMNESS, "no digits"),
        ("", ""),
    ):
        with pytest.raises(BeaconError, match="round 1000"):
            check_beacon(1000, randomness, signature)


async def test_a_round_is_fetched_from_its_chain() -> None:
    """With whatever else a server may tell."""
    value = await _fetch(_tell(previous_signature=""))
    assert value.hex() == RANDOMNESS
    assert address_of(1000, "https://a.example/") == f"https://a.example/{CHAIN}/public/1000"


@pytest.mark.parametrize("status", [404, 425])
async def test_a_round_to_come_is_too_early(status: int) -> None:
    """So servers answer before it is signed."""
    with pytest.raises(BeaconTooEarlyError, match="not published yet"):
        await _fetch(Answer(status=status))


SIGNED = hashlib.sha256(b"another").digest()
ANOTHER = {"randomness": hashlib.sha256(SIGNED).hexdigest(), "signature": SIGNED.hex()}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (_tell(round=999, **ANOTHER), "answered with round 999"),
        (_tell(randomness="00" * 32), "SHA-256"),
        (Answer(b'{"round": 1000}'), "not answer as drand does"),
        (Answer(b"\xff\xfe"), "not answer as drand does"),
        (_tell(round="1000"), "not answer as drand does"),
        (Answer(status=500), "answered 500"),
        (Answer(status=302, headers={"Location": "/"}), "answered 302"),
        (Answer(_tell().body + b" " * 4096), "4096 bytes"),
    ],
)
async def test_an_answer_that_is_not_the_round_is_refused(answer: Answer, told: str) -> None:
    """Another round, a wrong value, no JSON, an error, a redirection, far too much."""
    with pytest.raises(BeaconError, match=told):
        await _fetch(answer)


async def test_a_server_that_hangs_is_left_in_time() -> None:
    """The caller says how long."""
    with pytest.raises(BeaconError, match="within 1 s"):
        await _fetch(_tell(), 77)


async def test_a_server_that_is_not_there_is_told() -> None:
    """Without a trace of how it was asked."""
    async with _server(Answer()) as server:
        pass
    async with aiohttp.ClientSession() as session:
        with pytest.raises(BeaconError, match="can't be asked"):
            await fetch_beacon(session, 1000, server=server, timeout_s=1)
