"""Identities: whom a reseller signed for, and nobody else."""

import base64
import hmac
import json
import random

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from api.inputs import HoldBody
from engine.platform.ids import Ids, Prefix
from engine.platform.legible import is_buyer
from engine.waitingroom.identities import (
    CHARACTERS_MAX,
    IdentityDigests,
    IdentityError,
    identity_key,
    read_identity,
)

SECRET = b"s" * 32
IDS = Ids("dev", SECRET)
SHOW = IDS.entity(Prefix.SHOW, 17)
KEY = identity_key(SECRET, 5)
NOW_S = 1_800_000_000.5
WEEK_S = 7 * 24 * 3600
GOOD = {"sub": "b-17", "show": SHOW, "exp": int(NOW_S) + 60}


def test_whom_the_reseller_names_is_read() -> None:
    """Signed by the library that is read with, and by the standard's own words."""
    signed = jwt.encode({"alg": "HS256", "kid": "2026"}, dict(GOOD), OctKey.import_key(KEY))
    assert read_identity(KEY, SHOW, signed, NOW_S).subject == "b-17"
    assert read_identity(KEY, SHOW, _sign(json.dumps(GOOD)), NOW_S).subject == "b-17"


@pytest.mark.parametrize(
    "subject", ["b", "Zoë", "x" * 64, "é" * 64, "😀" * 50, "a b", "01889c5c-1111-7000-8000-00aa"]
)
def test_a_buyers_name_is_what_a_hold_takes(subject: str) -> None:
    """What joins can hold."""
    assert _is_held_by(subject)
    assert read_identity(KEY, SHOW, _claims(sub=subject), NOW_S).subject == subject


@pytest.mark.parametrize(
    "subject", ["", " ", "x" * 65, "a\n", "a\x00", "\x85", "😀" * 51, "\ud800"]
)
def test_what_no_hold_takes_is_nobodys_name(subject: str) -> None:
    """Refused at the door and not at the till."""
    assert not is_buyer(subject)
    assert not _is_held_by(subject)
    with pytest.raises(IdentityError, match="sub"):
        read_identity(KEY, SHOW, _claims(sub=subject), NOW_S)


@pytest.mark.parametrize(
    ("claims", "named"),
    [
        ({"show": IDS.entity(Prefix.SHOW, 18)}, "show"),
        ({"show": [SHOW]}, "show"),
        ({"show": None}, "show"),
        ({"sub": 17}, "sub"),
        ({"sub": None}, "sub"),
        ({"exp": None}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": str(int(NOW_S) + 60)}, "exp"),
        ({"exp": float("nan")}, "exp"),
        ({"exp": float("inf")}, "exp"),
        ({"exp": 10**500}, "exp"),
        ({"exp": NOW_S + WEEK_S + 61}, "7 days"),
        ({"exp": NOW_S - 61}, "run out"),
        ({"exp": -1}, "run out"),
        ({"nbf": NOW_S + 3600}, "nbf|not yet"),
        ({"iat": NOW_S + 3600}, "iat|future"),
        ({"nbf": "soon"}, "nbf"),
    ],
)
def test_claims_that_do_not_fit_are_named(claims: dict[str, object], named: str) -> None:
    """Each has a reason that its client can act on."""
    given = {name: claim for name, claim in (GOOD | claims).items() if claim is not None}
    with pytest.raises(IdentityError, match=named):
        read_identity(KEY, SHOW, _sign(json.dumps(given)), NOW_S)


def test_clocks_may_differ_by_a_minute() -> None:
    """The reseller's is not ours."""
    for moments in ({"exp": NOW_S - 58}, {"exp": NOW_S + WEEK_S + 59}, {"nbf": NOW_S + 59}):
        claims = {**GOOD, **moments}
        assert read_identity(KEY, SHOW, _sign(json.dumps(claims)), NOW_S).subject == "b-17"


@pytest.mark.parametrize(
    "header",
    [
        '{"alg":"none"}',
        '{"alg":"None"}',
        '{"alg":"hs256"}',
        '{"alg":"HS512"}',
        '{"alg":"RS256"}',
        '{"alg":"ES256"}',
        '{"alg":"dir","enc":"A128GCM"}',
        '{"alg":["HS256"]}',
        '{"alg":null}',
        '{"alg":{}}',
        '{"alg":1e999}',
        "{}",
        '["alg"]',
        '"alg"',
        "5",
        "null",
        "\x00",
        "[" * 300,
        '{"alg":"HS256","crit":["exp"]}',
        '{"alg":"HS256","crit":5}',
        '{"alg":"HS256","x5c":5}',
    ],
)
def test_another_algorithm_or_header_is_refused(header: str) -> None:
    """Signed rightly or not at all: no header makes its own rules, and none is a fault of ours."""
    signed = _sign(json.dumps(GOOD), header)
    unsigned = signed.rpartition(".")[0] + "."
    for text in (signed, unsigned):
        with pytest.raises(IdentityError, match="no JWT"):
            read_identity(KEY, SHOW, text, NOW_S)


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_another_algorithm_is_refused_though_it_signed_rightly(algorithm: str) -> None:
    """One algorithm, so that nobody has to think about the others."""
    key = OctKey.import_key(KEY)
    signed = jwt.encode({"alg": algorithm}, dict(GOOD), key, algorithms=[algorithm])
    with pytest.raises(IdentityError, match="no JWT"):
        read_identity(KEY, SHOW, signed, NOW_S)


def test_what_another_key_signed_is_refused() -> None:
    """Another reseller's, another region's, and the bytes that the key's digits spell."""
    for key in (identity_key(SECRET, 6), identity_key(b"o" * 32, 5), "", KEY.upper()):
        with pytest.raises(IdentityError):
            read_identity(KEY, SHOW, _sign(json.dumps(GOOD), key=key.encode()), NOW_S)
    with pytest.raises(IdentityError):
        read_identity(KEY, SHOW, _sign(json.dumps(GOOD), key=bytes.fromhex(KEY)), NOW_S)


def test_nothing_that_was_altered_is_accepted() -> None:
    """Each character, by one that is near and by one at random; cut off, and drawn out."""
    good = _sign(json.dumps(GOOD))
    dice = random.Random(5)  # noqa: S311 - the same ones each time
    altered = {good[:at] for at in range(len(good))} | {good + end for end in ("=", "A", ".", " ")}
    for at, character in enumerate(good):
        for other in (
            chr(ord(character) ^ 1),
            chr(ord(character) ^ 32),
            dice.choice("AZaz09-_.=é"),
        ):
            altered.add(good[:at] + other + good[at + 1 :])
    for text in altered - {good}:
        with pytest.raises(IdentityError):
            read_identity(KEY, SHOW, text, NOW_S)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "." * 999, "é.é.é", "\ud800", "A" * (CHARACTERS_MAX + 1)]
)
def test_what_is_no_jwt_is_refused(text: str) -> None:
    """As an expected outcome, not as a fault."""
    with pytest.raises(IdentityError):
        read_identity(KEY, SHOW, text, NOW_S)


@pytest.mark.parametrize("payload", ["[]", "5", "null", "[" * 1400, "\x00", "{"])
def test_a_payload_that_is_no_object_is_refused(payload: str) -> None:
    """Even a reseller's own."""
    with pytest.raises(IdentityError):
        read_identity(KEY, SHOW, _sign(payload), NOW_S)


def test_resellers_have_keys_of_their_own() -> None:
    """Which stay the same."""
    assert len({identity_key(SECRET, reseller) for reseller in range(1, 100)}) == 99
    assert identity_key(SECRET, 5) == KEY
    assert len(KEY) == 64


def test_a_digest_stands_for_one_buyer_of_one_show() -> None:
    """And can't be foretold without the secret."""
    digests = IdentityDigests(SECRET)
    assert digests.digest(17, "b-17") == IdentityDigests(SECRET).digest(17, "b-17")
    assert len(digests.digest(17, "b-17")) == 8
    others = {
        digests.digest(17, "b-17"),
        digests.digest(18, "b-17"),
        digests.digest(17, "b-18"),
        IdentityDigests(b"o" * 32).digest(17, "b-17"),
    }
    assert len(others) == 4


def _is_held_by(buyer: str) -> bool:
    try:
        body = msgspec.json.decode(json.dumps({"buyer": buyer, "seats": ["A-1"]}), type=HoldBody)
    except msgspec.MsgspecError:
        return False
    return not body.faults()


def _claims(**changed: object) -> str:
    return _sign(json.dumps(GOOD | changed))


def _sign(
    payload: str, header: str = '{"alg":"HS256","typ":"JWT"}', key: bytes | None = None
) -> str:
    """Sign by RFC 7515's own words, whatever header and payload are."""
    signed = f"{_base64(header.encode())}.{_base64(payload.encode())}"
    signature = hmac.digest(KEY.encode() if key is None else key, signed.encode(), "sha256")
    return f"{signed}.{_base64(signature)}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
