"""Making a reseller with a first API key, as the operator of a cell."""

from engine.platform.database import create_engine
from engine.platform.settings import OWNER_ROLE, Settings
from engine.tenancy.resellers import IssuedKey, create_reseller


async def make_reseller(settings: Settings, name: str) -> IssuedKey:
    """Make a reseller and return its first key, which is stored nowhere.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
    """
    owner = create_engine(settings, OWNER_ROLE)
    try:
        return await create_reseller(owner, settings.region, name)
    finally:
        await owner.dispose()
