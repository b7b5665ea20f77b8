"""What is the same for all is written once for all who ask at a time, whoever of them goes away."""

import asyncio
import time

import pytest

from api.written_once import WrittenOnce


async def test_it_is_written_once_for_all_who_ask() -> None:
    """Of several things each once; the first who asked need not wait for it; then it is kept."""
    once = WrittenOnce(bytes_max=10_000)
    written: list[str] = []

    def write_of(name: str) -> bytes:
        time.sleep(0.05)  # as a large calendar takes, in a thread
        written.append(name)
        return name.encode()

    async def ask(name: str) -> bytes:
        return await once.get(("of", name), lambda: write_of(name))

    first = asyncio.create_task(ask("one"))
    await asyncio.sleep(0)
    others = [asyncio.create_task(ask(name)) for name in ("one", "one", "two")]
    await asyncio.sleep(0.01)
    first.cancel()
    assert await asyncio.gather(*others) == [b"one", b"one", b"two"]
    assert await ask("one") == b"one"
    assert sorted(written) == ["one", "two"]
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    """As soon as all of it takes more than it may."""
    once = WrittenOnce(bytes_max=2_500)
    written: list[int] = []

    async def ask(n: int) -> bytes:
        def write() -> bytes:
            written.append(n)
            return bytes(1_000)

        return await once.get(n, write)

    for n in (1, 2, 1, 3, 1, 2):
        assert len(await ask(n)) == 1_000
    assert written == [1, 2, 3, 2]


async def test_what_could_not_be_written_is_tried_again() -> None:
    """Whoever asked is told why."""
    once = WrittenOnce(bytes_max=10_000)

    def fail() -> bytes:
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await once.get("it", fail)
    assert await once.get("it", lambda: b"there") == b"there"
