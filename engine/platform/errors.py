"""The exceptions that cross from the engine to its callers."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, cast

from redis.exceptions import AuthenticationError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# That of a socket which is not there is a plain OSError.
_AWAY: Final = (RedisConnectionError, RedisTimeoutError, PoolTimeoutError, OSError)
# Connections lost, resources used up, an operator who shuts it down or starts it.
_SQLSTATES_AWAY: Final = ("08", "53", "57")


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
    if isinstance(error, DBAPIError):
        sqlstate = str(getattr(error.orig, "sqlstate", None) or "")
        return error.connection_invalidated or sqlstate.startswith(_SQLSTATES_AWAY)
    return isinstance(error, _AWAY) and not isinstance(error, AuthenticationError)
