"""What is told of a sheet that was imported, or would be."""

from typing import Annotated

from msgspec import Meta, Struct


class ProblemInSheet(Struct, frozen=True):
    """What is wrong, where, and the way out."""

    line: Annotated[int, Meta(description="As a spreadsheet program counts.", examples=[17])]
    column: Annotated[str, Meta(description="Empty: the whole line.", examples=["starts_at"])]
    reason: Annotated[str, Meta(examples=["is missing"])]


class ShowOfLine(Struct, frozen=True):
    """The show that a line became."""

    line: Annotated[int, Meta(examples=[2])]
    show: str


class SheetAnswer(Struct, frozen=True, kw_only=True):
    """What became of a sheet, or what would have by a dry run."""

    dry_run: bool
    lines: Annotated[int, Meta(description="Without the heading and empty ones.")]
    problems: list[ProblemInSheet]
    more_problems: Annotated[int, Meta(description="Beside those listed.", examples=[0])]


class ShowsImportedAnswer(SheetAnswer, frozen=True, kw_only=True):
    """What became of a sheet of shows, or what would have by a dry run."""

    shows: list[ShowOfLine]
    unchanged: Annotated[int, Meta(description="Lines that name a show: it is left as it is.")]


class PricesOfShow(Struct, frozen=True, kw_only=True):
    """What a show's prices became."""

    line: Annotated[int, Meta(description="The show's first.", examples=[2])]
    show: str
    price_version: Annotated[int, Meta(description="That the show has then.")]
    steps: Annotated[int, Meta(description="Price steps that are to come then.", examples=[1])]


class PricesImportedAnswer(SheetAnswer, frozen=True, kw_only=True):
    """What became of a sheet of prices; by a dry run, `shows` are those that would change."""

    shows: list[PricesOfShow]
    unchanged: Annotated[int, Meta(description="Lines of shows that stay as they are.")]
