"""Performers over HTTP: kept by whose they are, and named wherever they are billed."""

from tests.api.front_desk import FrontDesk
from tests.api.test_events import new_event, new_performer

_LINK = {"label": "Web site", "url": "https://kettles.example.com/"}


def test_a_performer_is_kept_and_changed(desk: FrontDesk) -> None:
    """Null clears, and what is left out stays."""
    made = desk.post(
        "/v1/performers",
        {"name": "The  Kettles", "description": "Loud.\r\nVery.", "links": [_LINK]},
    )
    assert made.status_code == 201, made.text
    told = made.json()
    path = made.headers["location"]
    assert path == f"/v1/performers/{told['performer']}"
    assert (told["name"], told["description"], told["links"], told["public"]) == (
        *("The Kettles", "Loud.\nVery.", [_LINK]),
        False,
    )
    assert desk.get(path).json() == told
    changed = desk.http.patch(path, json={"links": None}).json()
    assert changed.pop("changed_at") > told.pop("changed_at")
    assert changed == {**told, "links": []}


def test_a_performers_name_is_told_wherever_they_are_billed(desk: FrontDesk) -> None:
    """The one of now."""
    performer = new_performer(desk)
    event = new_event(desk, performers=[performer])
    desk.http.patch(f"/v1/performers/{performer}", json={"name": "The Pans"})
    billed = desk.get(f"/v1/events/{event}").json()["performers"]
    assert billed == [{"performer": performer, "name": "The Pans"}]


def test_all_that_is_wrong_is_told_at_once(desk: FrontDesk) -> None:
    """Each with its place."""
    wrong = {
        "name": "\u200b",
        "description": "a\u0000",
        "links": [{"url": "javascript:alert(1)"}],
        "pictures": [{"url": "https://localhost/1.jpg"}],
    }
    told = ["/name", "/description", "/pictures/0/url", "/links/0/url"]
    path = f"/v1/performers/{new_performer(desk)}"
    for answer in (desk.post("/v1/performers", wrong), desk.http.patch(path, json=wrong)):
        assert answer.status_code == 422
        assert [fault["pointer"] for fault in answer.json()["errors"]] == told


def test_lists_have_ones_own(desk: FrontDesk, rival: FrontDesk) -> None:
    """Page by page, the newest first; those that are archived in a list of their own."""
    one, two, gone = [new_performer(desk) for _ in range(3)]
    new_performer(rival)
    assert desk.http.post(f"/v1/performers/{gone}/archive").status_code == 200
    first = desk.get("/v1/performers?limit=1").json()
    second = desk.get(f"/v1/performers?limit=1&cursor={first['next_cursor']}").json()
    assert [page["performers"][0]["performer"] for page in (first, second)] == [two, one]
    archived = desk.get("/v1/performers?archived=true&limit=200").json()["performers"]
    assert [performer["performer"] for performer in archived] == [gone]
    assert desk.http.post(f"/v1/performers/{gone}/restore").json()["archived_at"] is None


def test_who_is_archived_can_be_billed_by_no_new_event(desk: FrontDesk) -> None:
    """And stays where they are billed already."""
    performer = new_performer(desk)
    event = new_event(desk, performers=[performer])
    assert desk.http.post(f"/v1/performers/{performer}/archive").status_code == 200
    body = {"name": "Next", "type": "concert", "performers": [performer]}
    assert desk.post("/v1/events", body).status_code == 422
    same = desk.http.patch(f"/v1/events/{event}", json={"performers": [performer]})
    assert same.status_code == 200, same.text


def test_others_performers_are_not_there(desk: FrontDesk, rival: FrontDesk) -> None:
    """Nor what never was."""
    for performer in (new_performer(rival), "prf_dev_00000000000000ff", "x"):
        path = f"/v1/performers/{performer}"
        answers = [
            desk.get(path),
            desk.http.patch(path, json={"name": "Mine"}),
            desk.http.post(f"{path}/archive"),
            desk.http.post(f"{path}/restore"),
        ]
        kinds = {answer.json()["type"] for answer in answers}
        assert kinds == {"urn:onsale:problem:performer-not-found"}
