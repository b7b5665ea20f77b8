"""What keys look like: told from accidents by their checksum, and whose they are by their head."""

import string
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from engine.tenancy.key_text import SecretKind, new_secret, parse, parse_key

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase


def test_a_key_names_its_region_and_whether_it_is_live() -> None:
    """And ends with the CRC-32 of all before it, in base 62."""
    made = new_secret("eu", SecretKind.TEST)
    head, body = made.text[:15], made.text[15:]
    assert head == "onsale_eu_test_"
    assert len(body) == 43 + 6
    value = 0
    for digit in body[-6:]:
        value = value * 62 + _DIGITS.index(digit)
    assert value == crc32(made.text[:-6].encode())
    assert parse(made.text) == parse_key(made.text) == made
    assert made.prefix == made.text[:21]


def test_what_is_no_key_is_told_from_one() -> None:
    """A client's secret has the same form, and opens nothing that a key does."""
    secret = new_secret("eu", SecretKind.CLIENT).text
    assert parse(secret) is not None
    assert parse_key(secret) is None
    live = new_secret("dev", SecretKind.LIVE).text
    for wrong in ("", live + " ", " " + live, live[:-1], live + "0", live.upper(), live + "\n"):
        assert parse(wrong) is None
    assert parse(live.replace("_live_", "_test_")) is None
    assert parse(live.replace("_dev_", "_eu_")) is None


@given(st.integers(16, 63), st.characters())
def test_a_changed_character_is_noticed(place: int, other: str) -> None:
    """Whichever it is."""
    text = "onsale_dev_live_" + "A" * 43 + "00000d"
    made = new_secret("dev", SecretKind.LIVE).text
    for whole in (made, text):
        changed = whole[:place] + other + whole[place + 1 :]
        assert (parse(changed) is not None) == (changed == made)
