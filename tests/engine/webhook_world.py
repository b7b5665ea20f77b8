"""Receivers that behave and misbehave, on loopback, and a clock that the tests turn on."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from msgspec import Struct
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook

from engine.facts.log import NewFact, add_facts
from engine.facts.types import FactType, ShowCancelled
from engine.notify.courier import Tools
from engine.notify.dispatch import Dispatcher
from engine.notify.endpoints import Endpoint, Endpoints, NewEndpoint
from engine.notify.judging import Standing
from engine.notify.schedule import Dice
from engine.notify.sending import Sender
from engine.notify.signing import Secrets
from engine.notify.slots import Bounds, Slots
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, Ids
from engine.platform.sealing import Sealer
from tests.engine.ledger_world import World
from tests.listener import Listener

_numbers = count(1)


class Clock:
    """Stands still but for when a test turns it on."""

    def __init__(self) -> None:
        """Begin now: signatures are verified against the real time."""
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now

    def advance(self, **by: float) -> None:
        """Turn it on."""
        self.now += timedelta(**by)


class Message(Struct, frozen=True):
    """What a receiver got."""

    headers: dict[str, str]
    body: bytes

    @property
    def fact(self) -> dict[str, Any]:
        """What it says."""
        return msgspec.json.decode(self.body)


Behaviour = Callable[["Receiver", Message, asyncio.StreamWriter], Awaitable[None]]


async def answer(writer: asyncio.StreamWriter, status: int = 204, **headers: str) -> None:
    """Answer in HTTP."""
    lines = [f"HTTP/1.1 {status} So", "Content-Length: 0"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    await writer.drain()


async def well(_receiver: "Receiver", _message: Message, writer: asyncio.StreamWriter) -> None:
    """Take it."""
    await answer(writer)


def status(number: int, **headers: str) -> Behaviour:
    """Return what always answers so."""

    async def behave(_r: "Receiver", _m: Message, writer: asyncio.StreamWriter) -> None:
        await answer(writer, number, **headers)

    return behave


class Receiver(Listener):
    """A reseller's server. What it does with a message can be changed at any time."""

    def __init__(self) -> None:
        """Behave well."""
        super().__init__(self._take)
        self.behave: Behaviour = well
        self.messages: list[Message] = []
        self.connections = 0

    @property
    def url(self) -> str:
        """Where messages are sent to."""
        return f"{super().url}/hooks"

    @property
    def ids(self) -> list[str]:
        """The ids of all messages, in the order in which they came."""
        return [message.headers["webhook-id"] for message in self.messages]

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while not writer.is_closing():
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            pairs = (line.partition(": ") for line in head[1:] if line)
            headers = {name.lower(): value for name, _, value in pairs}
            body = await reader.readexactly(int(headers["content-length"]))
            message = Message(headers, body)
            self.messages.append(message)
            await self.behave(self, message, writer)


def verify(message: Message, shared: str, public: str | None = None) -> None:
    """Verify a message by the official package, and its Ed25519 signature by `cryptography`."""
    Webhook(shared).verify(message.body, message.headers)
    if public is None:
        return
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    named = (message.headers["webhook-id"], message.headers["webhook-timestamp"])
    content = ".".join(named).encode() + b"." + message.body
    for signature in message.headers["webhook-signature"].split(" "):
        version, _, signed = signature.partition(",")
        if version == "v1a":
            with suppress(InvalidSignature):
                key.verify(base64.b64decode(signed), content)
                return
    msg = "no v1a signature fits"
    raise AssertionError(msg)


class Desk(Struct):
    """A reseller's facts and endpoints, and a worker that tells them, by a clock of its own."""

    world: World
    reseller: EntityId
    clock: Clock
    ids: Ids
    sealer: Sealer
    endpoints: Endpoints
    sender: Sender

    async def new_endpoint(
        self, receiver: Receiver, types: tuple[str, ...] | None = None
    ) -> Endpoint:
        """Make one."""
        made = await self.endpoints.make(
            self.reseller, NewEndpoint(receiver.url, "test", types), self.clock()
        )
        assert isinstance(made, Endpoint), made
        return made

    async def happen(self, *objects: str, kind: FactType = FactType.SHOW_CANCELLED) -> list[str]:
        """Let something happen to objects, fresh ones unless named; return the facts' ids."""
        ids: list[str] = []
        for thing in objects or (f"thing-{next(_numbers)}",):
            fact = NewFact(kind, thing, ShowCancelled(), None, self.clock())
            async with tenant_transaction(self.world.app, self.reseller) as connection:
                await add_facts(connection, self.reseller, [fact])
                newest = text("SELECT max(id) FROM facts")
                number = (await connection.execute(newest)).scalar_one()
            ids.append(f"fct_dev_{number:016x}")
        return ids

    def worker(self, bounds: Bounds | None = None, sender: Sender | None = None) -> Dispatcher:
        """Return another worker."""
        return Dispatcher(
            Tools(
                engine=self.world.recorder_engine,
                ids=self.ids,
                sealer=self.sealer,
                sender=sender or self.sender,
                slots=Slots(bounds or Bounds()),
                clock=self.clock,
                dice=Dice(),
            )
        )

    async def states(self, endpoint: Endpoint) -> dict[str, str]:
        """Return the deliveries' states by fact."""
        rows = await self.world.rows(
            "SELECT fact_id, state FROM webhook_deliveries WHERE endpoint_id = :e", e=endpoint.id
        )
        return {f"fct_dev_{row['fact_id']:016x}": row["state"] for row in rows}

    async def pass_time(
        self, worker: Dispatcher, *, until: Callable[[], bool] = lambda: False, **by: float
    ) -> int:
        """Turn the clock from one due moment to the next, and work at each; return how many.

        Ends when the time is over, or `until` is true.
        """
        end = self.clock() + timedelta(**by)
        steps = 0
        await worker.settle()
        while not until():
            [row] = await self.world.rows(
                "SELECT min(due_at) AS due_at FROM webhook_endpoints"
                " WHERE reseller_id = :r AND status = 'enabled'",
                r=self.reseller,
            )
            if row["due_at"] is None or row["due_at"] > end:
                break
            self.clock.now = max(self.clock.now, row["due_at"])
            await worker.settle()
            steps += 1
        else:
            return steps
        self.clock.now = end
        await worker.settle()
        return steps


@asynccontextmanager
async def open_desk(world: World) -> AsyncGenerator[Desk]:
    """Open a desk of a new reseller."""
    settings = world.settings
    secret = settings.secret.encode()
    sealer = Sealer(settings.list_sealing_keys(), secret)
    sender = Sender(private=True)
    reseller = EntityId(await world.new_reseller())
    try:
        yield Desk(
            world=world,
            reseller=reseller,
            clock=Clock(),
            ids=Ids("dev", secret),
            sealer=sealer,
            endpoints=Endpoints(world.app, sealer, private=True),
            sender=sender,
        )
    finally:
        # The next test's workers must not go on with it.
        over = text("UPDATE webhook_endpoints SET status = 'deleted' WHERE reseller_id = :r")
        async with world.owner.begin() as connection:
            await connection.execute(over, {"r": reseller})
        await sender.close()


async def standing_of(desk: Desk, endpoint: Endpoint) -> Standing:
    """Return how an endpoint stands."""
    found = await desk.endpoints.find(desk.reseller, endpoint.id)
    assert isinstance(found, Endpoint)
    return found.standing


async def secrets_of(desk: Desk, endpoint: Endpoint) -> Secrets:
    """Return its secrets."""
    secrets = await desk.endpoints.secrets(desk.reseller, endpoint.id, desk.clock())
    assert isinstance(secrets, list)
    return secrets


async def attempts_of(desk: Desk, endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return all attempts at an endpoint, in their order."""
    rows = await desk.world.rows(
        "SELECT * FROM webhook_attempts WHERE endpoint_id = :e ORDER BY at, fact_id, number",
        e=endpoint.id,
    )
    return [dict(row) for row in rows]
