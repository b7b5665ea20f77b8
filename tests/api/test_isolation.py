"""Two resellers on one platform, who never see each other."""

import pytest

from tests.api.front_desk import FrontDesk, ShowDesk, problem


def test_other_peoples_shows_are_unknown_whatever_is_asked(
    show: ShowDesk, rival: FrontDesk
) -> None:
    """In the same words as a show that never was."""
    hold = show.held("B-1")
    theirs = ShowDesk(rival, show.id)
    answers = [
        rival.get(show.path),
        rival.get(f"{show.path}/seats"),
        rival.get(f"{show.path}/availability"),
        rival.get(f"{show.path}/seating-plan"),
        rival.post(f"{show.path}/blocks", {"seats": ["B-2"]}),
        rival.post(f"{show.path}/blocks/release", {"seats": ["B-2"]}),
        theirs.hold("B-2"),
        theirs.look(hold),
        theirs.replace(hold, {"seats": ["B-2"]}),
        theirs.release(hold),
        theirs.purchase(hold),
    ]
    never_was = rival.get("/v1/shows/shw_dev_0123456789abcdef")
    assert {problem(answer) for answer in answers} == {"show-not-found"}
    assert {answer.content for answer in answers} == {never_was.content}
    assert show.look(hold).json()["seats"] == ["B-1"]


def test_other_peoples_orders_are_unknown(show: ShowDesk, rival: FrontDesk) -> None:
    """In the same words as an order that never was."""
    order = show.purchase(show.held("B-1")).json()["order"]
    refused = rival.get(f"/v1/orders/{order}")
    assert (refused.status_code, problem(refused)) == (404, "order-not-found")


def test_nobody_lists_other_peoples_shows(show: ShowDesk, rival: FrontDesk) -> None:
    """Each sees their own."""
    listed = {own["show"] for own in rival.get("/v1/shows?limit=200").json()["shows"]}
    assert show.id not in listed


def test_keys_of_two_resellers_do_not_meet(show: ShowDesk, rival: FrontDesk) -> None:
    """The same Idempotency-Key makes two shows, one each."""
    theirs = rival.new_show()
    assert show.held("B-1", key="same") != theirs.held("B-1", key="same")


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Basic b25zYWxlOnNlY3JldA==",
        "Bearer onsale_dev_nobody-has-this-key-nobody-has-this",
        "Bearer " + "x" * 5000,
    ],
)
def test_who_has_no_key_is_asked_for_one(show: ShowDesk, authorization: str | None) -> None:
    """401 with a challenge, before anything else is looked at."""
    client = show.desk.http
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]
    request = client.build_request("GET", show.path)
    del request.headers["authorization"]
    request.headers.update(headers)
    response = client.send(request)
    assert (response.status_code, problem(response)) == (401, "unauthorized")
    assert response.headers["www-authenticate"].startswith('Bearer realm="onsale"')
