"""How often and when is repeated, and what a breaker spares its callers."""

import asyncio
import time

import pytest

from engine.platform.retrying import Backoff, Breaker, BreakerOpenError


class Party:
    """Somebody who can be asked, and may be away."""

    def __init__(self) -> None:
        """Be there at first."""
        self.error: Exception | None = None
        self.asked = 0
        self.probed = 0
        self.breaker = Breaker(
            "a party", self.probe, is_away=lambda error: isinstance(error, OSError), failures_max=3
        )

    async def probe(self) -> None:
        """Be tried by the breaker."""
        self.probed += 1
        if self.error is not None:
            raise self.error

    def ask(self) -> None:
        """Ask through the breaker."""
        with self.breaker.watch():
            self.asked += 1
            if self.error is not None:
                raise self.error

    def fail(self, times: int) -> None:
        """Ask in vain so often."""
        assert self.error is not None
        for _ in range(times):
            with pytest.raises(type(self.error)):
                self.ask()


def test_pauses_double_up_to_the_longest_and_are_not_all_the_same() -> None:
    """Each is up to a quarter longer than told, so that not all come back at once."""
    backoff = Backoff(first_s=0.1, most_s=1.0)
    for failures, told in ((1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.0), (10_000, 1.0)):
        pauses = [backoff.pause_s(failures) for _ in range(50)]
        assert min(pauses) >= told
        assert max(pauses) <= 1.25 * told
        assert len(set(pauses)) > 1


async def test_after_failures_in_a_row_nobody_is_let_wait() -> None:
    """Refused at once, without asking; a probe beside them goes on asking."""
    party = Party()
    party.error = ConnectionRefusedError()
    party.fail(3)
    assert party.breaker.is_open
    for _ in range(100):
        with pytest.raises(BreakerOpenError):
            party.ask()
    assert party.asked == 3
    async with asyncio.timeout(5):
        while party.probed < 3:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)
    assert party.breaker.is_open
    await party.breaker.stop()


async def test_once_a_probe_is_answered_everybody_is_let_through() -> None:
    """Soon, and the failures count from the start again."""
    party = Party()
    party.error = ConnectionRefusedError()
    party.fail(3)
    party.error = None
    began = time.monotonic()
    async with asyncio.timeout(5):
        while party.breaker.is_open:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.01)
    assert time.monotonic() - began < 1
    party.ask()
    party.error = ConnectionRefusedError()
    party.fail(2)
    assert not party.breaker.is_open


async def test_failures_that_are_not_in_a_row_open_nothing() -> None:
    """Nor do errors that somebody who is there answers with."""
    party = Party()
    for _ in range(5):
        party.error = ConnectionRefusedError()
        party.fail(2)
        party.error = None
        party.ask()
    for _ in range(5):
        party.error = ConnectionRefusedError()
        party.fail(2)
        party.error = ValueError("no such row")
        party.fail(1)
    assert not party.breaker.is_open
