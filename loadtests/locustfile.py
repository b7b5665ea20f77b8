"""A first Locust scenario: buyers take the best seats of a show, buy most of them, leave the rest.

It imitates a hosted storefront after the doors have opened: each buyer asks for two to four seats
together, thinks for a second or two, and buys three times out of four; the others release.

    TARGET_API_KEY=... TARGET_SHOW=shw_... locust -f loadtests/locustfile.py --host http://...

A 409 or a 410 is the sale's answer, not a failure; a 503 is counted as one.
"""

import os
import random
from typing import Any, cast
from uuid import uuid4

from locust import FastHttpUser, between, events, task
from locust.env import Environment

_WELL_ANSWERED = (200, 201, 202, 204, 409, 410)


@events.test_start.add_listener
def _check_settings(environment: Environment, **_: object) -> None:
    for variable in ("TARGET_API_KEY", "TARGET_SHOW"):
        if not os.environ.get(variable):
            environment.process_exit_code = 2
            msg = f"{variable} is not set: `./onsale up` prints an API key and a show"
            raise SystemExit(msg)


class Buyer(FastHttpUser):
    """Somebody who wants a few seats together at a random price level."""

    wait_time = between(0.5, 2)

    def on_start(self) -> None:
        """Learn the show's price levels."""
        self.path = f"/v1/shows/{os.environ['TARGET_SHOW']}"
        self.headers = {"Authorization": f"Bearer {os.environ['TARGET_API_KEY']}"}
        answer = self.client.get(self.path, headers=self.headers, name="show")
        show = cast("dict[str, Any]", answer.json())
        self.levels: list[str] = [level["price_level"] for level in show["price_levels"]]

    @task
    def buy_or_leave(self) -> None:
        """Hold, then buy or release."""
        wish: dict[str, object] = {
            "buyer": f"b-{uuid4().hex}",
            "best_available": {
                "price_level": random.choice(self.levels),  # noqa: S311 - no secret
                "quantity": random.randint(2, 4),  # noqa: S311 - no secret
            },
        }
        held = self._ask("POST", "/holds", wish)
        if held is None:
            return
        if random.random() < 0.75:  # noqa: S311, PLR2004 - three out of four
            purchase = {"hold": held["hold"], "payment_reference": uuid4().hex}
            self._ask("POST", "/purchases", purchase)
        else:
            self._ask("DELETE", f"/holds/{held['hold']}", None, name="/holds/{hold}")

    def _ask(
        self, method: str, path: str, body: object, name: str | None = None
    ) -> dict[str, Any] | None:
        """Return what was created; None if the sale said no."""
        headers = self.headers | {"Idempotency-Key": uuid4().hex}
        with self.client.request(
            method,
            self.path + path,
            headers=headers,
            json=body,
            name=f"{method} {name or path}",
            catch_response=True,
        ) as response:
            if response.status_code not in _WELL_ANSWERED:
                response.failure(f"{response.status_code}: {response.text}")
                return None
            response.success()
            if response.status_code not in {201, 202}:
                return None
            return cast("dict[str, Any]", response.json())
