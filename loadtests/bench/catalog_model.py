"""Makes the show that a filled catalogue consists of: a venue, its setup, an event, a date."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from loadtests.bench.http_bench import BenchError

_TIMEOUT_S: Final = 120.0
_STARTS_IN_DAYS: Final = 90
_OFFERED: Final = {
    "currency": "EUR",
    "tax_bps": 700,
    "max_per_hold": 8,
    "max_per_buyer": 8,
}
_VENUE: Final = {
    "name": "Model Hall",
    "country": "DE",
    "time_zone": "Europe/Berlin",
    "address": {"line_1": "Lindenweg 4", "postal_code": "99084", "city": "Erfurt"},
    "latitude": 50.9787,
    "longitude": 11.0328,
}


class Caller:
    """Calls a site's API for one reseller."""

    def __init__(self, base_url: str, api_key: str) -> None:
        """Take where it is, and the key."""
        headers = {"Authorization": f"Bearer {api_key}"}
        self._client = httpx.Client(base_url=base_url, headers=headers, timeout=_TIMEOUT_S)
        self._keys = 0

    def close(self) -> None:
        """End its connections."""
        self._client.close()

    def get(self, path: str) -> httpx.Response:
        """Ask for what is there. Raises BenchError where it is refused."""
        return _well(self._client.get(path))

    def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Have something done, once. Raises BenchError where it is refused."""
        self._keys += 1
        headers = {"Idempotency-Key": f"catalog-{self._keys}-{id(self)}"}
        if body is None:
            return _well(self._client.post(path, headers=headers))
        return _well(self._client.post(path, json=body, headers=headers))

    def delete(self, path: str) -> httpx.Response:
        """Have something taken away. Raises BenchError where it is refused."""
        return _well(self._client.delete(path))

    def send(self, method: str, path: str, body: dict[str, Any], key: str) -> httpx.Response:
        """Send something, and return whatever it is answered."""
        headers = {"Idempotency-Key": key}
        return self._client.request(method, path, json=body, headers=headers)


def make_model(caller: Caller, table: str) -> dict[str, Any]:
    """Put a show of a hall on sale, which a compact table describes; return it as it is told."""
    venue = caller.post("/v1/venues", _VENUE).json()["venue"]
    configured = caller.post(f"/v1/venues/{venue}/configurations", {"name": "Seats"}).json()
    configuration = configured["configuration"]
    version = caller.post(f"/v1/configurations/{configuration}/versions", {"table": table}).json()
    levels = [category["price_level"] for category in version["categories"]]
    event = caller.post("/v1/events", {"name": "Model Night", "type": "concert"}).json()["event"]
    return make_show(caller, configuration, event, levels)


def make_show(
    caller: Caller, configuration: str, event: str, levels: list[str], **also: str
) -> dict[str, Any]:
    """Make a show of a configuration; it is on sale unless its state is another."""
    now = datetime.now(UTC)
    made = caller.post(
        "/v1/shows",
        {
            "name": "Model Night",
            "configuration": configuration,
            "event": event,
            "starts_at": (now + timedelta(days=_STARTS_IN_DAYS)).isoformat(),
            "opens_at": (now - timedelta(minutes=5)).isoformat(),
            "prices": {level: 2_000 + 500 * n for n, level in enumerate(levels)},
            **_OFFERED,
            **also,
        },
    )
    return made.json()


def rows_table(rows: int, seats: int) -> str:
    """Return the compact table of a hall with so many rows of so many seats."""
    lines = [
        f"Stalls,{row},1,{seats},{'Premium' if row == 1 else 'Standard'}"
        for row in range(1, rows + 1)
    ]
    return "\n".join(["section,row,from,to,category", *lines, ""])


def _well(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        msg = f"{answer.request.url.path} was answered {answer.status_code}: {answer.text[:500]}"
        raise BenchError(msg)
    return answer
