"""What answers tell of limits, and who is refused by them: over HTTP, by a real process."""

import asyncio
import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import count

import httpx
import pytest

from ops.stack import Stack
from tests.api.conftest import new_key
from tests.api.front_desk import FrontDesk, ShowDesk
from tests.plain_http import NO_CERTIFICATES

KEY_MAX, ADDRESS_MAX = 5, 5
BURST = 120
_ADDRESSES = count(1)
"""The last parts of addresses that nobody has asked from."""
_LEFT = re.compile(r'"(key|address)";r=(\d+);t=1')


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A platform with low limits, behind a proxy that tells whose requests they are."""
    environment = {
        "ONSALE_KEY_RATE_MAX": str(KEY_MAX),
        "ONSALE_ADDRESS_RATE_MAX": str(ADDRESS_MAX),
        "ONSALE_TRUSTED_PROXIES": "1",
    }
    with Stack(tmp_path_factory.mktemp("strict"), environment=environment) as stack:
        yield stack


@pytest.fixture
def counter(strict: Stack) -> Iterator[FrontDesk]:
    """A reseller who has asked for nothing yet."""
    desk = FrontDesk(strict.base_url, asyncio.run(new_key(strict.settings, "Strictly")))
    with desk.http:
        yield desk


async def burst(
    base_url: str, target: str, headers: Mapping[str, str], times: int = BURST
) -> list[httpx.Response]:
    """Ask so often at once."""
    limits = httpx.Limits(max_connections=40)
    async with httpx.AsyncClient(
        base_url=base_url, limits=limits, timeout=60, verify=NO_CERTIFICATES
    ) as client:
        asked = (client.get(target, headers=headers) for _ in range(times))
        return await asyncio.gather(*asked)


def bearer(key: str) -> dict[str, str]:
    """The header that a key is sent in."""
    return {"Authorization": f"Bearer {key}"}


def refused(answers: list[httpx.Response]) -> list[httpx.Response]:
    """Those that are too many, each told as it must be."""
    found = [one for one in answers if one.status_code == HTTPStatus.TOO_MANY_REQUESTS]
    for one in found:
        assert one.json()["type"] == "urn:onsale:problem:rate-limited"
        assert one.headers["retry-after"] == "1"
        assert re.fullmatch(r'"(key|address)";r=0;t=1', one.headers["ratelimit"])
        assert re.fullmatch(r'"(key|address)";q=\d+;w=1', one.headers["ratelimit-policy"])
    return found


@pytest.mark.parametrize("tail", ["", "/availability", "/seats?limit=1", "/holds/x"])
def test_answers_tell_how_many_more_may_come(desk: FrontDesk, show: ShowDesk, tail: str) -> None:
    """By both applications, of what fails too."""
    desk.get(show.path)  # from here on the key is known
    answer = desk.get(show.path + tail)
    assert answer.headers["ratelimit-policy"] == '"key";q=20000;w=1'
    told = _LEFT.fullmatch(answer.headers["ratelimit"])
    assert told is not None
    assert told[1] == "key"
    assert 0 < int(told[2]) < 20_000


@pytest.mark.parametrize("target", ["/v1/cells", "/v1/shows/shw_dev_0/queue/serving", "/nothing"])
def test_who_has_no_credential_is_counted_by_address(desk: FrontDesk, target: str) -> None:
    """Whether or not something is there."""
    answer = httpx.get(str(desk.http.base_url) + target)
    assert answer.headers["ratelimit-policy"] == '"address";q=1000;w=1'
    assert answer.headers["ratelimit"].startswith('"address";r=')


@pytest.mark.parametrize(
    "target", ["/v1/venues", "/v1/shows/shw_dev_0123456789abcdef/availability"]
)
async def test_a_credential_has_its_rate_and_others_have_theirs(strict: Stack, target: str) -> None:
    """A second credential of the same address goes on as if nothing were."""
    keys = [await new_key(strict.settings, name) for name in ("One", "Other")]
    for key in keys:
        await burst(strict.base_url, target, bearer(key), 1)
    flood = await burst(strict.base_url, target, bearer(keys[0]))
    assert len(refused(flood)) >= BURST // 4
    served = [one for one in flood if one not in refused(flood)]
    assert len(served) >= KEY_MAX
    assert {one.status_code for one in served} <= {HTTPStatus.OK, HTTPStatus.NOT_FOUND}
    calm = await burst(strict.base_url, target, bearer(keys[1]), KEY_MAX // 2)
    assert refused(calm) == []
    await asyncio.sleep(1.1)
    again = await burst(strict.base_url, target, bearer(keys[0]), 5)
    assert refused(again) == []


@pytest.mark.parametrize(
    "target", ["/v1/venues", "/v1/shows/shw_dev_0123456789abcdef/availability"]
)
@pytest.mark.parametrize(
    "credential", ["", f"Bearer onsale_dev_{'A' * 43}", "Basic YTpi", "Bearer a b"]
)
async def test_bad_credentials_are_counted_by_address(
    strict: Stack, counter: FrontDesk, target: str, credential: str
) -> None:
    """They are refused before anything is looked up; who is known there is not."""
    floods, elsewhere = (f"203.0.113.{next(_ADDRESSES)}" for _ in range(2))
    named = {"X-Forwarded-For": floods}
    counter.get("/v1/shows", named)
    headers = named | ({"Authorization": credential} if credential else {})
    flood = await burst(strict.base_url, target, headers)
    assert len(refused(flood)) >= BURST // 4
    others = {one.status_code for one in flood} - {HTTPStatus.TOO_MANY_REQUESTS}
    assert others == {HTTPStatus.UNAUTHORIZED}
    assert counter.get("/v1/shows", named).status_code == HTTPStatus.OK
    calm = await burst(strict.base_url, target, {"X-Forwarded-For": elsewhere}, 3)
    assert refused(calm) == []


async def test_the_waiting_room_is_counted_by_address_and_health_is_not(strict: Stack) -> None:
    """Whoever looks after the process looks as often as they like."""
    named = {"X-Forwarded-For": "192.0.2.77"}
    target = "/v1/shows/shw_dev_0123456789abcdef/queue/position"
    assert refused(await burst(strict.base_url, target, named))
    page = await burst(strict.base_url, "/queue/shw_dev_0123456789abcdef", named)
    assert [one for one in page if one.status_code == HTTPStatus.TOO_MANY_REQUESTS]
    health = await burst(strict.base_url, "/health/live", named)
    assert {one.status_code for one in health} == {HTTPStatus.OK}
    assert "ratelimit" not in health[0].headers


async def test_a_refusal_does_not_wait_for_the_body(strict: Stack) -> None:
    """It comes although what was announced never does."""
    key = await new_key(strict.settings, "Slow")
    target = "/v1/shows/shw_dev_0123456789abcdef/holds"
    await burst(strict.base_url, target, bearer(key), 1)
    host, port = strict.base_url.removeprefix("http://").split(":")
    head = (
        f"POST {target} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\nIdempotency-Key: k\r\nContent-Length: 60000\r\n\r\n"
    ).encode()

    async def announce() -> bytes:
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(head)
            async with asyncio.timeout(5):
                return await reader.readline()
        except TimeoutError:
            return b""
        finally:
            writer.close()

    told = await asyncio.gather(*(announce() for _ in range(10 * KEY_MAX)))
    assert sum(b" 429 " in line for line in told) >= KEY_MAX
