"""The second factor: codes of an authenticator app (TOTP, RFC 6238), and recovery codes.

Pure: who stores what, and that a code is good once, is `sessions` and `users`.
"""

import secrets
import time
from typing import Final

from pyotp import random_base32
from pyotp.totp import TOTP

STEP_S: Final = 30
RECOVERY_CODES: Final = 10

_ISSUER: Final = "Onsale"
_WINDOW: Final = 1
_DIGITS: Final = 6
_RECOVERY_GROUPS: Final = 4
_RECOVERY_GROUP: Final = 4
# Without what is taken for each other: 16 letters of 31 are 79 bits.
_RECOVERY_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"


def new_totp_secret() -> str:
    """Return a new secret of 160 bits, as authenticator apps take it."""
    return random_base32()


def totp_address(secret: str, email: str) -> str:
    """Return the `otpauth:` address that an app is set up with."""
    return TOTP(secret).provisioning_uri(name=email, issuer_name=_ISSUER)


def totp_step(secret: str, code: str, last_step: int, now_s: float | None = None) -> int | None:
    """Return the time step that a code is of, None if it is wrong or was used.

    One step to either side is taken for clocks that differ. No step is good twice, nor any before
    the last: store what this returns.
    """
    digits = code.replace(" ", "")
    if len(digits) != _DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    step = int(time.time() if now_s is None else now_s) // STEP_S
    totp = TOTP(secret)
    found: int | None = None
    for near in range(step - _WINDOW, step + _WINDOW + 1):
        # Compared in constant time, and all of them, whichever it is.
        if secrets.compare_digest(totp.generate_otp(near), digits) and near > last_step:
            found = near
    return found


def new_recovery_codes() -> list[str]:
    """Return codes to write down: each stands once for one of the app's."""
    return [
        "-".join(
            "".join(secrets.choice(_RECOVERY_ALPHABET) for _ in range(_RECOVERY_GROUP))
            for _ in range(_RECOVERY_GROUPS)
        )
        for _ in range(RECOVERY_CODES)
    ]


def recovery_form(code: str) -> str | None:
    """Return the one form of a recovery code that is digested; None: it can't be one."""
    plain = "".join(code.split()).replace("-", "").casefold()
    if len(plain) != _RECOVERY_GROUPS * _RECOVERY_GROUP or set(plain) - set(_RECOVERY_ALPHABET):
        return None
    return plain
