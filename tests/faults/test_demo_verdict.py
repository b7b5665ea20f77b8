"""The demo's verdict: it sees what was promised to two buyers, and what was promised and lost."""

from collections.abc import AsyncGenerator

import pytest

from loadtests.buyers import Tally, Verdict, reach_verdict
from loadtests.buyers.tally import Receipt
from loadtests.hall_picture import HallPicture, read_places
from ops.stack import Stack
from tests.engine.auditor_ground import Ground, open_ground


@pytest.fixture
async def ground(servers: Stack) -> AsyncGenerator[Ground]:
    """A show with three orders, 6 seats and 4 places in an area."""
    async with open_ground(servers.settings) as ground:
        yield ground


async def _judge(ground: Ground, tally: Tally, expected: int = 10) -> Verdict:
    return await reach_verdict(
        ground.settings, ground.show.id, tally, expected=expected, patience_s=0.5
    )


def _receipt(ground: Ground, order: bytes, *seats: str, places: int) -> Receipt:
    areas = (("floor-1", places),) if places else ()
    return Receipt(f"ord_dev_{ground.show.id:016x}{order.hex()}", tuple(sorted(seats)), areas)


async def test_what_the_ledger_has_is_neither_lost_nor_sold_twice(ground: Ground) -> None:
    """Receipts that match the ledger pass."""
    tally = Tally()
    tally.receive(_receipt(ground, ground.orders[1], places=3))
    tally.receive(_receipt(ground, ground.orders[2], ground.label(1), ground.label(2), places=1))
    assert await _judge(ground, tally) == Verdict(sold=10, double_sold=0, lost=0)


async def test_a_promise_that_the_ledger_does_not_keep_is_lost(ground: Ground) -> None:
    """An unknown order is lost, and so is a known one that has other places."""
    tally = Tally()
    tally.receive(_receipt(ground, b"\1" * 16, ground.label(20), places=0))
    tally.receive(_receipt(ground, ground.orders[1], places=4))
    tally.receive(_receipt(ground, ground.orders[2], ground.label(1), places=1))
    verdict = await _judge(ground, tally, expected=11)
    assert (verdict.double_sold, verdict.lost) == (0, 3)


async def test_a_seat_on_two_receipts_is_sold_twice(ground: Ground) -> None:
    """Two buyers who were told the same seat are enough, whatever the ledger says."""
    tally = Tally()
    tally.receive(_receipt(ground, ground.orders[2], ground.label(1), ground.label(2), places=1))
    tally.receive(_receipt(ground, b"\1" * 16, ground.label(2), places=0))
    verdict = await _judge(ground, tally)
    assert (verdict.double_sold, verdict.lost) == (1, 1)


def test_an_order_that_is_told_in_two_ways_is_an_error() -> None:
    """A repeat that names other seats than the first answer is counted."""
    tally = Tally()
    tally.receive(Receipt("ord_dev_1", ("A-1",), ()))
    tally.receive(Receipt("ord_dev_1", ("A-1",), ()))
    assert tally.errors == 0
    tally.receive(Receipt("ord_dev_1", ("A-2",), ()))
    assert tally.errors == 1


def test_a_hall_is_drawn_where_its_seats_stand() -> None:
    """Two rows of two seats: letters by state, as far apart as the seats."""
    seat = '{"seat_guid": "%s", "position": {"x": %d, "y": 0}}'
    row = '{"position": {"x": 0, "y": %d}, "seats": [%s, %s]}'
    front = row % (0, seat % ("A1", 0), seat % ("A2", 20))
    back = row % (40, seat % ("B1", 0), seat % ("B2", 20))
    zone = '{"position": {"x": 5, "y": 5}, "rows": [%s, %s]}' % (front, back)  # noqa: UP031
    places = read_places(f'{{"zones": [{zone}]}}'.encode())
    assert places["B2"] == (25, 45)
    labels = ["", "A1", "A2", "", "B1", "B2", ""]
    picture = HallPicture(labels, places, columns=3, lines=3)
    assert picture.plain("|oh|sb|") == "·o\n#x"
    drawn = picture.draw("|oh|sb|")
    assert [len(line) for line in drawn.plain.splitlines()] == [2, 2]


def test_a_large_hall_is_scaled_down() -> None:
    """A hundred seats in ten columns: the letter is the majority's."""
    places = {f"S-{n}": (float(n), 0.0) for n in range(100)}
    picture = HallPicture(list(places), places, columns=10, lines=5)
    assert (picture.columns, picture.lines) == (10, 1)
    assert picture.plain("s" * 50 + "o" * 50).count("#") == 5
