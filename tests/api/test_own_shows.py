"""A reseller's list of own shows, page by page, and a look at one of them."""

import asyncio
from collections.abc import Iterator

import pytest

from ops.stack import Stack
from tests.api.conftest import new_key
from tests.api.front_desk import FrontDesk, problem

_SHOWS = 5


@pytest.fixture(scope="module")
def desk(stack: Stack) -> Iterator[FrontDesk]:
    """A reseller with a few drafts and nothing else."""
    desk = FrontDesk(stack.base_url, asyncio.run(new_key(stack.settings, "A few")))
    with desk.http:
        for n in range(_SHOWS):
            desk.new_show(name=f"Night {n}", state="draft")
        yield desk


def test_pages_have_each_show_once_the_newest_first(desk: FrontDesk) -> None:
    """The last says that there is no other."""
    whole = desk.get("/v1/shows").json()
    assert [show["name"] for show in whole["shows"]] == [f"Night {n}" for n in (4, 3, 2, 1, 0)]
    assert whole["next_cursor"] is None
    paged: list[object] = []
    path: str | None = "/v1/shows?limit=2"
    while path is not None:
        page = desk.get(path).json()
        assert 1 <= len(page["shows"]) <= 2
        paged += page["shows"]
        after = page["next_cursor"]
        path = None if after is None else f"/v1/shows?limit=2&cursor={after}"
    assert paged == whole["shows"]
    assert desk.get(f"/v1/shows?limit={_SHOWS}").json() == whole


def test_a_listed_show_says_what_a_look_at_it_does(desk: FrontDesk) -> None:
    """In short."""
    for listed in desk.get("/v1/shows").json()["shows"]:
        looked = desk.get(f"/v1/shows/{listed['show']}").json()
        assert listed.items() <= looked.items()
        assert looked["next_price_step"] is None


@pytest.mark.parametrize("path", ["/v1/shows", "/v1/shows/{show}"])
def test_head_says_how_long_the_answer_is(desk: FrontDesk, path: str) -> None:
    """And has no body."""
    told = path.format(show=desk.get("/v1/shows").json()["shows"][0]["show"])
    headers = {"Accept-Encoding": "identity"}
    asked, whole = desk.http.head(told, headers=headers), desk.get(told, headers)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-length"] == str(len(whole.content))


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        *[(f"limit={told}", "limit") for told in ("0", "201", "-1", "1.5", "many", "", "%D9%A1")],
        *[(f"cursor={told}", "cursor") for told in ("x", "", "x" * 100, "evt_dev_0123456789abcde")],
        ("limit=1&limit=2", "limit"),
        ("state=draft", "state"),
    ],
)
def test_a_bad_query_names_the_parameter(desk: FrontDesk, query: str, parameter: str) -> None:
    """A filter that nobody knows is refused, since ignoring it would answer something else."""
    refused = desk.get(f"/v1/shows?{query}")
    assert (refused.status_code, problem(refused)) == (422, "invalid-request")
    assert refused.json()["errors"][0]["parameter"] == parameter


def test_a_page_behind_somebody_elses_show_is_empty(desk: FrontDesk, rival: FrontDesk) -> None:
    """As behind one that never was: nothing is told of it."""
    theirs = rival.new_show(state="draft").id
    for cursor in (theirs, "shw_dev_0123456789abcdef"):
        page = desk.get(f"/v1/shows?cursor={cursor}").json()
        assert page == {"shows": [], "next_cursor": None}
    assert problem(desk.get(f"/v1/shows/{theirs}")) == "show-not-found"


def test_a_look_takes_no_query(desk: FrontDesk) -> None:
    """Nor another address than the documented one."""
    one = desk.get("/v1/shows").json()["shows"][0]["show"]
    assert problem(desk.get(f"/v1/shows/{one}?seats=all")) == "invalid-request"
    assert problem(desk.get("/v1/shows/")) == "not-found"
    assert problem(desk.get(f"/v1/shows/{one}/")) == "not-found"


def test_what_was_changed_is_told_at_once(rival: FrontDesk) -> None:
    """By the list, and by a look: neither is kept."""
    one = rival.new_show(name="Before", state="draft")
    assert rival.http.patch(one.path, json={"name": "After"}).json()["name"] == "After"
    assert rival.get(one.path).json()["name"] == "After"
    assert rival.get("/v1/shows?limit=1").json()["shows"][0]["name"] == "After"
