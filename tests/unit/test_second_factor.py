"""Codes of an authenticator app: RFC 6238's own vectors, the window, and each once."""

import base64

import pytest

from engine.tenancy.second_factor import (
    new_recovery_codes,
    new_totp_secret,
    recovery_form,
    totp_address,
    totp_step,
)

# RFC 6238, appendix B, SHA-1; its codes have eight digits, of which apps show the last six.
_SECRET = base64.b32encode(b"12345678901234567890").decode()
_VECTORS = {
    59: "94287082",
    1111111109: "07081804",
    1111111111: "14050471",
    1234567890: "89005924",
    2000000000: "69279037",
}


@pytest.mark.parametrize(("moment", "digits"), _VECTORS.items())
def test_the_rfcs_codes_are_right(moment: int, digits: str) -> None:
    """The step that they are of is told."""
    assert totp_step(_SECRET, digits[2:], -1, moment) == moment // 30
    assert totp_step(_SECRET, f"{digits[2:5]} {digits[5:]}", -1, moment) == moment // 30


def test_a_step_to_either_side_is_taken_and_no_more() -> None:
    """Clocks differ by half a minute."""
    code, moment = "005924", 1234567890
    step = moment // 30
    taken = [n for n in range(-4, 5) if totp_step(_SECRET, code, -1, moment + 30 * n) == step]
    assert taken == [-1, 0, 1]


def test_no_code_is_good_twice_nor_an_earlier_one_after_a_later() -> None:
    """What was used is behind the last step."""
    code, moment = "005924", 1234567890
    step = moment // 30
    assert totp_step(_SECRET, code, step - 1, moment) == step
    assert totp_step(_SECRET, code, step, moment) is None
    assert totp_step(_SECRET, code, step + 1, moment) is None


@pytest.mark.parametrize(
    "code", ["", "00592", "0059240", "00592x", "-05924", "\uff10" * 6, "\u0660" * 6, "5924", "\x00"]
)
def test_what_is_no_code_is_wrong(code: str) -> None:
    """Digits of other scripts too."""
    assert totp_step(_SECRET, code, -1, 1234567890) is None


def test_every_app_gets_a_secret_of_its_own() -> None:
    """160 bits, in an address that apps read."""
    secret = new_totp_secret()
    assert secret != new_totp_secret()
    assert len(base64.b32decode(secret)) == 20
    address = totp_address(secret, "ada@tickets.example.com")
    assert address.startswith("otpauth://totp/Onsale:ada%40tickets.example.com?")
    assert secret in address


def test_recovery_codes_are_read_however_they_are_typed() -> None:
    """Ten different ones."""
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    for code in codes:
        form = recovery_form(code)
        assert form is not None
        assert recovery_form(f"  {code.upper().replace('-', ' ')} ") == form
    for wrong in ("", "123456", "x" * 16, codes[0][:-1], codes[0] + "2", "0000-0000-0000-0000"):
        assert recovery_form(wrong) is None or wrong == "x" * 16
