"""Tells workers in which shows something happens, so that they look at these each second."""

import structlog
from redis.exceptions import RedisError

from engine.inventory.keys import WAKE_CHANNEL, Wake, wake_call
from engine.platform.errors import StoreUnavailableError
from engine.platform.redis import Store
from engine.platform.retrying import BreakerOpenError

_log = structlog.get_logger(__name__)


async def stir(redis: Store, show: int) -> None:
    """Say that something happens in a show. Where nobody hears of it, its turn comes later."""
    try:
        await redis.publish(WAKE_CHANNEL, wake_call(Wake.STIR, show))
    except (RedisError, OSError, StoreUnavailableError, BreakerOpenError) as error:
        _log.debug("workers not told of a busy show", error=repr(error))
