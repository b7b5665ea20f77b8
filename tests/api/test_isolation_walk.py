"""Every route, walked with another reseller's ids: nothing is read, written, counted or guessed.

The routes are those of the document, so a new one is walked by itself. `walked_world.py` makes the
ids; what the walk can't make fails here, and says so.
"""

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from redis import Redis
from sqlalchemy import text

from api.contract.words import EXAMPLES_BY_NAME
from engine.platform.database import create_engine
from engine.platform.settings import OWNER_ROLE, Settings
from engine.platform.tables import metadata
from ops.contract.files import made
from ops.stack import Stack
from tests.api.front_desk import problem
from tests.api.people import Account
from tests.api.stand_in_app import NO_SCOPES
from tests.api.walked_world import (
    MAKERS,
    CannotMakeError,
    Party,
    filled,
    never_made,
    open_line,
)

_DOCUMENT: dict[str, Any] = made()
_OPERATIONS = [(method, path) for path, methods in _DOCUMENT["paths"].items() for method in methods]
_GUARDED = [(m, p) for m, p in _OPERATIONS if _DOCUMENT["paths"][p][m]["security"]]
_ANYBODYS = [(m, p) for m, p in _GUARDED if {} in _DOCUMENT["paths"][p][m]["security"]]
_WITH_IDS = [(m, p) for m, p in _GUARDED if "{" in p]
_LISTS = [(m, p) for m, p in _GUARDED if "{" not in p and m == "get"]
_PUBLIC_WITH_IDS = [(m, p) for m, p in _OPERATIONS if "{" in p and (m, p) not in _GUARDED]
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")
_HEX = re.compile(r"[0-9a-f]{16,}")
_CHANGES_BY_ITSELF = ("last_used_at", "delta_epoch", "delta_seq")
"""What time or a worker moves: where the teller of expiries stands in the stream of a show, too."""
_SETTLED_WITHIN_S = 20
_SHOWN = {"show", "event", "performer", "venue"}
"""What has a page that everybody may look at, by the names that paths have for it."""


_OF_SELLERS = {
    ("get", "/v1/shows/{show}"),
    ("get", "/v1/shows/{show}/availability"),
    ("get", "/v1/shows/{show}/seating-plan"),
    ("get", "/v1/shows/{show}/seats"),
    ("get", "/v1/shows/{show}/orders"),
    ("post", "/v1/shows/{show}/holds"),
    ("get", "/v1/shows/{show}/holds/{hold}"),
    ("put", "/v1/shows/{show}/holds/{hold}"),
    ("delete", "/v1/shows/{show}/holds/{hold}"),
    ("post", "/v1/shows/{show}/purchases"),
    ("post", "/v1/shows/{show}/batch"),
}
"""What another reseller may ask of a show of which places were released to it."""


@pytest.fixture(scope="module")
def parties(stand_in: Stack) -> Iterator[tuple[Party, Party]]:
    """A, who walks, and B, whose ids they are; both have one of everything."""
    accounts = [Account(stand_in.settings, stand_in.base_url) for _ in range(2)]
    try:
        walker, walked = (Party(account.desk(), _DOCUMENT) for account in accounts)
        for party in (walker, walked):
            for _, path in _WITH_IDS:
                _fill(party, path)
        yield walker, walked
    finally:
        for account in accounts:
            account.close()


def _fill(party: Party, path: str) -> None:
    """Make a path's ids; where nobody knows how, one test says so, and the others go on."""
    try:
        party.ids_for(path)
    except CannotMakeError:
        for name in re.findall(r"\{(\w+)\}", path):
            place = path[: path.index(f"{{{name}}}")] if name not in MAKERS else name
            if place not in party.ids:
                party.unmade.add(name)
                party.ids[place] = never_made(str(EXAMPLES_BY_NAME.get(name, "unknown")))


def test_the_walk_can_make_every_id(parties: tuple[Party, Party]) -> None:
    """A route whose ids it can't make has not been walked."""
    for _, path in [*_WITH_IDS, *_PUBLIC_WITH_IDS]:
        for party in parties:
            party.ids_for(path)
            assert not party.unmade, f"say how in MAKERS of walked_world.py: {party.unmade}"


def test_what_is_anothers_is_answered_as_what_never_was(
    stand_in: Stack, parties: tuple[Party, Party]
) -> None:
    """By every route: all ids theirs, then each of them with the others one's own, and in bodies.

    Then nothing of theirs has changed, in either store.
    """
    walker, walked = parties
    before = _settled(stand_in.settings, walked)
    wrong: list[str] = []
    for method, path in _WITH_IDS:
        theirs, own = walked.ids_for(path), walker.ids_for(path)
        ways = [theirs, *({**own, name: theirs[name]} for name in theirs if len(theirs) > 1)]
        for ids in ways:
            never = {
                name: never_made(value) if value == theirs[name] else value
                for name, value in ids.items()
            }
            told = _told(walker, walked, method, path, ids)
            expected = _told(walker, walked, method, path, never)
            if told != expected:
                wrong.append(f"{method.upper()} {filled(path, ids)}: {told}, not {expected}")
    wrong += _with_foreign_bodies(walker, walked)
    assert not wrong, "\n".join(wrong)
    assert _settled(stand_in.settings, walked) == before


def test_what_was_released_of_a_show_opens_no_other_route(parties: tuple[Party, Party]) -> None:
    """Who sells places of another's show reads, holds and buys; all else is as of no show."""
    walker, walked = parties
    show = walked.desk.new_show()
    seller = walker.desk.get("/v1/allotments/received").json()["reseller"]
    body = {"name": "Rest", "for": [{"reseller": seller}], "places": {"seats": ["B-1"]}}
    assert walked.desk.post(f"{show.path}/allotments", body).status_code == 201
    opened: set[tuple[str, str]] = set()
    for method, path in _WITH_IDS:
        if "{show}" not in path:
            continue
        ids = {**walked.ids_for(path), "show": show.id}
        never = {**ids, "show": never_made(show.id)}
        told = _told(walker, walked, method, path, ids)
        if told != _told(walker, walked, method, path, never):
            opened.add((method, path))
    assert opened == _OF_SELLERS


def _with_foreign_bodies(walker: Party, walked: Party) -> Iterator[str]:
    """Yield where one's own place with another's id in the body is not as one that never was."""
    for method, path in _GUARDED:
        own = walker.ids_for(path)
        theirs = {**walker.named(), **walked.named()}
        # Where the path names it too, the body is one's own: what is left are the others.
        never = {example: never_made(real) for example, real in theirs.items()}
        if _body_has_no_id(method, path, set(theirs)):
            continue
        address = filled(path, own)
        told = _normal(walker.ask(method, path, address, theirs), theirs.values())
        expected = _normal(walker.ask(method, path, address, never), never.values())
        if told != expected:
            yield f"{method.upper()} {address} with an id in the body: {told}, not {expected}"


def _body_has_no_id(method: str, path: str, examples: set[str]) -> bool:
    request = _DOCUMENT["paths"][path][method].get("requestBody", {})
    return not any(example in json.dumps(request) for example in examples)


def _told(
    walker: Party, walked: Party, method: str, path: str, ids: dict[str, str]
) -> tuple[int, str, str]:
    known = {**walker.named(), **walked.named()}
    return _normal(walker.ask(method, path, filled(path, ids), known), ids.values())


def _normal(answer: httpx.Response, ids: Any) -> tuple[int, str, str]:  # noqa: ANN401 - their values
    """Return an answer without what differs by the ids alone."""
    told = answer.text
    for value in ids:
        told = told.replace(value, "<id>")
    told = _MOMENT.sub("<moment>", told)
    headers = ",".join(sorted(set(answer.headers) - {"date", "connection"}))
    return answer.status_code, told, headers


@pytest.mark.parametrize(("method", "path"), _LISTS, ids=str)
def test_no_list_shows_what_is_anothers(
    parties: tuple[Party, Party], method: str, path: str
) -> None:
    """Asked plainly, by another's cursor, and filtered by another's ids."""
    walker, walked = parties
    secrets_of_theirs = {digits for value in walked.ids.values() for digits in _HEX.findall(value)}
    for query in _queries(walked, path):
        answer = walker.desk.http.request(method, path, params=query)
        shown = {digits for digits in secrets_of_theirs if digits in _without(answer, query)}
        assert not shown, (query, answer.text)
        assert answer.status_code < 500


def _without(answer: httpx.Response, query: dict[str, str]) -> str:
    """Return an answer without the question."""
    told = answer.text
    for value in query.values():
        told = told.replace(value, "")
    return told


def _queries(walked: Party, path: str) -> Iterator[dict[str, str]]:
    yield {}
    parameters = [
        p for p in _DOCUMENT["paths"][path]["get"]["parameters"] if p.get("in") == "query"
    ]
    names = {parameter["name"] for parameter in parameters}
    if "limit" in names:
        first = walked.desk.get(f"{path}?limit=1")
        cursor = first.json().get("next_cursor") if first.is_success else None
        for name in names & {"cursor", "after"}:
            if cursor:
                yield {name: cursor}
    for name in names - {"cursor", "after", "limit"}:
        for value in walked.ids.values():
            yield {name: value}


@pytest.mark.parametrize(("method", "path"), _GUARDED, ids=str)
def test_nobody_gets_in_without_a_credential_or_its_scope(
    parties: tuple[Party, Party], method: str, path: str
) -> None:
    """401 with a challenge, and 403 that names the scope: before anything else is looked at."""
    _, walked = parties
    address = filled(path, walked.ids_for(path))
    if (method, path) not in _ANYBODYS:
        refused = _anonymous(walked, method, address)
        assert (refused.status_code, problem(refused)) == (401, "unauthorized")
        assert refused.headers["www-authenticate"].startswith("Bearer ")
    bare = walked.desk.http.request(
        method.upper(), address, headers={"Authorization": f"Bearer {NO_SCOPES}"}
    )
    assert (bare.status_code, problem(bare)) == (403, "insufficient-scope")
    security = _DOCUMENT["paths"][path][method]["security"]
    [scope] = next(way["api_key"] for way in security if "api_key" in way)
    assert bare.json()["scope"] == scope


@pytest.mark.parametrize(("method", "path"), _ANYBODYS, ids=str)
def test_anybody_is_told_what_is_public_and_no_more(
    parties: tuple[Party, Party], method: str, path: str
) -> None:
    """What is not is answered as what never was; a page names nothing that its reseller keeps."""
    _, walked = parties
    ids = walked.ids_for(path)
    never = {name: never_made(value) for name, value in ids.items()}
    told = _normal(_anonymous(walked, method, filled(path, ids)), ids.values())
    if told[0] >= HTTPStatus.BAD_REQUEST:
        expected = _normal(_anonymous(walked, method, filled(path, never)), never.values())
        assert told == expected
    kept = {*_kept(walked), walked.desk.key}
    assert not [value for value in kept if value in told[1]]


def _kept(party: Party) -> set[str]:
    """Return the ids that nobody else is told; a mere number stands in many a text."""
    named = {value for name, value in party.ids.items() if name not in _SHOWN}
    return {value for value in named if _HEX.search(value)}


def _anonymous(party: Party, method: str, address: str) -> httpx.Response:
    """Ask as who shows no credential."""
    asked = party.desk.http.build_request(method.upper(), address)
    del asked.headers["authorization"]
    return party.desk.http.send(asked)


def test_what_is_public_tells_nothing_that_a_reseller_keeps(
    stand_in: Stack, parties: tuple[Party, Party]
) -> None:
    """A show's line is everybody's to see; its holds, orders and keys are not."""
    _, walked = parties
    line = open_line(walked)
    kept = _kept(walked)
    with httpx.Client(base_url=stand_in.base_url, timeout=10) as anybody:
        for method, path in _PUBLIC_WITH_IDS:
            if method != "get" or path.endswith("/events"):
                continue
            told = anybody.get(filled(path, {**walked.ids_for(path), "show": line}))
            assert not [value for value in kept if value in told.text], path
            assert walked.desk.key not in told.text


def _settled(settings: Settings, party: Party) -> dict[str, str]:
    """Return what stands for all that a reseller has in both stores, once it is the same twice."""
    deadline = time.monotonic() + _SETTLED_WITHIN_S
    last: dict[str, str] = {}
    while (now := _everything_of(settings, party)) != last:
        assert time.monotonic() < deadline, "what the reseller has goes on changing by itself"
        last = now
        time.sleep(1.5)
    return now


def _everything_of(settings: Settings, party: Party) -> dict[str, str]:
    return {**asyncio.run(_rows_of(settings, party)), **_keys_of(settings, party)}


async def _rows_of(settings: Settings, party: Party) -> dict[str, str]:
    """Return a digest of their rows in each table."""
    show = int(party.ids["show"].rpartition("_")[2], 16)
    owner = create_engine(settings, OWNER_ROLE)
    found: dict[str, str] = {}
    try:
        async with owner.connect() as connection:
            query = text("SELECT reseller_id FROM shows WHERE id = :show")
            reseller = await connection.scalar(query, {"show": show})
            assert reseller
            for table in metadata.sorted_tables:
                column = "reseller_id" if "reseller_id" in table.c else "id"
                if column == "id" and table.name != "resellers":
                    continue
                rest = " - ".join(["to_jsonb(t)", *(f"'{name}'" for name in _CHANGES_BY_ITSELF)])
                rows = text(
                    f"SELECT md5(coalesce(string_agg(row, '|' ORDER BY row), '')) FROM"  # noqa: S608 - names of our own tables
                    f" (SELECT ({rest})::text AS row FROM {table.name} t"
                    f" WHERE {column} = :reseller) AS rows"
                )
                found[table.name] = str(await connection.scalar(rows, {"reseller": reseller}))
    finally:
        await owner.dispose()
    return found


def _keys_of(settings: Settings, party: Party) -> dict[str, str]:
    """Return a digest of each key of their show, but for what time alone changes."""
    store: Any = Redis.from_url(settings.redis_url)  # its types are of both its clients
    tag = party.ids["show"].rpartition("_")[2]
    found: dict[str, str] = {}
    for key in store.scan_iter(f"*{tag}*", count=1000):
        name = key.decode()
        if name.endswith(":meta"):
            meta = {k: v for k, v in store.hgetall(key).items() if k not in {b"time", b"recorded"}}
            content = repr(sorted(meta.items())).encode()
        else:
            content = store.dump(key) or b""
        found[name] = hashlib.sha256(content).hexdigest()
    store.close()
    assert len(found) >= 3, "the show's keys were not found"
    return found
