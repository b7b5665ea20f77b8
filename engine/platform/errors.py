"""The exceptions that cross from the engine to its callers."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import cast

from redis.exceptions import RedisError, ResponseError
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError, SQLAlchemyError


class StoreUnavailableError(RuntimeError):
    """Redis or PostgreSQL could not be asked, or did not answer in time: try again later."""


@contextmanager
def store_failures() -> Generator[None]:
    """Turn what the stores' clients raise into `StoreUnavailableError`."""
    try:
        yield
    except (RedisError, SQLAlchemyError, OSError, TimeoutError) as error:
        msg = f"a store is unavailable: {type(error).__name__}: {error}"
        raise StoreUnavailableError(msg) from error


def is_outage(error: BaseException) -> bool:
    """Tell whether a store that can't be reached is all that is wrong."""
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(is_outage(one) for one in group.exceptions)
    if isinstance(error, ResponseError | IntegrityError | ProgrammingError | DataError):
        return False  # it answered
    return isinstance(error, RedisError | SQLAlchemyError | OSError)
