"""The public beacon that a draw may mix in: drand's quicknet chain, a random value each 3 seconds.

The League of Entropy signs each round's number together; the value is the signature's SHA-256, so
nobody knows it before they sign, and everybody can fetch it ever after. The chain and its calls:
https://docs.drand.love/blog/quicknet-live-on-loe-mainnet
https://docs.drand.love/docs/dev-guide/3-4-dev-guide-http-api

That the signature is the league's own (BLS12-381) is not verified here: it would take a library of
pairings. Whoever checks a draw fetches the value from another of the league's servers, or runs
drand's own client.
"""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

CHAIN: Final = "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971"
GENESIS: Final = datetime.fromtimestamp(1_692_803_367, UTC)
PERIOD: Final = timedelta(seconds=3)
SERVERS: Final = ("https://api.drand.sh", "https://drand.cloudflare.com")


class BeaconError(Exception):
    """A round's value could not be had, or is not what a beacon says; the message tells which."""


class BeaconTooEarlyError(BeaconError):
    """The round is not published yet."""


class BeaconValue(msgspec.Struct, frozen=True):
    """One round as drand's servers tell it, in hexadecimal digits."""

    round: int
    randomness: str
    signature: str


def round_at(moment: datetime) -> int:
    """Return the first round whose value is published strictly after a moment (with its zone)."""
    return max(0, (moment - GENESIS) // PERIOD + 1) + 1


def published_at(round_number: int) -> datetime:
    """Return when a round is signed: the servers have it within a second or so."""
    return GENESIS + (round_number - 1) * PERIOD


def address_of(round_number: int, server: str = SERVERS[0]) -> str:
    """Return where a round can be fetched."""
    return f"{server.rstrip('/')}/{CHAIN}/public/{round_number}"


def check_beacon(round_number: int, randomness: str, signature: str) -> bytes:
    """Return a round's value if it is the SHA-256 of its signature.

    Raises:
        BeaconError: it is not, or they are not hexadecimal digits.
    """
    try:
        value, signed = bytes.fromhex(randomness), bytes.fromhex(signature)
    except ValueError as error:
        msg = f"round {round_number} of the beacon is not told in hexadecimal digits"
        raise BeaconError(msg) from error
    if not hmac.compare_digest(hashlib.sha256(signed).digest(), value):
        msg = f"round {round_number} of the beacon has a value that is not its signature's SHA-256"
        raise BeaconError(msg)
    return value
