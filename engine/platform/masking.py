"""Keeps secrets and people out of logs: what has the name or the looks of one is masked.

The last net. Nothing of the kind should be told to a log at all; what errors of libraries quote
is seen only here.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, cast

MASK: Final = "***"

_NAMES: Final = frozenset(
    {
        *("authorization", "cookie", "password", "secret", "token", "key", "code", "signature"),
        *("email", "mail", "phone", "buyer", "address", "payment_reference"),
        *("query", "query_string", "body", "headers", "parameters", "params", "tax_id", "iban"),
    }
)
_ENDINGS: Final = ("_password", "_secret", "_token", "_key", "_email", "_sealed", "_digest")
_DEPTH_MAX: Final = 6

_LOOKS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"onsale_[a-z][a-z0-9]{1,7}_[A-Za-z0-9_-]{16,}"), MASK),
    (re.compile(r"eyJ[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*"), MASK),
    (re.compile(r"\bwhs(?:ec|k|pk)_[A-Za-z0-9+/=_-]{8,}"), MASK),
    (re.compile(r"\$argon2[a-z]*\$[^\s'\"]+"), MASK),
    (re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]+", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"(://[^\s/:@]*):[^\s/@]+@"), rf"\1:{MASK}@"),
    # PostgreSQL quotes what it refuses.
    (re.compile(r"(Key \([^)\n]*\)=)\([^\n]*\)"), rf"\1({MASK})"),
    (re.compile(r"(Failing row contains) \([^\n]*\)"), rf"\1 ({MASK})"),
    (re.compile(r"[^\s@\"'<>()\[\]{},;:=/]+@(?:[^\s@\"'<>()\[\]{},;:=/.]+\.)+[^\W\d_]{2,}"), MASK),
)


def mask_text(given: str) -> str:
    """Return a text in which whatever looks like a secret or a mail address is masked."""
    for looks, instead in _LOOKS:
        given = looks.sub(instead, given)
    return given


def mask_event(_logger: object, _method: str, event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event with its values masked: a processor of structlog's."""
    return {name: _mask(name, value, 0) for name, value in event.items()}


def _mask(name: str, value: Any, depth: int) -> Any:  # noqa: ANN401 - a value that is logged
    if value is None or isinstance(value, bool | int | float):
        return value
    lowered = name.lower()
    if lowered in _NAMES or lowered.endswith(_ENDINGS):
        return MASK
    if isinstance(value, str):
        return mask_text(value)
    if depth < _DEPTH_MAX:
        if isinstance(value, Mapping):
            members = cast("Mapping[Any, Any]", value)
            return {
                mask_text(str(inner)): _mask(str(inner), of_it, depth + 1)
                for inner, of_it in members.items()
            }
        if isinstance(value, list | tuple | set | frozenset):
            return [_mask("", one, depth + 1) for one in cast("list[Any]", value)]
    return mask_text(repr(value))
