"""What the isolation walk walks with: two resellers who have one of everything that has an id.

A new kind of id is made by itself if its collection takes a `POST` whose documented example can be
sent, or if the reseller names it in a `PUT`. Else say in `MAKERS` how one is made.
"""

import re
import secrets
import time
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import Any, cast

import httpx
from msgspec import Struct, field

from api.contract.words import EXAMPLES_BY_NAME
from tests.api.front_desk import FrontDesk, Json, ShowDesk

_ID = re.compile(r"([a-z]{3}_[a-z0-9]{2,8}_)([0-9a-f]+)")
_RULES: Json = {"opens_at": "2020-01-01T00:00:00Z", "rate": 20, "checkout_max": 50}


_THERE_WITHIN_S = 15
_numbers = count(1)


class CannotMakeError(AssertionError):
    """The walk does not know how one of these ids is made."""


class Party(Struct):
    """A reseller, and the ids of what they have, by the names that paths have for them."""

    desk: FrontDesk
    document: Json
    ids: dict[str, str] = field(default_factory=dict[str, str])
    unmade: set[str] = field(default_factory=set[str])

    def ids_for(self, path: str) -> dict[str, str]:
        """Return an id for each place of a path, made when it is first asked for.

        Raises:
            CannotMakeError: nobody knows how.
        """
        found: dict[str, str] = {}
        for name in re.findall(r"\{(\w+)\}", path):
            # Paths may call different things by one name: an id belongs to its collection.
            place = path[: path.index(f"{{{name}}}")] if name not in MAKERS else name
            if place not in self.ids:
                self.ids[place] = self._make(name, path)
            found[name] = self.ids[place]
        return found

    def _make(self, name: str, path: str) -> str:
        if name in MAKERS:
            return MAKERS[name](self)
        collection = path[: path.index(f"/{{{name}}}")]
        methods = self.document["paths"].get(collection, {})
        here = filled(collection, self.ids_for(collection))
        if "post" in methods:
            made = self.ask("post", collection, here)
            if made.is_success and isinstance(made.json().get(name, made.json().get("id")), str):
                return made.json().get(name) or made.json()["id"]
            msg = f"POST {collection} answers {made.status_code} {made.text[:300]}"
            raise CannotMakeError(_help(name, msg))
        item = f"{collection}/{{{name}}}"
        if "put" in self.document["paths"].get(item, {}):
            named = f"own-{secrets.token_hex(4)}"
            put = self.ask("put", item, f"{here}/{named}")
            if put.is_success:
                return named
            raise CannotMakeError(_help(name, f"PUT {item} answers {put.status_code} {put.text}"))
        if "get" in methods:
            return self._first(name, collection, here)
        raise CannotMakeError(_help(name, f"nothing is made at {collection}"))

    def _first(self, name: str, collection: str, here: str) -> str:
        """Return what a list begins with, once there is anything in it."""
        deadline = time.monotonic() + _THERE_WITHIN_S
        while True:
            listed = self.desk.get(here)
            members = listed.json().values() if listed.is_success else ()
            for items in members:
                if isinstance(items, list) and items:
                    return cast("list[Json]", items)[0][name]
            if time.monotonic() > deadline:
                raise CannotMakeError(_help(name, f"{collection} is empty: {listed.text[:300]}"))
            time.sleep(0.2)

    def ask(
        self, method: str, path: str, address: str, known: dict[str, str] | None = None
    ) -> httpx.Response:
        """Send a documented call, with its example, in which ids are one's own unless told."""
        content = example_body(self.document, path, method)
        body = None
        if content is not None:
            body = replaced(content, self.named() if known is None else known)
        return self.desk.http.request(
            method.upper(),
            address,
            json=body,
            headers={"Idempotency-Key": secrets.token_hex(8)},
        )

    def named(self) -> dict[str, str]:
        """Return what examples call things, and what this reseller has in their place."""
        return {
            str(EXAMPLES_BY_NAME[name]): self.ids[name]
            for name in MAKERS
            if name in self.ids and _ID.fullmatch(str(EXAMPLES_BY_NAME.get(name)))
        }


def _help(name: str, reason: str) -> str:
    return (
        f"the isolation walk can't make a {{{name}}}: {reason}. Give its POST an example that can "
        "be sent (api/contract/examples.py), or a line in MAKERS of tests/api/walked_world.py"
    )


def filled(path: str, ids: dict[str, str]) -> str:
    """Return an address."""
    return re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], path)


@cache
def never_made(real: str) -> str:
    """Return an id of the same form that was never handed out, the same one each time."""
    match = _ID.fullmatch(real)
    if match is None:
        return f"never-{secrets.token_hex(6)}"[: max(8, len(real))]
    digits = secrets.token_hex(len(match[2]))[: len(match[2])]
    return f"{match[1]}{'0' + digits[1:]}"


def example_body(document: Json, path: str, method: str) -> Any:  # noqa: ANN401 - JSON
    """Return the first example of a call's body; None: it has none."""
    request = document["paths"].get(path, {}).get(method, {}).get("requestBody", {})
    content = request.get("content", {}).get("application/json", {})
    examples = list(content.get("examples", {}).values())
    return examples[0]["value"] if examples else None


def replaced(value: Any, ids: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    """Return a body in which the ids of the examples are others."""
    if isinstance(value, dict):
        return {name: replaced(item, ids) for name, item in cast("Json", value).items()}
    if isinstance(value, list):
        return [replaced(item, ids) for item in cast("list[Any]", value)]
    return ids.get(value, value) if isinstance(value, str) else value


def _show(party: Party) -> str:
    """Make a show that nobody waits for: what walks by must not change it."""
    return party.desk.new_show(plan=_studio(), prices={"vip": 9000}).id


def _hold(party: Party) -> str:
    show = ShowDesk(party.desk, party.ids_for("/v1/shows/{show}")["show"])
    return show.held("A-1-1", ttl_s=3600)


def _order(party: Party) -> str:
    show = ShowDesk(party.desk, party.ids_for("/v1/shows/{show}")["show"])
    bought = show.purchase(show.held("A-1-2", buyer="b-2"))
    assert bought.status_code in {201, 202}, bought.text
    return bought.json()["order"]


def _allotment(party: Party) -> str:
    show = party.desk.new_show()
    body = {"name": "Fans", "places": {"seats": ["A-1"]}, "for": [{"personal_codes": True}]}
    made = party.desk.post(f"{show.path}/allotments", body)
    assert made.status_code == 201, made.text
    return made.json()["allotment"]


def _bundle(party: Party) -> str:
    """Hold in two shows of their own."""
    shows = [{"show": _show(party), "seats": ["A-1-1"]} for _ in range(2)]
    made = party.desk.post("/v1/bundles", {"buyer": "b-4", "ttl_s": 3600, "shows": shows})
    assert made.status_code == 201, made.text
    return made.json()["bundle"]


def _studio() -> Json:
    def seat(n: int) -> Json:
        position = {"x": 10 * n, "y": 0}
        guid = f"A-1-{n}"
        return {"seat_guid": guid, "seat_number": str(n), "position": position, "category": "VIP"}

    return {
        "name": "Studio",
        "size": {"width": 100, "height": 100},
        "categories": [
            {"name": name, "color": "#8e44ad"} for name in ("VIP", "Standard", "Standing")
        ],
        "zones": [
            {
                "name": "Hall",
                "position": {"x": 0, "y": 0},
                "rows": [
                    {
                        "row_number": "A",
                        "position": {"x": 0, "y": 0},
                        "seats": [seat(n) for n in range(1, 9)],
                    }
                ],
                "areas": [],
            }
        ],
    }


def _delivery(party: Party) -> str:
    """Sell something once there is an endpoint, so that there is a fact to be delivered."""
    path = "/v1/webhook-endpoints/{endpoint}/deliveries"
    ids = party.ids_for(path)
    show = ShowDesk(party.desk, party.ids_for("/v1/shows/{show}")["show"])
    assert show.purchase(show.held("A-1-3", buyer="b-3")).status_code in {201, 202}
    found = party._first("delivery", path, filled(path, ids))  # pyright: ignore[reportPrivateUsage]
    # It is attempted again and again else, and the walk looks for what changes.
    party.desk.http.patch(f"/v1/webhook-endpoints/{ids['endpoint']}", json={"enabled": False})
    return found


def _configuration(party: Party) -> str:
    venue = party.ids_for("/v1/venues/{venue}")["venue"]
    path = "/v1/venues/{venue}/configurations"
    made = party.ask("post", path, filled(path, {"venue": venue}))
    assert made.status_code == 201, made.text
    return made.json()["configuration"]


def _version_no(party: Party) -> str:
    """Add versions, one more each time: a number that one party has is none of another's."""
    path = "/v1/configurations/{configuration}/versions"
    address = filled(path, party.ids_for(path))
    answers = [party.ask("post", path, address) for _ in range(next(_numbers))]
    assert answers[-1].status_code == 201, answers[-1].text
    return str(answers[-1].json()["version"])


def _performer(party: Party) -> str:
    made = party.ask("post", "/v1/performers", "/v1/performers")
    assert made.status_code == 201, made.text
    return made.json()["performer"]


def _event(party: Party) -> str:
    """Promote something that bills a performer of theirs."""
    party.ids_for("/v1/performers/{performer}")
    made = party.ask("post", "/v1/events", "/v1/events")
    assert made.status_code == 201, made.text
    return made.json()["event"]


MAKERS: dict[str, Callable[[Party], str]] = {
    "show": _show,
    "hold": _hold,
    "order": _order,
    "bundle": _bundle,
    "delivery": _delivery,
    "configuration": _configuration,
    "version_no": _version_no,
    "performer": _performer,
    "event": _event,
    "allotment": _allotment,
}
"""How an id is made that has no collection to post to, or needs more than an example."""


def open_line(party: Party) -> str:
    """Give the reseller another show, with a waiting room, and return its id."""
    show = party.desk.new_show()
    answer = party.desk.http.put(f"{show.path}/queue", json=_RULES)
    assert answer.status_code == 200, answer.text
    return show.id
