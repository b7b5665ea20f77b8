"""Sensitive columns: encrypted with a key of their reseller's, which is wrapped with a setting's.

Envelope encryption. A *data key* belongs to one reseller and lies in PostgreSQL, wrapped with a
*sealing key* from `ONSALE_SEALING_KEYS`; so a sealing key is rotated by wrapping some thousand
data keys anew, and a reseller's data are shredded by dropping theirs. What is sealed is bound to
its reseller and its place (`table.column`), not to its row: moved elsewhere it does not open.

AES-256-GCM (NIST SP 800-38D) by `cryptography`, with random nonces of 96 bits: a data key is good
for 2**32 values.
"""

import hmac
import os
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import desc, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.tables import data_keys

_OF_RESELLER: Final = 1
_OF_CELL: Final = 2
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_VERSION_BYTES: Final = 4
_VERSION_MAX: Final = 2**31 - 1
_NAME_BYTES: Final = 4
_DIGEST_BYTES: Final = 16
_REMEMBERED_MAX: Final = 4096

_key = data_keys.c


class SealError(RuntimeError):
    """Sealed bytes don't open: altered, moved, or their key is not in the settings any more."""


class _DataKey(NamedTuple):
    """A data key, and the row that it was unwrapped from."""

    wrapped: bytes
    key: AESGCM


class Sealer:
    """Seals and opens the sensitive columns of one cell. Remembers data keys it has unwrapped."""

    def __init__(self, sealing_keys: Sequence[bytes], secret: bytes) -> None:
        """Take the sealing keys, the first of which seals, and the cell's secret for digests."""
        hashed = [
            blake2b(key, digest_size=_KEY_BYTES, person=b"seal").digest() for key in sealing_keys
        ]
        self._sealing_keys = {
            blake2b(key, digest_size=_NAME_BYTES, person=b"seal name").digest(): AESGCM(key)
            for key in hashed
        }
        self._first = next(iter(self._sealing_keys))
        self._digest_key = blake2b(secret, digest_size=_KEY_BYTES, person=b"sealed digest").digest()
        self._data_keys: OrderedDict[tuple[int, int], _DataKey] = OrderedDict()

    @property
    def sealing_key(self) -> str:
        """The name of the sealing key that new data keys are wrapped with: 8 hex digits."""
        return self._first.hex()

    async def seal(
        self, connection: AsyncConnection, reseller: int, place: str, text: str
    ) -> bytes:
        """Return a text as it may be stored, in a transaction that sees this reseller's rows.

        Makes the reseller's first data key if there is none.
        """
        version, key = await self._newest(connection, reseller)
        nonce = os.urandom(_NONCE_BYTES)
        head = bytes([_OF_RESELLER]) + version.to_bytes(_VERSION_BYTES, "big")
        return head + nonce + key.encrypt(nonce, text.encode(), _bound_to(reseller, place))

    async def open(
        self, connection: AsyncConnection, reseller: int, place: str, sealed: bytes
    ) -> str:
        """Return the text that `seal` was given.

        Raises:
            SealError: it does not open.
        """
        version = int.from_bytes(sealed[1 : 1 + _VERSION_BYTES], "big")
        if sealed[:1] != bytes([_OF_RESELLER]) or version > _VERSION_MAX:
            raise SealError(place)
        content, bound = sealed[1 + _VERSION_BYTES :], _bound_to(reseller, place)
        known = self._recall(reseller, version)
        if known is not None:
            try:
                return _decrypt(known.key, content, bound, place)
            except SealError:
                # It may be one that was never committed, and another took its place.
                self._data_keys.pop((reseller, version), None)
        query = select(_key.sealing_key, _key.wrapped).where(
            _key.reseller_id == reseller, _key.version == version
        )
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise SealError(place)
        key = self._unwrap(reseller, version, row.sealing_key, row.wrapped)
        return _decrypt(key, content, bound, place)

    def seal_for_cell(self, place: str, text: str) -> bytes:
        """Return a text that belongs to no reseller as it may be stored."""
        nonce = os.urandom(_NONCE_BYTES)
        key = self._sealing_keys[self._first]
        head = bytes([_OF_CELL]) + self._first
        return head + nonce + key.encrypt(nonce, text.encode(), place.encode())

    def open_for_cell(self, place: str, sealed: bytes) -> str:
        """Return the text that `seal_for_cell` was given.

        Raises:
            SealError: it does not open.
        """
        key = self._sealing_keys.get(sealed[1 : 1 + _NAME_BYTES])
        if key is None or sealed[:1] != bytes([_OF_CELL]):
            raise SealError(place)
        return _decrypt(key, sealed[1 + _NAME_BYTES :], place.encode(), place)

    def digest(self, reseller: int, place: str, text: str) -> bytes:
        """Return 16 bytes that stand for a text in look-ups: keyed, and other in every place.

        `reseller` is 0 where texts are looked up before it is known whose they are. Bring texts
        into one form first.
        """
        given = _bound_to(reseller, place) + b"\0" + text.encode()
        return hmac.digest(self._digest_key, given, "blake2b")[:_DIGEST_BYTES]

    def wrap(self, reseller: int, version: int, key: bytes) -> bytes:
        """Return a data key as it may be stored, under the first sealing key."""
        nonce = os.urandom(_NONCE_BYTES)
        bound = _bound_to(reseller, f"data_keys.{version}")
        return nonce + self._sealing_keys[self._first].encrypt(nonce, key, bound)

    def unwrap(self, reseller: int, version: int, name: str, wrapped: bytes) -> bytes:
        """Return the data key that `wrap` was given, under the sealing key of this name.

        Raises:
            SealError: it does not open.
        """
        place = f"data_keys.{version}"
        sealing_key = {key.hex(): one for key, one in self._sealing_keys.items()}.get(name)
        if sealing_key is None:
            msg = f"the sealing key {name} is not in ONSALE_SEALING_KEYS"
            raise SealError(msg)
        try:
            return sealing_key.decrypt(
                wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], _bound_to(reseller, place)
            )
        except (InvalidTag, ValueError):
            raise SealError(place) from None

    async def _newest(self, connection: AsyncConnection, reseller: int) -> tuple[int, AESGCM]:
        query = (
            select(_key.version, _key.sealing_key, _key.wrapped)
            .where(_key.reseller_id == reseller)
            .order_by(desc(_key.version))
            .limit(1)
        )
        row = (await connection.execute(query)).one_or_none()
        if row is None:
            first = insert(data_keys).values(
                reseller_id=reseller,
                version=1,
                sealing_key=self.sealing_key,
                wrapped=self.wrap(reseller, 1, new_data_key()),
            )
            # Two at once: the second waits here for the first's, and takes it.
            await connection.execute(first.on_conflict_do_nothing())
            row = (await connection.execute(query)).one()
        known = self._recall(reseller, row.version)
        # The row decides: what is remembered may come from a transaction that was rolled back.
        if known is not None and known.wrapped == row.wrapped:
            return row.version, known.key
        return row.version, self._unwrap(reseller, row.version, row.sealing_key, row.wrapped)

    def _recall(self, reseller: int, version: int) -> _DataKey | None:
        known = self._data_keys.get((reseller, version))
        if known is not None:
            self._data_keys.move_to_end((reseller, version))
        return known

    def _unwrap(self, reseller: int, version: int, name: str, wrapped: bytes) -> AESGCM:
        unwrapped = AESGCM(self.unwrap(reseller, version, name, wrapped))
        self._data_keys[reseller, version] = _DataKey(wrapped, unwrapped)
        self._data_keys.move_to_end((reseller, version))
        while len(self._data_keys) > _REMEMBERED_MAX:
            self._data_keys.popitem(last=False)
        return unwrapped


def new_data_key() -> bytes:
    """Return a fresh data key."""
    return os.urandom(_KEY_BYTES)


def _bound_to(reseller: int, place: str) -> bytes:
    return reseller.to_bytes(8, "big") + place.encode()


def _decrypt(key: AESGCM, sealed: bytes, bound_to: bytes, place: str) -> str:
    try:
        return key.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to).decode()
    except (InvalidTag, ValueError):
        raise SealError(place) from None
