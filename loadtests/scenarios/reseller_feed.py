r"""Reseller systems that drain queues of their own through the batch endpoint.

What it imitates: partners that sell for a ticketing system speak to it from their servers, for all
their customers together. Ticketmaster's Partner API is one such door: partners reserve, buy and
look up by API key; requests beyond a partner's "limited per-partner resources" have to be polled
for; and partners should release what their customers leave behind, since a reservation that is
under way takes up resources even if nobody fetches its result (developer documentation, "Best
Practices": https://developer.ticketmaster.com/products-and-docs/apis/partner/). So calls come from
few clients, in bursts as their queues are drained, each for many customers, with releases mixed in.
How large such bursts are is not told in public: 100 commands a second for each system is this
scenario's choice; RESELLER_BATCH sets another size, up to 500.

Each system holds for its customers, and with its next batch buys 60 % of what it got and releases
the rest. A command that is answered 503 goes back into the queue with its key. A batch whose answer
was lost is sent again as it was.

    TARGET_API_KEY=... TARGET_SHOW=shw_... locust -f loadtests/scenarios/reseller_feed.py \
        --headless --users 10 --spawn-rate 10 --run-time 2m --host http://...
"""

import os
from typing import Any, Final
from uuid import uuid4

from locust import constant_pacing, task

from loadtests.scenarios.shapes import AllAtOnce
from loadtests.scenarios.target import SALES_ANSWERS, Asking, Visitor

_BATCH: Final = int(os.environ.get("RESELLER_BATCH", "100"))
_BOUGHT: Final = 0.6
_TTL_S: Final = 120
_QUANTITIES: Final = (1, 2, 2, 3, 4)
_OK: Final = 200
_CREATED: Final = 201
_UNAVAILABLE: Final = 503
_WELL: Final = frozenset({201, 202, 204, _UNAVAILABLE}) | SALES_ANSWERS

Command = dict[str, Any]


class Feeds(AllAtOnce):
    """All systems work all the time."""


class ResellerSystem(Visitor):
    """One reseller's servers, with a queue of their customers' wishes."""

    wait_time = constant_pacing(1)

    def on_start(self) -> None:
        """Learn what there is to sell."""
        super().on_start()
        self.hall = self.open_page()
        self.queue: list[Command] = []

    @task
    def drain(self) -> None:
        """Send what waits, filled up with new holds, and queue what follows from the answers."""
        commands = self.queue[:_BATCH]
        del self.queue[:_BATCH]
        commands += [self._hold() for _ in range(_BATCH - len(commands))]
        told = self.ask(
            Asking("POST", f"{self.path}/batch", "batch", (200,), {"commands": commands})
        )
        if told is None or told.status != _OK:
            return
        answers: list[dict[str, Any]] = told.json()["answers"]
        for command, answer in zip(commands, answers, strict=True):
            status, body = answer["status"], answer["body"]
            self.note_command(command["op"], status, body, told.took_ms, well=status in _WELL)
            if status == _UNAVAILABLE:
                self.queue.append(command)
            elif command["op"] == "hold" and status == _CREATED:
                self.queue.append(self._follow_up(body["hold"]))

    def _hold(self) -> Command:
        wish = self.hall.any(self.luck, self.luck.choice(_QUANTITIES))
        return wish | {
            "op": "hold",
            "key": uuid4().hex,
            "buyer": uuid4().hex,
            "ttl_s": _TTL_S,
        }

    def _follow_up(self, hold: str) -> Command:
        if self.chance(_BOUGHT):
            key = uuid4().hex
            return {"op": "purchase", "key": key, "hold": hold, "payment_reference": key}
        return {"op": "release", "hold": hold}
