"""The life of a show over HTTP."""

from tests.api.front_desk import ShowDesk, problem


def _take(show: ShowDesk, action: str) -> str:
    response = show.desk.post(f"{show.path}/{action}", {})
    assert response.status_code == 200, response.text
    return response.json()["state"]


def test_a_paused_show_holds_nothing_new_and_sells_what_is_held(show: ShowDesk) -> None:
    """And goes on when it is resumed."""
    hold = show.held("A-1")
    assert _take(show, "pause") == "paused"
    refused = show.hold("A-2")
    assert problem(refused) == "not-on-sale"
    assert refused.json()["state"] == "paused"
    assert show.purchase(hold).status_code == 201
    assert show.desk.get(show.path).json()["state"] == "paused"
    assert _take(show, "resume") == "on_sale"
    assert show.hold("A-2").status_code == 201
