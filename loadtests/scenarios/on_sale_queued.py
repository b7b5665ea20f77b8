r"""The on-sale with a waiting room in front: fans join, wait, claim their pass, and shop with it.

It is `on_sale.py` behind the show's waiting room, which must be open and ask for no proof of work:

- A fan joins without saying who they are, and polls the shared document about once a second, as
  the page does, until it has come to their place. One in five has walked away by then, which is
  this scenario's choice: nobody tells how many really do.
- The others claim their pass, again when they are told to wait for it, and one in twenty claims it
  twice, as if the answer had been lost: that must be the same pass with the same deadline.
- With the pass they hold and buy. A purchase ends it. Who does not buy leaves, which frees the
  place in checkout at once; but one in four of them does not even do that: their pass runs out.

    TARGET_API_KEY=... TARGET_SHOW=shw_... locust -f loadtests/scenarios/on_sale_queued.py \
        --headless --users 500 --spawn-rate 500 --run-time 2m --host http://...

All of them come from one address: ONSALE_JOIN_RATE_MAX and ONSALE_JOIN_BURST of the API must let so
many join, else they are told to come again later.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import uuid4

from loadtests.scenarios import on_sale
from loadtests.scenarios.shapes import AllAtOnce
from loadtests.scenarios.target import Asking, Told

NO_SHOWS: Final = 0.2
"""Of those who are admitted."""

_VANISHED: Final = 0.25
_REPEATED: Final = 0.05
_JOINED: Final = (200, 201)
_OK: Final = 200
_NOT_YET: Final = 409
_ENDED: Final = frozenset({"sold-out", "closed", "off"})
_LOOKS_MAX: Final = 1200


class Doors(AllAtOnce):
    """All fans are there when it starts."""


class PatientFan(on_sale.Fan):
    """A fan who waits for their turn."""

    token = ""

    def enter(self) -> dict[str, str] | None:
        """Join, wait, and claim the pass."""
        told = self._ask("POST", "", "join", well=_JOINED)
        if told is None or told.status not in _JOINED:
            self.pause(1.0, 5.0)
            return None
        joined = told.json()
        self.token = joined["token"]
        if not self._wait_for(joined["place"]) or self.chance(NO_SHOWS):
            return None
        return self._claim(uuid4().hex)

    def leave(self, *, bought: bool) -> None:
        """Give the place in checkout back, unless a purchase has done so already."""
        if not bought and not self.chance(_VANISHED):
            self._ask("DELETE", "/pass", "leave", well=(204,), token=self.token)

    def _wait_for(self, place: int) -> bool:
        """Poll until the line has come to this place; tell whether it ever did."""
        etag: str | None = None
        for _ in range(_LOOKS_MAX):
            told = self._ask("GET", "/serving", "serving", well=(200, 304), etag=etag)
            if told is not None and told.status == _OK:
                etag = told.etag
                line = told.json()
                if place < line["serving"]:
                    return True
                if line["state"] in _ENDED:
                    return False
            self.pause(0.8, 1.2)
        return False

    def _claim(self, buyer: str) -> dict[str, str] | None:
        """Claim until there is a pass; None if there will be none."""
        for _ in range(_LOOKS_MAX):
            told = self._claim_once(buyer, "claim")
            if told is not None and told.status == _OK:
                claimed = told.json()
                if self.chance(_REPEATED):
                    self._compare_claims(claimed, self._claim_once(buyer, "claim: repeated"))
                return {"buyer": buyer, "pass": claimed["pass"]}
            if told is not None and told.status != _NOT_YET:
                return None
            self.pause(0.8, 1.2)
        return None

    def _claim_once(self, buyer: str, name: str) -> Told | None:
        body = {"buyer": buyer}
        return self._ask("POST", "/pass", name, well=(_OK,), body=body, token=self.token)

    def _compare_claims(self, first: dict[str, Any], again: Told | None) -> None:
        if again is not None and again.json() != first:
            self.complain("queue: claim: repeated", f"{first} became {again.body[:300]!r}")

    def _ask(  # noqa: PLR0913 -- by name, what a request has
        self,
        method: str,
        what: str,
        name: str,
        *,
        well: tuple[int, ...],
        body: object = None,
        token: str | None = None,
        etag: str | None = None,
    ) -> Told | None:
        given: Mapping[str, str | None] = {"Queue-Token": token, "If-None-Match": etag}
        headers = {header: value for header, value in given.items() if value is not None}
        address = f"{self.path}/queue{what}"
        return self.ask(
            Asking(method, address, f"queue: {name}", well, body, headers, needs_key=False)
        )
