"""One buyer after the other at one device: looks, holds, and then buys, thinks again, or leaves."""

import asyncio
import random
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Struct
from onsale_client.wire import path_of

from loadtests.buyers.desk import Answer, Desk, GaveUpError, decode
from loadtests.buyers.storefront import Storefront
from loadtests.buyers.tally import Receipt, Tally

TTL_S: Final = 120
ABANDONED_TTL_S: Final = 30
"""The shortest that the API allows."""

_CREATED: Final = 201
_OK: Final = 200
_ACCEPTED: Final = 202
_NO_CONTENT: Final = 204
_CONFLICT: Final = 409
_GONE: Final = 410

_POLLS_MAX: Final = 100
_POLL_S: Final = 0.3

# How many tickets a visitor wants; most come in twos.
_QUANTITIES: Final = (1, 2, 3, 4, 5, 6)
_WEIGHTS: Final = (10, 38, 14, 24, 6, 8)


class Habits(Struct, frozen=True, kw_only=True):
    """How often buyers do what, as shares of one."""

    releases: float = 0.08
    replaces: float = 0.04
    repeats: float = 0.08
    """Requests repeated with the same key after their answer; half as many sent twice at once."""
    loses_answers: float = 0.06
    """Requests whose answer is lost, and which are then repeated with the same key."""
    best_available: float = 0.4
    think_s: float = 0.0
    """Mean of the pause before each step."""


class Wish(Struct):
    """A hold that a buyer asks for: its key, and its body."""

    key: str
    body: dict[str, Any]


class Held(Struct, frozen=True):
    """A hold that a buyer got."""

    id: str
    wish: Wish
    seats: tuple[str, ...]
    areas: tuple[tuple[str, int], ...]


class Buyer:
    """A device at which one visitor after the other tries to get tickets, until none are left."""

    def __init__(  # noqa: PLR0913 -- the crowd hands each buyer what they all share
        self,
        number: int,
        *,
        desk: Desk,
        front: Storefront,
        show: str,
        tally: Tally,
        luck: random.Random,
        habits: Habits,
        may_abandon: Callable[[int], bool],
        position_of: dict[str, int],
    ) -> None:
        """Take what the crowd shares, and this device's number and dice."""
        self._number = number
        self._desk = desk
        self._front = front
        self._show = show
        self._tally = tally
        self._luck = luck
        self._habits = habits
        self._may_abandon = may_abandon
        self._position_of = position_of
        self._visit = 0
        self._steps = 0
        self.abandoned: list[Held] = []

    async def shop(self) -> None:
        """Let one visitor come and go."""
        self._visit += 1
        try:
            wish, leaves = self._wish()
            if wish is None:
                return
            held = await self._hold(wish)
            if held is None:
                return
            if leaves:
                self._tally.abandoned += 1
                self.abandoned.append(held)
            elif self._chance(self._habits.releases):
                await self._release(held)
            else:
                if self._chance(self._habits.replaces) and held.seats:
                    held = await self._replace(held)
                await self._purchase(held)
        except GaveUpError as error:
            self._tally.error(str(error))
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            self._tally.error(f"an answer of an unknown form: {type(error).__name__}: {error}")

    async def check_expired(self, held: Held) -> None:
        """Repeat an abandoned hold's request: it must say that it has expired, not hold anew."""
        answer = await self._desk.ask("POST", self._holds(), held.wish.body, key=held.wish.key)
        if answer.status == _GONE and answer.problem == "hold-expired":
            self._tally.expired += 1
        else:
            self._tally.error(f"a hold that expired, repeated: {answer.told()}")

    # ---------------------------------------------------------------- wishing

    def _wish(self) -> tuple[Wish | None, bool]:
        """Return what this visitor wants, and whether they will walk away from it."""
        quantity = self._luck.choices(_QUANTITIES, _WEIGHTS)[0]
        selection = self._selection(quantity)
        if not selection:
            return None, False
        leaves = self._may_abandon(quantity)
        body = selection | {
            "buyer": f"b-{self._number}-{self._visit}",
            "ttl_s": ABANDONED_TTL_S if leaves else TTL_S,
        }
        return Wish(self._key("hold"), body), leaves

    def _selection(self, quantity: int) -> dict[str, Any]:
        standing = sum(area.open for area in self._front.areas)
        seated = sum(level.open for level in self._front.levels)
        if standing and self._luck.random() * (standing + seated) < standing:
            area = self._front.pick_area(self._luck)
            return {"areas": {area: min(quantity, standing)}}
        if self._chance(self._habits.best_available):
            level = self._front.pick_level(self._luck)
            if level is None:
                return {}
            return {"best_available": {"price_level": level, "quantity": quantity}}
        picked = self._front.pick(quantity, self._luck)
        return {"seats": [self._front.labels[n] for n in picked]} if picked else {}

    def _smaller(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return a wish that asks for less, once a level or an area has too little."""
        best = body.get("best_available")
        if best and best["quantity"] > 1:
            return body | {"best_available": best | {"quantity": best["quantity"] // 2}}
        areas = body.get("areas", {})
        if areas and max(areas.values()) > 1:
            return body | {"areas": {slug: max(1, n // 2) for slug, n in areas.items()}}
        return None

    # ---------------------------------------------------------------- holding

    async def _hold(self, wish: Wish) -> Held | None:
        while True:
            answer = await self._insist(self._holds(), wish.body, wish.key, self._tally.hold_ms)
            if answer.status == _CREATED:
                return self._got(wish, answer)
            if answer.status != _CONFLICT:
                self._tally.error(f"hold {wish.body}: {answer.told()}")
                return None
            self._tally.refused += 1
            smaller = self._smaller(wish.body)
            if smaller is None or answer.problem not in {"none-together", "area-short"}:
                return None
            wish = Wish(self._key("hold"), smaller)

    def _got(self, wish: Wish, answer: Answer) -> Held:
        told = decode(answer)
        self._tally.holds += 1
        held = Held(
            id=told["hold"],
            wish=wish,
            seats=tuple(told["seats"]),
            areas=tuple(sorted(told["areas"].items())),
        )
        self._front.mark_held([self._position_of[seat] for seat in held.seats])
        return held

    async def _release(self, held: Held) -> None:
        path = path_of("shows", self._show, "holds", held.id)
        await self._think()
        for _ in range(2 if self._chance(0.3) else 1):
            answer = await self._desk.ask("DELETE", path)
            if answer.status != _NO_CONTENT:
                self._tally.error(f"release: {answer.told()}")
        self._tally.released += 1
        if self._chance(self._habits.repeats):
            self._tally.repeats += 1
            answer = await self._desk.ask("POST", self._holds(), held.wish.body, key=held.wish.key)
            if answer.status != _GONE or answer.problem != "hold-released":
                self._tally.error(f"a hold that was released, repeated: {answer.told()}")

    async def _replace(self, held: Held) -> Held:
        picked = self._front.pick(len(held.seats), self._luck)
        if not picked:
            return held
        await self._think()
        seats = [self._front.labels[n] for n in picked]
        path = path_of("shows", self._show, "holds", held.id)
        answer = await self._desk.ask("PUT", path, {"seats": seats})
        if answer.status == _CONFLICT:
            return held
        if answer.status != _OK:
            self._tally.error(f"replace: {answer.told()}")
            return held
        told = decode(answer)
        self._tally.replaced += 1
        if set(told["seats"]) != set(seats):
            self._tally.error(f"replaced by {seats}, got {told['seats']}")
        return msgspec.structs.replace(held, seats=tuple(told["seats"]))

    # ---------------------------------------------------------------- purchasing

    async def _purchase(self, held: Held) -> None:
        key = self._key("buy")
        body = {"hold": held.id, "payment_reference": f"pay-{key}"}
        path = path_of("shows", self._show, "purchases")
        answer = await self._insist(path, body, key, self._tally.purchase_ms)
        if answer.status not in {_CREATED, _ACCEPTED}:
            self._tally.error(f"purchase: {answer.told()}")
            return
        told = decode(answer)
        if told["status"] == "recording":
            self._tally.recording += 1
            told = await self._follow(told["order"])
        if told["status"] != "confirmed":
            self._tally.error(f"{told['order']} ended as {told['status']}")
            return
        receipt = _receipt(told)
        if set(receipt.seats) != set(held.seats) or receipt.areas != held.areas:
            self._tally.error(f"held {held.seats} {held.areas}, bought {receipt}")
        self._tally.receive(receipt)
        if self._chance(self._habits.repeats / 2):
            again = await self._desk.ask("POST", path, body, key=self._key("again"))
            if again.status != _CONFLICT or again.problem != "already-purchased":
                self._tally.error(f"a hold bought a second time: {again.told()}")

    async def _follow(self, order: str) -> dict[str, Any]:
        """Poll an order until it has ended one way or the other."""
        told: dict[str, Any] = {"order": order, "status": "recording"}
        for _ in range(_POLLS_MAX):
            await asyncio.sleep(_POLL_S)
            answer = await self._desk.ask("GET", path_of("orders", order))
            if answer.status != _OK:
                self._tally.error(f"an order that was accepted: {answer.told()}")
                break
            told = decode(answer)
            if told["status"] != "recording":
                break
        return told

    # ---------------------------------------------------------------- insisting

    async def _insist(
        self, path: str, body: dict[str, Any], key: str, timings: list[float]
    ) -> Answer:
        """Post with a key as real clients do: now and then twice, or after a lost answer."""
        await self._think()
        if self._chance(self._habits.loses_answers):
            await self._desk.ask_and_miss_the_answer("POST", path, body, key)
            return await self._desk.ask("POST", path, body, key=key, timings=timings)
        if self._chance(self._habits.repeats / 2):
            self._tally.repeats += 1
            one, other = await asyncio.gather(
                self._desk.ask("POST", path, body, key=key, timings=timings),
                self._desk.ask("POST", path, body, key=key, timings=timings),
            )
            self._compare(one, other)
            # Of two at once, one may be refused by what the world was, and the other served.
            return other if one.status == _CONFLICT else one
        answer = await self._desk.ask("POST", path, body, key=key, timings=timings)
        if answer.status == _CREATED and self._chance(self._habits.repeats):
            self._tally.repeats += 1
            self._compare(answer, await self._desk.ask("POST", path, body, key=key))
        return answer

    def _compare(self, one: Answer, other: Answer) -> None:
        """The same key gets the same hold, or the same order, with the same places."""
        if not {one.status, other.status} <= {_CREATED, _ACCEPTED}:
            return
        told, again = decode(one), decode(other)
        for field in ("hold", "order", "seats", "areas", "buyer", "price"):
            if told.get(field) != again.get(field):
                self._tally.error(f"a repeat with the same key differs: {told} {again}")
                return

    def _holds(self) -> str:
        return path_of("shows", self._show, "holds")

    def _key(self, purpose: str) -> str:
        self._steps += 1
        return f"{purpose}-{self._number}-{self._visit}-{self._steps}"

    def _chance(self, share: float) -> bool:
        return self._luck.random() < share

    async def _think(self) -> None:
        if self._habits.think_s:
            await asyncio.sleep(self._luck.expovariate(1 / self._habits.think_s))


def _receipt(told: dict[str, Any]) -> Receipt:
    areas: dict[str, int] = {}
    for ticket in told["tickets"]:
        if ticket["area"] is not None:
            areas[ticket["area"]] = areas.get(ticket["area"], 0) + 1
    return Receipt(
        order=told["order"],
        seats=tuple(sorted(t["seat"] for t in told["tickets"] if t["seat"] is not None)),
        areas=tuple(sorted(areas.items())),
    )
