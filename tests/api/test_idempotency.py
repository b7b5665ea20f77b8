"""The same key: the same answer, and one effect."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import msgspec
import pytest

from tests.api.front_desk import FrontDesk, ShowDesk, problem, show_body


def test_a_repeated_hold_is_the_same_hold(show: ShowDesk) -> None:
    """However its JSON is written."""
    first = show.hold("B-1", "B-2", areas={"floor": 1}, ttl_s=600, key="k")
    other_order = (
        b'{ "ttl_s": 600,\n "areas":{"floor":1}, "buyer":"b-\\u0031","seats":["B-1","B-2"]}'
    )
    again = show.desk.http.post(
        f"{show.path}/holds",
        content=other_order,
        headers={"Content-Type": "application/json", "Idempotency-Key": "k"},
    )
    assert (again.status_code, again.json()) == (201, first.json())
    assert show.availability()["total"]["held"] == 3


def test_a_key_with_another_body_is_refused(show: ShowDesk) -> None:
    """And nothing is held for the second body."""
    show.held("B-1", key="k")
    refused = show.hold("B-2", key="k")
    assert (refused.status_code, problem(refused)) == (422, "key-reused")
    assert show.hold("B-2").status_code == 201


def test_keys_are_apart_per_show(desk: FrontDesk, show: ShowDesk) -> None:
    """A key belongs to a reseller and a show."""
    other = desk.new_show()
    assert show.held("B-1", key="k") != other.held("B-1", key="k")


def test_the_key_of_a_released_hold_makes_no_second_hold(show: ShowDesk) -> None:
    """It tells what became of the first."""
    hold = show.held("B-1", key="k")
    show.release(hold)
    assert problem(show.hold("B-1", key="k")) == "hold-released"
    assert show.availability()["total"]["held"] == 0


def test_a_refused_hold_is_decided_afresh(show: ShowDesk) -> None:
    """A refusal had no effect: the same key may succeed later."""
    in_the_way = show.held("B-1", buyer="b-2")
    assert problem(show.hold("B-1", key="k")) == "seats-taken"
    show.release(in_the_way)
    assert show.hold("B-1", key="k").status_code == 201


def test_a_repeated_purchase_is_the_same_order(show: ShowDesk) -> None:
    """With another key or body it is refused: a hold becomes one order."""
    hold = show.held("B-1")
    first = show.purchase(hold, key="p")
    again = show.purchase(hold, key="p")
    assert (again.status_code, again.json()) == (201, first.json())
    other_key = show.purchase(hold, key="q")
    assert (other_key.status_code, problem(other_key)) == (409, "already-purchased")
    other_body = show.purchase(hold, key="p", payment_reference="pay-2")
    assert (other_body.status_code, problem(other_body)) == (422, "key-reused")


def test_a_hold_that_was_purchased_is_still_told_by_its_key(show: ShowDesk) -> None:
    """A late repeat of the hold's request gets the hold, now an order."""
    first = show.hold("B-1", key="k").json()
    show.purchase(first["hold"])
    again = show.hold("B-1", key="k")
    assert (again.status_code, again.json()["status"]) == (201, "purchased")


def test_many_at_once_with_one_key_get_one_hold(show: ShowDesk) -> None:
    """Whoever comes first, all are answered alike."""
    answers = _at_once(16, lambda _: show.hold("B-1", key="k"))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1


def test_many_at_once_for_one_seat_have_one_winner(show: ShowDesk) -> None:
    """The others are told which seat it was."""
    answers = _at_once(16, lambda n: show.hold("B-1", buyer=f"b-{n}"))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 15]


def test_a_show_is_created_once_per_key(desk: FrontDesk) -> None:
    """The same body gets the same show, another body is refused."""
    first = desk.post("/v1/shows", show_body(name="Once"), key="once")
    again = desk.post("/v1/shows", dict(reversed(show_body(name="Once").items())), key="once")
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["location"] == first.headers["location"]
    refused = desk.post("/v1/shows", show_body(name="Twice"), key="once")
    assert (refused.status_code, problem(refused)) == (422, "key-reused")


def test_one_show_comes_of_many_requests_at_once(desk: FrontDesk) -> None:
    """Those that come while it is made get its answer, or are told that it is under way."""
    body = show_body(name="At once")
    answers = _at_once(4, lambda _: desk.post("/v1/shows", body, key="at-once"))
    shows = {answer.json()["show"] for answer in answers if answer.status_code == 201}
    assert len(shows) == 1
    assert all(
        problem(answer) == "request-under-way" for answer in answers if answer.status_code != 201
    )


def test_a_refused_show_is_decided_afresh(desk: FrontDesk) -> None:
    """The key of a request that was refused can be used for the mended one."""
    bad = show_body(closes_at="2019-01-01T00:00:00Z")
    assert problem(desk.post("/v1/shows", bad, key="mended")) == "invalid-request"
    assert desk.post("/v1/shows", show_body(), key="mended").status_code == 201


def test_places_are_withheld_once_per_key(show: ShowDesk) -> None:
    """Counts in areas add up, so a repeat must not count again."""
    body = {"areas": {"floor": 2}}
    answers = [show.desk.post(f"{show.path}/blocks", body, key="k") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].content == answers[1].content
    assert show.availability()["areas"][0]["blocked"] == 2
    back = [show.desk.post(f"{show.path}/blocks/release", body, key="k") for _ in range(2)]
    assert [answer.status_code for answer in back] == [200, 200]
    assert show.availability()["areas"][0]["blocked"] == 0


@pytest.fixture(scope="module")
def quiet(desk: FrontDesk) -> ShowDesk:
    """A show for requests that change nothing."""
    return desk.new_show()


@pytest.mark.parametrize("path", ["holds", "purchases"])
@pytest.mark.parametrize(
    ("key", "slug"),
    [
        (None, "idempotency-key-missing"),
        ("", "idempotency-key-invalid"),
        ("a b", "idempotency-key-invalid"),
        ("é", "idempotency-key-invalid"),
        ("x" * 256, "idempotency-key-invalid"),
    ],
)
def test_holds_and_purchases_need_a_key(
    quiet: ShowDesk, path: str, key: str | None, slug: str
) -> None:
    """1 to 255 visible ASCII characters."""
    headers = [(b"content-type", b"application/json")]
    if key is not None:
        headers.append((b"idempotency-key", key.encode()))
    response = quiet.desk.http.post(
        f"{quiet.path}/{path}", content=msgspec.json.encode({"buyer": "b"}), headers=headers
    )
    assert (response.status_code, problem(response)) == (400, slug)
    assert "Idempotency-Key" in response.json()["errors"][0]["header"]


def test_a_key_of_255_characters_is_fine(show: ShowDesk) -> None:
    """The longest there may be, for both."""
    hold = show.held("B-1", key="~" * 255)
    assert show.purchase(hold, key="!" * 255).status_code == 201


def _at_once(count: int, ask: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(ask, range(count)))
