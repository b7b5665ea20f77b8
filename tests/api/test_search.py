"""Finding events over HTTP: by everybody what is public, by a reseller what is theirs."""

import secrets
import threading
import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from ops.stack import Stack
from tests.api.front_desk import FrontDesk, Json, ShowDesk

_PATH = "/v1/events"


def _word() -> str:
    """A word that no other test has."""
    return "w" + secrets.token_hex(6).translate(str.maketrans("0123456789", "ghijklmnop"))


@pytest.fixture(scope="module")
def visitor(stack: Stack) -> Iterator[httpx.Client]:
    """Somebody without a credential."""
    with httpx.Client(base_url=stack.base_url, timeout=30) as client:
        yield client


def _find(visitor: httpx.Client, **asked: object) -> Json:
    answer = visitor.get(_PATH, params={name: str(value) for name, value in asked.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


def _once(find: Callable[[], Json], fits: Callable[[Json], bool], within_s: float = 5) -> Json:
    """Ask until the answer fits."""
    until = time.monotonic() + within_s
    while True:
        told = find()
        if fits(told) or time.monotonic() > until:
            return told
        time.sleep(0.02)


@pytest.fixture(scope="module")
def found_show(desk: FrontDesk, visitor: httpx.Client) -> tuple[str, ShowDesk]:
    """A show that is found by a word of its name."""
    word = _word()
    show = desk.new_show(name=f"{word} quartet")
    _once(
        lambda: _find(visitor, search=word),
        lambda told: bool(told["events"] and told["events"][0]["show"]["available"]),
    )
    return word, show


def test_anybody_finds_what_is_public(
    visitor: httpx.Client, found_show: tuple[str, ShowDesk]
) -> None:
    """With where and when it is, what is left of it, and the lowest price with all included."""
    word, show = found_show
    (event,) = _find(visitor, search=word)["events"]
    assert (event["event"], event["name"], event["shows"]) == (None, f"{word} quartet", 1)
    told = event["show"]
    assert (told["show"], told["state"], told["available"]) == (show.id, "on_sale", 41)
    prices = show.availability()["areas"] + show.availability()["price_levels"]
    assert told["price_min"] == min(part["price"]["total"] for part in prices)
    assert told["price_max"] == max(part["price"]["total"] for part in prices)
    assert told["venue"]["name"] == "Small hall"


def test_an_address_is_bounded_for_anybody(visitor: httpx.Client) -> None:
    """What is read of one is kept in memory: however long it is, where spaces are of no account."""
    answer = visitor.get(_PATH + "?search=a" + 3000 * "%20")
    assert (answer.status_code, answer.json()["type"]) == (414, "urn:onsale:problem:url-too-long")


def test_a_mistyped_word_is_corrected(
    visitor: httpx.Client, found_show: tuple[str, ShowDesk]
) -> None:
    """To the nearest that there is; the answer says so."""
    word, _ = found_show
    mistyped = word[:-3] + word[-2] + word[-3] + word[-1]
    told = _find(visitor, search=mistyped)
    if mistyped != word:
        assert told["corrected"][0] == word
    assert [event["name"] for event in told["events"]] == [f"{word} quartet"]


def test_a_reseller_finds_their_own_alone(
    desk: FrontDesk, rival: FrontDesk, found_show: tuple[str, ShowDesk]
) -> None:
    """Another's, though it is public, is not among them."""
    word, show = found_show
    mine = desk.http.get(_PATH, params={"search": word, "facets": "true"})
    assert mine.headers["cache-control"] == "private, no-cache"
    assert [event["show"]["show"] for event in mine.json()["events"]] == [show.id]
    assert mine.json()["facets"]["shows"] == 1
    assert rival.http.get(_PATH, params={"search": word}).json()["events"] == []


def test_the_lowest_price_is_at_most_a_second_old(
    desk: FrontDesk, visitor: httpx.Client, stack: Stack
) -> None:
    """When the last place of the cheapest level is held, while others search all the time."""
    word = _word()
    show = desk.new_show(name=f"{word} trio")
    _once(
        lambda: _find(visitor, search=word),
        lambda told: bool(told["events"] and told["events"][0]["show"]["available"]),
    )
    prices = {part["price"]["total"] for part in show.availability()["areas"]}
    cheapest = prices.pop()
    stop = threading.Event()

    def search_on() -> None:
        with httpx.Client(base_url=stack.base_url, timeout=30) as client:
            while not stop.is_set():
                client.get(_PATH, params={"search": word})

    others = [threading.Thread(target=search_on) for _ in range(3)]
    for other in others:
        other.start()
    try:
        assert _find(visitor, search=word)["events"][0]["show"]["price_min"] == cheapest
        show.held(areas={"floor": 5})
        began = time.monotonic()
        told = _once(
            lambda: _find(visitor, search=word),
            lambda told: told["events"][0]["show"]["price_min"] != cheapest,
        )
        took_s = time.monotonic() - began
    finally:
        stop.set()
        for other in others:
            other.join()
    assert told["events"][0]["show"]["price_min"] > cheapest
    assert told["events"][0]["show"]["available"] == 36
    assert took_s < 1.5, took_s


def test_what_a_client_has_is_not_told_again(
    visitor: httpx.Client, found_show: tuple[str, ShowDesk]
) -> None:
    """By its ETag; and for how long a cache may tell it on is said."""
    word, _ = found_show
    first = visitor.get(_PATH, params={"search": word})
    assert first.headers["cache-control"] == "public, max-age=0, stale-while-revalidate=1"
    same = visitor.get(
        _PATH, params={"search": word}, headers={"If-None-Match": first.headers["etag"]}
    )
    assert (same.status_code, same.content) == (304, b"")
    head = visitor.head(_PATH, params={"search": word})
    assert (head.status_code, head.content) == (200, b"")


def test_all_that_is_wrong_is_told_at_once(visitor: httpx.Client) -> None:
    """Each parameter with its reason, those that do not fit together too."""
    asked = {
        "search": "x" * 101,
        "venue": "ven_dev_0000000000000000",
        "country": "Germany",
        "type": "Rock & Roll",
        "from": "tomorrow",
        "near": "91,0",
        "within_km": "0",
        "price_min": "ten",
        "currency": "eur",
        "available": "yes",
        "reseller": "rsl_dev_x",
        "sort": "cheapest",
        "facets": "1",
        "cursor": "nonsense",
        "limit": "0",
    }
    refused = visitor.get(_PATH, params=asked)
    assert refused.status_code == 422
    assert {fault["parameter"] for fault in refused.json()["errors"]} == set(asked)


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ({"from": "2099-02-01", "to": "2099-01-01"}, "to"),
        ({"price_min": "200", "price_max": "100"}, "price_max"),
        ({"sort": "distance"}, "sort"),
        ({"sort": "relevance"}, "sort"),
        ({"within_km": "5"}, "within_km"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    visitor: httpx.Client, asked: dict[str, str], parameter: str
) -> None:
    """Naming the parameter that is to be changed."""
    refused = visitor.get(_PATH, params=asked)
    assert refused.status_code == 422
    assert [fault["parameter"] for fault in refused.json()["errors"]] == [parameter]


def test_a_cursor_is_of_one_search(desk: FrontDesk, visitor: httpx.Client) -> None:
    """Pages follow each other without a gap; another search refuses the cursor."""
    word = _word()
    for n in range(3):
        desk.new_show(name=f"{word} {n}", starts_at=f"2099-05-0{n + 1}T20:00:00Z")
    _once(lambda: _find(visitor, search=word), lambda told: len(told["events"]) == 3)
    names: list[str] = []
    cursor: dict[str, object] = {}
    for _ in range(3):
        page = _find(visitor, search=word, limit=1, **cursor)
        names += [event["name"] for event in page["events"]]
        cursor = {"cursor": page["next_cursor"]}
    assert (names, cursor) == ([f"{word} {n}" for n in range(3)], {"cursor": None})
    page = _find(visitor, search=word, limit=1)
    refused = visitor.get(_PATH, params={"search": "other", "cursor": page["next_cursor"]})
    assert refused.status_code == 422


@pytest.mark.parametrize(
    ("asked", "is_found"),
    [
        ({"to": "9999-12-31"}, True),
        ({"to": "9999-12-30"}, True),
        ({"to": "9999-12-31T23:59:59.999999Z"}, True),
        ({"to": "9999-12-31T23:59:59-12:00"}, True),
        ({"to": "0001-01-01"}, False),
        ({"to": "0001-01-01T00:00:00+14:00"}, False),
        ({"from": "0001-01-01"}, True),
        ({"from": "0001-01-01T00:00:00+14:00"}, True),
        ({"from": "9999-12-31"}, False),
        ({"from": "9999-12-31T23:59:59-12:00"}, False),
        ({"from": "0001-01-01T00:00:00+14:00", "to": "9999-12-31T23:59:59-12:00"}, True),
        ({"from": "9999-12-31", "to": "9999-12-31"}, False),
    ],
)
@pytest.mark.parametrize("sort", ["date", "relevance", "price"])
def test_dates_at_the_ends_of_the_calendar_mean_what_they_say(
    visitor: httpx.Client,
    found_show: tuple[str, ShowDesk],
    asked: dict[str, str],
    sort: str,
    *,
    is_found: bool,
) -> None:
    """Also such that are none in UTC; of facets, too, whether they are counted or looked up."""
    word, _ = found_show
    for _ in range(2):
        told = _find(visitor, search=word, sort=sort, facets="true", limit=1, **asked)
        assert len(told["events"]) == is_found
        assert told["facets"]["shows"] == is_found
    answer = visitor.get(_PATH, params={"city": "Nowhere", "facets": "true", **asked})
    assert answer.status_code == 200
