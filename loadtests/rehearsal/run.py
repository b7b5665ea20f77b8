"""One rehearsal on a running platform, from putting the show on sale to the judgement."""

import asyncio
import hashlib
import runpy
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from msgspec import Struct
from onsale_client.wire import path_of

from engine.platform.settings import Settings
from loadtests.auditor import audit
from loadtests.buyers import reach_verdict
from loadtests.buyers.desk import Desk, decode
from loadtests.buyers.show_setup import put_on_sale
from loadtests.buyers.storefront import Storefront
from loadtests.generated_plans import arena_plan
from loadtests.rehearsal.bots import Bots
from loadtests.rehearsal.crowd import Crowd
from loadtests.rehearsal.door import Door
from loadtests.rehearsal.invariants import Sampled, Seen
from loadtests.rehearsal.looks import Window, open_window
from loadtests.rehearsal.plan import Plan
from loadtests.rehearsal.record import Record
from loadtests.rehearsal.sale import Sale

DRAW_SCRIPT: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "verify_draw.py"

_CONNECTIONS: Final = 256
_BOTS_CONNECTIONS: Final = 12
_SETUP_S: Final = 3.0
_SEATS_A_S: Final = 5_000
_DOORS_S: Final = 15.0
_LOOK_S: Final = 0.25
_FOLLOW_S: Final = 1.0
_FRONT_S: Final = 0.5
_DRAW_S: Final = 0.5
_DRAWN_S: Final = 30.0
_ADMIT_S: Final = 0.1
_FINISH_S: Final = 15.0
_DRAIN_S: Final = 20.0
_OVERTIME_S: Final = 75.0
_OVERTIME_PASSES: Final = 1.25
_OK: Final = 200
_CREATED: Final = 201

Watch = Callable[[Sale, list[Sampled]], None]


class RehearsalError(Exception):
    """The rehearsal could not take place; the message says why, and the way out."""


class Rehearsed(Struct, frozen=True):
    """What came of it."""

    seen: Seen
    opens_s: float
    sale_s: float


async def rehearse(  # noqa: PLR0913 -- what a rehearsal needs, all but the way there by name
    plan: Plan,
    base_url: str,
    api_key: str,
    settings: Settings,
    *,
    say: Callable[[str], None],
    watch: Watch,
) -> Rehearsed:
    """Hold a rehearsal; `watch` is called after every look at the stores.

    Raises:
        RehearsalError: the waiting room could not be made, or did not open.
        loadtests.buyers.show_setup.RefusedShowError: the show could not be put on sale.
        loadtests.rehearsal.sale.GaveUpError: the API did not answer.
    """
    rehearsal = _Rehearsal(plan, base_url, api_key, settings, say, watch)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        return await rehearsal.hold(session)


class _Rehearsal:
    def __init__(  # noqa: PLR0913, PLR0917 -- as it came
        self,
        plan: Plan,
        base_url: str,
        api_key: str,
        settings: Settings,
        say: Callable[[str], None],
        watch: Watch,
    ) -> None:
        self._plan = plan
        self._base_url = base_url
        self._api_key = api_key
        self._settings = settings
        self._say = say
        self._watch = watch
        self._record = Record()
        self._samples: list[Sampled] = []
        self._digest_is_right = False
        self._gave_up = False

    async def hold(self, session: aiohttp.ClientSession) -> Rehearsed:
        plan, record = self._plan, self._record
        desk = Desk(session, self._base_url, self._api_key, record.tally)
        sale = await self._open(desk)
        door = Door(self._base_url, _CONNECTIONS)
        bots_door = Door(self._base_url, _BOTS_CONNECTIONS)
        number = int(sale.show[-16:], 16)
        try:
            key = await self._make_queue(desk, sale)
            await self._wait_for_doors(sale, door)
            crowd = Crowd(sale, door, self._base_url)
            bots = Bots(sale, crowd, bots_door, key)
            async with open_window(self._settings, number) as window:
                await self._play(sale, crowd, bots, door, window)
                await self._look(sale, window)
        finally:
            door.close()
            bots_door.close()
        self._say("auditing")
        expected = self._samples[-1].look.sold
        verdict = await reach_verdict(
            self._settings, number, record.tally, expected=expected, patience_s=_DRAIN_S
        )
        seen = Seen(
            plan=plan,
            record=record,
            samples=self._samples,
            verdict=verdict,
            audit=await audit(self._settings),
            digest_is_right=self._digest_is_right,
            all_served=not self._gave_up and record.in_line == 0,
        )
        return Rehearsed(seen, sale.opens_s, sale.sale_s)

    # ---------------------------------------------------------------- before

    async def _open(self, desk: Desk) -> Sale:
        plan = self._plan
        opens_s = time.time() + _SETUP_S + plan.seats / _SEATS_A_S
        sale_s = opens_s + plan.seconds(plan.curve.before_min)
        self._say(f"putting {plan.seats:,} seats on sale")
        show = await put_on_sale(
            self._base_url,
            self._api_key,
            arena_plan(plan.seats),
            opens_at=datetime.fromtimestamp(sale_s, UTC),
        )
        sale = Sale(plan, show, self._api_key, self._record)
        sale.opens_s, sale.sale_s = opens_s, sale_s
        sale.front = Storefront(desk, show)
        await sale.front.refresh()
        return sale

    async def _make_queue(self, desk: Desk, sale: Sale) -> str:
        """Make the waiting room; return what the reseller's systems sign identities with."""
        path = path_of("shows", sale.show, "queue")
        rules = self._plan.rules(sale.opens_s, sale.sale_s)
        answer = await desk.ask("PUT", path, rules)
        if answer.status not in {_OK, _CREATED}:
            msg = f"the waiting room was refused: {answer.told()}"
            raise RehearsalError(msg)
        return str(decode(answer)["identity_key"])

    async def _wait_for_doors(self, sale: Sale, door: Door) -> None:
        deadline_s = max(time.time(), sale.opens_s) + _DOORS_S
        while time.time() < deadline_s:
            await asyncio.sleep(max(0.2, sale.opens_s - time.time()))
            await sale.follow(door)
            if sale.serving is not None and sale.serving.state == "pre-queue":
                plan = self._plan
                self._say(f"{plan.people:,} people come; time goes {plan.speed:g} times as fast")
                return
        state = None if sale.serving is None else sale.serving.state
        msg = f"the waiting room did not open within {_DOORS_S:.0f} s: it is {state}"
        raise RehearsalError(msg)

    # ---------------------------------------------------------------- the sale

    async def _play(self, sale: Sale, crowd: Crowd, bots: Bots, door: Door, window: Window) -> None:
        plan, front = self._plan, sale.front
        assert front is not None  # noqa: S101 -- _open made it
        works: list[Coroutine[Any, Any, None]] = [
            crowd.arrive(),
            bots.attack(),
            self._draw(sale, crowd, door),
            _repeat(lambda: sale.follow(door), _FOLLOW_S),
            _repeat(front.refresh, _FRONT_S),
            _repeat(lambda: self._admit(crowd), _ADMIT_S),
            _repeat(lambda: self._look(sale, window), _LOOK_S),
        ]
        overtime_s = max(_OVERTIME_S, _OVERTIME_PASSES * plan.pass_ttl_s)
        deadline_s = sale.sale_s + plan.seconds(plan.sell_out_min) + overtime_s
        tasks = [asyncio.create_task(work) for work in works]
        try:
            await self._wait_for_end(sale, crowd, tasks, deadline_s)
            sale.over.set()
            await crowd.finish(_FINISH_S)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _wait_for_end(
        self, sale: Sale, crowd: Crowd, tasks: list[asyncio.Task[None]], deadline_s: float
    ) -> None:
        while not (crowd.is_done and time.time() > sale.sale_s):
            if time.time() > deadline_s:
                self._gave_up = True
                self._say("the time is over: neither sold out, nor all served")
                return
            if any(task.done() and task.exception() is not None for task in tasks):
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(_ADMIT_S):
                    await sale.over.wait()
                    return

    async def _admit(self, crowd: Crowd) -> None:
        crowd.admit()

    async def _draw(self, sale: Sale, crowd: Crowd, door: Door) -> None:
        """Recompute the places from the published document, by the script that anyone can run."""
        await asyncio.sleep(max(0.0, sale.sale_s - self._plan.draw_gap_s - time.time()))
        draw = await self._published(sale, door)
        places = await asyncio.to_thread(_places, bytes.fromhex(draw["key"]), draw["count"])
        self._digest_is_right = _digest(places) == draw["digest"]
        crowd.draw(places)

    async def _published(self, sale: Sale, door: Door) -> dict[str, Any]:
        deadline_s = sale.sale_s + _DRAWN_S
        while time.time() < deadline_s:
            draw = await sale.read_draw(door)
            if draw is not None:
                return draw
            await asyncio.sleep(_DRAW_S)
        msg = f"the places were not drawn {_DRAWN_S:.0f} s after the sale began: see worker.log"
        raise RehearsalError(msg)

    async def _look(self, sale: Sale, window: Window) -> None:
        look = await window.look()
        if look is not None:
            waiting = 0 if sale.over.is_set() else self._record.in_line
            self._samples.append(Sampled(look, waiting))
            self._watch(sale, self._samples)


async def _repeat(work: Callable[[], Awaitable[None]], every_s: float) -> None:
    while True:
        began = time.monotonic()
        await work()
        await asyncio.sleep(max(0.01, began + every_s - time.monotonic()))


def _places(key: bytes, count: int) -> list[int]:
    return list(runpy.run_path(str(DRAW_SCRIPT))["places"](key, count))


def _digest(places: list[int]) -> str:
    return hashlib.sha256(b"".join(place.to_bytes(4, "big") for place in places)).hexdigest()
