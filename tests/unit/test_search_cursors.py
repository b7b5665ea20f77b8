"""Cursors of searches that somebody has made up: refused, whatever is in them."""

import base64
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
import pytest

from api.problems import ProblemError
from api.search_inputs import SearchQuery
from engine.catalog.finder import Asked
from engine.platform.ids import Ids

_IDS = Ids("dev", b"a secret for tests, long enough")
_PLACE: list[Any] = ["2099-01-01T00:00:00Z", 5]


def _read(cursor: str, **given: str) -> Asked:
    return SearchQuery({**given, "cursor": cursor}, _IDS).read()


def _forged(*rest: object, **given: str) -> str:
    """Return a cursor of this very search: what it is made of is no secret."""
    wanted = SearchQuery(given, _IDS).read().wanted
    digest = blake2b(msgspec.msgpack.encode(wanted), digest_size=6).digest()
    made = msgspec.msgpack.encode((digest, *rest))
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def test_a_cursor_of_the_form_that_searches_write_is_read() -> None:
    """So that what is refused below is refused for what is in it."""
    told = {"search": "first light"}
    asked = _read(_forged(1, _PLACE, [[["fires"], ["light"]]], **told), **told)
    assert asked.corrected is not None
    assert asked.corrected.words == ["fires", "light"]


_MADE_UP: list[tuple[tuple[Any, ...], dict[str, str]]] = [
    ((0, _PLACE, [[["light"]]]), {"city": "Erfurt"}),
    ((0, _PLACE, [[["li\0ght"]]]), {"search": "first"}),
    ((0, _PLACE, [[["\u202elight"]]]), {"search": "first"}),
    ((0, ["0001-01-01T00:00:00+14:00", 5], None), {}),
    ((0, ["9999-12-31T23:59:59-14:00", 5], None), {}),
    ((0, [[[[]]] * 20, 5], None), {}),
    ((-1, _PLACE, None), {}),
    ((0, [{1: {2: 3}}, 5], None), {}),
]


@pytest.mark.parametrize(("rest", "given"), _MADE_UP)
def test_what_no_search_wrote_is_refused(rest: tuple[Any, ...], given: dict[str, str]) -> None:
    """By its parameter, before PostgreSQL is asked."""
    with pytest.raises(ProblemError) as refused:
        _read(_forged(*rest, **given), **given)
    assert refused.value.kind.status == 422


@pytest.mark.parametrize("inside", [b"\x91" * 740, b"\x81\x91\x01" * 200, b"\x81" * 700])
def test_what_is_no_cursor_at_all_is_refused(inside: bytes) -> None:
    """However deep it goes."""
    with pytest.raises(ProblemError):
        _read(base64.urlsafe_b64encode(b"\x94\xc4\x06abcdef\x00\x91" + inside).decode())


_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "since", "until"),
    [
        ("0001-01-01T00:00:00+14:00", _FIRST, _FIRST),
        ("9999-12-31T23:59:59-14:00", _LAST, None),
        ("9999-12-31", datetime(9999, 12, 31, tzinfo=UTC), None),
    ],
)
def test_a_moment_beyond_the_calendar_is_the_end_of_it(
    moment: str, since: datetime, until: datetime | None
) -> None:
    """Where there is none in UTC; nothing is behind the last one."""
    assert SearchQuery({"from": moment}, _IDS).read().wanted.since == since
    assert SearchQuery({"to": moment}, _IDS).read().wanted.until == until
