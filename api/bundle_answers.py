"""What clients are told of bundles."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Final

from msgspec import Meta, Struct

from api.answers import ItemisedPrice, tell_quote
from api.charges import Price, tell_price
from api.outcomes import problem_of
from api.problems import ProblemError, ProblemKind
from engine.inventory.commands import InDoubt, LedgerBehind, Overloaded, Recovering
from engine.platform.ids import Prefix
from engine.platform.money import NOTHING
from engine.runtime import Serving
from engine.sales.bundles import Bundle, BundledShow, BundleState
from engine.sales.bundling import BundleRefused
from engine.sales.views import HoldView

_GONE: Final = frozenset(
    {BundleState.RELEASING, BundleState.RELEASED, BundleState.FAILING, BundleState.FAILED}
)
_STATES: Final = (
    "`holding`, `held`, `committing`, `purchasing`, `purchased`; or `releasing`, `released`,"
    " `failing`, `failed`: nothing of it is held or bought."
)
_REASONS: Final = (
    "Why it is released, or has failed: `refused`, `cancelled`, `expired`, `abandoned`, `too-late`."
)


class BundledShowAnswer(Struct, frozen=True, kw_only=True):
    """A show of a bundle. Places and price are told while it is held, and once it is bought."""

    show: str
    hold: str
    status: Annotated[str, Meta(description="`held`, `purchased` or `ended`.", examples=["held"])]
    refused: Annotated[str, Meta(description="What the show said, if it did not go along.")] | None
    seats: list[str]
    areas: dict[str, int]
    price: ItemisedPrice | None
    order: str | None


class BundleAnswer(Struct, frozen=True, kw_only=True):
    """Holds in several shows that are bought as one or not at all."""

    bundle: str
    state: Annotated[str, Meta(description=_STATES, examples=["held"])]
    reason: Annotated[str, Meta(description=_REASONS)] | None
    buyer: str | None
    created_at: datetime
    expires_at: Annotated[datetime, Meta(description="When the first hold ends.")] | None
    currency: str
    price: Annotated[Price, Meta(description="Of all its shows.")] | None
    payment_reference: str | None
    shows: list[BundledShowAnswer]


async def tell_bundle(runtime: Serving, bundle: Bundle) -> BundleAnswer:
    """Tell how a bundle stands.

    Raises:
        ProblemError: the store can't tell just now.
    """
    looks = await asyncio.gather(*(_look(runtime, bundle, one) for one in bundle.shows))
    views = [view for view in looks if view is not None]
    is_whole = len(views) == len(bundle.shows)
    total = sum((view.quote.charge for view in views), NOTHING)
    return BundleAnswer(
        bundle=runtime.ids.entity(Prefix.BUNDLE, bundle.id),
        state=bundle.state,
        reason=bundle.reason,
        buyer=views[0].buyer if views else None,
        created_at=bundle.created_at.astimezone(UTC),
        expires_at=(
            bundle.expires_at.astimezone(UTC)
            if bundle.expires_at and bundle.state is BundleState.HELD
            else None
        ),
        currency=bundle.currency,
        price=tell_price(total) if is_whole else None,
        payment_reference=bundle.payment_reference,
        shows=[
            _tell_show(runtime, one, view) for one, view in zip(bundle.shows, looks, strict=True)
        ],
    )


async def _look(runtime: Serving, bundle: Bundle, one: BundledShow) -> HoldView | None:
    office = runtime.box_office
    if bundle.state in _GONE:
        return None
    show = await office.show(bundle.reseller, one.show)
    outcome = await office.tell(show, office.ask_look(show, one.hold))
    if isinstance(outcome, Recovering | InDoubt | Overloaded | LedgerBehind):
        raise problem_of(outcome, show)
    return outcome if isinstance(outcome, HoldView) else None


def _tell_show(runtime: Serving, one: BundledShow, view: HoldView | None) -> BundledShowAnswer:
    ids = runtime.ids
    is_bought = view is not None and view.expires_at_ms is None
    return BundledShowAnswer(
        show=ids.entity(Prefix.SHOW, one.show),
        hold=ids.hold(one.hold),
        status="ended" if view is None else "purchased" if is_bought else "held",
        refused=one.refused,
        seats=[] if view is None else view.seats,
        areas={} if view is None else view.areas,
        price=None if view is None else tell_quote(view.quote, view.show),
        order=ids.order(one.show, one.hold) if is_bought else None,
    )


# -------------------------------------------------------------------------------- problems


def bundle_not_found() -> ProblemError:
    """Return the problem of a text that is no bundle's id, or somebody else's."""
    return ProblemError(ProblemKind.BUNDLE_NOT_FOUND, "You have no bundle with this id.")


def bundle_refused(runtime: Serving, refused: BundleRefused) -> ProblemError:
    """Return the problem of a bundle whose shows did not all go along, with each refusal."""
    told: list[dict[str, str]] = []
    for show, outcome in refused.refusals:
        assert not isinstance(outcome, HoldView)  # noqa: S101 - that is no refusal
        problem = problem_of(outcome, show)
        name = runtime.ids.entity(Prefix.SHOW, show.id)
        told.append({"show": name, "problem": problem.kind.type, "detail": problem.detail})
    return ProblemError(
        ProblemKind.BUNDLE_REFUSED,
        f"Nothing is held, since {len(told)} of the shows did not go along: "
        f"{told[0]['detail']} Ask again with another Idempotency-Key.",
        members={"bundle": _name(runtime, refused.bundle), "shows": told},
    )


def bundle_ended(runtime: Serving, bundle: Bundle) -> ProblemError:
    """Return the problem of a bundle of which nothing is held or bought."""
    sentence = {
        BundleState.FAILING: "What was bought of it is given back, since a show lost its hold.",
        BundleState.FAILED: "What was bought of it was given back, since a show lost its hold.",
    }.get(bundle.state, "Nothing of it was bought, and its places are on sale again.")
    members: dict[str, object] = {
        "bundle": _name(runtime, bundle),
        "state": bundle.state.value,
        "reason": bundle.reason or "",
    }
    return ProblemError(ProblemKind.BUNDLE_ENDED, sentence, members=members)


def _name(runtime: Serving, bundle: Bundle) -> str:
    return runtime.ids.entity(Prefix.BUNDLE, bundle.id)
