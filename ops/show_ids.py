"""Shows' ids as people type them at a command line."""

import re
from typing import Final

import click

_SHOW: Final = re.compile(r"(?:shw_[a-z0-9]+_)?([0-9a-f]{16})")


def parse_show_id(text: str, hint: str) -> int:
    """Return the show that a text names, with or without its prefix.

    Raises:
        click.BadParameter: it is no show's id; `hint` says which parameter it was given for.
    """
    match = _SHOW.fullmatch(text)
    if match is None:
        msg = f"{text!r} is not a show's id, such as shw_dev_0123456789abcdef"
        raise click.BadParameter(msg, param_hint=hint)
    return int(match[1], 16)


def tell_show_id(show: int, region: str) -> str:
    """Return a show's id as the API writes it."""
    return f"shw_{region}_{show:016x}"
