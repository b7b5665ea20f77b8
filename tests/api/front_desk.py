"""A reseller at the API's counter: what the tests say over HTTP, in few words."""

import secrets
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from tests.plain_http import NO_CERTIFICATES

Json = dict[str, Any]

PRICES = {"vip": 9000, "standard": 3000, "standing": 2000}


def small_plan(*, rows: int = 3, seats: int = 10, floor: int = 5) -> Json:
    """Return a hall: a VIP row `A` of 6 seats, rows `B`, `C`, ... and the area `floor`."""

    def row(name: str, y: int, count: int, category: str) -> Json:
        return {
            "row_number": name,
            "position": {"x": 0, "y": y},
            "seats": [
                {
                    "seat_guid": f"{name}-{n}",
                    "seat_number": str(n),
                    "position": {"x": 10 * n, "y": 0},
                    "category": category,
                }
                for n in range(1, count + 1)
            ],
        }

    standard = [row(chr(ord("B") + n), 20 + 20 * n, seats, "Standard") for n in range(rows)]
    return {
        "name": "Small hall",
        "size": {"width": 200, "height": 200},
        "categories": [
            {"name": "VIP", "color": "#8e44ad"},
            {"name": "Standard", "color": "#1d3557"},
            {"name": "Standing", "color": "#adb5bd"},
        ],
        "zones": [
            {
                "name": "Hall",
                "position": {"x": 0, "y": 0},
                "rows": [row("A", 0, 6, "VIP"), *standard],
                "areas": [
                    {
                        "area_id": "floor",
                        "shape": "rectangle",
                        "position": {"x": 0, "y": 150},
                        "rectangle": {"width": 100, "height": 40},
                        "capacity": floor,
                        "category": "Standing",
                    }
                ],
            }
        ],
    }


def show_body(**changes: Any) -> Json:  # noqa: ANN401 -- any field
    """Return a show to create: on sale, 19 % tax."""
    body: Json = {
        "name": "First night",
        "venue": "Small hall",
        "starts_at": "2099-05-01T20:00:00+02:00",
        "opens_at": "2020-01-01T10:00:00Z",
        "currency": "EUR",
        "tax_bps": 1900,
        "prices": PRICES,
        "plan": small_plan(),
    }
    return {name: value for name, value in (body | changes).items() if value is not None}


class FrontDesk:
    """One reseller's connection to the API."""

    def __init__(self, base_url: str, key: str) -> None:
        """Take the reseller's API key."""
        self.key = key
        self.http = httpx.Client(
            base_url=base_url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
            verify=NO_CERTIFICATES,
        )

    def post(
        self, path: str, body: object, *, key: str | None = None, **headers: str
    ) -> httpx.Response:
        """Send JSON under an idempotency key, a fresh one unless told."""
        return self.http.post(
            path,
            content=msgspec.json.encode(body),
            headers={
                "Content-Type": "application/json",
                "Idempotency-Key": key or secrets.token_hex(8),
                **headers,
            },
        )

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Read."""
        return self.http.get(path, headers=headers)

    def new_show(self, **changes: Any) -> "ShowDesk":  # noqa: ANN401 -- any field
        """Create a show."""
        response = self.post("/v1/shows", show_body(**changes))
        assert response.status_code == 201, response.text
        return ShowDesk(self, response.json()["show"])


class ShowDesk:
    """One show at that counter."""

    def __init__(self, desk: FrontDesk, show: str) -> None:
        """Take the show's id."""
        self.desk = desk
        self.id = show
        self.path = f"/v1/shows/{show}"

    def hold(
        self, *seats: str, buyer: str = "b-1", key: str | None = None, **more: object
    ) -> httpx.Response:
        """Ask for a hold."""
        body = {"buyer": buyer, **({"seats": seats} if seats else {}), **more}
        return self.desk.post(f"{self.path}/holds", body, key=key)

    def held(self, *seats: str, **more: Any) -> str:  # noqa: ANN401 -- as `hold`
        """Return the id of a hold."""
        response = self.hold(*seats, **more)
        assert response.status_code == 201, response.text
        return response.json()["hold"]

    def purchase(
        self, hold: str, *, key: str | None = None, payment_reference: str = "pay-1"
    ) -> httpx.Response:
        """Buy a hold."""
        body = {"hold": hold, "payment_reference": payment_reference}
        return self.desk.post(f"{self.path}/purchases", body, key=key)

    def replace(self, hold: str, selection: Json) -> httpx.Response:
        """Change a hold's selection."""
        return self.desk.http.put(f"{self.path}/holds/{hold}", json=selection)

    def release(self, hold: str) -> httpx.Response:
        """Give a hold back."""
        return self.desk.http.delete(f"{self.path}/holds/{hold}")

    def look(self, hold: str) -> httpx.Response:
        """Look at a hold."""
        return self.desk.get(f"{self.path}/holds/{hold}")

    def availability(self) -> Json:
        """Return the counts and the seat map."""
        response = self.desk.get(f"{self.path}/availability")
        assert response.status_code == 200, response.text
        return response.json()


def problem(response: httpx.Response) -> str:
    """Return the slug of the problem that a response tells, checked for its form."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body = response.json()
    assert body["status"] == response.status_code
    assert body["title"]
    assert body["detail"]
    assert body["type"].startswith("urn:onsale:problem:")
    return body["type"].removeprefix("urn:onsale:problem:")
