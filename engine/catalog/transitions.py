"""The life of a show as one table: which action leads from which state to which, and why not.

Pure. `docs/SHOWS.md` draws it. Whoever has the scope `SCOPE` may take every action here: owners
and managers; finance, support and scanners may look. A date that passes is nobody's action:
`Action.END` is a worker's alone.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from msgspec import Struct

from engine.tenancy.principals import Scope

SCOPE: Final = Scope.SHOWS_WRITE

LASTS_S: Final = 21_600
"""How long a show lasts that does not say, in seconds, unless a setting does."""


class ShowState(StrEnum):
    """What somebody has decided of a show."""

    DRAFT = "draft"
    """Known to its reseller only; its inventory is not opened yet."""
    ANNOUNCED = "announced"
    """Made known, and not sold until it is opened."""
    ON_SALE = "on_sale"
    """Sold from `opens_at` to `closes_at`."""
    PAUSED = "paused"
    """Nothing new is held; what is held may still be bought."""
    OFF_SALE = "off_sale"
    """Closed by its reseller."""
    RESCHEDULED = "rescheduled"
    """Moved to another date, and not sold until it is opened again."""
    CANCELLED = "cancelled"
    """Does not take place. Final."""
    PAST = "past"
    """Is over. Final."""


class Action(StrEnum):
    """What can be done to a show."""

    ANNOUNCE = "announce"
    OPEN = "open"
    PAUSE = "pause"
    RESUME = "resume"
    CLOSE = "close"
    RESCHEDULE = "reschedule"
    CANCEL = "cancel"
    CHANGE = "change"
    """Its name, times, limits and the like: `PATCH`."""
    ADD_DATE = "add-date"
    ARCHIVE = "archive"
    END = "end"


class Times(Struct, frozen=True):
    """The times of a show that a transition looks at, and what time it is."""

    now: datetime
    starts_at: datetime
    opens_at: datetime
    closes_at: datetime | None = None
    duration_min: int | None = None
    lasts_s: int = LASTS_S
    """How long a show lasts that does not say."""

    @property
    def ends_at(self) -> datetime:
        """When the show is over."""
        lasts_s = self.lasts_s if self.duration_min is None else self.duration_min * 60
        return self.starts_at + timedelta(seconds=lasts_s)


class Refused(Struct, frozen=True):
    """The show is not in a state for it: why, and what can be done instead."""

    state: ShowState
    action: Action
    reason: str
    allowed: tuple[Action, ...]


_STAYS: Final = None
"""The action leaves the state as it is."""

_CANCELLED: Final = "it is cancelled, which is final: add another date"
_PAST: Final = "it is over, which is final: add another date"
_IS_DRAFT: Final = "it is a draft, and was never on sale"
_IS_ANNOUNCED: Final = "it is announced, and was never on sale"
_MOVE_BY_CHANGE: Final = "nobody has a ticket yet: change `starts_at`"
_NOT_YET_OVER: Final = "its sale rests, but it may be opened again: close it first"
_STILL_SOLD: Final = "it is on sale: close it first"
_NOT_PAUSED: Final = "it is not paused"

Row = Mapping[Action, ShowState | str | None]

_S = ShowState
_A = Action
TABLE: Final[Mapping[ShowState, Row]] = MappingProxyType(
    {
        _S.DRAFT: {
            _A.ANNOUNCE: _S.ANNOUNCED,
            _A.OPEN: _S.ON_SALE,
            _A.PAUSE: _IS_DRAFT,
            _A.RESUME: _IS_DRAFT,
            _A.CLOSE: _IS_DRAFT,
            _A.RESCHEDULE: _MOVE_BY_CHANGE,
            _A.CANCEL: _S.CANCELLED,
            _A.CHANGE: _STAYS,
            _A.ADD_DATE: _STAYS,
            _A.ARCHIVE: "it is a draft: its inventory was never opened",
            _A.END: "it is a draft: nobody was ever told of it",
        },
        _S.ANNOUNCED: {
            _A.ANNOUNCE: "it is announced already",
            _A.OPEN: _S.ON_SALE,
            _A.PAUSE: _IS_ANNOUNCED,
            _A.RESUME: _IS_ANNOUNCED,
            _A.CLOSE: _IS_ANNOUNCED,
            _A.RESCHEDULE: _MOVE_BY_CHANGE,
            _A.CANCEL: _S.CANCELLED,
            _A.CHANGE: _STAYS,
            _A.ADD_DATE: _STAYS,
            _A.ARCHIVE: "it is announced, and yet to be sold",
            _A.END: _S.PAST,
        },
        _S.ON_SALE: {
            _A.ANNOUNCE: "it is on sale already",
            _A.OPEN: "it is on sale already",
            _A.PAUSE: _S.PAUSED,
            _A.RESUME: _NOT_PAUSED,
            _A.CLOSE: _S.OFF_SALE,
            _A.RESCHEDULE: _S.RESCHEDULED,
            _A.CANCEL: _S.CANCELLED,
            _A.CHANGE: _STAYS,
            _A.ADD_DATE: _STAYS,
            _A.ARCHIVE: _STILL_SOLD,
            _A.END: _S.PAST,
        },
        _S.PAUSED: {
            _A.ANNOUNCE: "it was on sale already",
            _A.OPEN: "it is paused: resume it",
            _A.PAUSE: "it is paused already",
            _A.RESUME: _S.ON_SALE,
            _A.CLOSE: _S.OFF_SALE,
            _A.RESCHEDULE: _S.RESCHEDULED,
            _A.CANCEL: _S.CANCELLED,
            _A.CHANGE: _STAYS,
            _A.ADD_DATE: _STAYS,
            _A.ARCHIVE: _NOT_YET_OVER,
            _A.END: _S.PAST,
        },
        _S.OFF_SALE: {
            _A.ANNOUNCE: "it was on sale already",
            _A.OPEN: _S.ON_SALE,
            _A.PAUSE: "it is closed already",
            _A.RESUME: "it is closed, not paused: open it",
            _A.CLOSE: "it is closed already",
            _A.RESCHEDULE: _S.RESCHEDULED,
            _A.CANCEL: _S.CANCELLED,
            _A.CHANGE: _STAYS,
            _A.ADD_DATE: _STAYS,
            _A.ARCHIVE: _STAYS,
            _A.END: _S.PAST,
        },
        _S.RESCHEDULED: {
            _A.ANNOUNCE: "it was on sale already: open it",
            _A.OPEN: _S.ON_SALE,
            _A.PAUSE: "it is not on sale since it was moved",
            _A.RESUME: "it was moved, not paused: open it",
            _A.CLOSE: _S.OFF_SALE,
            _A.RESCHEDULE: _S.RESCHEDULED,
            _A.CANCEL: _S.CANCELLED,
            _A.CHANGE: _STAYS,
            _A.ADD_DATE: _STAYS,
            _A.ARCHIVE: _NOT_YET_OVER,
            _A.END: _S.PAST,
        },
        _S.CANCELLED: {
            **dict.fromkeys(Action, _CANCELLED),
            _A.ADD_DATE: _STAYS,
            _A.ARCHIVE: _STAYS,
        },
        _S.PAST: {
            **dict.fromkeys(Action, _PAST),
            _A.ADD_DATE: _STAYS,
            _A.ARCHIVE: _STAYS,
        },
    }
)
"""What each action does in each state: leads to another, leaves it as it is, or is refused."""

_ENDS_BY: Final = frozenset({Action.END})


def decide(state: ShowState, action: Action, times: Times) -> ShowState | Refused:
    """Return the state that an action leads to, or why it is refused."""
    found = TABLE[state][action]
    if isinstance(found, str) and not isinstance(found, ShowState):
        return Refused(state, action, found, allowed_in(state))
    reason = _unfit(action, times)
    if reason is not None:
        return Refused(state, action, reason, allowed_in(state))
    return state if found is None else found


def allowed_in(state: ShowState) -> tuple[Action, ...]:
    """Return what a reseller may do in a state, if the show's times allow it, too."""
    return tuple(
        action
        for action, found in TABLE[state].items()
        if (found is None or isinstance(found, ShowState)) and action not in _ENDS_BY
    )


def _unfit(action: Action, times: Times) -> str | None:
    """Return why the show's times don't allow an action."""
    match action:
        case Action.ANNOUNCE:
            if times.starts_at <= times.now:
                return "`starts_at` is past: change it first"
            if times.opens_at <= times.now:
                return "`opens_at` is past: open it, or change `opens_at` first"
        case Action.OPEN | Action.RESUME:
            if times.starts_at <= times.now:
                return "`starts_at` is past: reschedule it, or change it where nothing was sold"
            if times.closes_at is not None and times.closes_at <= times.now:
                return "`closes_at` is past: change it first"
        case Action.END:
            # Who looked for what is over may have looked before it was moved.
            if times.ends_at > times.now:
                return "it is not over yet"
        case _:
            pass
    return None
