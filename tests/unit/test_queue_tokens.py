"""Queue tokens and passes: what was signed is read, and nothing else is accepted."""

import base64
import random
from collections.abc import Iterator

import pytest

from engine.platform.legible import BUYER_BYTES_MAX
from engine.platform.settings import DERIVED, Settings
from engine.waitingroom.tokens import (
    MAX_AGE_S,
    NUMBERS_MAX,
    QueueTokens,
    TokenError,
)

SECRET, OTHER_SECRET = b"s" * 32, b"o" * 32
SHOW, OTHER_SHOW = 0x1234_5678_9ABC_DEF0, 0x1234_5678_9ABC_DEF1
IDENTITY = b"\x00\xff\x10identi"[:8]
BUYER = "b-17"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
TOKENS = QueueTokens([SECRET], region="dev")


def test_what_was_signed_is_read() -> None:
    """The number, who joined, and when."""
    tokens = QueueTokens([SECRET], region="dev", clock=lambda: 1_800_000_000.7)
    for number in (0, 1, 255, 256, 1_000_000, NUMBERS_MAX - 1):
        known = tokens.read_token(SHOW, tokens.sign_token(SHOW, number, IDENTITY, "Zoë"))
        assert (known.number, known.identity, known.buyer) == (number, IDENTITY, "Zoë")
        nobody = tokens.read_token(SHOW, tokens.sign_token(SHOW, number))
        assert (nobody.number, nobody.identity, nobody.buyer) == (number, None, None)
        assert nobody.issued_s == 1_800_000_000


def test_the_longest_that_is_signed_is_read() -> None:
    """A bound on what is read refuses none that was handed out."""
    longest = "é" * (BUYER_BYTES_MAX // 2)
    text = TOKENS.sign_token(SHOW, NUMBERS_MAX - 1, IDENTITY, longest)
    assert TOKENS.read_token(SHOW, text).buyer == longest
    with pytest.raises(TokenError):
        TOKENS.read_token(SHOW, "A" * 100_000 + text)


def test_an_anonymous_token_is_short() -> None:
    """It travels with every question after the position."""
    assert len(TOKENS.sign_token(SHOW, NUMBERS_MAX - 1)) < 60


@pytest.mark.parametrize(
    ("number", "identity", "buyer"),
    [
        (-1, None, None),
        (NUMBERS_MAX, None, None),
        (1, IDENTITY, None),
        (1, None, BUYER),
        (1, IDENTITY, ""),
        (1, IDENTITY[:7], BUYER),
        (1, IDENTITY, "x" * (BUYER_BYTES_MAX + 1)),
    ],
)
def test_nothing_is_signed_that_would_read_otherwise(
    number: int, identity: bytes | None, buyer: str | None
) -> None:
    """What does not fit the payload is the caller's error."""
    with pytest.raises(ValueError, match=r"number|identity"):
        TOKENS.sign_token(SHOW, number, identity, buyer)


def test_a_pass_is_a_function_of_show_number_and_buyer() -> None:
    """A repeated exchange gives the same, whichever of the tokens of a number it is repeated by."""
    now = [1_800_000_000.0]
    tokens = QueueTokens([SECRET], region="dev", clock=lambda: now[0])
    first = tokens.read_token(SHOW, tokens.sign_token(SHOW, 7))
    now[0] += 3600
    again = tokens.read_token(SHOW, tokens.sign_token(SHOW, 7))
    other = tokens.read_token(SHOW, tokens.sign_token(SHOW, 8))
    queue_pass = tokens.sign_pass(SHOW, first, BUYER)
    assert tokens.sign_pass(SHOW, again, BUYER) == queue_pass
    assert tokens.read_pass(SHOW, queue_pass, BUYER) == 7
    others = {
        queue_pass,
        tokens.sign_pass(SHOW, other, BUYER),
        tokens.sign_pass(SHOW, first, BUYER + "8"),
        tokens.sign_pass(OTHER_SHOW, first, BUYER),
    }
    assert len(others) == 4


def test_a_pass_is_the_same_while_its_key_is_accepted() -> None:
    """Keys are rotated amid a queue: by a process with the new key in front, too."""
    token = TOKENS.sign_token(SHOW, 7)
    queue_pass = TOKENS.sign_pass(SHOW, TOKENS.read_token(SHOW, token), BUYER)
    for secrets in ([SECRET, OTHER_SECRET], [OTHER_SECRET, SECRET]):
        rotated = QueueTokens(secrets, region="dev")
        assert rotated.sign_pass(SHOW, rotated.read_token(SHOW, token), BUYER) == queue_pass
        assert rotated.read_pass(SHOW, queue_pass, BUYER) == 7
    dropped = QueueTokens([OTHER_SECRET], region="dev")
    with pytest.raises(TokenError):
        dropped.read_token(SHOW, token)
    with pytest.raises(TokenError):
        dropped.read_pass(SHOW, queue_pass, BUYER)


def test_the_first_key_signs() -> None:
    """The others are only accepted."""
    text = QueueTokens([OTHER_SECRET, SECRET], region="dev").sign_token(SHOW, 7)
    assert QueueTokens([OTHER_SECRET], region="dev").read_token(SHOW, text).number == 7
    with pytest.raises(TokenError):
        TOKENS.read_token(SHOW, text)


def test_a_token_runs_out() -> None:
    """At its age, not before; a clock that is behind the signer's refuses nobody."""
    signed_s = 1_800_000_000
    text = QueueTokens([SECRET], region="dev", clock=lambda: signed_s).sign_token(SHOW, 7)
    for age, is_read in ((-60, True), (0, True), (MAX_AGE_S, True), (MAX_AGE_S + 1, False)):
        late = QueueTokens([SECRET], region="dev", clock=lambda age=age: signed_s + age)
        if is_read:
            assert late.read_token(SHOW, text).number == 7
        else:
            with pytest.raises(TokenError, match="run out"):
                late.read_token(SHOW, text)


def test_secrets_that_are_too_short_or_missing_are_refused() -> None:
    """At the start, not at the first token."""
    for secrets in ([], [b"short"], [SECRET, b"short"]):
        with pytest.raises(ValueError, match="32 bytes"):
            QueueTokens(secrets, region="dev")


def test_the_settings_name_the_keys_or_derive_one() -> None:
    """So that a first rotation can keep the tokens of the derived one."""
    derived = _settings("").queue_keys()
    assert len(derived) == 1
    assert derived != [b"x" * 32]
    assert _settings(f"{'n' * 32} , {DERIVED}").queue_keys() == [b"n" * 32, *derived]


def test_ten_thousand_forged_altered_replayed_and_foreign_tokens_are_refused() -> None:
    """None is accepted as a token, nor as a pass of anybody."""
    forged = list(_forgeries())
    assert len(forged) >= 10_000
    for show, text in forged:
        with pytest.raises(TokenError):
            TOKENS.read_token(show, text)
        with pytest.raises(TokenError):
            TOKENS.read_pass(show, text, BUYER)


def test_altered_and_foreign_passes_are_refused() -> None:
    """As are those of another buyer, and tokens in a pass' stead."""
    token = TOKENS.sign_token(SHOW, 7)
    queue_pass = TOKENS.sign_pass(SHOW, TOKENS.read_token(SHOW, token), BUYER)
    for text in {*_altered(queue_pass), token} - {queue_pass}:
        with pytest.raises(TokenError):
            TOKENS.read_pass(SHOW, text, BUYER)
    with pytest.raises(TokenError):
        TOKENS.read_pass(OTHER_SHOW, queue_pass, BUYER)
    with pytest.raises(TokenError):
        TOKENS.read_token(SHOW, queue_pass)
    for buyer in ("", "b-1", "b-170", "B-17", "b-17\n", "\ud800", "7" + BUYER):
        with pytest.raises(TokenError):
            TOKENS.read_pass(SHOW, queue_pass, buyer)
    for foreign in _foreigners():
        with pytest.raises(TokenError):
            foreign.read_pass(SHOW, queue_pass, BUYER)


def test_a_pass_for_a_buyer_of_ones_choice_is_no_token() -> None:
    """Its signature is over the number and the buyer, which may spell a token's payload."""
    wanted = TOKENS.sign_token(SHOW, 0).partition(".")[0]
    number = int.from_bytes(base64.urlsafe_b64decode(wanted[:7] + "="), "big")
    token = TOKENS.read_token(SHOW, TOKENS.sign_token(SHOW, number))
    signature = TOKENS.sign_pass(SHOW, token, wanted[7:]).partition(".")[2]
    with pytest.raises(TokenError):
        TOKENS.read_token(SHOW, f"{wanted}.{signature}")


def _forgeries() -> Iterator[tuple[int, str]]:
    """Yield what nobody may get through with: the show that it is tried on, and the text."""
    tokens = [
        TOKENS.sign_token(SHOW, 123_456),
        TOKENS.sign_token(SHOW, 123_457),
        TOKENS.sign_token(SHOW, 123_456, IDENTITY, BUYER),
    ]
    for text in tokens:
        yield OTHER_SHOW, text
        for altered in _altered(text):
            if altered not in tokens:
                yield SHOW, altered
    for one in tokens:
        for other in tokens:
            if one != other:
                yield SHOW, f"{one.partition('.')[0]}.{other.partition('.')[2]}"
    for foreign in _foreigners():
        yield SHOW, foreign.sign_token(SHOW, 123_456)
        known = foreign.sign_token(SHOW, 123_456, IDENTITY, BUYER)
        yield SHOW, known
        queue_pass = foreign.sign_pass(SHOW, foreign.read_token(SHOW, known), BUYER)
        yield SHOW, queue_pass
        yield OTHER_SHOW, queue_pass
    yield from ((SHOW, text) for text in _invented())


def _foreigners() -> list[QueueTokens]:
    return [
        QueueTokens([OTHER_SECRET], region="dev"),
        QueueTokens([SECRET], region="dew"),
        QueueTokens([SECRET + b"s"], region="dev"),
    ]


def _altered(text: str) -> Iterator[str]:
    """Yield the text with each character, bit, case and length changed, and read loosely."""
    for at, character in enumerate(text):
        head, tail = text[:at], text[at + 1 :]
        yield from (head + other + tail for other in ALPHABET + ".=+/ é\n\0" if other != character)
        yield from (head + chr(ord(character) ^ 1 << bit) + tail for bit in range(8))
        yield from (head, tail, head + tail, head + character * 2 + tail)
        yield head + character.swapcase() + tail if character.isalpha() else text + character
    payload, _, signature = text.partition(".")
    yield from (text.lower(), text.upper(), text.swapcase(), text[::-1])
    yield from (text + end for end in ("=", "==", ".", "A", "\n", " ", "\0", "." + signature))
    yield from (start + text for start in ("A", ".", " ", "\n", "\0", payload + "."))
    yield from (payload + "=." + signature, payload + "." + signature + "=")
    yield from (payload, signature, payload + ".", "." + signature, payload + signature)


def _invented() -> Iterator[str]:
    """Yield texts that have the form of a token, signed by nobody."""
    dice = random.Random(5)  # noqa: S311 - the same ones each time
    for size in (9, 17, 21, 217) * 250:
        parts = (dice.randbytes(size), dice.randbytes(32))
        yield ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    yield from ("", ".", "null", "A" * 12 + "." + "A" * 43, "é" * 56, "\x00" * 56)


def _settings(queue_secrets: str) -> Settings:
    return Settings(redis_url="", database_url="", secret="x" * 32, queue_secrets=queue_secrets)
