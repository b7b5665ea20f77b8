"""What is read loosely is held to the patterns that the documents show."""

import re
from typing import Any, get_args, get_type_hints

import pytest
from msgspec import Meta, structs

from api.batches import CommandKey, LooseHoldCommand
from api.inputs import LOOSE, Buyer, is_legible, is_visible

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
