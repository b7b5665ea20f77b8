"""What other systems read, over HTTP: calendars, schema.org, feeds, and the page of an event."""

import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import msgspec
import pytest
from icalendar import Calendar

from ops.stack import Stack
from tests.api.front_desk import problem
from tests.api.published import WITHIN_S, Published, once, publish


@pytest.fixture(scope="module")
def http(stack: Stack) -> Iterator[httpx.Client]:
    """Anybody: no credential."""
    with httpx.Client(base_url=stack.base_url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def published(stack: Stack, http: httpx.Client) -> Iterator[Published]:
    """A public event."""
    made = publish(stack, http)
    yield made
    made.desk.http.close()


@pytest.mark.parametrize("kind", ["show", "event", "performer", "venue"])
def test_a_calendar_has_the_show_for_everybody(published: Published, kind: str) -> None:
    """Where it is, and when, at the venue's own time."""
    answer = published.http.get(published.address(kind))
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    (entry,) = Calendar.from_ical(answer.content).events
    read: Any = entry
    assert read["uid"] == f"{published.ids['show']}@onsale"
    assert b"DTSTART;TZID=Europe/Berlin:20990701T200000" in answer.content
    assert read.decoded("dtend") == datetime(2099, 7, 1, 20, tzinfo=UTC)
    assert read["location"] == "Riethsporthalle, Essener Str. 20, 99089 Erfurt, Germany"
    assert read["url"].endswith(f"/events/{published.ids['event']}#{published.ids['show']}")


def test_the_schema_is_of_the_event_and_its_show(published: Published) -> None:
    """As JSON-LD, with its media type."""
    answer = published.http.get(published.address("event", "schema.json"))
    assert answer.headers["content-type"] == "application/ld+json"
    node = answer.json()
    assert (node["@type"], node["name"]) == ("MusicEvent", "First Light")
    assert node["startDate"] == "2099-07-01T20:00:00+02:00"
    assert node["location"]["address"]["addressLocality"] == "Erfurt"
    assert node["typicalAgeRange"] == "16-"
    page = published.http.get(f"/events/{published.ids['event']}")
    within = page.text.partition('<script type="application/ld+json">')[2].partition("</script>")[0]
    assert msgspec.json.decode(within) == node


HIDING: dict[str, tuple[str, dict[str, Any], dict[str, Any], set[str]]] = {
    "a draft": ("show", {"state": "draft"}, {"state": "on_sale"}, {"event", "performer"}),
    "a hidden show": (
        "show",
        {"visibility": "hidden"},
        {"visibility": "public"},
        {"event", "performer"},
    ),
    "a hidden event": ("event", {"visibility": "hidden"}, {"visibility": "public"}, set()),
    "an event that is not told yet": (
        "event",
        {"public_from": datetime(2098, 1, 1, tzinfo=UTC)},
        {"public_from": None},
        set(),
    ),
    "a sandbox": ("reseller", {"mode": "sandbox"}, {"mode": "live"}, set()),
}


@pytest.mark.parametrize("why", HIDING)
def test_what_is_not_public_is_nowhere(published: Published, why: str) -> None:
    """Nothing tells it from what never was, whoever asks; then it is back."""
    kind, hidden, shown_again, left = HIDING[why]
    reseller = int(published.reseller.rpartition("_")[2], 16)
    one = published.rows.get(kind, reseller)
    published.change(f"{kind}s", one, **hidden)
    gone = [
        address
        for address in published.addresses()
        if not any(f"/{kind}s/" in address for kind in left)
    ]
    assert gone
    try:
        for address in gone:
            refused = published.until(address, 404)
            own = published.desk.get(address)
            assert own.status_code == 404
            if address.startswith("/v1"):
                kind_of = address.split("/")[2].rstrip("s")
                assert problem(refused) == problem(own) == f"{kind_of}-not-found"
                never = address.replace(published.ids[kind_of][-16:], secrets.token_hex(8))
                if int(never.split("/")[3][-16:], 16) < 2**63:
                    assert published.http.get(never).json() == refused.json()
    finally:
        published.change(f"{kind}s", one, **shown_again)
    for address in gone:
        published.until(address, 200)
        once(published.http, address, b"Riethsporthalle")
    for kind in left & {"event"}:
        assert published.http.get(published.address(kind)).status_code == 200


@pytest.mark.parametrize("text", ["nothing", "evt_dev_0", "shw_dev_00f3a1c05e9b7d24", "%00", "é"])
def test_what_is_no_id_is_not_found(published: Published, text: str) -> None:
    """Neither as a page nor as anything else."""
    assert published.http.get(f"/events/{text}").status_code == 404
    assert problem(published.http.get(f"/v1/events/{text}/calendar.ics")) == "event-not-found"


def test_what_belongs_to_another_cell_is_there(published: Published) -> None:
    """A page sends people on; a program is told where."""
    foreign = "evt_far_00f3a1c05e9b7d24"
    page = published.http.get(f"/events/{foreign}")
    assert page.status_code == 303
    assert page.headers["location"] == f"https://far.onsale.example/events/{foreign}"
    told = published.http.get(f"/v1/events/{foreign}/schema.json")
    assert problem(told) == "misdirected-request"


def test_answers_are_kept_by_their_tag(published: Published) -> None:
    """304 to who has them; HEAD tells the same; anybody's cache may keep them."""
    for address in [*published.addresses(), "/v1/feeds/on-sales.json", "/v1/feeds/on-sales.rss"]:
        first = published.http.get(address)
        assert first.headers["cache-control"].startswith("public, max-age=")
        assert "stale-while-revalidate=" in first.headers["cache-control"]
        assert "cookie" not in first.headers.get("vary", "").lower()
        assert "set-cookie" not in first.headers
        tag = first.headers["etag"]
        again = published.http.get(address, headers={"If-None-Match": f'"other", {tag}'})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        other = published.http.get(address, headers={"If-None-Match": 'W/"other"'})
        assert other.status_code == 200
        head = published.http.head(address)
        assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", tag)


def test_head_of_an_event_tells_how_many_places_are_open(published: Published) -> None:
    """Of its public shows together, once a worker has counted them: nothing else is sent."""
    address = f"/v1/events/{published.ids['event']}"
    ends = time.monotonic() + WITHIN_S
    while "onsale-available" not in (head := published.http.head(address)).headers:
        assert time.monotonic() < ends
        time.sleep(0.1)
    show = published.ids["show"]
    counts = published.desk.get(f"/v1/shows/{show}/availability").json()["total"]
    assert head.headers["onsale-available"] == str(counts["open"])
    assert (head.status_code, head.content) == (200, b"")


def test_a_calendar_is_kept_by_its_date_too(published: Published) -> None:
    """For who knows no tags; a tag goes before it."""
    address = published.address("event")
    date = published.http.get(address).headers["last-modified"]
    had = published.http.get(address, headers={"If-Modified-Since": date})
    assert had.status_code == 304
    both = {"If-Modified-Since": date, "If-None-Match": 'W/"other"'}
    assert published.http.get(address, headers=both).status_code == 200
    older = {"If-Modified-Since": "Thu, 01 Jan 2026 00:00:00 GMT"}
    assert published.http.get(address, headers=older).status_code == 200


def test_a_show_that_moves_takes_its_entry_along(published: Published) -> None:
    """The same UID, a higher SEQUENCE, another tag; cancelled, it says so."""
    show = published.new_show(state="announced", name="Matinee")
    address = f"/v1/shows/{show}/calendar.ics"

    def entry(answer: httpx.Response) -> Any:  # noqa: ANN401 -- icalendar's
        return Calendar.from_ical(answer.content).events[0]

    before = once(published.http, address, b"Matinee")
    one = int(show.rpartition("_")[2], 16)
    time.sleep(1)  # SEQUENCE counts seconds
    published.change("shows", one, starts_at=datetime(2099, 8, 1, tzinfo=UTC), state="rescheduled")
    after = once(published.http, address, b"20990801T000000Z")
    assert entry(after)["uid"] == entry(before)["uid"]
    assert entry(after)["sequence"] > entry(before)["sequence"]
    assert after.headers["etag"] != before.headers["etag"]
    time.sleep(1)
    published.change("shows", one, state="cancelled")
    cancelled = once(published.http, address, b"STATUS:CANCELLED")
    assert entry(cancelled)["uid"] == entry(before)["uid"]
    assert entry(cancelled)["sequence"] > entry(after)["sequence"]


def test_feeds_tell_new_on_sales_of_who_and_what_was_asked_for(published: Published) -> None:
    """By reseller, type and country, together; the latest first."""
    ours = f"/v1/feeds/on-sales.json?reseller={published.reseller}"
    recent = datetime.now(UTC) - timedelta(minutes=5)
    published.change("shows", published.rows["show"], opens_at=recent)
    ends = time.monotonic() + WITHIN_S
    while not (feed := published.http.get(ours).json())["items"]:
        assert time.monotonic() < ends
        time.sleep(0.1)
    assert [item["id"] for item in feed["items"]] == [published.ids["show"]]
    assert feed["feed_url"].endswith(ours)
    for query, is_there in {
        "&type=concert&country=DE": True,
        "&type=sports": False,
        "&country=FR": False,
    }.items():
        items = published.http.get(ours + query).json()["items"]
        assert bool(items) == is_there, query
    rss = published.http.get(f"/v1/feeds/on-sales.rss?reseller={published.reseller}")
    assert rss.headers["content-type"].startswith("application/rss+xml")
    channel = ET.fromstring(rss.content)[0]  # noqa: S314 -- it is ours
    assert channel.findtext("item/guid") == published.ids["show"]


@pytest.mark.parametrize(
    "query",
    [
        "reseller=nobody",
        "type=unheard-of",
        "country=de",
        "country=DEU",
        "colour=red",
        "type=sports&type=sports",
    ],
)
def test_a_filter_that_is_none_is_refused(published: Published, query: str) -> None:
    """Rather than ignored: another question would be answered."""
    assert problem(published.http.get(f"/v1/feeds/on-sales.rss?{query}")) == "invalid-request"


def test_a_page_has_what_links_to_it_are_shown_by(published: Published) -> None:
    """Open Graph, Twitter's cards, where it really is, and its calendar."""
    page = published.http.get(f"/events/{published.ids['event']}")
    site = str(published.http.base_url).rstrip("/")
    for told in (
        f'<link rel="canonical" href="{site}/events/{published.ids["event"]}">',
        '<meta property="og:title" content="First Light">',
        '<meta property="og:image" content="https://cdn.example/light.jpg">',
        '<meta name="twitter:card" content="summary_large_image">',
        '<meta name="description" content="An evening.">',
        f"/v1/events/{published.ids['event']}/calendar.ics",
        "Riethsporthalle",
        "Thursday, 1 July 2099"[9:],
        "20:00 to 22:00 CEST, doors 19:00",
    ):
        assert told in page.text, told
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "unsafe" not in policy


def test_no_name_gets_out_of_its_place(stack: Stack, http: httpx.Client) -> None:
    """Not in the page, not in the script of it, not in a calendar's line, not in a feed."""
    name = "</script><script>alert(1)</script> \"'><img src=x> & ;,\\n"
    hostile = publish(stack, http, name)
    hostile.desk.http.close()
    page = http.get(f"/events/{hostile.ids['event']}").text
    assert page.count("<script") == page.count("</script") == 1
    assert "<img src=x" not in page
    assert http.get(hostile.address("event", "schema.json")).json()["name"] == name
    (entry,) = Calendar.from_ical(http.get(hostile.address("event")).content).events
    assert str(entry["summary"]) == name
    feed = http.get(f"/v1/feeds/on-sales.rss?reseller={hostile.reseller}")
    ET.fromstring(feed.content)  # noqa: S314 -- it is ours
