"""What somebody does who is admitted: claims the pass, holds, and pays, or walks away."""

import asyncio
import time
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

import msgspec

from loadtests.buyers.tally import Receipt
from loadtests.rehearsal.door import Answer, Door
from loadtests.rehearsal.people import Fate, choosing_min, paying_late_min, paying_min
from loadtests.rehearsal.plan import HOLD_TTL_MIN, PASS_TTL_MIN
from loadtests.rehearsal.record import ISSUED, WAITED, Ask, Turn
from loadtests.rehearsal.sale import GaveUpError, Sale

_OK: Final = 200
_CREATED: Final = 201
_ACCEPTED: Final = 202
_NO_CONTENT: Final = 204
_CONFLICT: Final = 409
_FORBIDDEN: Final = 403
_GONE: Final = 410
_ASK_AGAIN_S: Final = 1.0
_HOLD_TRIES: Final = 12
_NOTHING_S: Final = 0.5
_PASSLESS: Final = 0.02
_RESERVE_S: Final = 2.0


class Visitor:
    """One person with a queue token, from their admission on."""

    def __init__(  # noqa: PLR0913 -- who one person is, all by name
        self, sale: Sale, door: Door, turn: Turn, *, token: str, address: str, buyer: str = ""
    ) -> None:
        """Take whose turn it is, and the connection that they ask over."""
        self._sale = sale
        self._door = door
        self._turn = turn
        self._buyer = buyer or f"p-{turn.number}"
        self._headers = f"Queue-Token: {token}\r\nX-Forwarded-For: {address}\r\n"
        self._pass = ""

    async def go(self) -> None:
        """Claim, and do what fate has in store."""
        record = self._sale.record
        record.turns.append(self._turn)
        try:
            if await self._claim():
                await self._check_out()
        except GaveUpError as error:
            record.tally.error(str(error))
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            record.tally.error(f"an answer of an unknown form: {type(error).__name__}: {error}")
        finally:
            if not self._turn.issued_s:
                record.in_line -= 1

    async def leave(self) -> None:
        """Give the number up, and its pass if there is one."""
        sent_s = time.time()
        path = self._sale.path("queue", "pass")
        answer = await self._sale.insist(self._door, "DELETE", path, self._headers)
        if answer.status != _NO_CONTENT:
            self._sale.record.tally.error(f"leave: {answer.told()}")
        elif self._turn.issued_s:
            self._turn.ended_s = sent_s

    # ---------------------------------------------------------------- the pass

    async def _claim(self) -> bool:
        sale, turn = self._sale, self._turn
        path = sale.path("queue", "pass")
        while not sale.over.is_set():
            answer = await sale.insist(
                self._door, "POST", path, self._headers, {"buyer": self._buyer}
            )
            if answer.status == _OK:
                self._take(answer)
                return True
            if answer.status != _CONFLICT or answer.problem != "not-your-turn":
                sale.record.tally.error(f"claim: {answer.told()}")
                return False
            outcome = WAITED if answer.read()["admitted"] else "not yet"
            turn.asks.append(Ask(answer.sent_s, answer.answered_s, outcome))
            pause_s = max(answer.retry_after_s, _ASK_AGAIN_S) * sale.luck.uniform(0.9, 1.1)
            await asyncio.sleep(pause_s)
        sale.record.went_home += 1
        return False

    def _take(self, answer: Answer) -> None:
        told, turn, ttl_s = answer.read(), self._turn, self._sale.plan.pass_ttl_s
        turn.asks.append(Ask(answer.sent_s, answer.answered_s, ISSUED))
        turn.deadline_s = datetime.fromisoformat(told["expires_at"]).timestamp()
        turn.issued_s = turn.deadline_s - ttl_s
        self._pass = told["pass"]
        self._sale.record.in_line -= 1
        if told["number"] != turn.number or told["buyer"] != self._buyer:
            self._sale.record.tally.error(f"a pass of another: {answer.told()}")

    # ---------------------------------------------------------------- checkout

    async def _check_out(self) -> None:
        sale, turn = self._sale, self._turn
        if turn.fate is Fate.FORGETS:
            await self._walk_away(PASS_TTL_MIN)
            return
        if not turn.is_bot:
            await sale.pause(choosing_min(sale.luck))
        if turn.fate is Fate.LEAVES_CHECKOUT:
            await self.leave()
            return
        held = await self._hold()
        if held is None:
            sale.record.found_nothing += 1
            await self.leave()
            return
        turn.held_after_s = time.time() - turn.issued_s
        if turn.fate is Fate.NEVER_PAYS:
            await self._walk_away(HOLD_TTL_MIN, held["hold"])
            return
        await asyncio.sleep(self._payment_s(held))
        await self._purchase(held)

    async def _walk_away(self, runs_out_min: float, hold: str = "") -> None:
        """Let things run out or, where that would take too long here, give them back in time."""
        sale = self._sale
        if sale.minute < sale.plan.lapses_until_min:
            return
        await sale.pause(runs_out_min)
        if hold:
            path = sale.path("holds", hold)
            answer = await sale.insist(self._door, "DELETE", path, sale.shop)
            if answer.status not in {_NO_CONTENT, _GONE}:
                sale.record.tally.error(f"release: {answer.told()}")
        await self.leave()

    def _payment_s(self, held: dict[str, Any]) -> float:
        """Return how long paying takes: nobody in this rehearsal is too late by a little."""
        luck, is_late = self._sale.luck, self._turn.fate is Fate.PAYS_LATE
        left_s = datetime.fromisoformat(held["expires_at"]).timestamp() - time.time()
        wanted_min = paying_late_min(luck) if is_late else paying_min(luck)
        return max(0.0, min(self._sale.plan.seconds(wanted_min), left_s - _RESERVE_S))

    async def _hold(self) -> dict[str, Any] | None:
        sale = self._sale
        quantity = sale.plan.habits.quantity(sale.luck)
        if sale.luck.random() < _PASSLESS:
            await self._hold_without_pass()
        for _ in range(_HOLD_TRIES):
            level = sale.front.pick_level(sale.luck) if sale.front is not None else None
            if level is None:
                if sale.over.is_set():
                    return None
                await asyncio.sleep(_NOTHING_S)
                continue
            answer = await self._ask_hold(level, quantity, self._pass)
            if answer.status == _CREATED:
                return answer.read()
            if answer.status != _CONFLICT:
                sale.record.tally.error(f"hold: {answer.told()}")
                return None
            sale.record.tally.refused += 1
            quantity = max(1, quantity // 2)
            await asyncio.sleep(_NOTHING_S * sale.luck.random())
        return None

    async def _hold_without_pass(self) -> None:
        sale = self._sale
        level = sale.front.pick_level(sale.luck) if sale.front is not None else None
        if level is None:
            return
        answer = await self._ask_hold(level, 1, "")
        if answer.status == _FORBIDDEN and answer.problem == "not-admitted":
            sale.record.refused_without_pass += 1
        elif answer.status == _CREATED:
            sale.record.held_without_pass += 1
        else:
            sale.record.tally.error(f"a hold without a pass: {answer.told()}")

    async def _ask_hold(self, level: str, quantity: int, text: str) -> Answer:
        sale = self._sale
        body: dict[str, Any] = {
            "best_available": {"price_level": level, "quantity": quantity},
            "buyer": self._buyer,
            "ttl_s": sale.plan.hold_ttl_s,
        }
        if text:
            body["pass"] = text
        headers = f"{sale.shop}Idempotency-Key: h-{uuid4().hex}\r\n"
        return await sale.insist(self._door, "POST", sale.path("holds"), headers, body)

    async def _purchase(self, held: dict[str, Any]) -> None:
        sale, turn = self._sale, self._turn
        headers = f"{sale.shop}Idempotency-Key: b-{uuid4().hex}\r\n"
        body = {"hold": held["hold"], "pass": self._pass, "payment_reference": self._buyer}
        sent_s = time.time()
        answer = await sale.insist(self._door, "POST", sale.path("purchases"), headers, body)
        if answer.status not in {_CREATED, _ACCEPTED}:
            deadline_s = datetime.fromisoformat(held["expires_at"]).timestamp()
            if answer.problem == "hold-expired" and answer.answered_s >= deadline_s:
                sale.record.paid_too_late += 1
            else:
                sale.record.tally.error(f"purchase: {answer.told()}")
            return
        turn.ended_s = sent_s
        turn.paid_after_s = answer.answered_s - turn.issued_s
        turn.tickets = len(held["seats"])
        if answer.status == _CREATED:
            order = answer.read()["order"]
            sale.record.tally.receive(Receipt(order, tuple(sorted(held["seats"])), ()))
        else:
            sale.record.tally.recording += 1
