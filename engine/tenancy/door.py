"""What somebody passes on the way in: the store, the sealer, the passwords, and the throttles."""

import time
import unicodedata
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.platform.sealing import Sealer
from engine.tenancy.errands import Errands
from engine.tenancy.passwords import Passwords
from engine.tenancy.throttle import Throttle

EMAIL_CHARACTERS_MAX: Final = 254

EMAIL_PLACE: Final = "users.email"
"""Where addresses are digested for, in whatever table."""

_PASSWORD_GUESSES: Final = 10
_CODE_GUESSES: Final = 10
_GUESSES_FROM_ADDRESS: Final = 100
_SIGN_UPS_FROM_ADDRESS: Final = 30
_MAILS_TO_ADDRESS: Final = 5
_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S


class Door(Struct, frozen=True):
    """What log-ins and sign-ups of one process work with."""

    app: AsyncEngine
    sealer: Sealer
    region: str
    site: str
    """The address of this cell's pages, which links in mails begin with."""
    passwords: Passwords
    guesses: Throttle
    """By account: passwords."""
    codes: Throttle
    """By account: codes of the second factor."""
    sources: Throttle
    """Log-ins by where they come from."""
    sign_ups: Throttle
    """Sign-ups by where they come from."""
    mails: Throttle
    """Mails that strangers and those who invite can have sent, by whom they go to."""
    errands: Errands

    def digest_email(self, email: str) -> bytes:
        """Return what stands for an address in look-ups, whatever was typed."""
        return self.sealer.digest(0, EMAIL_PLACE, email_form(email))


def open_door(app: AsyncEngine, sealer: Sealer, *, region: str, site: str) -> Door:
    """Return the door of a process, with its throttles as they are by default."""
    return Door(
        app=app,
        sealer=sealer,
        region=region,
        site=site,
        passwords=Passwords(),
        guesses=Throttle(free=_PASSWORD_GUESSES),
        codes=throttle_codes(),
        sources=Throttle(free=_GUESSES_FROM_ADDRESS),
        sign_ups=Throttle(free=_SIGN_UPS_FROM_ADDRESS, window_s=_HOUR_S, pause_max_s=_HOUR_S / 2),
        mails=Throttle(free=_MAILS_TO_ADDRESS, window_s=_HOUR_S, pause_max_s=_HOUR_S / 2),
        errands=Errands(),
    )


def throttle_codes(clock: Callable[[], float] = time.monotonic) -> Throttle:
    """Return what slows down guesses of six digits, by a clock in seconds.

    Three codes of a million are good at a time, so a day's guesses have to be few: ten free ones
    every quarter of an hour would find one by luck in some months.
    """
    return Throttle(free=_CODE_GUESSES, window_s=_DAY_S, pause_max_s=_HOUR_S, clock=clock)


def read_email(text: str) -> str | None:
    """Return a mail address as it is written, None if it can't be one. Asks no name server."""
    from email_validator import EmailNotValidError, validate_email  # noqa: PLC0415 - few log in

    try:
        return validate_email(text, check_deliverability=False).normalized
    except (EmailNotValidError, UnicodeError):
        return None


def email_form(email: str) -> str:
    """Return the one form of an address that is compared: of most that are none, too."""
    text = email.strip()[: EMAIL_CHARACTERS_MAX * 2]
    form = unicodedata.normalize("NFC", read_email(text) or text).casefold()
    return form.encode(errors="replace").decode()


def hash_token(token: str) -> bytes:
    """Return what is stored of a secret of 256 random bits."""
    return sha256(token.encode(errors="replace")).digest()
