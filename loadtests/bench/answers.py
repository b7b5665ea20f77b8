"""What the answers of a round must be. Any other answer fails the measurement."""

from collections.abc import Callable
from http import HTTPStatus

from loadtests.bench.http_bench import BenchError
from loadtests.generator import LoadResult

Expectation = Callable[[LoadResult], int]
"""Returns how many units were served: holds, orders.

Raises:
    BenchError: there are other answers, or none.
"""


def all_created(result: LoadResult) -> int:
    """Every hold is held."""
    return _only(result, HTTPStatus.CREATED)


def all_shown(result: LoadResult) -> int:
    """Everybody is shown what they asked for."""
    return _only(result, HTTPStatus.OK)


def all_refused(result: LoadResult) -> int:
    """Every hold is refused, since its seats are sold."""
    return _only(result, HTTPStatus.CONFLICT)


def all_confirmed(result: LoadResult) -> int:
    """Every hold is held, and purchases are confirmed or being recorded still."""
    _only(result, HTTPStatus.CREATED, HTTPStatus.ACCEPTED)
    return _some(result, result.counted)


def batches_of(size: int) -> Expectation:
    """Return that every batch is answered, and each of its `size` commands is counted."""

    def all_commands(result: LoadResult) -> int:
        batches = _only(result, HTTPStatus.OK)
        if result.counted != batches * size:
            msg = f"{batches} batches of {size}, but {result.counted} commands went well"
            raise BenchError(msg)
        return result.counted

    return all_commands


def _only(result: LoadResult, *allowed: HTTPStatus) -> int:
    if result.statuses.keys() - set(allowed) or result.connection_errors:
        msg = (
            f"answers by status: {result.statuses}, connection errors: {result.connection_errors}"
            f", where only {', '.join(str(status.value) for status in allowed)} may be; the first: "
            f"{result.failures}"
        )
        raise BenchError(msg)
    return _some(result, result.answered)


def _some(result: LoadResult, units: int) -> int:
    if not units or not result.wall_s:
        msg = f"nothing was served: {result}"
        raise BenchError(msg)
    return units
