"""The exceptions that cross from the engine to its callers."""

from collections.abc import Generator
from contextlib import contextmanager

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError


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
