"""Reads a show out of Redis in one moment: its keys, packed records and facts.

The formats are those in the headers of `lua/batch.lua` and `lua/includes/records.lua`. Whatever
can't be read becomes a complaint in the view, never an exception: it is a finding.
"""

import struct
from collections.abc import Awaitable
from contextlib import suppress
from hashlib import blake2b
from typing import Any, Final, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import ResponseError

LIVE: Final = 1
PURCHASED: Final = 2
RELEASED: Final = 3
EXPIRED: Final = 4
RETURNED: Final = 6
"""In a record's first byte alone: a purchased hold whose order was given back."""

FORMAT: Final = 1
FORMAT_OF_RECORDS: Final = 32
LIVE_REPLACED: Final = 5
BUNDLED: Final = 7
COMMITTING: Final = 8
"""In a record's first byte alone: a live hold of a bundle; one that is about to be bought."""
_ENDED: Final = struct.Struct("1s6s6s")
_LIVE: Final = struct.Struct("1s6s2s6s")
_LIVE_REPLACED: Final = struct.Struct("1s6s2s6s6s")
_OF_BUNDLE: Final = struct.Struct("1s6s2s6s16s")
_SOLD: Final = struct.Struct("1s2s6s6s4s4s6s")
_PARTS: Final = {
    LIVE: _LIVE,
    LIVE_REPLACED: _LIVE_REPLACED,
    BUNDLED: _OF_BUNDLE,
    COMMITTING: _OF_BUNDLE,
    PURCHASED: _SOLD,
    RETURNED: _SOLD,
}
_BUYER: Final = struct.Struct("1s1s6s")
_LARGE_BUYER: Final = struct.Struct("3s3s6s")
_HOLD_BYTES: Final = 16
_NOWHERE: Final = (0, 0)

StreamPlace = tuple[int, int]
"""Epoch and number: a place in the sales stream."""

Places = tuple[tuple[int, int], ...]
"""Pairs of area index and count."""

_unpack = msgspec.msgpack.Decoder(list[Any]).decode


class Guard(Struct, frozen=True):
    """Who the server is; a show that was opened on another one waits for its recovery."""

    run_id: str
    replid: str


class Record(Struct, frozen=True):
    """One value of the `holds` hash. Of a released or an expired hold only `state` and `until`."""

    state: int
    until_ms: int
    """A live hold's deadline; of an ended one, when it is forgotten."""
    buyer: str = ""
    price_version: int = 0
    hold_fp: int = 0
    seats: tuple[int, ...] = ()
    areas: Places = ()
    body_fp: int = 0
    place: StreamPlace = _NOWHERE
    sold_at_ms: int = 0
    types: str = ""
    """Of its tickets, as `type:count`, in the order of its seats, then of its areas."""
    committing: bool = False
    """About to be bought with its bundle: until then, whatever its buyer's other holds' end is."""
    returned: bool = False
    """Bought, and given back since: its places are not its own any more."""

    @property
    def tickets(self) -> int:
        """How many tickets it is for, or was."""
        return len(self.seats) + sum(count for _, count in self.areas)


class Fact(Struct, frozen=True):
    """One entry of the `sales` stream."""

    place: StreamPlace
    hold: bytes
    buyer: str
    seats: tuple[int, ...]
    areas: Places
    price_version: int
    sold_at_ms: int
    key: str
    body_fp: int
    payment_reference: str
    hold_fp: int
    types: str = ""


class AreaCounts(Struct, frozen=True):
    """One value of the `areas` hash."""

    open: int
    held: int
    sold: int
    blocked: int


class BuyerCounts(Struct, frozen=True):
    """One value of the `buyers` hash."""

    held: int
    bought: int
    deadline_ms: int


class StoreView(Struct, frozen=True):
    """A show in Redis, as of one moment."""

    now_ms: int
    meta: dict[str, str]
    seats: bytes | None
    areas: dict[int, AreaCounts]
    holds: dict[bytes, Record]
    expiry: dict[bytes, int]
    buyers: dict[str, BuyerCounts]
    keys: dict[bytes, bytes]
    """A digest of the purchase's key to its hold."""
    facts: dict[bytes, Fact]
    """By hold."""
    first: StreamPlace | None
    """The oldest entry that the stream retains; None when it retains none."""
    last: StreamPlace | None
    """The newest place that the stream ever gave; None when there is no stream."""
    picked_out: StreamPlace
    """The newest entry that was deleted by itself; trimming does not count. (0, 0) for none."""
    complaints: tuple[tuple[str, str], ...]
    """What could not be read: its name, and why."""

    @property
    def return_no(self) -> int:
        """Return the number of the last return that it has applied."""
        return int(self.meta.get("return_no") or 0)

    @property
    def owners(self) -> dict[bytes, Record]:
        """Return the records that have places: not those that were given back."""
        return {hold: record for hold, record in self.holds.items() if not record.returned}

    def retains(self, place: StreamPlace) -> bool:
        """Tell whether a place is one where the stream should still have its entry.

        The end of an epoch that is over may be gone: with a store that lost its last writes, and
        what of that had been recorded is in the ledger all the same.
        """
        if self.first is None or self.last is None or not self.first <= place <= self.last:
            return False
        if str(place[0]) == self.meta.get("epoch"):
            return True
        return any(fact.place[0] == place[0] and fact.place > place for fact in self.facts.values())


def key_digest(key: str) -> bytes:
    """Return the 8 bytes that stand for a purchase's key in the store."""
    return blake2b(key.encode(), digest_size=8).digest()


async def read_guard(redis: Redis) -> Guard:
    """Read the server's identity."""
    info: dict[str, Any] = await redis.info("everything")
    return Guard(str(info["run_id"]), str(info["master_replid"]))


async def read_show(redis: Redis, show: int) -> StoreView:
    """Read a show's keys in one transaction."""
    name = f"{{{show:016x}}}:"
    pipe = redis.pipeline(transaction=True)
    pipe.time()
    pipe.hgetall(name + "meta")
    pipe.get(name + "seats")
    pipe.hgetall(name + "areas")
    pipe.hgetall(name + "holds")
    pipe.zrange(name + "expiry", 0, -1, withscores=True)
    pipe.hgetall(name + "buyers")
    pipe.hgetall(name + "keys")
    pipe.xrange(name + "sales")
    pipe.execute_command("XINFO", "STREAM", name + "sales")
    running = cast("Awaitable[list[Any]]", pipe.execute(raise_on_error=False))
    (seconds, micros), *read = await running
    for reply in read[:-1]:
        if isinstance(reply, Exception):
            raise reply
    meta, seats, areas, holds, expiry, buyers, keys, entries, info = read
    reader = _Reader()
    facts = [reader.fact(place, fields) for place, fields in entries]
    stream = _pairs(info)
    return StoreView(
        now_ms=seconds * 1000 + micros // 1000,
        meta={key.decode(): value.decode(errors="replace") for key, value in meta.items()},
        seats=seats,
        areas=reader.areas(areas),
        holds=reader.holds(holds),
        expiry={hold: int(score) for hold, score in expiry},
        buyers=reader.buyers(buyers),
        keys=keys,
        facts={fact.hold: fact for fact in facts if fact is not None},
        first=_place(entries[0][0]) if entries else None,
        last=_place(stream["last-generated-id"]) if stream else None,
        picked_out=_place(stream.get("max-deleted-entry-id", b"0-0")) if stream else _NOWHERE,
        complaints=tuple(reader.complaints),
    )


class _Reader:
    """Unpacks values and keeps a complaint for each that is not of a known format."""

    def __init__(self) -> None:
        self.complaints: list[tuple[str, str]] = []
        self._facts_seen: dict[bytes, bytes] = {}

    def holds(self, packed: dict[bytes, bytes]) -> dict[bytes, Record]:
        found: dict[bytes, Record] = {}
        for hold, value in packed.items():
            try:
                found[hold] = _record(value)
            except (ValueError, TypeError, IndexError, struct.error) as error:
                self.complaints.append((f"hold {hold.hex()}", str(error)))
        return found

    def areas(self, packed: dict[bytes, bytes]) -> dict[int, AreaCounts]:
        found: dict[int, AreaCounts] = {}
        for index, value in packed.items():
            try:
                found[int(index)] = msgspec.convert(_named(AreaCounts, value), AreaCounts)
            except (ValueError, TypeError) as error:
                self.complaints.append((f"area {index.decode(errors='replace')}", str(error)))
        return found

    def buyers(self, packed: dict[bytes, bytes]) -> dict[str, BuyerCounts]:
        found: dict[str, BuyerCounts] = {}
        for name, value in packed.items():
            try:
                found[name.decode()] = _buyer(value)
            except (ValueError, TypeError, struct.error) as error:
                self.complaints.append((f"buyer {name.decode(errors='replace')}", str(error)))
        return found

    def fact(self, place: bytes, fields: dict[bytes, bytes]) -> Fact | None:
        subject = f"sale {place.decode()}"
        try:
            hold = fields[b"h"]
            if len(hold) != _HOLD_BYTES:
                self.complaints.append((subject, f"its hold id has {len(hold)} bytes"))
                return None
            if hold in self._facts_seen:
                first = self._facts_seen[hold].decode()
                self.complaints.append((subject, f"hold {hold.hex()} was sold at {first} already"))
                return None
            self._facts_seen[hold] = place
            return _fact(_place(place), hold, _unpack(fields[b"f"]))
        except (KeyError, ValueError, TypeError, IndexError) as error:
            self.complaints.append((subject, f"{type(error).__name__}: {error}"))
            return None


def _fields(packed: bytes) -> list[Any]:
    if packed[:1] != bytes([FORMAT]):
        msg = f"format byte {packed[:1]!r}"
        raise ValueError(msg)
    return _unpack(packed[1:])


def _named(kind: type[Struct], packed: bytes) -> dict[str, Any]:
    return dict(zip(kind.__struct_fields__, _fields(packed), strict=True))


def _buyer(packed: bytes) -> BuyerCounts:
    """Read three integers: 8 bytes, or 12 for someone with more than 255 tickets."""
    parts = _BUYER if len(packed) == _BUYER.size else _LARGE_BUYER
    return BuyerCounts(*map(_int, parts.unpack(packed)))


def _record(packed: bytes) -> Record:
    """Read a record: integers one after the other, then msgpack values without a list."""
    state = packed[0] - FORMAT_OF_RECORDS
    if state in {RELEASED, EXPIRED}:
        _, until_ms, _ = map(_int, _ENDED.unpack(packed))
        return Record(state=state, until_ms=until_ms)
    parts = _PARTS.get(state)
    if parts is None:
        msg = f"format and state {packed[0]}"
        raise ValueError(msg)
    numbers = list(map(_int, parts.unpack(packed[: parts.size])))
    record = _tail(packed[parts.size :])
    if state in {PURCHASED, RETURNED}:
        _, price_version, hold_fp, body_fp, epoch, n, sold_at_ms = numbers
        record |= {
            "state": PURCHASED,
            "until_ms": sold_at_ms,
            "body_fp": body_fp,
            "place": (epoch, n),
            "sold_at_ms": sold_at_ms,
            "returned": state == RETURNED,
        }
    else:
        until_ms, price_version, hold_fp = numbers[1:4]
        record |= {"state": LIVE, "until_ms": until_ms, "committing": state == COMMITTING}
    return msgspec.convert(record | {"price_version": price_version, "hold_fp": hold_fp}, Record)


def _tail(packed: bytes) -> dict[str, Any]:
    """Read a record's last values, of which areas and types may be left out."""
    named = ("buyer", "seats", "areas", "types")
    for count in (2, 3):
        with suppress(msgspec.DecodeError):
            return dict(zip(named, _unpack(bytes([0x90 + count]) + packed), strict=False))
    return dict(zip(named, _unpack(bytes([0x90 + len(named)]) + packed), strict=True))


def _int(part: bytes) -> int:
    return int.from_bytes(part, "big")


def _fact(place: StreamPlace, hold: bytes, fields: list[Any]) -> Fact:
    if fields[0] != FORMAT:
        msg = f"format {fields[0]!r}"
        raise ValueError(msg)
    return msgspec.convert(
        {
            "place": place,
            "hold": hold,
            "buyer": fields[1],
            "seats": fields[2],
            "areas": fields[3],
            "price_version": fields[4],
            "sold_at_ms": fields[5],
            "key": str(fields[6]),
            "body_fp": fields[7],
            "payment_reference": fields[8],
            "hold_fp": fields[9],
            "types": fields[10] if len(fields) > 10 else "",  # noqa: PLR2004 - the last one
        },
        Fact,
    )


def _place(text: bytes) -> StreamPlace:
    epoch, _, n = text.partition(b"-")
    return int(epoch), int(n)


def _pairs(reply: object) -> dict[str, Any]:
    """Read XINFO's flat list of names and values; {} when there is no stream."""
    if isinstance(reply, ResponseError):
        return {}
    if isinstance(reply, Exception):
        raise reply
    if isinstance(reply, dict):
        mapping = cast("dict[Any, Any]", reply)
        return {_text(key): value for key, value in mapping.items()}
    flat = cast("list[Any]", reply)
    return {_text(key): value for key, value in zip(flat[::2], flat[1::2], strict=True)}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
