"""The one table from what the engine answers to what a client is told.

Every refusal of the engine becomes a problem here, and nowhere else; the match is exhaustive, so a
new outcome does not type-check until it has a row.
"""

from functools import partial
from typing import Final, assert_never

import structlog

from api.problems import Fault, ProblemError, ProblemKind
from api.times import now_ms, utc
from engine.inventory.commands import (
    AlreadyPurchased,
    AreaShort,
    Expired,
    InDoubt,
    KeyReused,
    LedgerBehind,
    Malformed,
    NoneTogether,
    NotOnSale,
    OverBuyerLimit,
    OverHoldLimit,
    Overloaded,
    Recovering,
    Released,
    SalesEnded,
    SeatsTaken,
    TooEarly,
    Unknown,
)
from engine.inventory.edits import EditRefused, TooManyEdits, VersionPassed
from engine.inventory.house import BlocksRefused
from engine.inventory.manifest import Manifest
from engine.inventory.shows import Show
from engine.platform.errors import StoreUnavailableError
from engine.platform.legible import list_some
from engine.platform.retrying import BreakerOpenError
from engine.sales.chosen_types import TypesRefused
from engine.sales.returns import Compensated, NotConfirmed
from engine.sales.views import HoldOfBundle, OrderUndecided
from engine.sales.wanted import UnknownPlaces

Refused = (
    UnknownPlaces
    | TypesRefused
    | NotOnSale
    | TooEarly
    | SalesEnded
    | OverHoldLimit
    | OverBuyerLimit
    | SeatsTaken
    | AreaShort
    | NoneTogether
    | KeyReused
    | Malformed
    | AlreadyPurchased
    | HoldOfBundle
    | Unknown
    | Released
    | Expired
    | BlocksRefused
    | EditRefused
    | VersionPassed
    | TooManyEdits
    | OrderUndecided
    | NotConfirmed
    | Compensated
    | Recovering
    | InDoubt
    | Overloaded
    | LedgerBehind
)
"""Every answer of the engine that is not what was asked for."""

_names: Final = partial(list_some, most=5)

_LEDGER_BEHIND_S: Final = "5"
"""When to come back to a ledger that has thousands of sales to record first."""

_log = structlog.stdlib.get_logger(__name__)


def problem_of(  # noqa: C901, PLR0911, PLR0912 -- a table with a row an outcome
    outcome: Refused, show: Show
) -> ProblemError:
    """Return the problem that tells a client of an outcome, in the words of that show."""
    manifest = show.manifest
    match outcome:
        # First what a show that sells out answers nearly always.
        case SeatsTaken():
            return _seats_taken(outcome, manifest)
        case AreaShort():
            return _area_short(outcome, manifest)
        case UnknownPlaces():
            return _unknown_places(outcome, manifest)
        case TypesRefused():
            return ProblemError(
                ProblemKind.TICKET_TYPES_REFUSED,
                "The show does not sell these places at these ticket types.",
                errors=[Fault(one.reason, pointer=one.pointer) for one in outcome.faults],
            )
        case NotOnSale():
            return _not_on_sale(outcome.state or show.state)
        case TooEarly():
            return _too_early(outcome, show)
        case SalesEnded():
            ended = utc(outcome.closed_at_ms)
            return ProblemError(
                ProblemKind.SALES_ENDED,
                f"Sales of this show ended at {ended:%Y-%m-%dT%H:%M:%SZ}.",
                members={"closed_at": ended},
            )
        case OverHoldLimit():
            return ProblemError(
                ProblemKind.OVER_HOLD_LIMIT,
                f"One hold may have {outcome.most} tickets at the most; make it smaller.",
                members={"most": outcome.most},
            )
        case OverBuyerLimit():
            return ProblemError(
                ProblemKind.OVER_BUYER_LIMIT,
                f"One buyer may have {outcome.most} tickets of this show; this one holds or has "
                f"bought {outcome.has}.",
                members={"most": outcome.most, "has": outcome.has},
            )
        case NoneTogether():
            level = manifest.levels[outcome.level].slug
            return ProblemError(
                ProblemKind.NONE_TOGETHER,
                f"Price level {level} has no {outcome.count} open seats next to each other; ask "
                "for fewer, or for two smaller groups.",
                members={"price_level": level, "quantity": outcome.count},
            )
        case KeyReused():
            return ProblemError(
                ProblemKind.KEY_REUSED,
                "This Idempotency-Key was used with another body; a new request needs a new key.",
                errors=[Fault("was used with another body", header="Idempotency-Key")],
            )
        case Malformed():
            # The API checks what it sends: this is an error of this program, harmless so far.
            _log.error("the script could not read a command", show=f"{show.id:016x}")
            return ProblemError(
                ProblemKind.INVALID_REQUEST, "The engine could not read this request."
            )
        case AlreadyPurchased():
            return ProblemError(
                ProblemKind.ALREADY_PURCHASED,
                "This hold has become an order by another purchase; a hold becomes one order.",
            )
        case HoldOfBundle():
            return ProblemError(
                ProblemKind.HOLD_OF_BUNDLE,
                f"This hold is a part of {outcome.bundle}: it is bought and released with that "
                "only, and stays as it is.",
                members={"bundle": outcome.bundle},
            )
        case Unknown():
            return ProblemError(
                ProblemKind.HOLD_NOT_FOUND,
                "This hold is not known here: it ended more than ten minutes ago, or never was.",
            )
        case Released():
            return ProblemError(
                ProblemKind.HOLD_RELEASED, "This hold was released; its seats went back on sale."
            )
        case Expired():
            return ProblemError(
                ProblemKind.HOLD_EXPIRED,
                "This hold's deadline has passed; its seats went back on sale.",
            )
        case BlocksRefused():
            return _blocks_refused(outcome, manifest)
        case EditRefused():
            return _edits_refused(outcome, manifest)
        case VersionPassed():
            return ProblemError(
                ProblemKind.INVENTORY_CHANGED,
                f"The inventory is at version {outcome.inventory_version}; look again, and decide "
                "anew.",
                members={"inventory_version": outcome.inventory_version},
            )
        case TooManyEdits():
            return ProblemError(
                ProblemKind.TOO_MANY_EDITS,
                f"A show can be edited {outcome.most} times.",
                members={"most": outcome.most},
            )
        case OrderUndecided():
            return ProblemError(
                ProblemKind.IN_DOUBT,
                "This order's hold stands unsold; repeat its purchase with the same key, or come "
                "back when the hold is over.",
            )
        case NotConfirmed():
            return ProblemError(
                ProblemKind.ORDER_NOT_CONFIRMED,
                f"Only a confirmed order can be returned; this one is {outcome.status}.",
                members={"order_status": outcome.status},
            )
        case Compensated():
            return ProblemError(
                ProblemKind.ORDER_COMPENSATED,
                f"Its holder chose {outcome.choice} when the show was cancelled or moved: choose "
                "refund instead, as long as there is time to.",
                members={"choice": outcome.choice},
            )
        case Recovering() | InDoubt() | Overloaded():
            return problem_of_store(outcome)
        case LedgerBehind():
            return ProblemError(
                ProblemKind.OVERLOADED,
                "Nothing was done, because the ledger is behind with the show's sales; repeat in "
                "some seconds, with the same key.",
                headers={"Retry-After": _LEDGER_BEHIND_S},
            )
        case _:
            assert_never(outcome)


def problem_of_store(outcome: Recovering | InDoubt | Overloaded) -> ProblemError:
    """Return the problem of what the inventory store did not decide."""
    match outcome:
        case Recovering():
            return ProblemError(
                ProblemKind.SHOW_RECOVERING,
                "The show's inventory is being rebuilt; repeat in a second, with the same key.",
            )
        case InDoubt():
            return ProblemError(
                ProblemKind.IN_DOUBT,
                "The answer was lost on the way; repeat with the same key to learn what happened.",
            )
        case Overloaded():
            return ProblemError(
                ProblemKind.OVERLOADED,
                "Nothing was done, because too much is waiting; repeat with the same key.",
            )


def show_not_found() -> ProblemError:
    """Return the problem of a show that is not there, or is somebody else's."""
    return ProblemError(ProblemKind.SHOW_NOT_FOUND, "You have no show with this id.")


def hold_not_found() -> ProblemError:
    """Return the problem of a text that is no hold's id on that show."""
    return ProblemError(
        ProblemKind.HOLD_NOT_FOUND, "No such hold was ever handed out on this show."
    )


def purchase_failed(order: str, location: str) -> ProblemError:
    """Return the problem of a purchase whose order came too late for one of its places."""
    return ProblemError(
        ProblemKind.PURCHASE_FAILED,
        "Another order has a place of this one: nothing was sold. Refund or release the payment, "
        "and hold other places.",
        members={"order": order},
        headers={"Location": location},
    )


def unavailable(error: StoreUnavailableError) -> ProblemError:
    """Return the problem of a store that could not be asked."""
    # Breakers tell once, when they open: not with every buyer whom they refuse.
    if not isinstance(error.__cause__, BreakerOpenError):
        _log.warning("store unavailable", error=str(error))
    return ProblemError(
        ProblemKind.UNAVAILABLE, "A store can't be reached just now; repeat with the same key."
    )


def order_not_found() -> ProblemError:
    """Return the problem of an order that is not there, or is somebody else's."""
    return ProblemError(ProblemKind.ORDER_NOT_FOUND, "You have no order with this id.")


def _not_on_sale(state: str) -> ProblemError:
    told = state.replace("_", " ")
    return ProblemError(
        ProblemKind.NOT_ON_SALE,
        f"The house does not sell this show now: it is {told}.",
        members={"state": state},
    )


def _too_early(outcome: TooEarly, show: Show) -> ProblemError:
    opens_at = utc(outcome.opens_at_ms)
    seconds = max(1, -(-(outcome.opens_at_ms - now_ms()) // 1000))
    return ProblemError(
        ProblemKind.TOO_EARLY,
        f"Sales of {show.name!r} open at {opens_at:%Y-%m-%dT%H:%M:%SZ}.",
        members={"opens_at": opens_at},
        headers={"Retry-After": str(seconds)},
    )


def _seats_taken(outcome: SeatsTaken, manifest: Manifest) -> ProblemError:
    labels, _ = manifest.labels_and_levels(outcome.seats)
    verb = "is" if len(labels) == 1 else "are"
    # By position, which an exception takes in half the time.
    return ProblemError(
        ProblemKind.SEATS_TAKEN,
        f"{_names(labels)} {verb} not open any more; nothing was held.",
        (),
        {"seats": labels},
    )


def _area_short(outcome: AreaShort, manifest: Manifest) -> ProblemError:
    left = {manifest.areas[area].slug: count for area, count in outcome.areas}
    described = ", ".join(f"{slug} has {count} left" for slug, count in left.items())
    return ProblemError(
        ProblemKind.AREA_SHORT, f"Too few places: {described}.", members={"areas": left}
    )


def _blocks_refused(outcome: BlocksRefused, manifest: Manifest) -> ProblemError:
    labels = [label for seat in outcome.seats if (label := manifest.labels[seat]) is not None]
    slugs = [manifest.areas[area].slug for area in outcome.areas]
    return ProblemError(
        ProblemKind.BLOCKS_REFUSED,
        f"Nothing was changed: {_names([*labels, *slugs])} can't be, because buyers have them or "
        "too few such places are there.",
        members={"seats": labels, "areas": slugs},
    )


def _edits_refused(outcome: EditRefused, manifest: Manifest) -> ProblemError:
    labels = [label for seat in outcome.seats if (label := manifest.labels[seat]) is not None]
    left = {manifest.areas[area].slug: count for area, count in outcome.areas}
    reasons = [f"{slug} has {count} open" for slug, count in left.items()]
    if labels:
        verb = "is" if len(labels) == 1 else "are"
        reasons.insert(0, f"{_names(labels)} {verb} held or sold")
    return ProblemError(
        ProblemKind.EDITS_REFUSED,
        f"Nothing was changed: {'; '.join(reasons)}.",
        members={"seats": labels, "areas": left},
    )


def _unknown_places(outcome: UnknownPlaces, manifest: Manifest) -> ProblemError:
    areas = [area.slug for _, area in manifest.areas_told()]
    levels = [level.slug for level in manifest.levels]
    sentences = {
        ProblemKind.UNKNOWN_SEATS: outcome.seats
        and f"seat {_names(outcome.seats)}; a seat is named by its label in the plan.",
        ProblemKind.UNKNOWN_AREAS: outcome.areas
        and f"area {_names(outcome.areas)}; it has {_names(areas) or 'none'}.",
        ProblemKind.UNKNOWN_PRICE_LEVELS: outcome.price_levels
        and f"price level {_names(outcome.price_levels)}; it has {_names(levels)}.",
    }
    told = {kind: sentence for kind, sentence in sentences.items() if sentence}
    faults = [
        *(Fault("no such area", pointer=f"/areas/{_escaped(slug)}") for slug in outcome.areas),
        *(
            Fault("no such price level", pointer="/best_available/price_level")
            for _ in outcome.price_levels
        ),
    ]
    if outcome.seats:
        faults.insert(0, Fault(f"unknown: {_names(outcome.seats)}", pointer="/seats"))
    named = {
        "seats": outcome.seats,
        "areas": outcome.areas,
        "price_levels": outcome.price_levels,
    }
    return ProblemError(
        next(iter(told)),
        " ".join(f"The show has no {sentence}" for sentence in told.values()),
        errors=faults,
        members={name: places for name, places in named.items() if places},
    )


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
