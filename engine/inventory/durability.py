"""What the inventory store must be set to, so that nothing that was answered can be lost."""

from typing import Final

from msgspec import Struct
from redis.exceptions import ResponseError

from engine.platform.redis import Store


class Wanted(Struct, frozen=True):
    """A setting of the server, and what it is good for."""

    setting: str
    value: str
    why: str


WANTED: Final = (
    Wanted(
        "appendonly",
        "yes",
        "without it a restart loses every hold, and sales that were not yet recorded",
    ),
    Wanted(
        "appendfsync",
        "always",
        "else a crash loses purchases of its last second that were answered already",
    ),
    Wanted(
        "maxmemory-policy",
        "noeviction",
        "else a full server throws shows away instead of refusing new holds",
    ),
)


class Risk(Struct, frozen=True):
    """A setting that is not as wanted."""

    wanted: Wanted
    found: str | None
    """None: the server does not tell."""


async def find_risks(redis: Store) -> list[Risk]:
    """Return the settings that may lose what was answered.

    Raises:
        redis.RedisError, OSError: the store can't be asked.
    """
    risks: list[Risk] = []
    for wanted in WANTED:
        try:
            found = (await redis.config_get(wanted.setting)).get(wanted.setting, "")
        except ResponseError:  # as with providers that keep the command to themselves
            risks.append(Risk(wanted, None))
            continue
        if found != wanted.value:
            risks.append(Risk(wanted, found))
    return risks
