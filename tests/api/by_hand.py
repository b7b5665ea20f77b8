"""Changes of rows that no call makes: as the owner, under a name of their own in the trail."""

import asyncio
from typing import Any

from sqlalchemy import func, literal, select

from engine.platform.database import ACTOR_SETTING, create_engine
from engine.platform.settings import OWNER_ROLE, Settings


def change_by_hand(settings: Settings, *statements: Any) -> None:  # noqa: ANN401 -- SQL
    """Execute these in one transaction."""
    asyncio.run(_change(settings, statements))


async def _change(settings: Settings, statements: tuple[Any, ...]) -> None:
    engine = create_engine(settings, OWNER_ROLE)
    named = func.set_config(ACTOR_SETTING, "by hand", literal(value=True))
    try:
        async with engine.begin() as connection:
            for statement in (select(named), *statements):
                await connection.execute(statement)
    finally:
        await engine.dispose()
