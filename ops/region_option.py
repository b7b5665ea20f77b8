"""The option by which a command is told which of several cells it is about."""

from typing import Any, Final

import click

from engine.platform.ids import REGION


def check_region(
    _context: click.Context, _parameter: click.Parameter, given: str | tuple[str, ...] | None
) -> Any:  # noqa: ANN401 - what was given
    """Refuse what is no region's code; one that is named twice counts once."""
    regions = given if isinstance(given, tuple) else (given,)
    for region in regions:
        if region is not None and not REGION.fullmatch(region):
            msg = f"{region!r}: 2 to 8 lower-case letters and digits, a letter first"
            raise click.BadParameter(msg)
    return tuple(dict.fromkeys(given)) if isinstance(given, tuple) else given


region_option: Final = click.option(
    "--region",
    callback=check_region,
    metavar="REGION",
    help="The cell that is meant, where several run here.",
)
