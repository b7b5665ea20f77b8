"""Identifiers: what they look like outside, what they carry, how holds derive theirs.

Outside, every id reads `{prefix}_{region}_{hex}`, so that anyone who sees one knows what it names
and which cell owns it. Inside, an entity (reseller, show, API key) is a positive 63-bit integer
and a hold, an order or a ticket is 16 bytes.

A hold's id derives from reseller, show and idempotency key, so a repeated request names the same
hold without a look-up. Its last 4 bytes are a MAC: an invented id is refused before any store is
asked.
"""

import hmac
import re
import secrets
from collections.abc import Collection
from enum import StrEnum
from functools import lru_cache
from hashlib import blake2b
from typing import NewType

EntityId = NewType("EntityId", int)
"""A reseller, show or API key: 1 to 2**63 - 1."""

HoldId = NewType("HoldId", bytes)
"""16 bytes. An order has the 16 bytes of the hold that it came from."""

REGION = re.compile(r"[a-z][a-z0-9]{1,7}")
"""What a cell's code looks like."""

_FOREIGN = re.compile(r"([a-z]{3})_([a-z][a-z0-9]{1,7})_([0-9a-f]+)")
_ENTITY_HEX_DIGITS = 16
_HOLD_HEX_DIGITS = 32
_DIGEST_BYTES = 12
_MAC_BYTES = 4
_NO_SHOW = 0
_PLACE_BYTES = 16
_CURSOR_HEX_DIGITS = 2 * (_PLACE_BYTES + _MAC_BYTES)
HOLD_BYTES = _DIGEST_BYTES + _MAC_BYTES
FINGERPRINT_BYTES = 6
PURCHASE_KEY_BYTES = 8
CODE_DIGEST_BYTES = 16

# Copied for each use, which costs half of making it anew.
_fingerprint_hash = blake2b(digest_size=FINGERPRINT_BYTES)


class IdError(ValueError):
    """The text is not an id of the kind that was asked for, of this region."""


class ForeignIdError(ValueError):
    """The text is an id or a key of another cell that this one knows of.

    No `IdError`: whoever takes that for something unknown lets this one pass, up to where it is
    answered with that cell's address.
    """

    def __init__(self, region: str) -> None:
        """Take the region that it carries."""
        super().__init__(f"it belongs to the region {region}")
        self.region = region


class Prefix(StrEnum):
    """What an id names."""

    RESELLER = "rsl"
    SHOW = "shw"
    API_KEY = "key"
    HOLD = "hld"
    ORDER = "ord"
    TICKET = "tkt"
    ENDPOINT = "whe"
    DELIVERY = "whd"
    PING = "png"
    FACT = "fct"
    CURSOR = "cur"
    OAUTH_CLIENT = "oac"
    OAUTH_GRANT = "ogr"
    USER = "usr"
    SESSION = "ses"
    INVITATION = "inv"
    VENUE = "ven"
    CONFIGURATION = "cfg"
    EVENT = "evt"
    PERFORMER = "prf"
    ALLOTMENT = "alt"
    BUNDLE = "bnd"


def new_entity_id() -> EntityId:
    """Return a random positive 63-bit integer."""
    return EntityId(secrets.randbits(63) or 1)


def entity_hex(entity: int) -> str:
    """Return the 16 hex digits of an entity id, as they stand in ids and in Redis key names."""
    return f"{entity:016x}"


def fingerprint(content: bytes) -> int:
    """Return 48 bits that stand for a request's body: small enough for a Lua number (a double)."""
    hashed = _fingerprint_hash.copy()
    hashed.update(content)
    return int.from_bytes(hashed.digest(), "big")


def purchase_key_digest(key: str) -> bytes:
    """Return the 8 bytes that stand for a purchase's Idempotency-Key within its show."""
    return blake2b(key.encode(), digest_size=PURCHASE_KEY_BYTES).digest()


class Ids:
    """Reads and writes the ids of one region, and derives hold ids with that region's secret."""

    def __init__(self, region: str, secret: bytes, others: Collection[str] = ()) -> None:
        """Take a region code (2 to 8 lower-case letters and digits) and a secret of 16 bytes up.

        `others` are the other cells' regions: what is theirs is told from what is nobody's.

        Raises:
            ValueError: the region code or the secret does not fit.
        """
        if not REGION.fullmatch(region):
            msg = f"region code {region!r}: 2 to 8 lower-case letters and digits, a letter first"
            raise ValueError(msg)
        if len(secret) < 16:  # noqa: PLR2004 - 128 bits
            msg = "the secret needs at least 16 bytes"
            raise ValueError(msg)
        self.region = region
        self._others = frozenset(others)
        self._heads = {prefix: f"{prefix}_{region}_" for prefix in Prefix}
        self._hold_head = self._heads[Prefix.HOLD]
        self._id_key = blake2b(secret, person=b"onsale hold id", digest_size=32).digest()
        mac_key = blake2b(secret, person=b"onsale hold mac", digest_size=32).digest()
        # Keyed once and copied for each id, which costs half of keying anew.
        self._hold_hash = blake2b(key=self._id_key, digest_size=_DIGEST_BYTES)
        self._mac_hash = blake2b(key=mac_key, digest_size=_MAC_BYTES)
        self._code_key = blake2b(secret, person=b"onsale code", digest_size=32).digest()

    def head(self, prefix: Prefix) -> str:
        """Return what the outside form of all of a kind's ids begins with."""
        return self._heads[prefix]

    def entity(self, prefix: Prefix, entity: int) -> str:
        """Return the outside form of an entity id."""
        return f"{self._heads[prefix]}{entity:016x}"

    def parse_entity(self, prefix: Prefix, text: str) -> EntityId:
        """Read an entity id.

        Raises:
            IdError: not such an id.
            ForeignIdError: another cell's.
        """
        entity = int(self._hex(prefix, text, _ENTITY_HEX_DIGITS), 16)
        if not 0 < entity < 2**63:
            msg = f"{text!r} is out of range"
            raise IdError(msg)
        return EntityId(entity)

    def hold(self, hold: bytes) -> str:
        """Return the outside form of a hold id."""
        return self._hold_head + hold.hex()

    def order(self, show: int, order: bytes) -> str:
        """Return the outside form of an order id, which names its show too."""
        return f"{self._heads[Prefix.ORDER]}{show:016x}{order.hex()}"

    def ticket(self, ticket: bytes) -> str:
        """Return the outside form of a ticket id."""
        return self._heads[Prefix.TICKET] + ticket.hex()

    def delivery(self, endpoint: int, fact: int) -> str:
        """Return the outside form of a delivery's id: which fact, told to which endpoint."""
        return f"{self._heads[Prefix.DELIVERY]}{endpoint:016x}{fact:016x}"

    def parse_delivery(self, text: str) -> tuple[EntityId, int]:
        """Read a delivery's id: its endpoint, and its fact.

        Raises:
            IdError: not a delivery's id, or another region's.
        """
        digits = self._hex(Prefix.DELIVERY, text, 2 * _ENTITY_HEX_DIGITS)
        endpoint = int(digits[:_ENTITY_HEX_DIGITS], 16)
        fact = int(digits[_ENTITY_HEX_DIGITS:], 16)
        if not (0 < endpoint < 2**63 and 0 < fact < 2**63):
            msg = f"{text!r} is out of range"
            raise IdError(msg)
        return EntityId(endpoint), fact

    def cursor(self, reseller: int, xid: int, fact: int) -> str:
        """Return the outside form of a place in a reseller's log of facts."""
        place = xid.to_bytes(8, "big") + fact.to_bytes(8, "big")
        mac = self._mac(_scope(reseller, _NO_SHOW), place)
        return f"{self._heads[Prefix.CURSOR]}{(place + mac).hex()}"

    def parse_cursor(self, reseller: int, text: str) -> tuple[int, int]:
        """Read a place in this reseller's log: a transaction's number and a fact's id.

        Raises:
            IdError: no such place was ever handed out to this reseller.
        """
        packed = bytes.fromhex(self._hex(Prefix.CURSOR, text, _CURSOR_HEX_DIGITS))
        place, mac = packed[:_PLACE_BYTES], packed[_PLACE_BYTES:]
        if not hmac.compare_digest(mac, self._mac(_scope(reseller, _NO_SHOW), place)):
            msg = "no such cursor was ever handed out"
            raise IdError(msg)
        return int.from_bytes(place[:8], "big"), int.from_bytes(place[8:], "big")

    def derive_hold(self, reseller: int, show: int, idempotency_key: str) -> HoldId:
        """Return the id of the hold that this reseller's key makes on this show."""
        digest = self.derive_digest(reseller, show, idempotency_key)
        return self.complete_hold(reseller, show, digest)

    def derive_digest(self, reseller: int, show: int, idempotency_key: str) -> bytes:
        """Return what that hold's id begins with, which tells it from others; its MAC follows."""
        hashed = self._hold_hash.copy()
        hashed.update(_scope(reseller, show) + idempotency_key.encode())
        return hashed.digest()

    def complete_hold(self, reseller: int, show: int, digest: bytes) -> HoldId:
        """Return the id of the hold with this digest."""
        return HoldId(digest + self._mac(_scope(reseller, show), digest))

    def derive_show(self, reseller: int, idempotency_key: str, body: int) -> EntityId:
        """Return the id of the show that this reseller's key creates with this body.

        `body` is its fingerprint: a key is forgotten one day, and may come with another body then.
        """
        scope = _scope(reseller, body) + idempotency_key.encode()
        digest = blake2b(scope, key=self._id_key, person=b"show", digest_size=8).digest()
        return EntityId(int.from_bytes(digest, "big") >> 1 or 1)

    def derive_bundle(self, reseller: int, idempotency_key: str) -> EntityId:
        """Return the id of the bundle that this reseller's key makes."""
        scope = _scope(reseller, _NO_SHOW) + idempotency_key.encode()
        digest = blake2b(scope, key=self._id_key, person=b"bundle", digest_size=8).digest()
        return EntityId(int.from_bytes(digest, "big") >> 1 or 1)

    def derive_reseller(self, idempotency_key: str, body: int) -> EntityId:
        """Return the id of the reseller that signs up under this key with this body.

        `body` is its fingerprint: keys of strangers have nothing that tells them apart.
        """
        scope = body.to_bytes(FINGERPRINT_BYTES, "big") + idempotency_key.encode()
        digest = blake2b(scope, key=self._id_key, person=b"reseller", digest_size=8).digest()
        return EntityId(int.from_bytes(digest, "big") >> 1 or 1)

    def digest_code(self, show: int, text: str) -> bytes:
        """Return what stands for an access code of a show."""
        return self._digest_code(b"shared", show, 0, text)

    def digest_personal_code(self, show: int, allotment: int, buyer: str) -> bytes:
        """Return what a buyer's own code of an allotment is made of."""
        return self._digest_code(b"personal", show, allotment, buyer)

    def _digest_code(self, kind: bytes, show: int, allotment: int, text: str) -> bytes:
        scope = _scope(show, allotment) + text.encode()
        return blake2b(
            scope, key=self._code_key, person=kind, digest_size=CODE_DIGEST_BYTES
        ).digest()

    def parse_hold(self, reseller: int, show: int, text: str) -> HoldId:
        """Read a hold id and check that this reseller could have made it on this show.

        Raises:
            IdError: not a hold id, or one that was never handed out here.
            ForeignIdError: another cell's.
        """
        hold = bytes.fromhex(self._hex(Prefix.HOLD, text, _HOLD_HEX_DIGITS))
        self._check_mac(reseller, show, hold)
        return HoldId(hold)

    def parse_order(self, reseller: int, text: str) -> tuple[EntityId, HoldId]:
        """Read an order id: its show, and the hold that it came from.

        Raises:
            IdError: not an order id, or one that was never handed out here.
            ForeignIdError: another cell's.
        """
        show, hold = self.read_order(text)
        self._check_mac(reseller, show, hold)
        return show, hold

    def read_order(self, text: str) -> tuple[EntityId, HoldId]:
        """Read an order id, whosever it is: `is_own` tells that.

        Raises:
            IdError: not an order id.
            ForeignIdError: another cell's.
        """
        digits = self._hex(Prefix.ORDER, text, _ENTITY_HEX_DIGITS + _HOLD_HEX_DIGITS)
        show = EntityId(int(digits[:_ENTITY_HEX_DIGITS], 16))
        hold = bytes.fromhex(digits[_ENTITY_HEX_DIGITS:])
        if not 0 < show < 2**63:
            msg = f"{text!r} is out of range"
            raise IdError(msg)
        return show, HoldId(hold)

    def is_own(self, reseller: int, show: int, hold: bytes) -> bool:
        """Tell whether a hold, or an order, was made by this reseller's key on this show."""
        expected = self._mac(_scope(reseller, show), hold[:_DIGEST_BYTES])
        return hmac.compare_digest(hold[_DIGEST_BYTES:], expected)

    def _check_mac(self, reseller: int, show: int, hold: bytes) -> None:
        if not self.is_own(reseller, show, hold):
            msg = "no such hold was ever handed out on this show"
            raise IdError(msg)

    def _mac(self, scope: bytes, digest: bytes) -> bytes:
        hashed = self._mac_hash.copy()
        hashed.update(scope + digest)
        return hashed.digest()

    def _hex(self, prefix: Prefix, text: str, digits: int) -> str:
        head = self._heads[prefix]
        body = text[len(head) :]
        # Nothing is left of a text of these digits alone, and something of every other.
        if text.startswith(head) and len(body) == digits and not body.strip("0123456789abcdef"):
            return body
        foreign = _FOREIGN.fullmatch(text)
        if (
            foreign
            and foreign[2] in self._others
            and (foreign[1], len(foreign[3]))
            == (
                prefix,
                digits,
            )
        ):
            raise ForeignIdError(foreign[2])
        expected = f"{head}<{digits} hex digits>"
        msg = f"{text!r} is not an id of the form {expected}"
        raise IdError(msg)


@lru_cache(maxsize=4096)
def _scope(reseller: int, show: int) -> bytes:
    return reseller.to_bytes(8, "big") + show.to_bytes(8, "big")
