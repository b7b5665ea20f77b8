"""The keys that access tokens are signed with, by ES256 (RFC 7518): a few in the database, sealed.

Every process reads them again every few seconds. A new key is published before it signs, and an
old one stays published for as long as a token that it signed is good.
"""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import msgspec
import structlog
from joserfc.jwk import ECKey
from msgspec import Struct
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.sealing import Sealer, SealError
from engine.platform.tables import signing_keys

ALGORITHM: Final = "ES256"
TOKEN_LASTS_S: Final = 600
"""How long an access token is good."""

PUBLISHED_BEFORE_S: Final = 120
"""So long a key is known before it signs, to processes and to whoever keeps the key set."""

_CURVE: Final = "P-256"
_PLACE: Final = "signing_keys.private_key_sealed"
_LEEWAY_S: Final = 60

_key = signing_keys.c
_log = structlog.stdlib.get_logger(__name__)


class SigningKey(Struct, frozen=True):
    """A key pair."""

    kid: str
    private: ECKey
    created_at: datetime


class SigningKeys(Struct, frozen=True):
    """The keys of one moment, the oldest first; there is at least one."""

    listed: tuple[SigningKey, ...]
    signer: SigningKey

    def find(self, kid: object) -> ECKey | None:
        """Return the key that a token names."""
        return next((key.private for key in self.listed if key.kid == kid), None)

    def published(self) -> list[dict[str, Any]]:
        """Return the public keys, as RFC 7517 has them."""
        return [
            {
                **key.private.as_dict(private=False),
                "kid": key.kid,
                "use": "sig",
                "alg": ALGORITHM,
            }
            for key in self.listed
        ]


def choose_keys(found: list[SigningKey], now: datetime) -> SigningKeys:
    """Tell which of the keys, the oldest first, sign and are published."""
    known = timedelta(seconds=PUBLISHED_BEFORE_S)
    lasts = timedelta(seconds=TOKEN_LASTS_S + _LEEWAY_S)
    signer = next((key for key in reversed(found) if key.created_at <= now - known), found[0])
    # A key signed until the one after it began to.
    replaced = {key.kid: later.created_at + known for key, later in pairwise(found)}
    listed = tuple(
        key for key in found if key.kid not in replaced or now <= replaced[key.kid] + lasts
    )
    return SigningKeys(listed, signer)


async def load_keys(connection: AsyncConnection, sealer: Sealer) -> SigningKeys:
    """Return the keys; makes the first if there is none that opens."""
    query = select(
        _key.kid, _key.private_key_sealed, _key.created_at, func.now().label("now")
    ).order_by(_key.created_at, _key.kid)
    rows = (await connection.execute(query)).all()
    found = [key for row in rows if (key := _open(sealer, row)) is not None]
    if not found:
        await add_signing_key(connection, sealer)
        rows = (await connection.execute(query)).all()
        found = [key for row in rows if (key := _open(sealer, row)) is not None]
    return choose_keys(found, rows[0].now.astimezone(UTC))


async def add_signing_key(connection: AsyncConnection, sealer: Sealer) -> str:
    """Make a key, and return its name."""
    key = ECKey.generate_key(_CURVE, private=True)
    kid = key.thumbprint()
    written = msgspec.json.encode(key.as_dict(private=True)).decode()
    await connection.execute(
        insert(signing_keys).values(
            kid=kid,
            private_key_sealed=sealer.seal_for_cell(_PLACE, written),
            created_at=func.clock_timestamp(),
        )
    )
    return kid


async def drop_other_keys(connection: AsyncConnection, kid: str) -> int:
    """Forget every key but one: what they signed is refused within seconds."""
    dropped = await connection.execute(delete(signing_keys).where(_key.kid != kid))
    return dropped.rowcount


async def forget_old_keys(connection: AsyncConnection, sealer: Sealer) -> int:
    """Forget the keys that are not published any more."""
    listed = [key.kid for key in (await load_keys(connection, sealer)).listed]
    dropped = await connection.execute(delete(signing_keys).where(_key.kid.not_in(listed)))
    return dropped.rowcount


def _open(sealer: Sealer, row: Any) -> SigningKey | None:  # noqa: ANN401 - a row
    try:
        written = sealer.open_for_cell(_PLACE, row.private_key_sealed)
    except SealError:
        # Nobody can sign with it any more, and what it signed is refused.
        _log.exception("a signing key does not open", kid=row.kid)
        return None
    return SigningKey(row.kid, ECKey.import_key(msgspec.json.decode(written)), row.created_at)
