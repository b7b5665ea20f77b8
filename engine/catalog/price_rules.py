"""What prices and ticket types must be like: pure checks, each of which tells all that is wrong."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from engine.catalog.shows import FACE_VALUE_MAX
from engine.inventory.price_versions import TypePrice
from engine.inventory.ticket_types import STANDARD, TicketType
from engine.platform.money import BPS


class PriceFault(Struct, frozen=True):
    """What is wrong: a JSON pointer into what was asked for, and why."""

    pointer: str
    reason: str


class PriceFaultsError(ValueError):
    """Prices, types or steps can't be as they are asked for; all that is wrong, at once."""

    def __init__(self, faults: list[PriceFault]) -> None:
        """Take what is wrong."""
        super().__init__("; ".join(f"{fault.pointer}: {fault.reason}" for fault in faults))
        self.faults = faults


class NewPrices(Struct, frozen=True):
    """Prices to publish: face values by level slug, and what ticket types cost, by type slug."""

    face_values: dict[str, int]
    types: dict[str, TypePrice]


class NewStep(Struct, frozen=True, kw_only=True):
    """Prices to come: at a moment, or once so many tickets are sold, whichever is first."""

    at: datetime | None
    after_sold: int | None
    price_level: str | None
    """Whose tickets `after_sold` counts; None: all of the show."""
    prices: NewPrices


def check_prices(
    new: NewPrices, levels: Sequence[str], types: Mapping[str, TicketType]
) -> list[PriceFault]:
    """List what is wrong with prices for all of a show."""
    faults = [
        PriceFault("/prices", f"price level {slug!r} has no price")
        for slug in levels
        if slug not in new.face_values
    ]
    faults += [
        PriceFault("/ticket_types", f"ticket type {slug!r} has no price")
        for slug in types
        if slug != STANDARD and slug not in new.types
    ]
    return [*faults, *check_changes(new, levels, types)]


def check_changes(
    new: NewPrices, levels: Sequence[str], types: Mapping[str, TicketType], at: str = ""
) -> list[PriceFault]:
    """List what is wrong with prices for some levels and types, each type's for all its levels."""
    faults: list[PriceFault] = []
    for slug, face_value in new.face_values.items():
        here = f"{at}/prices/{escaped(slug)}"
        if slug not in levels:
            faults.append(PriceFault(here, f"no such price level; it has {', '.join(levels)}"))
        elif not 0 <= face_value <= FACE_VALUE_MAX:
            faults.append(PriceFault(here, f"0 to {FACE_VALUE_MAX} minor units"))
    for slug, price in new.types.items():
        here = f"{at}/ticket_types/{escaped(slug)}"
        if slug == STANDARD:
            faults.append(PriceFault(here, "costs what its price level does: see /prices"))
        elif slug not in types:
            faults.append(PriceFault(here, "no such ticket type of the show"))
        else:
            faults += _type_faults(price, levels, types[slug], here)
    return faults


def _type_faults(
    price: TypePrice, levels: Sequence[str], of: TicketType, here: str
) -> Iterator[PriceFault]:
    if price.share_bps is not None and not 0 <= price.share_bps <= BPS:
        yield PriceFault(f"{here}/share_bps", f"0 to {BPS} basis points")
    own = [level for level in levels if of.is_for(level)]
    for slug, face_value in price.prices.items():
        if slug not in own:
            reason = "no price level that it is offered in"
            yield PriceFault(f"{here}/prices/{escaped(slug)}", reason)
        elif not 0 <= face_value <= FACE_VALUE_MAX:
            reason = f"0 to {FACE_VALUE_MAX} minor units"
            yield PriceFault(f"{here}/prices/{escaped(slug)}", reason)
    if price.share_bps is None:
        for slug in own:
            if slug not in price.prices:
                yield PriceFault(here, f"has neither a share nor a price in level {slug!r}")


def check_types(types: Sequence[TicketType], levels: Collection[str]) -> list[PriceFault]:
    """List what is wrong with a show's ticket types."""
    faults: list[PriceFault] = []
    seen: set[str] = set()
    for n, one in enumerate(types):
        here = f"/ticket_types/{n}"
        if one.slug in seen:
            faults.append(PriceFault(f"{here}/ticket_type", f"{one.slug!r} is there twice"))
        seen.add(one.slug)
        for k, level in enumerate(one.levels or ()):
            if level not in levels:
                faults.append(PriceFault(f"{here}/price_levels/{k}", "no such price level"))
        least, most = one.min_per_hold, one.max_per_hold
        if least is not None and most is not None and least > most:
            faults.append(PriceFault(f"{here}/min_per_hold", "more than max_per_hold"))
        if one.slug == STANDARD and (one.levels, least, most) != (None, None, None):
            reason = "the standard type is offered in all levels, without limits"
            faults.append(PriceFault(here, reason))
    return faults


def check_steps(
    steps: Sequence[NewStep],
    levels: Sequence[str],
    types: Mapping[str, TicketType],
    now: datetime,
) -> list[PriceFault]:
    """List what is wrong with a schedule."""
    faults: list[PriceFault] = []
    latest, counts = now, dict[str | None, int]()
    for n, step in enumerate(steps):
        here = f"/steps/{n}"
        faults += _due_faults(step, levels, here)
        if step.at is not None:
            if step.at <= latest:
                faults.append(PriceFault(f"{here}/at", "not after the step before, or now"))
            latest = max(latest, step.at)
        if step.after_sold is not None:
            if step.after_sold <= counts.get(step.price_level, 0):
                faults.append(PriceFault(f"{here}/after_sold", "not more than a step before"))
            counts[step.price_level] = max(counts.get(step.price_level, 0), step.after_sold)
        faults += check_changes(step.prices, levels, types, here)
    return faults


def _due_faults(step: NewStep, levels: Sequence[str], here: str) -> Iterator[PriceFault]:
    if step.at is None and step.after_sold is None:
        yield PriceFault(here, "needs `at` or `after_sold`")
    if step.price_level is not None:
        if step.after_sold is None:
            yield PriceFault(f"{here}/price_level", "goes with `after_sold` only")
        if step.price_level not in levels:
            yield PriceFault(f"{here}/price_level", "no such price level")
    if not step.prices.face_values and not step.prices.types:
        yield PriceFault(here, "changes no price")


def escaped(step: str) -> str:
    """Return a part of a JSON pointer (RFC 6901)."""
    return step.replace("~", "~0").replace("/", "~1")
