"""Events over HTTP: kept by whose they are, looked at by everybody once they are public."""

import time
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from engine.platform.ids import Ids, Prefix
from engine.platform.settings import Settings
from ops.stack import Stack
from tests.api.by_hand import change_by_hand
from tests.api.front_desk import FrontDesk, Json

_LISTED_WITHIN_S = 10
_PICTURE = {"url": "https://images.example.com/1.jpg", "alt": "A stage", "credit": "Ada"}


def event_body(**changes: Any) -> Json:  # noqa: ANN401 - any field
    """Return an event to make."""
    return {"name": "First Light", "type": "concert", **changes}


def new_performer(desk: FrontDesk, name: str = "The Kettles") -> str:
    """Make a performer and return the id."""
    made = desk.post("/v1/performers", {"name": name})
    assert made.status_code == 201, made.text
    return made.json()["performer"]


def new_event(desk: FrontDesk, **changes: Any) -> str:  # noqa: ANN401 - any field
    """Make an event and return the id."""
    made = desk.post("/v1/events", event_body(**changes))
    assert made.status_code == 201, made.text
    return made.json()["event"]


def seen(stack: Stack, path: str, status: int = 200) -> httpx.Response:
    """Look as anybody does until the answer has a status: the public is told a moment later."""
    deadline = time.monotonic() + _LISTED_WITHIN_S
    while True:
        answer = httpx.get(stack.base_url + path, timeout=10)
        if answer.status_code == status:
            return answer
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def test_an_event_is_kept_as_it_is_told(desk: FrontDesk) -> None:
    """In one form, with performers in billing order and named."""
    one, two = new_performer(desk, "One"), new_performer(desk, "Two")
    made = desk.post(
        "/v1/events",
        event_body(
            name="  First   Light ",
            description="By candle light.\r\n\r\nDoors at seven.  ",
            pictures=[_PICTURE, {"url": "https://images.example.com/2.jpg"}],
            age_min=16,
            languages=["deu", "en-gb"],
            public_from="2030-01-01T10:00:00+01:00",
            performers=[two, one],
        ),
    )
    assert made.status_code == 201, made.text
    told = made.json()
    assert made.headers["location"] == f"/v1/events/{told['event']}"
    expected: Json = {
        "name": "First Light",
        "type": "concert",
        "description": "By candle light.\n\nDoors at seven.",
        "pictures": [
            _PICTURE,
            {"url": "https://images.example.com/2.jpg", "alt": "", "credit": ""},
        ],
        "age_min": 16,
        "languages": ["de", "en-GB"],
        "performers": [{"performer": two, "name": "Two"}, {"performer": one, "name": "One"}],
        "reseller": "Tickets United",
        "public": False,
        "visibility": "public",
        "public_from": "2030-01-01T09:00:00Z",
        "archived_at": None,
    }
    assert expected.items() <= told.items()
    assert desk.get(f"/v1/events/{told['event']}").json() == told


def test_a_change_changes_what_is_named(desk: FrontDesk) -> None:
    """Null clears, and what is left out stays."""
    event = new_event(desk, description="Soon.", age_min=6, performers=[new_performer(desk)])
    before = desk.get(f"/v1/events/{event}").json()
    changes = {"name": "Last Light", "age_min": None, "performers": None, "visibility": "hidden"}
    after = desk.http.patch(f"/v1/events/{event}", json=changes)
    assert after.status_code == 200, after.text
    told = after.json()
    assert told.pop("changed_at") > before.pop("changed_at")
    assert told == {**before, **changes, "performers": [], "public": False}
    assert desk.http.patch(f"/v1/events/{event}", json={}).json()["name"] == "Last Light"


def test_the_same_key_makes_one_event(desk: FrontDesk) -> None:
    """And gets one answer; another body under it is refused."""
    key = f"event-{time.monotonic_ns()}"
    first, again = (desk.post("/v1/events", event_body(), key=key) for _ in range(2))
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    other = desk.post("/v1/events", event_body(name="Other"), key=key)
    assert other.json()["type"] == "urn:onsale:problem:key-reused"


def test_all_that_is_wrong_is_told_at_once(desk: FrontDesk, rival: FrontDesk) -> None:
    """Performers that are not one's own among it, whether it is new or changed."""
    wrong = event_body(
        name="\u202eFirst",
        type="rave",
        languages=["de", "xx"],
        pictures=[{"url": "http://images.example.com"}],
        performers=[new_performer(desk), new_performer(rival), "shw_dev_1", "prf_dev_" + "0" * 16],
    )
    pointers = [
        *("/name", "/pictures/0/url", "/type", "/languages/1"),
        *("/performers/1", "/performers/2", "/performers/3"),
    ]
    event = new_event(desk)
    for answer in (
        desk.post("/v1/events", wrong),
        desk.http.patch(f"/v1/events/{event}", json=wrong),
    ):
        assert answer.status_code == 422
        assert [fault["pointer"] for fault in answer.json()["errors"]] == pointers


@pytest.mark.parametrize("member", ["performers"])
def test_unknown_performers_alone_are_refused(desk: FrontDesk, member: str) -> None:
    """When nothing else is wrong."""
    event, unknown = new_event(desk), "prf_dev_00000000000000ff"
    for answer in (
        desk.post("/v1/events", event_body(**{member: [unknown]})),
        desk.http.patch(f"/v1/events/{event}", json={member: [unknown]}),
    ):
        assert answer.status_code == 422
        assert [fault["pointer"] for fault in answer.json()["errors"]] == ["/performers/0"]


def test_what_belongs_to_nobody_or_to_others_is_not_there(
    desk: FrontDesk, rival: FrontDesk
) -> None:
    """For whoever shows a credential, public or not."""
    theirs = new_event(rival)
    for event in (theirs, "evt_dev_00000000000000ff", "shw_dev_1", "x"):
        path = f"/v1/events/{event}"
        answers = [
            desk.get(path),
            desk.http.patch(path, json={"name": "Mine"}),
            desk.http.post(f"{path}/archive"),
            desk.http.post(f"{path}/restore"),
        ]
        kinds = {answer.json()["type"] for answer in answers}
        assert kinds == {"urn:onsale:problem:event-not-found"}
    assert rival.get(f"/v1/events/{theirs}").json()["name"] == "First Light"


def test_archiving_puts_an_event_away(desk: FrontDesk) -> None:
    """Until it is restored; done twice is as good as once."""
    event = new_event(desk)
    archived = [desk.http.post(f"/v1/events/{event}/archive").json() for _ in range(2)]
    assert archived[0] == archived[1]
    assert archived[0]["archived_at"] is not None
    assert archived[0]["public"] is False
    restored = desk.http.post(f"/v1/events/{event}/restore").json()
    assert (restored["archived_at"], restored["public"]) == (None, True)


def test_the_public_sees_what_is_public(desk: FrontDesk, stack: Stack) -> None:
    """The page and no more: it goes when it is hidden, comes back, and follows its performers."""
    performer = new_performer(desk, "One")
    event = new_event(desk, performers=[performer])
    path = f"/v1/events/{event}"
    own = desk.get(path).json()
    told = seen(stack, path).json()
    assert told == {name: value for name, value in own.items() if name not in _OWN}
    assert seen(stack, f"/v1/performers/{performer}").json()["name"] == "One"
    desk.http.patch(path, json={"visibility": "hidden"})
    hidden = seen(stack, path, status=404).json()
    assert hidden == httpx.get(f"{stack.base_url}/v1/events/evt_dev_00000000000000ff").json()
    seen(stack, f"/v1/performers/{performer}", status=404)
    desk.http.patch(path, json={"visibility": "public"})
    assert seen(stack, path).json()["event"] == event


def test_a_page_is_kept_by_its_tag(desk: FrontDesk, stack: Stack) -> None:
    """By anybody, for a while; who shows a credential is told something else, kept by nobody."""
    path = f"/v1/events/{new_event(desk)}"
    told = seen(stack, path)
    assert told.headers["cache-control"] == "public, max-age=10, stale-while-revalidate=60"
    assert told.headers["vary"] == "Accept-Encoding, Authorization"
    tag = told.headers["etag"]
    same = httpx.get(stack.base_url + path, headers={"If-None-Match": tag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tag)
    assert httpx.head(stack.base_url + path).headers["etag"] == tag
    desk.http.patch(path, json={"name": "Last Light"})
    deadline = time.monotonic() + _LISTED_WITHIN_S
    while httpx.get(stack.base_url + path, headers={"If-None-Match": tag}).status_code == 304:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert seen(stack, path).json()["name"] == "Last Light"
    own = desk.get(path, headers={"If-None-Match": tag})
    assert (own.status_code, own.headers["cache-control"]) == (200, "no-store")


def test_an_event_tells_its_shows(desk: FrontDesk, stack: Stack) -> None:
    """The soonest first, page by page: all of them to whose they are, to others what is public."""
    event = new_event(desk)
    later, soon, hidden = (
        desk.new_show(name=name, starts_at=f"2099-0{month}-01T20:00:00Z").id
        for name, month in (("Later", 5), ("Soon", 3), ("Hidden", 4))
    )
    _promote(stack.settings, event, [later, soon, hidden], hidden=hidden)
    path = f"/v1/events/{event}/shows"
    deadline = time.monotonic() + _LISTED_WITHIN_S
    while len(shows := desk.get(path).json()["shows"]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [show["show"] for show in shows] == [soon, hidden, later]
    first = desk.get(f"{path}?limit=2").json()
    rest = desk.get(f"{path}?limit=2&cursor={first['next_cursor']}").json()
    assert [*first["shows"], *rest["shows"]] == shows
    assert rest["next_cursor"] is None
    while len(public := seen(stack, path).json()["shows"]) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [show["name"] for show in public] == ["Soon", "Later"]
    page = seen(stack, f"{path}?limit=1").json()
    following = seen(stack, f"{path}?limit=1&cursor={page['next_cursor']}").json()
    assert following["shows"] == public[1:]
    desk.http.patch(f"/v1/events/{event}", json={"visibility": "hidden"})
    assert seen(stack, path, status=404).json()["type"] == "urn:onsale:problem:event-not-found"


def test_an_event_is_not_archived_while_its_shows_sell(desk: FrontDesk, stack: Stack) -> None:
    """They are named, with what to do."""
    event, performer = new_event(desk), new_performer(desk)
    desk.http.patch(f"/v1/events/{event}", json={"performers": [performer]})
    show = desk.new_show(name="Soon").id
    _promote(stack.settings, event, [show])
    for path in (f"/v1/events/{event}", f"/v1/performers/{performer}"):
        refused = desk.http.post(f"{path}/archive")
        assert refused.status_code == 409
        assert refused.json()["type"] == "urn:onsale:problem:still-selling"
        assert "Soon" in refused.json()["detail"]
        assert refused.json()["shows"] == [
            {"show": show, "name": "Soon", "starts_at": "2099-05-01T18:00:00Z"}
        ]


def test_a_list_has_ones_own_events(desk: FrontDesk, rival: FrontDesk) -> None:
    """Also those that no show names and nobody sees; archived ones in a list of their own."""
    theirs = new_event(rival)
    one, two, gone = (new_event(desk, visibility="hidden") for _ in range(3))
    desk.http.post(f"/v1/events/{gone}/archive")
    first = desk.get("/v1/events/mine?limit=1").json()
    second = desk.get(f"/v1/events/mine?limit=1&cursor={first['next_cursor']}").json()
    assert [page["events"][0]["event"] for page in (first, second)] == [two, one]
    archived = desk.get("/v1/events/mine?archived=true&limit=200").json()["events"]
    assert archived[0] == desk.get(f"/v1/events/{gone}").json()
    assert theirs not in desk.get("/v1/events/mine?limit=200").text


def _promote(
    settings: Settings, event: str, shows: list[str], *, hidden: str | None = None
) -> None:
    """Have shows be an event's, and one of them hidden."""
    ids = Ids(settings.region, bytes(16))
    of_event = [
        _NAME_EVENT.bindparams(
            show=ids.parse_entity(Prefix.SHOW, show),
            event=ids.parse_entity(Prefix.EVENT, event),
            visibility="hidden" if show == hidden else "public",
        )
        for show in shows
    ]
    change_by_hand(settings, *of_event)


_NAME_EVENT = text("UPDATE shows SET event_id = :event, visibility = :visibility WHERE id = :show")
_OWN = {"public", "visibility", "public_from", "created_at", "archived_at"}
