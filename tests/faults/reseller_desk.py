"""A reseller's system for the fault tests: plain HTTP, the crowd's own retries, and an auditor."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import msgspec

from engine.platform.ids import EntityId, Ids, Prefix
from engine.tenancy.resellers import IssuedKey
from loadtests.auditor.audit import audit
from loadtests.buyers.desk import Answer, Desk
from loadtests.buyers.tally import Tally
from ops.resellers import make_reseller
from ops.stack import Stack

HALL = Path(__file__).parents[2] / "loadtests" / "data" / "riethsporthalle.seatingplan.json"


class ResellerDesk:
    """One reseller with one show in the real hall."""

    def __init__(self, stack: Stack, issued: IssuedKey, desk: Desk, tally: Tally) -> None:
        """Take the stack, the reseller's way to its API, and where its errors are counted."""
        self.stack = stack
        self.reseller = issued.reseller
        self.key = issued.text
        self.tally = tally
        self.show = ""
        self._desk = desk

    def show_id(self) -> EntityId:
        """Return the show's id as the engine has it."""
        settings = self.stack.settings
        return Ids(settings.region, settings.secret.encode()).parse_entity(Prefix.SHOW, self.show)

    async def open_another(self) -> "ResellerDesk":
        """Return the same reseller at another show."""
        other = copy(self)
        await other.open_show()
        return other

    async def open_show(self) -> None:
        """Put the real hall on sale."""
        now = datetime.now(UTC)
        answer = await self.ask(
            "POST",
            "/v1/shows",
            {
                "name": "Fault night",
                "venue": "Riethsporthalle",
                "starts_at": (now + timedelta(days=30)).isoformat(),
                "opens_at": (now - timedelta(hours=1)).isoformat(),
                "currency": "EUR",
                "prices": {"vip": 9500, "kategorie-i": 5500, "kategorie-ii": 3500},
                "plan": msgspec.json.decode(HALL.read_bytes()),
            },
        )
        self.show = told(answer, 201)["show"]

    async def ask(
        self, method: str, path: str, body: object = None, key: str | None = None
    ) -> Answer:
        """Ask until it is answered by something else than a 503, with one key throughout."""
        if method == "POST" and key is None:
            key = uuid4().hex
        return await self._desk.ask(method, path, body, key=key)

    async def hold(self, *seats: str, buyer: str = "b-1", key: str | None = None) -> Answer:
        """Hold seats for ten minutes."""
        body = {"seats": list(seats), "buyer": buyer, "ttl_s": 600}
        return await self.ask("POST", f"/v1/shows/{self.show}/holds", body, key)

    async def look(self, hold: str) -> Answer:
        """Look at a hold."""
        return await self.ask("GET", f"/v1/shows/{self.show}/holds/{hold}")

    async def purchase(self, hold: str, key: str | None = None) -> Answer:
        """Buy a hold."""
        body = {"hold": hold, "payment_reference": f"pay {hold}"}
        return await self.ask("POST", f"/v1/shows/{self.show}/purchases", body, key)

    async def sell(self, *seats: str, buyer: str = "b-1") -> dict[str, Any]:
        """Hold and buy; the order must be confirmed."""
        held = told(await self.hold(*seats, buyer=buyer), 201)
        return told(await self.purchase(held["hold"]), 201)

    async def order(self, order: str) -> dict[str, Any]:
        """Look at an order."""
        return told(await self.ask("GET", f"/v1/orders/{order}"), 200)

    async def counts(self) -> dict[str, int]:
        """Return how many seats are open, held, sold and blocked."""
        answer = await self.ask("GET", f"/v1/shows/{self.show}/availability")
        return told(answer, 200)["total"]

    async def assert_clean(self) -> None:
        """Let the auditor compare both stores."""
        result = await audit(self.stack.settings)
        assert result.is_clean, result.findings
        assert not self.tally.errors, self.tally.errors


async def metrics(stack: Stack) -> dict[str, float]:
    """Return what the worker serves to Prometheus; nothing while it is away."""
    url = f"http://127.0.0.1:{stack.settings.metrics_port}/metrics"
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            lines = (await response.text()).splitlines()
    except aiohttp.ClientError:
        return {}
    samples = [line.rsplit(" ", 1) for line in lines if line and not line.startswith("#")]
    return {name: float(value) for name, value in samples}


def empty(directory: Path) -> None:
    """Remove all that is in a folder."""
    for entry in directory.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def told(answer: Answer, status: int) -> dict[str, Any]:
    """Return an answer's body, which must come with this status."""
    assert answer.status == status, answer.told()
    return msgspec.json.decode(answer.body, type=dict[str, Any])


@asynccontextmanager
async def open_desk(stack: Stack, base_url: str | None = None) -> AsyncGenerator[ResellerDesk]:
    """Make a reseller and open its show; the API is reached at its own address or at this one."""
    issued = await make_reseller(stack.settings, "Faults Ltd")
    async with aiohttp.ClientSession() as session:
        tally = Tally()
        way = Desk(session, base_url or stack.base_url, issued.text, tally)
        desk = ResellerDesk(stack, issued, way, tally)
        await desk.open_show()
        yield desk
