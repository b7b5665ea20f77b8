"""Which passwords can be chosen, and that hashing takes its turn."""

import asyncio
import threading

import pytest
from argon2 import PasswordHasher

from engine.tenancy.passwords import Passwords, PasswordsBusyError, password_faults

_QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.mark.parametrize(
    "password",
    [
        *("", "short", "elevenchars", "x" * 257, "passwordpassword", "PasswordPassword"),
        *("qwertyuiop12", "123456789012", "abcdefghijklm", "aaaaaaaaaaaa", "abababababab"),
        *("correct horse battery staple", "ada abendroth", "Abendroth2026", "ada.a@x.example"),
        *("pass\x00word and more", "\ud800 is half of a pair", "zyxwvutsrqpon"),
        "\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44\uff11\uff12\uff13\uff14",  # in full width
    ],
)
def test_passwords_that_are_tried_first_are_refused(password: str) -> None:
    """And what is too short, too long, or made of what everybody knows."""
    assert password_faults(password, "Ada Abendroth", "ada.a@x.example")


@pytest.mark.parametrize(
    "password",
    [
        *("seven green kettles", "x7$Kq9!pLm2z", "Abendroth and much else", "a b c d e f "),
        *(
            "\u00e4" * 3 + "bcdefghijk",
            "\u5bc6\u7801\u5f88\u957f" + "\u800c\u4e14\u6ca1\u6709\u4eba" + "abc",
        ),
    ],
)
def test_other_passwords_are_taken(password: str) -> None:
    """No rule about kinds of characters (NIST SP 800-63B)."""
    assert password_faults(password, "Ada Abendroth", "ada.a@x.example") == []


async def test_a_password_is_the_same_however_it_is_composed() -> None:
    """Keyboards differ: NFKC."""
    passwords = Passwords(_QUICK)
    hashed = await passwords.hash("K\u00f6ln hat Kessel!")
    assert (await passwords.verify(hashed, "Ko\u0308ln hat Kessel!")).is_right
    assert not (await passwords.verify(hashed, "Koln hat Kessel!")).is_right
    assert "Kessel" not in hashed


@pytest.mark.parametrize("hashed", [None, "", "garbage", "$argon2id$v=19$m=64,t=1,p=1$x$y"])
async def test_nothing_opens_by_no_hash_or_a_broken_one(hashed: str | None) -> None:
    """Whatever the password."""
    assert not (await Passwords(_QUICK).verify(hashed, "anything at all")).is_right


async def test_an_outdated_hash_says_so() -> None:
    """Parameters that were raised since."""
    hashed = await Passwords(_QUICK).hash("seven green kettles")
    stronger = Passwords(PasswordHasher(time_cost=2, memory_cost=128, parallelism=1))
    verified = await stronger.verify(hashed, "seven green kettles")
    assert verified.is_right
    assert verified.is_outdated
    assert not (await Passwords(_QUICK).verify(hashed, "seven green kettles")).is_outdated


class _Slow(PasswordHasher):
    """Counts how many hash at once, and waits to be let go."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=64, parallelism=1)
        self.may_go = threading.Event()
        self.may_go.set()
        self.now = self.most = 0
        self.lock = threading.Lock()

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.may_go.wait(10)
        try:
            return super().hash(password, salt=salt)
        finally:
            with self.lock:
                self.now -= 1


async def test_two_are_hashed_at_once_a_few_wait_and_the_rest_is_refused() -> None:
    """And all is as before once they are done."""
    hasher = _Slow()
    passwords = Passwords(hasher, at_once_max=2, waiting_max=3)
    hasher.may_go.clear()
    tasks = [asyncio.create_task(passwords.hash(f"password {n}")) for n in range(9)]
    await asyncio.sleep(0.05)
    assert sum(task.done() for task in tasks) == 4
    hasher.may_go.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(one, PasswordsBusyError) for one in outcomes) == 4
    assert hasher.most == 2
    assert await passwords.hash("one more, later")


async def test_who_goes_away_lets_no_third_one_in() -> None:
    """The thread works on: its turn ends when it does."""
    hasher = _Slow()
    passwords = Passwords(hasher, at_once_max=2, waiting_max=3)
    hasher.may_go.clear()
    gone = [asyncio.create_task(passwords.hash("gone")) for _ in range(2)]
    await asyncio.sleep(0.05)
    for task in gone:
        task.cancel()
    others = [asyncio.create_task(passwords.hash("here")) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert hasher.most == 2
    hasher.may_go.set()
    assert len(await asyncio.gather(*others)) == 2
    assert hasher.most == 2


async def test_nobody_waits_longer_than_their_patience() -> None:
    """Busy is answered."""
    hasher = _Slow()
    passwords = Passwords(hasher, at_once_max=1, waiting_max=3, patience_s=0.05)
    hasher.may_go.clear()
    first = asyncio.create_task(passwords.hash("first"))
    await asyncio.sleep(0.02)
    with pytest.raises(PasswordsBusyError):
        await passwords.hash("second")
    hasher.may_go.set()
    await first
