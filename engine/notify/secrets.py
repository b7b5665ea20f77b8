"""An endpoint's signing secrets in their sealed column."""

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from engine.notify.signing import Secrets, read_secrets, write_secrets
from engine.platform.sealing import Sealer

PLACE: Final = "webhook_endpoints.secrets"


async def seal_secrets(
    connection: AsyncConnection, sealer: Sealer, reseller: int, secrets: Secrets
) -> bytes:
    """Return secrets as they are stored."""
    return await sealer.seal(connection, reseller, PLACE, write_secrets(secrets))


async def open_secrets(
    connection: AsyncConnection, sealer: Sealer, reseller: int, sealed: bytes
) -> Secrets:
    """Return secrets that were sealed.

    Raises:
        SealError: they don't open.
    """
    return read_secrets(await sealer.open(connection, reseller, PLACE, sealed))
