"""The one place where names of Redis keys and channels are built.

All keys of a show share the hash tag `{<show>}`, so a cluster keeps a show in one slot and every
script stays in it. What each key holds is in docs/ARCHITECTURE.md, *A show in Redis*.
"""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from engine.platform.ids import entity_hex

WAKE_CHANNEL: Final = "onsale:wake"
"""Wakes the workers, with a word of `Wake` and a show."""


_ENTITY_MAX: Final = 2**63 - 1


class Wake(StrEnum):
    """What a worker is woken for."""

    RECORD = "record"
    """The show has sold something."""
    RECOVER = "recover"
    """The show is new or fenced: look at it now."""
    REBUILD = "rebuild"
    """The show contradicts itself, though its server is the one it was opened on."""
    STIR = "stir"
    """Something happens in the show: look at it each second for a while."""


def wake_call(wake: Wake, show: int) -> str:
    """Return the message that wakes the workers for a show."""
    return f"{wake}:{entity_hex(show)}"


def read_wake(message: bytes) -> tuple[Wake, int] | None:
    """Read a message of the wake channel; None if it is not one of ours."""
    word, _, show = message.decode(errors="replace").partition(":")
    try:
        wake, number = Wake(word), int(show, 16)
    except ValueError:
        return None
    # Nobody has another: PostgreSQL would refuse the question for all shows that go with it.
    return (wake, number) if 0 < number <= _ENTITY_MAX else None


class ShowKeys(Struct, frozen=True):
    """Names of one show's keys, and of the channel on which its recorded position is told."""

    seats: str
    areas: str
    holds: str
    expiry: str
    buyers: str
    keys: str
    meta: str
    sales: str
    deltas: str
    recorded: str

    def inventory(self) -> tuple[str, ...]:
        """Return the keys that every batch script takes, in the order of its KEYS."""
        return (
            self.seats,
            self.areas,
            self.holds,
            self.expiry,
            self.buyers,
            self.keys,
            self.meta,
            self.sales,
            self.deltas,
        )


def show_keys(show: int) -> ShowKeys:
    """Return the key names of a show."""
    tag = f"{{{entity_hex(show)}}}"
    return ShowKeys(*(f"{tag}:{name}" for name in ShowKeys.__struct_fields__))


IDENTITY_BUCKETS: Final = 16_384
"""Small hashes, so that the store packs them: a million people have 61 each."""


class QueueKeys(Struct, frozen=True):
    """Names of the keys of one show's waiting room; they share its hash tag."""

    queue: str
    queue_passes: str
    queue_buyers: str
    queue_used: str
    queue_waiting: str
    queue_seen: str

    def all(self) -> tuple[str, ...]:
        """Return the keys that every queue script takes, in the order of its KEYS."""
        return (
            self.queue,
            self.queue_passes,
            self.queue_buyers,
            self.queue_used,
            self.queue_waiting,
            self.queue_seen,
        )

    def identities(self, digest: bytes) -> str:
        """Return which hash keeps the number of an identity."""
        return f"{self.queue}:i:{int.from_bytes(digest[:4], 'big') % IDENTITY_BUCKETS:x}"

    def all_identities(self) -> list[str]:
        """Return all of these hashes, of which most may not be there."""
        return [f"{self.queue}:i:{bucket:x}" for bucket in range(IDENTITY_BUCKETS)]

    def spent(self, window: int) -> str:
        """Return the bits of the proofs of work that were spent in a window of time."""
        return f"{self.queue}:spent:{window}"


def queue_keys(show: int) -> QueueKeys:
    """Return the key names of a show's waiting room."""
    tag = f"{{{entity_hex(show)}}}"
    names = (name.replace("_", "-") for name in QueueKeys.__struct_fields__)
    return QueueKeys(*(f"{tag}:{name}" for name in names))


def show_of(keys: ShowKeys) -> int:
    """Return whose keys these are."""
    return int(keys.meta[1 : keys.meta.index("}")], 16)


def staged(key: str, epoch: int) -> str:
    """Return where a recovery under this epoch builds the next content of a key."""
    return f"{key}:next:{epoch}"
