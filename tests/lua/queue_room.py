"""One waiting room in a real Valkey, opened as its controller opens it, driven and read by hand.

As in a show room, time is `time` of the queue, far ahead of the server's: it stands still until a
test moves it.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import redis
from msgspec import Struct

from engine.inventory.keys import QueueKeys, queue_keys
from engine.inventory.scripts import Script, load_script
from engine.platform.ids import new_entity_id
from engine.waitingroom.commands import Answer, Command, KeyNumbers, pack, read_answer
from tests.lua.show_room import START_MS, call, decode, encode

HOLDER: Final = "ann"
WAITED_FOR_MS: Final = 5000
PASS_TTL_MS: Final = 60_000
OPEN_FIELDS: Final = {
    "ceiling": "100",
    "serving": "0",
    "checkout_max": "10",
    "pass_ttl": str(PASS_TTL_MS),
    "version": "1",
    "state": "running",
    "joins": "open",
    "rate": "0",
}
STEERED: Final = (
    *("now_ms", "next", "ceiling", "serving", "stock", "issued", "live", "waiting"),
    *("claims", "lag", "count"),
)


class Served(Struct, frozen=True):
    """What a batch was answered."""

    status: str
    may_join: bool = False
    first: int = 0
    given: int = 0
    answers: tuple[Answer, ...] = ()


class QueueContents(Struct, frozen=True, kw_only=True):
    """All that the store has of a waiting room."""

    meta: dict[str, str]
    passes: dict[int, int]
    buyers: dict[int, str]
    used: frozenset[int]
    waiting: dict[int, int]
    seen: dict[int, int]
    identities: dict[bytes, int]
    spent: frozenset[tuple[int, int]]


class QueueRoom:
    """A waiting room of its own, under a fresh id; its scripts may be mutants."""

    def __init__(self, client: "redis.Redis", mutants: Mapping[str, Script] | None = None) -> None:
        """Take the server; nothing is written yet."""
        self.client = client
        self.keys: QueueKeys = queue_keys(new_entity_id())
        self.epoch = 0
        self.steps = 0
        self._mutants = mutants or {}
        self._further: set[str] = set()

    def open(self, *, epoch: int | None = None, next_number: int = 0, **fields: str) -> "QueueRoom":
        """Open it under the next epoch, with everybody free to join and to be admitted."""
        if not self.epoch:
            self.set_meta(time=START_MS)
        status, *_ = self.try_to_open(
            self.epoch + 1 if epoch is None else epoch,
            next_number,
            OPEN_FIELDS | fields,
        )
        assert status == "opened", status
        return self

    def try_to_open(self, epoch: int, next_number: int, fields: Mapping[str, str]) -> list[Any]:
        """Call `open_queue.lua`."""
        header = [epoch, next_number, [part for pair in fields.items() for part in pair]]
        told = self._call("open_queue", encode(header))
        if told[0] == "opened":
            self.epoch = epoch
        return told

    def serve(self, *commands: Command, plain: int = 0) -> Served:
        """Call `serve_queue.lua`."""
        always = self.keys.all()
        numbers = KeyNumbers(self.keys, len(always) + 1)
        packed = [pack(command, numbers) for command in commands]
        self._further.update(numbers.all())
        status, *rest = self._call("serve_queue", encode([plain, packed]), further=numbers.all())
        if status != "ok":
            return Served(status)
        may_join, first, given, answers = rest
        # An empty list comes from Lua as an empty map.
        return Served(
            status, bool(may_join), first, given, tuple(read_answer(one) for one in answers or ())
        )

    def ask(self, command: Command) -> Answer:
        """Serve one command."""
        (answer,) = self.serve(command).answers
        return answer

    def steer(  # noqa: PLR0913 - a step's parts, by name
        self,
        *,
        holder: str = HOLDER,
        step: int | None = None,
        epoch: int | None = None,
        credit: float = 0.0,
        stock_max: float = 100.0,
        serving: int = 0,
        ceiling: int = 0,
        replaced: str = "",
        waited_for_ms: int = WAITED_FOR_MS,
        **fields: str,
    ) -> list[Any]:
        """Call `steer_queue.lua`; a step after the one before it, unless one is named."""
        if step is None:
            self.steps += 1
            step = self.steps
        header = [
            self.epoch if epoch is None else epoch,
            step,
            credit,
            stock_max,
            serving,
            ceiling,
            waited_for_ms,
            [part for pair in ({"version": "1"} | fields).items() for part in pair],
        ]
        return self._call("steer_queue", encode(header), holder, replaced)

    def admit(self, serving: int, stock: float) -> None:
        """Become the holder, and let so many places in with so many passes in stock."""
        self.steer(serving=serving)
        assert self.steer(serving=serving, credit=stock)[0] == "steered"

    def close_entries(self, epoch: int | None = None) -> list[Any]:
        """Call `close_entries.lua`."""
        return self._call("close_entries", self.epoch if epoch is None else epoch)

    def set_meta(self, **fields: str | int) -> None:
        """Overwrite fields of the queue."""
        self.client.hset(self.keys.queue, mapping={k: str(v) for k, v in fields.items()})

    def meta(self, field: str) -> str:
        """Return a field of the queue."""
        value = self.client.hget(self.keys.queue, field)
        assert isinstance(value, bytes), field
        return value.decode()

    def pass_time(self, passed_ms: int) -> int:
        """Let time pass; return what it is then."""
        now_ms = int(self.meta("time")) + passed_ms
        self.set_meta(time=now_ms)
        return now_ms

    def read(self) -> QueueContents:
        """Read every key."""
        keys, further = self.keys, sorted(self._further)
        pipe: Any = self.client.pipeline()
        pipe.hgetall(keys.queue)
        pipe.zrange(keys.queue_passes, 0, -1, withscores=True)
        pipe.hgetall(keys.queue_buyers)
        pipe.get(keys.queue_used)
        pipe.zrange(keys.queue_waiting, 0, -1, withscores=True)
        pipe.zrange(keys.queue_seen, 0, -1, withscores=True)
        for name in further:
            pipe.get(name) if ":spent:" in name else pipe.hgetall(name)
        meta, passes, buyers, used, waiting, seen, *rest = pipe.execute()
        identities: dict[bytes, int] = {}
        spent: set[tuple[int, int]] = set()
        for name, value in zip(further, rest, strict=True):
            if ":spent:" in name:
                window = int(name.rpartition(":")[2])
                spent |= {(window, bit) for bit in _bits(value)}
            else:
                identities |= {one: int(number) for one, number in value.items()}
        return QueueContents(
            meta={name.decode(): value.decode() for name, value in meta.items()},
            passes=_scores(passes),
            buyers={int(number): buyer.decode() for number, buyer in buyers.items()},
            used=frozenset(_bits(used)),
            waiting=_scores(waiting),
            seen=_scores(seen),
            identities=identities,
            spent=frozenset(spent),
        )

    def close(self) -> None:
        """Remove its keys."""
        self.client.unlink(*self.keys.all(), *self._further)

    def _call(self, name: str, *args: Any, further: tuple[str, ...] = ()) -> list[Any]:  # noqa: ANN401 - as the script takes them
        script = self._mutants.get(name) or load_script(name)
        reply: Any = call(self.client, script, (*self.keys.all(), *further), *args)
        return decode(reply)


class QueueRooms:
    """Opens waiting rooms on one server."""

    def __init__(self, client: "redis.Redis", mutants: Mapping[str, Script] | None = None) -> None:
        """Take the server, and the scripts that are others than the engine's."""
        self.client = client
        self._mutants = mutants
        self._made: list[QueueRoom] = []

    def make(self) -> QueueRoom:
        """Return a room that is not open yet."""
        room = QueueRoom(self.client, self._mutants)
        self._made.append(room)
        return room

    def open(self, *, next_number: int = 0, **fields: Any) -> QueueRoom:  # noqa: ANN401 - texts
        """Return an open room."""
        return self.make().open(next_number=next_number, **fields)

    def close(self) -> None:
        """Remove what was opened."""
        for room in self._made:
            room.close()
        self._made.clear()


@contextmanager
def queue_rooms(
    client: "redis.Redis", mutants: Mapping[str, Script] | None = None
) -> Generator[QueueRooms]:
    """Make waiting rooms on a server, and remove them at the end."""
    rooms = QueueRooms(client, mutants)
    try:
        yield rooms
    finally:
        rooms.close()


def steered(told: list[Any]) -> dict[str, Any]:
    """Return what a step was told, by name."""
    status, *values = told
    assert status in {"steered", "taken"}, told
    return dict(zip(STEERED, values, strict=True))


def identity(n: int) -> bytes:
    """Return the digest of the test's n-th person."""
    return n.to_bytes(4, "big") * 2


def _bits(value: bytes | None) -> list[int]:
    return [
        8 * n + bit
        for n, byte in enumerate(value or b"")
        for bit in range(8)
        if byte & (0x80 >> bit)
    ]


def _scores(found: list[tuple[bytes, float]]) -> dict[int, int]:
    return {int(number): int(score) for number, score in found}
