"""Bundles: holds in several shows that are bought as one, or not at all."""

import time
from collections.abc import Callable

import httpx
import pytest

from tests.api.front_desk import FrontDesk, Json, ShowDesk, problem

_LINE_OPENS_WITHIN_S = 15.0


class Tour:
    """Two shows at one counter, and bundles of both."""

    def __init__(self, desk: FrontDesk) -> None:
        """Put both on sale."""
        self.desk = desk
        self.shows = [desk.new_show(), desk.new_show(name="Second night")]

    def hold(self, *seats: str, key: str | None = None, **more: object) -> httpx.Response:
        """Ask for a seat in each show."""
        wanted = [
            {"show": show.id, "seats": [seat]} for show, seat in zip(self.shows, seats, strict=True)
        ]
        body = {"buyer": "b-1", "shows": wanted, **more}
        return self.desk.post("/v1/bundles", body, key=key)

    def held(self, *seats: str, key: str | None = None) -> Json:
        """Return a bundle that is held."""
        response = self.hold(*seats, key=key)
        assert response.status_code == 201, response.text
        return response.json()

    def purchase(
        self, bundle: Json, *, key: str | None = None, reference: str = "pay-1"
    ) -> httpx.Response:
        """Buy a bundle."""
        body = {"payment_reference": reference}
        return self.desk.post(f"/v1/bundles/{bundle['bundle']}/purchase", body, key=key)

    def look(self, bundle: Json) -> Json:
        """Return how a bundle stands."""
        response = self.desk.get(f"/v1/bundles/{bundle['bundle']}")
        assert response.status_code == 200, response.text
        return response.json()

    def release(self, bundle: Json) -> httpx.Response:
        """Give a bundle back."""
        return self.desk.http.delete(f"/v1/bundles/{bundle['bundle']}")

    def counts(self) -> list[tuple[int, int]]:
        """Return what is held and sold of each show."""
        totals = [show.availability()["total"] for show in self.shows]
        return [(total["held"], total["sold"]) for total in totals]


@pytest.fixture
def tour(desk: FrontDesk) -> Tour:
    """Two fresh shows of the first reseller."""
    return Tour(desk)


def test_a_bundle_is_held_and_bought_in_every_show(tour: Tour) -> None:
    """One request holds, one buys; its price is the sum, and each show has an order of its own."""
    bundle = tour.held("A-1", "B-2", key="one")
    assert (bundle["state"], bundle["buyer"], bundle["currency"]) == ("held", "b-1", "EUR")
    assert [one["seats"] for one in bundle["shows"]] == [["A-1"], ["B-2"]]
    assert bundle["price"]["total"] == sum(one["price"]["total"] for one in bundle["shows"])
    assert tour.hold("A-1", "B-2", key="one").json() == bundle
    assert tour.counts() == [(1, 0), (1, 0)]

    bought = tour.purchase(bundle, key="buy")
    assert bought.status_code == 201, bought.text
    told = bought.json()
    assert (told["state"], told["payment_reference"]) == ("purchased", "pay-1")
    assert told["price"] == bundle["price"]
    for one in told["shows"]:
        order = tour.desk.get(f"/v1/orders/{one['order']}").json()
        assert (order["status"], order["payment_reference"]) == ("confirmed", "pay-1")
    assert tour.counts() == [(0, 1), (0, 1)]
    assert tour.purchase(bundle, key="buy").json() == told == tour.look(bundle)
    assert problem(tour.purchase(bundle, key="buy", reference="pay-2")) == "key-reused"
    assert problem(tour.purchase(bundle, key="another")) == "already-purchased"
    assert problem(tour.release(bundle)) == "already-purchased"


def test_a_show_that_refuses_has_nothing_held_in_any(tour: Tour) -> None:
    """Each refusal is told; the key says the same again, and another one is decided afresh."""
    tour.shows[1].held("B-1", buyer="b-2")
    refused = tour.hold("A-1", "B-1", key="two")
    assert problem(refused) == "bundle-refused"
    told = refused.json()["shows"]
    assert [one["show"] for one in told] == [tour.shows[1].id]
    assert told[0]["problem"] == "urn:onsale:problem:seats-taken"
    assert tour.counts() == [(0, 0), (1, 0)]
    assert problem(tour.hold("A-1", "B-1", key="two")) == "bundle-ended"
    assert tour.held("A-1", "B-2", key="three")["state"] == "held"


def test_a_hold_of_a_bundle_is_not_bought_changed_or_released_by_itself(tour: Tour) -> None:
    """Each is refused, naming the bundle, and changes nothing."""
    bundle = tour.held("A-1", "B-1")
    show, hold = tour.shows[0], bundle["shows"][0]["hold"]
    asked = [show.purchase(hold), show.replace(hold, {"seats": ["A-2"]}), show.release(hold)]
    assert [problem(one) for one in asked] == ["hold-of-bundle"] * 3
    assert {one.json()["bundle"] for one in asked} == {bundle["bundle"]}
    assert show.look(hold).json()["seats"] == ["A-1"]
    assert tour.look(bundle) == bundle


def test_a_released_bundle_gives_all_its_places_back(tour: Tour) -> None:
    """It can be repeated, and nothing of it can be bought any more."""
    bundle = tour.held("A-1", "B-1")
    assert [tour.release(bundle).status_code for _ in range(2)] == [204, 204]
    assert tour.counts() == [(0, 0), (0, 0)]
    ended = tour.purchase(bundle)
    assert (problem(ended), ended.json()["state"]) == ("bundle-ended", "released")
    assert tour.look(bundle)["reason"] == "cancelled"


def test_a_bundle_with_a_cancelled_show_is_bought_nowhere(tour: Tour) -> None:
    """What is refused at the purchase gives back what the other shows hold."""
    bundle = tour.held("A-1", "B-1")
    assert tour.desk.post(f"{tour.shows[1].path}/cancel", {}).status_code == 200
    refused = tour.purchase(bundle, key="buy")
    assert (problem(refused), refused.json()["reason"]) == ("bundle-ended", "refused")
    assert tour.look(bundle)["shows"][1]["refused"] == "not-on-sale"
    assert tour.counts() == [(0, 0), (0, 0)]
    assert problem(tour.purchase(bundle, key="buy")) == "bundle-ended"


def test_a_show_with_a_waiting_room_asks_for_a_pass(tour: Tour) -> None:
    """As it does of any hold; and the other show holds nothing meanwhile."""
    rules = {"opens_at": "2020-01-01T00:00:00Z", "rate": 20, "checkout_max": 50}
    assert tour.desk.http.put(f"{tour.shows[1].path}/queue", json=rules).status_code == 200
    deadline = time.monotonic() + _LINE_OPENS_WITHIN_S
    while (alone := tour.shows[1].hold("B-1")).status_code == 503:
        assert time.monotonic() < deadline, alone.text
        time.sleep(0.1)
    assert problem(alone) == problem(tour.hold("A-1", "B-1")) == "not-admitted"
    assert tour.counts() == [(0, 0), (0, 0)]


def test_a_purchase_ends_the_pass_that_its_bundle_was_held_by(tour: Tour) -> None:
    """As a plain purchase does: the place in checkout is the next one's at once."""
    show = tour.shows[1]
    rules = {"opens_at": "2020-01-01T00:00:00Z", "rate": 20, "checkout_max": 50}
    assert tour.desk.http.put(f"{show.path}/queue", json=rules).status_code == 200
    with httpx.Client(base_url=tour.desk.http.base_url) as people:
        joined = _repeat(lambda: people.post(f"{show.path}/queue", json={}), 201).json()
        headers = {"Queue-Token": joined["token"]}

        def claim() -> httpx.Response:
            return people.post(f"{show.path}/queue/pass", json={"buyer": "b-1"}, headers=headers)

        text = _repeat(claim, 200).json()["pass"]
        wanted = [
            {"show": tour.shows[0].id, "seats": ["A-1"]},
            {"show": show.id, "seats": ["B-1"], "pass": text},
        ]
        body = {"buyer": "b-1", "shows": wanted}
        held = _repeat(lambda: tour.desk.post("/v1/bundles", body), 201)
        assert claim().json()["pass"] == text
        assert tour.purchase(held.json()).status_code == 201
        assert problem(claim()) == "pass-ended"
    assert problem(show.hold("B-2", **{"pass": text})) == "not-admitted"


def _repeat(ask: Callable[[], httpx.Response], status: int) -> httpx.Response:
    deadline = time.monotonic() + _LINE_OPENS_WITHIN_S
    while (told := ask()).status_code != status:
        assert time.monotonic() < deadline, told.text
        time.sleep(0.1)
    return told


def test_other_peoples_bundles_are_not_there(tour: Tour, rival: FrontDesk) -> None:
    """Nor can their shows be bundled."""
    bundle = tour.held("A-1", "B-1")
    path = f"/v1/bundles/{bundle['bundle']}"
    assert problem(rival.get(path)) == "bundle-not-found"
    assert problem(rival.http.delete(path)) == "bundle-not-found"
    assert problem(rival.post(f"{path}/purchase", {})) == "bundle-not-found"
    stolen = {"buyer": "b", "shows": [{"show": s.id, "seats": ["A-2"]} for s in tour.shows]}
    assert problem(rival.post("/v1/bundles", stolen)) == "show-not-found"
    assert tour.counts() == [(1, 0), (1, 0)]


def test_what_makes_no_bundle_is_told_by_its_place(tour: Tour, show: ShowDesk) -> None:
    """One show, a show twice, nothing selected, two currencies."""
    one = {"show": show.id, "seats": ["A-1"]}
    pounds = tour.desk.new_show(currency="GBP")
    bad: dict[str, list[Json]] = {
        "/shows": [one],
        "/shows/1/show": [one, one],
        "/shows/1": [one, {"show": tour.shows[0].id}],
        "/shows/1/show ": [one, {"show": pounds.id, "seats": ["A-1"]}],
    }
    for pointer, shows in bad.items():
        response = tour.desk.post("/v1/bundles", {"buyer": "b-1", "shows": shows})
        assert problem(response) == "invalid-request", response.text
        assert response.json()["errors"][0]["pointer"] == pointer.strip()


def test_a_right_is_shown_for_the_show_that_asks_for_it(tour: Tour) -> None:
    """A seat of an allotment is a bundle's by its code, and taken without."""
    first, second = tour.shows
    body = {"name": "Fan club", "places": {"seats": ["A-1"]}, "for": [{"code": "LOUDEST"}]}
    assert tour.desk.post(f"{first.path}/allotments", body).status_code == 201
    refused = tour.hold("A-1", "B-2")
    assert (refused.status_code, problem(refused)) == (409, "bundle-refused")
    shown = [
        {"show": first.id, "seats": ["A-1"], "access_code": "LOUDEST"},
        {"show": second.id, "seats": ["B-2"]},
    ]
    held = tour.desk.post("/v1/bundles", {"buyer": "b-1", "shows": shown})
    assert held.status_code == 201, held.text
    assert tour.purchase(held.json()).status_code == 201
    assert tour.counts() == [(0, 1), (0, 1)]
