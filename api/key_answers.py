"""API keys as the API tells of them."""

from datetime import datetime

from msgspec import Struct, structs

from engine.platform.ids import Ids, Prefix
from engine.tenancy.keys import Key


class KeyAnswer(Struct, frozen=True, kw_only=True):
    """An API key, without its text."""

    key: str
    name: str
    prefix: str
    """What it begins with, to know it by."""
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the hour."""
    replaced_by: str | None
    """The key that took its place when it was rotated."""
    overlap_until: datetime | None
    """Until when it opens beside the one that took its place."""


class IssuedKeyAnswer(KeyAnswer, frozen=True, kw_only=True):
    """A fresh API key. `text` is the key itself, told this once; null when a call is repeated."""

    text: str | None


class KeyPage(Struct, frozen=True):
    """A reseller's API keys, the newest first. `next_cursor` is null on the last page."""

    keys: list[KeyAnswer]
    next_cursor: str | None


def tell_key(key: Key, ids: Ids) -> KeyAnswer:
    """Tell a key."""
    replaced_by = key.replaced_by
    return KeyAnswer(
        key=ids.entity(Prefix.API_KEY, key.id),
        name=key.name,
        prefix=key.prefix,
        scopes=sorted(key.scopes),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=key.last_used_at,
        replaced_by=None if replaced_by is None else ids.entity(Prefix.API_KEY, replaced_by),
        overlap_until=key.overlap_until,
    )


def tell_issued(key: Key, ids: Ids, text: str | None) -> IssuedKeyAnswer:
    """Tell a key, with its text if this is the once."""
    return IssuedKeyAnswer(**structs.asdict(tell_key(key, ids)), text=text)
