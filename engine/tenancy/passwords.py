"""Passwords: argon2id (RFC 9106), hashed beside the event loop and only a few at a time.

A hash takes 32 MiB and some 50 ms of a core. At most two are made at once in a process and at most
64 more wait, so that a flood of log-ins takes neither the memory nor the cores that selling needs.
"""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from msgspec import Struct

CHARACTERS_MIN: Final = 12
CHARACTERS_MAX: Final = 256

_TIME_COST: Final = 3
_MEMORY_KIB: Final = 32 * 1024
_AT_ONCE_MAX: Final = 2
_WAITING_MAX: Final = 64
_PATIENCE_S: Final = 8
_DISTINCT_MIN: Final = 5
_WORD_CHARACTERS_MIN: Final = 4
_REST_CHARACTERS_MIN: Final = 8

_RUNS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789012345678901234567890",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1q2w3e4r5t6y7u8i9o0p",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "q1w2e3r4t5y6u7i8o9p0",
)
# The commonest of 12 characters up in lists of leaked passwords, and what people make of a rule.
_COMMON: Final = frozenset(
    {
        *("passwordpassword", "password1234", "password12345", "password123456", "passw0rd1234"),
        *("passw0rdpassw0rd", "mypassword123", "newpassword1", "changeme1234", "changemechangeme"),
        *("letmeinletmein", "letmein12345", "welcome12345", "welcomewelcome", "welcome123456"),
        *("administrator", "administrator1", "administrator123", "adminadminadmin"),
        *("admin1234567", "admin12345678", "iloveyou1234", "iloveyouiloveyou", "iloveyousomuch"),
        *("correcthorsebatterystaple", "correct horse battery staple", "trustno1trustno1"),
        *("qwerty123456", "qwertyqwerty", "qwerty1234567", "qwertyuiop123", "1q2w3e4r5t6y"),
        *("qwertyuiop12", "q1w2e3r4t5y6", "zaq12wsxcde3", "zaq1zaq1zaq1", "asdfghjkl123"),
        *("sunshine1234", "princess1234", "football1234", "baseball1234", "superman1234"),
        *("dragondragon", "monkeymonkey", "shadowshadow", "mastermaster", "master123456"),
        *("abc123abc123", "abcd1234abcd", "abcdef123456", "a1b2c3d4e5f6", "123456abcdef"),
        *("123123123123", "123456123456", "123456654321", "112233445566", "111222333444"),
        *("onsaleonsale", "onsale123456", "ticketticket", "tickets12345", "ticketmaster"),
        *("ticketmaster1", "ticketmaster123", "passwordonsale", "iloveyou12345", "passwort1234"),
        *("passwortpasswort", "hallohallohallo", "motdepasse123", "contrasena123"),
    }
)

T = TypeVar("T")


class PasswordsBusyError(RuntimeError):
    """Too many passwords wait to be hashed: nothing was done, ask again in a moment."""


class Verified(Struct, frozen=True):
    """Whether a password was right, and whether it should be hashed anew: parameters changed."""

    is_right: bool
    is_outdated: bool = False


class Passwords:
    """Hashes and checks passwords for one process."""

    def __init__(
        self,
        hasher: PasswordHasher | None = None,
        *,
        at_once_max: int = _AT_ONCE_MAX,
        waiting_max: int = _WAITING_MAX,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        """Take argon2's parameters, and how many may be worked on, and wait, for how long."""
        self._hasher = hasher or PasswordHasher(
            time_cost=_TIME_COST, memory_cost=_MEMORY_KIB, parallelism=1
        )
        self._turns = asyncio.Semaphore(at_once_max)
        self._present_max = at_once_max + waiting_max
        self._patience_s = patience_s
        self._present = 0
        self._admitted = 0
        self._nobodys = ""

    @contextmanager
    def admission(self) -> Generator[None]:
        """Admit one who has to look something up before a password is checked.

        No more than may be worked on and wait: the rest is sent away before it takes a connection.

        Raises:
            PasswordsBusyError: as many are admitted.
        """
        if self._admitted >= self._present_max:
            raise PasswordsBusyError
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def hash(self, password: str) -> str:
        """Return what may be stored of a password.

        Raises:
            PasswordsBusyError: too many wait.
        """
        return await self._in_turn(lambda: self._hasher.hash(_bytes(password)))

    async def verify(self, hashed: str | None, password: str) -> Verified:
        """Tell whether a password is the one that was hashed; it takes as long if there is none.

        Raises:
            PasswordsBusyError: too many wait.
        """
        return await self._in_turn(lambda: self._verify(hashed, password))

    def _verify(self, hashed: str | None, password: str) -> Verified:
        # With the first password of all, whoever's: that it takes longer tells nobody anything.
        self._nobodys = self._nobodys or self._hasher.hash(secrets.token_urlsafe())
        try:
            self._hasher.verify(hashed or self._nobodys, _bytes(password))
        except (VerificationError, InvalidHashError):
            return Verified(is_right=False)
        if hashed is None:
            return Verified(is_right=False)
        return Verified(is_right=True, is_outdated=self._hasher.check_needs_rehash(hashed))

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._present >= self._present_max:
            raise PasswordsBusyError
        self._present += 1
        try:
            try:
                async with asyncio.timeout(self._patience_s):
                    await self._turns.acquire()
            except TimeoutError:
                raise PasswordsBusyError from None
            # Shielded: who goes away must not let another in while the thread still works.
            task = asyncio.create_task(asyncio.to_thread(work))
            task.add_done_callback(lambda _: self._turns.release())
            return await asyncio.shield(task)
        finally:
            self._present -= 1


def password_faults(password: str, *about: str) -> list[str]:
    """List why a password can't be chosen; `about` is what strangers may know: name, address."""
    normal = _normal(password)
    folded = normal.casefold()
    reasons = {
        f"needs at least {CHARACTERS_MIN} characters": len(normal) < CHARACTERS_MIN,
        f"must not have more than {CHARACTERS_MAX} characters": len(normal) > CHARACTERS_MAX,
        "has characters that can't be typed": not _is_encodable(normal),
        "is one of the passwords that are tried first": folded in _COMMON or _is_run(folded),
        "has too few different characters": len(set(folded)) < _DISTINCT_MIN,
        "is little more than the name or the mail address": _is_made_of(folded, about),
    }
    # The first says enough: who types three letters need not hear that they are too few kinds.
    return [reason for reason, applies in reasons.items() if applies][:1]


def _normal(password: str) -> str:
    """Return one form of a password, however a keyboard composes it (NIST SP 800-63B, 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def _bytes(password: str) -> bytes:
    # What can't be typed is wrong, not an error: it is hashed like any other.
    return _normal(password).encode(errors="surrogatepass")


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        return False
    return "\0" not in text


def _is_run(folded: str) -> bool:
    return any(folded in run or folded in run[::-1] for run in (*_RUNS, *(r * 2 for r in _RUNS)))


def _is_made_of(folded: str, about: tuple[str, ...]) -> bool:
    rest = folded
    for told in about:
        normal = _normal(told).casefold()
        words = [normal, normal.partition("@")[0], *normal.replace("@", " ").split()]
        for word in sorted(words, key=len, reverse=True):
            if len(word) >= _WORD_CHARACTERS_MIN:
                rest = rest.replace(word, "")
    return rest != folded and len(rest) < _REST_CHARACTERS_MIN
