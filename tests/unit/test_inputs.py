"""What is read loosely is held to the patterns that the documents show."""

import re
from collections.abc import Iterator
from typing import Any, cast, get_args, get_type_hints

import msgspec
import pytest
from msgspec import Meta, structs

from api.batches import CommandKey, LooseHoldCommand
from api.inputs import LOOSE, Buyer, is_legible, is_visible
from ops.places import ROOT

_CHARACTERS = [chr(n) for n in range(0x3100)]


def _pattern(annotated: Any) -> re.Pattern[str]:  # noqa: ANN401 - a type form
    (meta,) = (one for one in get_args(annotated) if isinstance(one, Meta))
    assert meta.pattern is not None
    return re.compile(meta.pattern)


@pytest.mark.parametrize("around", ["{}", "a{}", "{}a", " {}", "{}{}", "\u3000{}"])
def test_a_legible_text_fits_the_buyers_pattern(around: str) -> None:
    """And every other does not: blanks and controls, of ASCII or not, anywhere."""
    pattern = _pattern(Buyer)
    texts = [around.replace("{}", character) for character in _CHARACTERS]
    assert [is_legible(text) for text in texts] == [bool(pattern.search(text)) for text in texts]


@pytest.mark.parametrize("around", ["{}", "a{}", "{}a"])
def test_a_visible_text_fits_the_keys_pattern(around: str) -> None:
    """And every other does not."""
    pattern = _pattern(CommandKey)
    texts = [around.replace("{}", character) for character in _CHARACTERS]
    assert [is_visible(text) for text in texts] == [bool(pattern.search(text)) for text in texts]


@pytest.mark.parametrize("kind", [*LOOSE.values(), LooseHoldCommand])
def test_a_loose_body_has_the_fields_of_the_documented_one(kind: Any) -> None:  # noqa: ANN401 - a type form
    """In their order, with their defaults, and with all their bounds but patterns."""
    documented = kind.__base__
    assert [(field.name, field.default) for field in structs.fields(kind)] == [
        (field.name, field.default) for field in structs.fields(documented)
    ]
    loose, strict = (get_type_hints(one, include_extras=True) for one in (kind, documented))
    changed = {name for name in loose if loose[name] != strict[name]}
    assert changed <= {"buyer", "key", "commands"}
    for name in changed - {"commands"}:
        assert _bounds(loose[name]) == _bounds(strict[name])


def _bounds(annotated: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type form
    (meta,) = (one for one in get_args(annotated) if isinstance(one, Meta))
    return get_args(annotated)[0], meta.min_length, meta.max_length


def _patterns(document: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    if isinstance(document, dict):
        members = cast("dict[str, Any]", document)
        if isinstance(pattern := members.get("pattern"), str):
            yield pattern
        for one in members.values():
            yield from _patterns(one)
    elif isinstance(document, list):
        for one in cast("list[Any]", document):
            yield from _patterns(one)


def test_no_pattern_of_a_body_takes_the_end_of_a_line_for_its_own() -> None:
    """`$` does, in Python: what is a word here would be none where it is used."""
    document = msgspec.json.decode((ROOT / "docs" / "openapi.json").read_bytes())
    ending = {one for one in _patterns(document["components"]["schemas"]) if one.endswith("$")}
    currency = "^[A-Z]{3}$"  # as it was released: `check_currency` looks at the whole
    lines = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"  # which has lines in it
    assert ending <= {lines, currency}
