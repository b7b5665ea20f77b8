"""The draw favors nobody: every order of a few entries, every place of one, every pair of two."""

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from itertools import permutations
from typing import Final

import pytest

from engine.waitingroom.draw import ROUNDS, Draw, derive_key

_Z_MAX: Final = 4.0
"""Chance exceeds it once in 30 000 times, and the keys are the same in each run."""


def _keys(many: int, count: int) -> Iterator[bytes]:
    for number in range(many):
        yield derive_key(b"a secret for tests", f"shw_dev_{number}", count)


def _deviation(seen: Counter[Hashable], cells: int) -> float:
    """Return chi-square's deviation from its mean in standard deviations.

    Wilson and Hilferty, "The distribution of chi-square", 1931: the cube root is nearly normal.
    """
    expected = seen.total() / cells
    chi_square = sum((many - expected) ** 2 for many in seen.values()) / expected
    chi_square += (cells - len(seen)) * expected
    freedom = cells - 1
    spread = 2 / (9 * freedom)
    return ((chi_square / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread)


@pytest.mark.parametrize(
    ("count", "keys"), [(2, 4000), (3, 4000), (4, 6000), (5, 10_000), (6, 12_000)]
)
def test_every_order_of_a_few_entries_is_as_likely_as_another(count: int, keys: int) -> None:
    """With ten rounds, as for large domains, six entries fail this."""
    seen: Counter[Hashable] = Counter(
        tuple(Draw(key, count).places()) for key in _keys(keys, count)
    )
    assert _deviation(seen, math.factorial(count)) < _Z_MAX


@pytest.mark.parametrize(("count", "entry"), [(7, 0), (7, 6), (9, 4), (53, 17), (100, 99)])
def test_one_entry_is_anywhere_as_often_as_elsewhere(count: int, entry: int) -> None:
    """First or last, in a full square or beyond one."""
    seen: Counter[Hashable] = Counter(Draw(key, count).place(entry) for key in _keys(6000, count))
    assert _deviation(seen, count) < _Z_MAX


@pytest.mark.parametrize(("count", "entries"), [(9, (0, 1)), (20, (3, 9)), (31, (0, 30))])
def test_two_entries_are_anywhere_as_often_as_elsewhere(
    count: int, entries: tuple[int, int]
) -> None:
    """Neighbors too, who share a half in the network."""
    first, second = entries
    seen: Counter[Hashable] = Counter(
        (draw.place(first), draw.place(second))
        for draw in (Draw(key, count) for key in _keys(8000, count))
    )
    assert _deviation(seen, count * (count - 1)) < _Z_MAX


@pytest.mark.parametrize("count", [7, 8, 9, 25])
def test_even_and_odd_orders_are_as_likely(count: int) -> None:
    """A network of odd width and height would make even ones only, out of its whole square."""
    seen: Counter[Hashable] = Counter(
        _is_odd(list(Draw(key, count).places())) for key in _keys(2000, count)
    )
    assert _deviation(seen, 2) < _Z_MAX


def _is_odd(order: list[int]) -> bool:
    odd, left = False, set(range(len(order)))
    while left:
        at = left.pop()
        while (at := order[at]) in left:
            left.remove(at)
            odd = not odd
    return odd


def test_no_order_of_seven_is_off_by_a_thousandth() -> None:
    """Computed exactly over all round values: a chi-square of real keys could not see so little."""
    odds = _odds_of_orders(7, width=4, height=2)
    fair = 1 / math.factorial(7)
    assert len(odds) == math.factorial(7)
    assert max(abs(chance / fair - 1) for chance in odds.values()) < 0.001


def _odds_of_orders(count: int, *, width: int, height: int) -> dict[tuple[int, ...], float]:
    """Return how likely each order is if the values of all rounds are independent and uniform.

    A round turns each column by a value of its own, then each row: the chances after a turn are the
    mean of those after each of its steps.
    """
    points = range(width * height)
    orders = list(permutations(points))
    numbers = {order: number for number, order in enumerate(orders)}

    def turned(point: int, at: int, *, columns: bool) -> int:
        left, right = point % width, point // width
        if columns and right == at:
            left = (left + 1) % width
        elif not columns and left == at:
            right = (right + 1) % height
        return left + width * right

    def turn(at: int, *, columns: bool) -> list[int]:
        moved = [turned(point, at, columns=columns) for point in points]
        return [numbers[tuple(moved[point] for point in order)] for order in orders]

    rounds = (
        (width, [turn(at, columns=True) for at in range(height)]),
        (height, [turn(at, columns=False) for at in range(width)]),
    )
    chances = [0.0] * len(orders)
    chances[0] = 1.0
    for number in range(ROUNDS):
        steps, turns = rounds[number % 2]
        for moves in turns:
            total, moved = chances, chances
            for _ in range(steps - 1):
                moved = [moved[move] for move in moves]
                total = [one + other for one, other in zip(total, moved, strict=True)]
            chances = [chance / steps for chance in total]
    odds: dict[tuple[int, ...], float] = defaultdict(float)
    for order, chance in zip(orders, chances, strict=True):
        odds[tuple(_walk(order, entry, count) for entry in range(count))] += chance
    return odds


def _walk(order: tuple[int, ...], entry: int, count: int) -> int:
    point = order[entry]
    while point >= count:
        point = order[point]
    return point
