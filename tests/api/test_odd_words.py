"""Words with something behind or in them: refused, whoever would trip over them."""

import secrets
from typing import Any

import pytest

from tests.api.front_desk import ShowDesk

Json = dict[str, Any]


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        ("post", "cancel", {"offered": ["refund\n"]}, "/offered/0"),
        ("post", "cancel", {"default": "keep\n"}, "/default"),
        ("post", "cancel", {"note": "a\x00b"}, "/note"),
        ("post", "cancel", {"note": "a\x1bb"}, "/note"),
        ("patch", "", {"payment_methods": ["card\n"]}, "/payment_methods/0"),
        ("patch", "", {"visibility": "hidden\n"}, "/visibility"),
    ],
)
def test_a_word_is_nothing_more_than_itself(
    show: ShowDesk, method: str, path: str, body: Json, pointer: str
) -> None:
    """Neither stored nor an error of ours."""
    url = f"{show.path}/{path}".rstrip("/")
    key = {"Idempotency-Key": secrets.token_hex(8)}
    refused = show.desk.http.request(method, url, json=body, headers=key)
    assert refused.status_code == 422, refused.text
    assert [fault["pointer"] for fault in refused.json()["errors"]] == [pointer]
    assert show.desk.get(show.path).json()["state"] == "on_sale"


def test_a_note_may_have_lines(show: ShowDesk) -> None:
    """It is told to people."""
    cancelled = show.desk.post(f"{show.path}/cancel", {"note": "The hall is closed.\n\nSorry.\n"})
    assert cancelled.status_code == 200, cancelled.text
