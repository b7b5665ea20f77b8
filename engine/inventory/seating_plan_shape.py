"""Finds every place at which a document does not have the shape of a seating plan.

msgspec decodes a good plan quickly, and stops at the first fault of a bad one. The walk here goes
through the bad one again, only where something is wrong, and says all of it.
"""

import re
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct, UnsetType, ValidationError
from msgspec.structs import FieldInfo

from engine.inventory.seating_plan_faults import Faults, below, quoted

_WORDS: Final = {
    "object": "an object",
    "array": "an array",
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "int | float": "a number",
    "bool": "true or false",
    "null": "null",
}

_LIST_TOO_LONG: Final = re.compile(r"Expected `array` of length <= \d+")


def find_shape_faults(document: object, kind: type[Struct], faults: Faults) -> None:
    """Add a fault for each place where a decoded JSON document is not of the given struct."""
    _find(document, kind, "", faults)


def _find(value: object, kind: Any, pointer: str, faults: Faults) -> None:  # noqa: ANN401 - a type form
    try:
        msgspec.convert(value, kind)
    except ValidationError as error:
        before = faults.count
        reason = _reason(value, kind, str(error))
        if _LIST_TOO_LONG.fullmatch(str(error)):
            # Its million entries are not looked at.
            faults.add(pointer, reason)
            return
        if isinstance(value, dict) and (tagged := _tagged(kind)):
            _find_in_tagged(cast("dict[str, object]", value), tagged, pointer, faults)
            return
        for option in _options(kind):
            if isinstance(value, dict) and isinstance(option, type) and issubclass(option, Struct):
                _find_in_object(cast("dict[str, object]", value), option, pointer, faults)
            elif isinstance(value, list) and get_origin(option) is list:
                _find_in_array(cast("list[object]", value), option, pointer, faults)
        if faults.count == before:
            faults.add(pointer, reason)


def _find_in_object(
    value: dict[str, object], kind: type[Struct], pointer: str, faults: Faults
) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, member in value.items():
        if faults.full:
            return
        if name == kind.__struct_config__.tag_field:
            continue
        if name in fields:
            _find(member, _present(fields[name]), below(pointer, name), faults)
        else:
            known = ", ".join(fields)
            faults.add(below(pointer, name), f"unknown field; known here are {known}")
    for name, field in fields.items():
        if name not in value and field.default is NODEFAULT:
            faults.add(pointer, f"lacks the field {quoted(name)}")


def _tagged(kind: Any) -> dict[str, type[Struct]]:  # noqa: ANN401 - a type form
    """Return the kinds of object that a member tells apart, by what it says."""
    return {
        str(option.__struct_config__.tag): option
        for option in _options(kind)
        if isinstance(option, type)
        and issubclass(option, Struct)
        and option.__struct_config__.tag is not None
    }


def _find_in_tagged(
    value: dict[str, object], tagged: dict[str, type[Struct]], pointer: str, faults: Faults
) -> None:
    """Look at an object as the kind that it says it is."""
    (field,) = {str(kind.__struct_config__.tag_field) for kind in tagged.values()}
    tag = value.get(field)
    if field not in value:
        faults.add(pointer, f"lacks the field {quoted(field)}")
    elif not isinstance(tag, str) or tag not in tagged:
        faults.add(below(pointer, field), f"is none of {', '.join(tagged)}")
    else:
        _find_in_object(value, tagged[tag], pointer, faults)


def _find_in_array(value: list[object], kind: Any, pointer: str, faults: Faults) -> None:  # noqa: ANN401 - a type form
    (of,) = get_args(kind)
    for n, item in enumerate(value):
        if faults.full:
            return
        _find(item, of, f"{pointer}/{n}", faults)


def _options(kind: Any) -> list[Any]:  # noqa: ANN401 - a type form
    """Return the members of a union, without the limits that are annotated to them."""
    if get_origin(kind) is Annotated:
        return _options(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return [option for member in get_args(kind) for option in _options(member)]
    return [kind]


def _present(field: FieldInfo) -> Any:  # noqa: ANN401 - a type form
    """Return the type of a field that is there: msgspec converts no `UnsetType` on its own."""
    members = [field.type]
    if get_origin(field.type) in (Union, UnionType):
        members = [member for member in get_args(field.type) if member is not UnsetType]
    return Union[tuple(members)]  # noqa: UP007 - the members are known only here


def _reason(value: object, kind: Any, message: str) -> str:  # noqa: ANN401 - a type form
    """Put msgspec's message in the words of someone who draws a plan."""
    for option in _options(kind):
        if get_origin(option) is Literal and isinstance(value, str):
            choices = ", ".join(get_args(option))
            return f"{quoted(value)} is none of {choices}"
    if match := re.match(r"Expected `(.+?)`, got `(.+?)`", message):
        wanted, found = match.groups()
        return f"expected {_in_words(wanted)}, found {_in_words(found)}"
    if match := re.match(r"Expected `(?:str|array)` of length (<=|>=) (\d+)", message):
        bound, limit = match.groups()
        unit = "characters" if isinstance(value, str) else "entries"
        return "is empty" if bound == ">=" else f"has more than {limit} {unit}"
    if match := re.match(r"Expected `(?:int|float)` (<=|>=) (-?\d+)", message):
        bound, limit = match.groups()
        return f"is {'more' if bound == '<=' else 'less'} than {limit}"
    if "matching regex" in message:
        return "has control characters in it, or nothing but blanks"
    return message.partition(" - at `")[0]


def _in_words(kinds: str) -> str:
    if kinds in _WORDS:
        return _WORDS[kinds]
    return " or ".join(_WORDS.get(kind, kind) for kind in kinds.split(" | "))
