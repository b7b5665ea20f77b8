"""Who may hold places that are not for everybody: by a code, or the channel that they come from."""

import hmac
import time
from base64 import b32encode
from collections.abc import Mapping
from typing import Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from engine.inventory.allotments import NO_RIGHTS, NOWHERE, ONLY, Allotment, Allotments, Rights
from engine.inventory.commands import AreaShort, NoneTogether, SeatsTaken, Selection
from engine.inventory.shows import Show
from engine.platform.ids import Ids

CODE_CHARACTERS: Final = 10
"""Of a personal code: 50 bits, in groups of five."""

_GROUP: Final = 5
_NONE_PASSED: Final[Mapping[int, int]] = {}
_IGNORED: Final = str.maketrans("", "", " -_.")


class Shown(Struct, frozen=True):
    """What a request shows of itself, to be told apart by."""

    access_code: str = ""
    channel: str = ""
    buyer: str = ""

    def __bool__(self) -> bool:
        """Tell whether it may give a right."""
        return bool(self.access_code or self.channel)


NOTHING_SHOWN: Final = Shown()

Taken = SeatsTaken | AreaShort | NoneTogether
T = TypeVar("T")


class Judged(Struct, frozen=True):
    """A selection as the store is asked for it by somebody with some rights.

    `foreign` are seats of it that are others'. In their place stands as much of what nobody can
    have: so the store refuses it, after all else that it refuses first, and answers a repeated
    request as ever.
    """

    selection: Selection
    foreign: tuple[int, ...] = ()
    foreign_areas: tuple[int, ...] = ()
    """Areas of it that have nothing for who asks: for these stands as much, too."""
    rights: Rights = NO_RIGHTS
    passed: Mapping[int, int] = {}
    """By area, how many of the shares of it that could give its places are too short for them."""


def plain_code(text: str) -> str:
    """Return a code without what people write differently."""
    return text.translate(_IGNORED).upper()


def personal_code(ids: Ids, show: int, allotment: int, buyer: str) -> str:
    """Return a buyer's own code of an allotment, as it is told: nothing keeps it."""
    digest = ids.digest_personal_code(show, allotment, buyer)
    text = b32encode(digest).decode()[:CODE_CHARACTERS]
    return f"{text[:_GROUP]}-{text[_GROUP:]}"


def rights_of(ids: Ids, show: Show, shown: Shown, *, is_early: bool = False) -> Rights:
    """Return which allotments of a show somebody may hold places of, now.

    With `is_early` also those that are yet to begin. Another reseller has a right to what was
    released to it, whatever is shown, and to nothing else.
    """
    living = show.allotments.living
    if show.seller is not None:
        seller, now_ms = show.seller, time.time_ns() // 1_000_000
        own = (n for n, one in enumerate(living) if seller in one.sellers)
        return frozenset({ONLY, *(n for n in own if _has_begun(living[n], now_ms))})
    if not living or not shown:
        return NO_RIGHTS
    code = plain_code(shown.access_code)
    digest = ids.digest_code(show.id, code) if code else b""
    now_ms = time.time_ns() // 1_000_000
    return frozenset(
        n
        for n, one in enumerate(living)
        if (is_early or _has_begun(one, now_ms))
        and (
            digest in one.code_digests
            or (shown.channel and shown.channel in one.channels)
            or (code and _is_own_code(ids, show, one, code, shown.buyer))
        )
    )


def judge(
    show: Show, selection: Selection, rights: Rights, passed: Mapping[int, int] = _NONE_PASSED
) -> Judged:
    """Return what the store is to be asked for, of a selection by somebody with these rights.

    Places of an area are taken from one of the shares of it that are theirs, by how many of these
    were too short, and from what is for everybody in the end; never from two of these together.
    """
    allotments = show.allotments
    if not allotments.living and not rights:
        return Judged(selection)
    foreign_areas: tuple[int, ...] = ()
    missing = 0
    if rights and selection.areas:
        sources = {n: _sources(allotments, n, rights) for n, _ in selection.areas}
        foreign_areas = tuple(n for n, found in sources.items() if not found)
        missing = sum(count for n, count in selection.areas if n in foreign_areas)
        areas = tuple(
            (sources[n][passed.get(n, 0)], count) for n, count in selection.areas if sources[n]
        )
        selection = replace(selection, areas=areas)
    foreign = allotments.foreign_seats(selection.seats, rights)
    best, levels = selection.best, len(show.manifest.levels)
    if rights and best:
        best = tuple(
            (allotments.level_to_search(level, levels, rights), count) for level, count in best
        )
    if not foreign and not foreign_areas:
        if rights:
            selection = replace(selection, best=best)
        return Judged(selection, (), (), rights, passed)
    others = frozenset(foreign)
    return Judged(
        replace(
            selection,
            seats=tuple(seat for seat in selection.seats if seat not in others),
            best=(*best, (NOWHERE, len(foreign) + missing)),
        ),
        foreign,
        foreign_areas,
        rights,
        passed,
    )


def pass_short(show: Show, judged: Judged, short: AreaShort) -> Mapping[int, int] | None:
    """Return which shares are passed now that some were too short; None: there is no other way."""
    passed = dict(judged.passed)
    for n, _ in short.areas:
        area = show.manifest.areas[n].parent
        if area is None:
            return None
        passed[area] = passed.get(area, 0) + 1
        if passed[area] >= len(_sources(show.allotments, area, judged.rights)):
            return None
    return passed


def as_asked(
    show: Show, refused: Taken, foreign: tuple[int, ...], foreign_areas: tuple[int, ...] = ()
) -> Taken:
    """Return why a judged selection was refused, in the words of who asked for it."""
    if isinstance(refused, NoneTogether):
        if refused.level == NOWHERE:
            if not foreign:
                return AreaShort(tuple((area, 0) for area in sorted(foreign_areas)))
            return SeatsTaken(foreign)
        return NoneTogether(refused.level % len(show.manifest.levels), refused.count)
    if isinstance(refused, AreaShort):
        areas = show.manifest.areas
        left = {(n if (of := areas[n].parent) is None else of): count for n, count in refused.areas}
        return AreaShort(tuple(sorted(left.items())))
    return with_foreign(refused, foreign)


def with_foreign(refused: T, foreign: tuple[int, ...]) -> T | SeatsTaken:
    """Return a refusal with the seats that are others' among those that are taken."""
    if not foreign or not isinstance(refused, SeatsTaken):
        return refused
    return SeatsTaken(tuple(sorted({*refused.seats, *foreign})))


def _sources(allotments: Allotments, area: int, rights: Rights) -> list[int]:
    """Return which areas may give places of one, in their order."""
    shares = allotments.shares_of(area, rights)
    return shares if ONLY in rights else [*shares, area]


def _has_begun(one: Allotment, now_ms: int) -> bool:
    return one.begins_at_ms is None or one.begins_at_ms <= now_ms


def _is_own_code(ids: Ids, show: Show, one: Allotment, code: str, buyer: str) -> bool:
    if not one.is_personal or not buyer:
        return False
    own = plain_code(personal_code(ids, show.id, one.id, buyer))
    return hmac.compare_digest(own.encode(), code.encode())
