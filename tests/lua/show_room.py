"""One show in a real Valkey, opened as a recovery opens it, driven and read by hand.

Nothing of the lanes or of PostgreSQL is in it: what it shows is what the scripts do. Time in the
scripts is the server's or `meta.time`, whichever is later; a room starts with a `meta.time` in the
far future, so that its time stands still until a test moves it.
"""

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, Final, Protocol, cast

import msgspec
import redis
from msgspec import Struct
from redis.exceptions import NoScriptError

from engine.inventory.commands import (
    Answer,
    Command,
    Hold,
    Packed,
    Replace,
    Selection,
    pack_batch,
    pack_command,
)
from engine.inventory.facts import SeatsSold, StreamId, read_delta, read_expired, read_sale
from engine.inventory.keys import ShowKeys, show_keys, staged
from engine.inventory.manifest import Area, Manifest, PriceLevel
from engine.inventory.rebuild import Inventory
from engine.inventory.records import (
    AreaCounts,
    HoldRecord,
    Tombstone,
    pack_area,
    unpack_area,
    unpack_record,
)
from engine.inventory.replies import Reply, read_reply
from engine.inventory.scripts import Script, load_script
from engine.platform.ids import EntityId, HoldId, new_entity_id

START_MS: Final = 4_000_000_000_000
"""When a room's time stands still at first: in the year 2096, ahead of any server's clock."""

RESELLER: Final = EntityId(77)
SWEEP_MAX: Final = 512
BACKLOG_MAX: Final = 100_000

_ONE_BYTE: Final = 1

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(list[Any]).decode


class Rules(Struct, frozen=True):
    """What `meta` says about the sale."""

    sale_state: str = "on_sale"
    opens_at_ms: int = 0
    closes_at_ms: int = 0
    max_per_hold: int = 10
    max_per_buyer: int = 20

    def fields(self) -> dict[str, str]:
        """Return them as fields of `meta`."""
        return {
            "sale_state": self.sale_state,
            "opens_at": str(self.opens_at_ms),
            "closes_at": str(self.closes_at_ms),
            "max_per_hold": str(self.max_per_hold),
            "max_per_buyer": str(self.max_per_buyer),
        }


class Packable(Protocol):
    """A command for a hold."""

    @property
    def hold(self) -> bytes:
        """The hold's id."""
        ...

    def packed(self) -> Packed:
        """Return the command as `batch.lua` reads it."""
        ...


class Raw(Struct, frozen=True):
    """A command as its values are to be, well-formed or not; bytes are sent as they are."""

    hold: bytes
    words: Any

    def packed(self) -> Packed:
        """Return it as it is, without a tail."""
        values = cast("list[Any]", self.words) if isinstance(self.words, list) else [self.words]
        packed = self.words if isinstance(self.words, bytes) else b"".join(map(encode, values))
        return pack_command(packed)


class Delta(Struct, frozen=True):
    """An entry of the deltas stream."""

    at: StreamId
    now_ms: int
    seats: tuple[tuple[int, int], ...]
    areas: tuple[tuple[int, AreaCounts], ...]
    made: tuple[int, ...]
    expired: tuple[bytes, ...]


class Contents(Struct, frozen=True, kw_only=True):
    """All that the store has of a show, unpacked."""

    seats: str
    areas: dict[int, AreaCounts]
    records: dict[bytes, HoldRecord | Tombstone]
    expiry: dict[bytes, int]
    buyers: dict[str, tuple[int, int, int]]
    keys: dict[bytes, bytes]
    meta: dict[str, str]
    sales: list[tuple[StreamId, SeatsSold]]
    deltas: list[Delta]


def hold_id(n: int) -> HoldId:
    """Return the id of the test's n-th hold."""
    return HoldId(n.to_bytes(16, "big"))


def make_manifest(
    layout: str,
    ranges: Sequence[Sequence[tuple[int, int]]] | None = None,
    areas: Sequence[int] = (),
) -> Manifest:
    """Return a hall: one price level over all of it unless ranges are given; areas by capacity."""
    if ranges is None:
        ranges = [[(layout.index("o"), layout.rindex("o") + 1)]]
    return Manifest(
        name="A hall of the tests",
        layout=layout,
        labels=tuple(f"S-{n}" if byte == "o" else None for n, byte in enumerate(layout)),
        numbers=tuple(str(n) if byte == "o" else None for n, byte in enumerate(layout)),
        rows=(),
        levels=tuple(
            PriceLevel(slug=f"level-{n}", name=f"Level {n}", ranges=tuple(of_level))
            for n, of_level in enumerate(ranges)
        ),
        areas=tuple(
            Area(slug=f"area-{n}", name=f"Area {n}", capacity=capacity, price_level="level-0")
            for n, capacity in enumerate(areas)
        ),
    )


def untouched(manifest: Manifest) -> Inventory:
    """Return the inventory of a show that nobody has bought from."""
    return Inventory(
        seats=manifest.layout.encode(),
        areas={str(n): pack_area(AreaCounts(a.capacity)) for n, a in enumerate(manifest.areas)},
        holds={},
        expiry={},
        buyers={},
        keys={},
        holds_kept=0,
        holds_voided=0,
    )


def call(
    client: "redis.Redis", script: Script, keys: Iterable[str], *args: bytes | str | int
) -> Any:  # noqa: ANN401 -- what a script returns is decoded by its caller
    """Run a script by its SHA, or by its text where the server has forgotten it."""
    names = tuple(keys)
    # The client's own types know of text only.
    run = cast("Any", client)
    try:
        return run.evalsha(script.sha, len(names), *names, *args)
    except NoScriptError:
        return run.eval(script.body, len(names), *names, *args)


class ShowRoom:
    """A show of its own, under a fresh id. `batch_script` may be a mutant."""

    def __init__(
        self,
        client: "redis.Redis",
        manifest: Manifest,
        *,
        batch_script: Script | None = None,
        change_script: Script | None = None,
    ) -> None:
        """Take the server and the hall; nothing is written yet."""
        self.client = client
        self.manifest = manifest
        self.show: EntityId = new_entity_id()
        self.keys: ShowKeys = show_keys(self.show)
        self.epoch = 0
        self.version = 1
        self.price_version = 1
        self.backlog_max = BACKLOG_MAX
        self._batch = batch_script or load_script("batch")
        self._change = change_script or load_script("change_inventory")

    # ------------------------------------------------------------ opening

    def open(
        self,
        *,
        rules: Rules | None = None,
        inventory: Inventory | None = None,
        start_ms: int = START_MS,
    ) -> "ShowRoom":
        """Open the show under the next epoch, as a recovery does."""
        self.epoch += 1
        self.claim(self.epoch)
        self.stage(self.epoch, inventory or untouched(self.manifest))
        if start_ms:
            self.set_meta(time=max(start_ms, int(self.meta().get("time", "0"))))
        status, *_ = self.open_claimed(self.epoch, rules or Rules())
        assert status == b"opened", status
        return self

    def claim(self, epoch: int) -> list[Any]:
        """Call `claim_show.lua`."""
        return call(self.client, load_script("claim_show"), self.keys.inventory(), epoch)

    def stage(self, epoch: int, inventory: Inventory) -> None:
        """Build the next content beside the live keys."""
        pipe = self.client.pipeline()
        pipe.set(staged(self.keys.seats, epoch), inventory.seats, ex=3600)
        hashes: list[tuple[str, dict[Any, bytes]]] = [
            (self.keys.areas, dict(inventory.areas)),
            (self.keys.holds, dict(inventory.holds)),
            (self.keys.buyers, dict(inventory.buyers)),
            (self.keys.keys, dict(inventory.keys)),
        ]
        for key, content in hashes:
            if content:
                pipe.hset(staged(key, epoch), mapping=content)
        if inventory.expiry:
            pipe.zadd(staged(self.keys.expiry, epoch), dict(inventory.expiry))
        pipe.execute()

    def open_claimed(
        self, epoch: int, rules: Rules, expected: tuple[int, ...] | None = None
    ) -> list[Any]:
        """Call `open_show.lua`: what was built, or what stands, if that is as expected."""
        live = self.keys.inventory()
        fields = {"version": str(self.version), **rules.fields()}
        return call(
            self.client,
            load_script("open_show"),
            (*live, *(staged(key, epoch) for key in live[:6])),
            epoch,
            encode([word for pair in fields.items() for word in pair]),
            b"" if expected is None else encode(expected),
        )

    def close(self) -> None:
        """Remove the show's own keys."""
        live = self.keys.inventory()
        self.client.unlink(*live, *(staged(key, self.epoch) for key in live[:6]))

    # ------------------------------------------------------------ calling

    def batch(
        self,
        *commands: Packable,
        epoch: int | None = None,
        version: int | None = None,
        not_after_ms: int = 2**52,
        sweep_max: int = SWEEP_MAX,
        levels: dict[int, Any] | None = None,
    ) -> Reply:
        """Call `batch.lua` with these commands."""
        if levels is None:
            levels = {
                level: self.manifest.levels[level].ranges
                for command in commands
                if isinstance(command, Hold | Replace)
                for level, _ in command.selection.best
                if 0 <= level < len(self.manifest.levels)
            }
        header = [
            self.epoch if epoch is None else epoch,
            self.version if version is None else version,
            self.price_version,
            not_after_ms,
            sweep_max,
            self.backlog_max,
        ]
        reply = call(
            self.client,
            self._batch,
            self.keys.inventory(),
            encode(header),
            encode(levels) if levels else b"",
            f"test:wake:{self.show}",
            f"record:{self.show}",
            *pack_batch(
                [command.hold for command in commands], [command.packed() for command in commands]
            ),
        )
        return read_reply(reply, cast("Sequence[Command]", commands), self.price_version)

    def ask(self, command: Packable) -> Answer:
        """Return what becomes of one command."""
        reply = self.batch(command)
        assert reply.status == "ok", reply
        return reply.answers[0]

    def hold(  # noqa: PLR0913 -- the parts of a hold, all by name
        self,
        n: int,
        *,
        seats: tuple[int, ...] = (),
        areas: tuple[tuple[int, int], ...] = (),
        best: tuple[tuple[int, int], ...] = (),
        buyer: str = "ann",
        ttl_ms: int = 60_000,
        fingerprint: int = 1,
    ) -> Answer:
        """Ask for a hold."""
        selection = Selection(seats, areas, best)
        return self.ask(Hold(hold_id(n), buyer, ttl_ms, fingerprint, selection))

    def change(  # noqa: PLR0913 -- the parts of a change, all by name
        self,
        *,
        block: Iterable[int] = (),
        unblock: Iterable[int] = (),
        areas: Iterable[tuple[int, int]] = (),
        rules: dict[str, str] | None = None,
        free: Iterable[int] = (),
        take_out: Iterable[int] = (),
        put_back: Iterable[int] = (),
        put_back_blocked: Iterable[int] = (),
        capacities: Iterable[tuple[int, int]] = (),
        edit_no: int | None = None,
        epoch: int | None = None,
        version: int | None = None,
        not_after_ms: int = 2**52,
    ) -> list[Any]:
        """Call `change_inventory.lua`; a change that was made raises the room's version."""
        before = self.version if version is None else version
        fields = rules or {"sale_state": self.meta()["sale_state"]}
        packed = call(
            self.client,
            self._change,
            self.keys.inventory(),
            encode(
                [
                    self.epoch if epoch is None else epoch,
                    before,
                    before + 1,
                    not_after_ms,
                    list(block),
                    list(unblock),
                    list(areas),
                    [word for pair in fields.items() for word in pair],
                    list(free),
                    list(take_out),
                    list(put_back),
                    list(put_back_blocked),
                    list(capacities),
                    edit_no or False,
                ]
            ),
        )
        answer = decode(packed)
        if answer[0] == "changed":
            self.version = before + 1
        return answer

    def take_back(  # noqa: PLR0913 -- the parts of a return, all by name
        self,
        n: int,
        number: int,
        *,
        seats: Iterable[int] = (),
        withheld: Iterable[int] = (),
        areas: Iterable[tuple[int, int, int]] = (),
        buyer: str = "ann",
        epoch: int | None = None,
        version: int | None = None,
    ) -> list[Any]:
        """Call `return_places.lua` for the n-th hold's order, as the return of that number."""
        packed = call(
            self.client,
            load_script("return_places"),
            self.keys.inventory(),
            encode(
                [
                    self.epoch if epoch is None else epoch,
                    self.version if version is None else version,
                    number,
                    buyer,
                    list(seats),
                    list(withheld),
                    list(areas),
                ]
            ),
            hold_id(n),
        )
        return decode(packed)

    def note_recorded(self, count: int, *, epoch: int | None = None) -> list[Any]:
        """Call `note_recorded.lua`."""
        return call(
            self.client,
            load_script("note_recorded"),
            self.keys.inventory(),
            self.epoch if epoch is None else epoch,
            count,
        )

    # ------------------------------------------------------------ time and meta

    def set_meta(self, **fields: str | int) -> None:
        """Write fields of `meta` behind the scripts' back."""
        self.client.hset(self.keys.meta, mapping={name: str(v) for name, v in fields.items()})

    def set_time(self, now_ms: int) -> None:
        """Move the show's time forward."""
        self.set_meta(time=now_ms)

    def meta(self) -> dict[str, str]:
        """Return `meta`."""
        found = cast("dict[bytes, bytes]", self.client.hgetall(self.keys.meta))
        return {name.decode(): value.decode() for name, value in found.items() if name != b"misses"}

    # ------------------------------------------------------------ reading

    def read(self) -> Contents:
        """Return all that the store has of the show."""
        keys = self.keys
        pipe = self.client.pipeline()
        pipe.get(keys.seats)
        for name in (keys.areas, keys.holds, keys.buyers, keys.keys, keys.meta):
            pipe.hgetall(name)
        pipe.zrange(keys.expiry, 0, -1, withscores=True)
        pipe.xrange(keys.sales)
        pipe.xrange(keys.deltas)
        seats, areas, holds, buyers, used, meta, expiry, sales, deltas = pipe.execute()
        return Contents(
            seats=seats.decode(),
            areas={int(index): unpack_area(packed) for index, packed in areas.items()},
            records={hold: unpack_record(packed) for hold, packed in holds.items()},
            expiry={hold: int(score) for hold, score in expiry},
            buyers={name.decode(): _buyer(packed) for name, packed in buyers.items()},
            keys=used,
            meta={
                name.decode(): value.decode() for name, value in meta.items() if name != b"misses"
            },
            sales=[(StreamId.parse(at), read_sale(fields)) for at, fields in sales],
            deltas=[_delta(at, fields) for at, fields in deltas],
        )


@contextmanager
def open_rooms(url: str) -> Generator["Rooms"]:
    """Make rooms on a server, and remove them at the end."""
    with redis.Redis.from_url(url, socket_timeout=10) as client:
        rooms = Rooms(client)
        try:
            yield rooms
        finally:
            rooms.close()


class Rooms:
    """Opens rooms on one server."""

    def __init__(self, client: "redis.Redis") -> None:
        """Take the server."""
        self.client = client
        self._made: list[ShowRoom] = []

    def make(self, manifest: Manifest, *, batch_script: Script | None = None) -> ShowRoom:
        """Return a room that is not open yet."""
        room = ShowRoom(self.client, manifest, batch_script=batch_script)
        self._made.append(room)
        return room

    def open(
        self,
        manifest: Manifest,
        rules: Rules | None = None,
        *,
        batch_script: Script | None = None,
        start_ms: int = START_MS,
    ) -> ShowRoom:
        """Return an open room."""
        room = self.make(manifest, batch_script=batch_script)
        return room.open(rules=rules, start_ms=start_ms)

    def close(self) -> None:
        """Remove what was opened."""
        for room in self._made:
            room.close()
        self._made.clear()


def _buyer(packed: bytes) -> tuple[int, int, int]:
    size = {8: 1, 12: 3}[len(packed)]
    held, bought, deadline_ms = packed[:size], packed[size : 2 * size], packed[2 * size :]
    return (
        int.from_bytes(held, "big"),
        int.from_bytes(bought, "big"),
        int.from_bytes(deadline_ms, "big"),
    )


def _delta(at: bytes, fields: dict[bytes, bytes]) -> Delta:
    delta = read_delta(fields[b"d"])
    changes = iter(delta.seats)
    return Delta(
        at=StreamId.parse(at),
        now_ms=delta.at_ms,
        seats=tuple(zip(changes, changes, strict=True)),
        areas=tuple((index, AreaCounts(*counts)) for index, *counts in delta.areas),
        made=delta.made,
        expired=tuple(read_expired(fields)),
    )
