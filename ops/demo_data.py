"""What `up` shows a newcomer: a reseller, a show in a real hall, and three lines to try."""

import asyncio
import http.client
import json
import os
import secrets
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from itertools import pairwise
from pathlib import Path
from typing import Final, cast

import msgspec

from engine.inventory.slug import slug
from engine.platform.ids import Ids, Prefix
from engine.platform.settings import Settings
from ops.child import StackError
from ops.places import ROOT
from ops.resellers import make_reseller

_PLAN: Final = ROOT / "loadtests" / "data" / "riethsporthalle.seatingplan.json"
_FILE: Final = "demo.json"
_TIMEOUT_S: Final = 60
_RUNS_FOR: Final = timedelta(days=60)
# Face values in cents, for the hall's categories in the order of the plan.
_PRICES: Final = (5900, 3900, 12900)


class DemoAccess(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to try the demo show. `key` is a secret: the file with it has mode 0600."""

    key: str
    reseller: int
    show: str


class _Seat(msgspec.Struct, frozen=True):
    seat: str
    position: int


class _SeatPage(msgspec.Struct, frozen=True):
    seats: list[_Seat]


class _Show(msgspec.Struct, frozen=True):
    show: str
    name: str
    venue: str
    state: str
    starts_at: datetime
    seat_count: int


def ensure_demo(settings: Settings, base_url: str, directory: Path) -> DemoAccess:
    """Return access to the demo show, made now or by an earlier `up` in this directory.

    Raises:
        StackError: the API refused something; the message has its answer.
    """
    path = directory / _FILE
    access = _read(path)
    if access is not None and _sells(base_url, access):
        return access
    issued = asyncio.run(make_reseller(settings, "Demo"))
    access = DemoAccess(key=issued.text, reseller=issued.reseller, show="")
    show = _put_on_sale(base_url, access)
    access = msgspec.structs.replace(access, show=show.show)
    _write(path, access)
    return access


def lines_to_try(settings: Settings, base_url: str, access: DemoAccess) -> list[str]:
    """Return what to print: address, key, show, and three curl lines that work as they stand.

    The second line can name the first one's hold before there is one, because a hold's id derives
    from its idempotency key.
    """
    show_url = f"{base_url}/v1/shows/{access.show}"
    status, body = _call("GET", show_url, access.key)
    show = msgspec.json.decode(_expect(status, HTTPStatus.OK, body), type=_Show)
    pair = _open_pair(show_url, access)
    head = f"curl -sS -H 'Authorization: Bearer {access.key}'"
    post = f"{head} -H 'Content-Type: application/json'"
    ids = Ids(settings.region, settings.secret.encode())
    token = secrets.token_hex(4)
    hold = ids.hold(
        ids.derive_hold(
            access.reseller, ids.parse_entity(Prefix.SHOW, access.show), f"hold-{token}"
        )
    )
    wanted = json.dumps({"seats": [seat.seat for seat in pair], "buyer": f"b-{token}"})
    bought = json.dumps({"hold": hold, "payment_reference": f"pay-{token}"})
    return [
        "",
        f"  address   {base_url}",
        f"  API key   {access.key}",
        f"  show      {show.name}, {show.venue}, {show.seat_count:,} seats: {access.show}",
        "",
        f"  # hold {' and '.join(seat.seat for seat in pair)}",
        f"  {post} -H 'Idempotency-Key: hold-{token}' -d '{wanted}' {show_url}/holds",
        "  # buy what is held",
        f"  {post} -H 'Idempotency-Key: buy-{token}' -d '{bought}' {show_url}/purchases",
        f"  # look at {pair[0].seat}",
        f"  {head} '{show_url}/seats?cursor=p{pair[0].position}&limit=1'",
        "",
    ]


def _put_on_sale(base_url: str, access: DemoAccess) -> _Show:
    plan = json.loads(_PLAN.read_text(encoding="utf-8"))
    categories = cast("list[dict[str, str]]", plan["categories"])
    now = datetime.now(UTC).replace(microsecond=0)
    show = {
        "name": "First Light",
        "venue": plan["name"],
        "starts_at": (now + _RUNS_FOR).isoformat(),
        "opens_at": now.isoformat(),
        "currency": "EUR",
        "tax_bps": 700,
        "prices": {
            slug(category["name"]): price
            for category, price in zip(categories, _PRICES, strict=True)
        },
        "plan": plan,
    }
    status, body = _call("POST", f"{base_url}/v1/shows", access.key, show)
    return msgspec.json.decode(_expect(status, HTTPStatus.CREATED, body), type=_Show)


def _open_pair(show_url: str, access: DemoAccess) -> tuple[_Seat, ...]:
    """Return two open neighbours, or what is left."""
    status, body = _call("GET", f"{show_url}/seats?status=open&limit=500", access.key)
    seats = msgspec.json.decode(_expect(status, HTTPStatus.OK, body), type=_SeatPage).seats
    for left, right in pairwise(seats):
        if right.position == left.position + 1:
            return left, right
    if not seats:
        msg = f"no seat of {access.show} is open any more"
        raise StackError(msg)
    return (seats[0],)


def _sells(base_url: str, access: DemoAccess) -> bool:
    """Tell whether the show of an earlier `up` is there, lies ahead and has open seats."""
    show_url = f"{base_url}/v1/shows/{access.show}"
    status, body = _call("GET", show_url, access.key)
    if status != HTTPStatus.OK:
        return False
    if msgspec.json.decode(body, type=_Show).starts_at < datetime.now(UTC):
        return False
    status, body = _call("GET", f"{show_url}/seats?status=open&limit=1", access.key)
    return status == HTTPStatus.OK and bool(msgspec.json.decode(body, type=_SeatPage).seats)


def _call(method: str, url: str, key: str, body: object = None) -> tuple[int, bytes]:
    request = urllib.request.Request(  # noqa: S310 -- our own API
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()
    except (OSError, http.client.HTTPException) as error:
        msg = f"{method} {url}: {error}"
        raise StackError(msg) from error


def _expect(status: int, expected: HTTPStatus, body: bytes) -> bytes:
    if status != expected:
        msg = f"the demo show: the API answered {status}: {body.decode(errors='replace')[:500]}"
        raise StackError(msg)
    return body


def _read(path: Path) -> DemoAccess | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=DemoAccess)
    except (FileNotFoundError, msgspec.DecodeError):
        return None  # it is made anew


def _write(path: Path, access: DemoAccess) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(access)))
    fresh.rename(path)
