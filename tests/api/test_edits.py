"""Edits of a show's map over HTTP: what is sold from then on, and what is refused by name."""

from tests.api.front_desk import FrontDesk, Json, ShowDesk


def _edit(show: ShowDesk, *edits: Json, key: str | None = None, **more: object) -> Json:
    response = show.desk.post(f"{show.path}/edits", {"edits": edits, **more}, key=key)
    assert response.status_code == 200, response.text
    return response.json()


def _row(name: str, **part: str) -> list[Json]:
    return [{"zone": "Hall", "row": name, **part}]


def test_a_row_moves_to_another_price_level(desk: FrontDesk) -> None:
    """From then on its seats cost what that level costs, and best available finds them there."""
    show = desk.new_show()
    before = show.hold("B-1").json()
    made = _edit(
        show, {"kind": "move_seats", "rows": _row("C"), "price_level": "vip"}, reason="near"
    )
    assert (made["seats_moved"], made["inventory_version"]) == (10, 2)
    after = show.hold("C-1", "B-2", buyer="b-2").json()
    print(before, after)
