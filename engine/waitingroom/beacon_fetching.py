"""Fetches a round of the public beacon from one of its servers."""

import asyncio
from http import HTTPStatus
from typing import Final

import aiohttp
import msgspec

from engine.waitingroom.beacon import (
    SERVERS,
    BeaconError,
    BeaconTooEarlyError,
    BeaconValue,
    address_of,
    check_beacon,
)

_ANSWER_BYTES_MAX: Final = 4096
_NOT_YET: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.TOO_EARLY})


async def fetch_beacon(
    session: aiohttp.ClientSession, round_number: int, *, server: str = SERVERS[0], timeout_s: float
) -> bytes:
    """Fetch a round's value from one server.

    Raises:
        BeaconTooEarlyError: the round is not published yet.
        BeaconError: there is no answer in time, or not the round's.
    """
    address = address_of(round_number, server)
    try:
        async with (
            asyncio.timeout(timeout_s),
            session.get(address, allow_redirects=False) as answer,
        ):
            body = await _read(answer, round_number)
    except TimeoutError as error:
        msg = f"{address} did not answer within {timeout_s} s"
        raise BeaconError(msg) from error
    except aiohttp.ClientError as error:
        msg = f"{address} can't be asked: {error}"
        raise BeaconError(msg) from error
    try:
        told = msgspec.json.decode(body, type=BeaconValue)
    except msgspec.DecodeError as error:
        msg = f"{address} did not answer as drand does: {error}"
        raise BeaconError(msg) from error
    if told.round != round_number:
        msg = f"{address} answered with round {told.round}"
        raise BeaconError(msg)
    return check_beacon(told.round, told.randomness, told.signature)


async def ask_server(round_number: int, *, server: str, timeout_s: float) -> bytes:
    """Fetch a round's value over a connection of its own. Raises as `fetch_beacon`."""
    async with aiohttp.ClientSession() as session:
        return await fetch_beacon(session, round_number, server=server, timeout_s=timeout_s)


async def _read(answer: aiohttp.ClientResponse, round_number: int) -> bytes:
    if answer.status in _NOT_YET:
        msg = f"round {round_number} of the beacon is not published yet"
        raise BeaconTooEarlyError(msg)
    if answer.status != HTTPStatus.OK:
        msg = f"{answer.url} answered {answer.status}"
        raise BeaconError(msg)
    try:
        await answer.content.readexactly(_ANSWER_BYTES_MAX + 1)
    except asyncio.IncompleteReadError as whole:
        return whole.partial
    msg = f"{answer.url} answered with more than {_ANSWER_BYTES_MAX} bytes"
    raise BeaconError(msg)
