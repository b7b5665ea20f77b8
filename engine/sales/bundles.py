"""Bundles in the ledger: what they are, how they stand, and which state leads where.

A bundle is holds in several shows that are bought as one. Its row is the durable intent: whoever
works on it moves it from state to state by comparing and setting, so that of two who work on it at
once one moves it and both go on from there (docs/BUNDLES.md has the table).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from sqlalchemy import bindparam, case, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as insert_new
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.ids import EntityId, HoldId, entity_hex
from engine.platform.tables import bundle_shows, bundles
from engine.sales.judging import OrderStatus

SHOWS_MIN: Final = 2
SHOWS_MAX: Final = 20

LEASE: Final = text("clock_timestamp() + interval '5 seconds'")
"""For how long nobody else takes a bundle from whoever works on it."""

DECIDED_WITHIN: Final = text("interval '40 seconds'")
"""After the intent: the store keeps what is committing for 60 s from later than that, so that at
least 20 s are left to purchase it."""

_KEPT_FOR: Final = text("interval '60 seconds'")
"""After the intent, at least: until then the store keeps what is committing."""

_EXPIRED_AFTER: Final = text("interval '2 seconds'")
"""After the first of its holds has ended: the clocks of both stores differ a little."""


class BundleState(StrEnum):
    """How a bundle stands."""

    HOLDING = "holding"
    """Its shows are being asked."""
    HELD = "held"
    """Every show has given its places: it can be bought or released."""
    COMMITTING = "committing"
    """It is to be bought: every show is being asked to keep its places for that."""
    PURCHASING = "purchasing"
    """It is decided that it is bought: the point of no return."""
    PURCHASED = "purchased"
    """Every order is confirmed."""
    RELEASING = "releasing"
    """It is not bought: every show is to have its places back."""
    RELEASED = "released"
    """Every show has its places back."""
    FAILING = "failing"
    """A show lost its hold after the decision: what was bought of the others is given back."""
    FAILED = "failed"
    """All that was bought is given back."""


TRANSITIONS: Final[Mapping[BundleState, frozenset[BundleState]]] = {
    BundleState.HOLDING: frozenset({BundleState.HELD, BundleState.RELEASING}),
    BundleState.HELD: frozenset({BundleState.COMMITTING, BundleState.RELEASING}),
    BundleState.COMMITTING: frozenset({BundleState.PURCHASING, BundleState.RELEASING}),
    BundleState.PURCHASING: frozenset({BundleState.PURCHASED, BundleState.FAILING}),
    BundleState.PURCHASED: frozenset(),
    BundleState.RELEASING: frozenset({BundleState.RELEASED}),
    BundleState.RELEASED: frozenset(),
    BundleState.FAILING: frozenset({BundleState.FAILED}),
    BundleState.FAILED: frozenset(),
}

BOUGHT: Final = frozenset({OrderStatus.CONFIRMED, OrderStatus.RETURNED, OrderStatus.REFUNDED})
"""How an order stands that a bundle was bought with; it may be given back afterwards, alone."""

ENDED: Final = frozenset(state for state, after in TRANSITIONS.items() if not after)


class Reason(StrEnum):
    """Why a bundle is released, or has failed."""

    REFUSED = "refused"
    """A show refused: each of its shows says what it `refused`."""
    CANCELLED = "cancelled"
    """Whoever made it gave it back."""
    EXPIRED = "expired"
    """The first of its holds has ended."""
    ABANDONED = "abandoned"
    """Its holds were not complete when whoever made them fell silent."""
    TOO_LATE = "too-late"
    """Its shows could not be asked in time."""


def key_of(bundle: int) -> str:
    """Return the key of its holds and purchases: no client can send one, which has a space."""
    return f"bundle {entity_hex(bundle)}"


class BundledShow(Struct, frozen=True):
    """A show of a bundle, and its hold there."""

    show_no: int
    show: EntityId
    hold: HoldId
    refused: str | None
    pass_number: int | None
    """Whose pass of the show's waiting room it was held by."""


class NewPart(Struct, frozen=True):
    """What a bundle is to have in one show."""

    show: EntityId
    hold: HoldId
    pass_number: int | None


class Bundle(Struct, frozen=True, kw_only=True):
    """A bundle as the ledger has it."""

    id: EntityId
    reseller: EntityId
    state: BundleState
    reason: str | None
    body_fp: int
    currency: str
    created_at: datetime
    expires_at: datetime | None
    purchase_key_hash: bytes | None
    purchase_fp: int | None
    payment_reference: str | None
    is_decidable: bool
    """Whether there is time left to decide that it is bought."""
    shows: tuple[BundledShow, ...]

    @property
    def has_ended(self) -> bool:
        """Whether nothing becomes of it any more."""
        return self.state in ENDED


_BUNDLE: Final = select(
    bundles,
    (func.clock_timestamp() < bundles.c.committing_at + DECIDED_WITHIN).label("is_decidable"),
).where(bundles.c.id == bindparam("bundle"))
_SHOWS: Final = (
    select(bundle_shows)
    .where(bundle_shows.c.bundle_id == bindparam("bundle"))
    .order_by(bundle_shows.c.show_no)
)
_LEASE_IT: Final = (
    update(bundles)
    .where(
        bundles.c.id == bindparam("bundle"),
        bundles.c.ended_at.is_(None),
        bundles.c.lease_until < func.clock_timestamp(),
    )
    .values(lease_until=LEASE)
)
_KEEP_IT: Final = (
    update(bundles)
    .where(bundles.c.id == bindparam("bundle"), bundles.c.ended_at.is_(None))
    .values(lease_until=LEASE)
)
# What the store keeps for a while only comes first, by when that ends; what it keeps no more is not
# urgent: one that can't be finished keeps no other waiting.
_URGENT_BY: Final = case(
    (
        bundles.c.state.in_([BundleState.COMMITTING, BundleState.PURCHASING])
        & (bundles.c.committing_at + _KEPT_FOR > func.clock_timestamp()),
        bundles.c.committing_at,
    )
)
_DUE: Final = (
    select(bundles.c.id, bundles.c.reseller_id)
    .where(bundles.c.ended_at.is_(None), bundles.c.lease_until < func.clock_timestamp())
    .order_by(_URGENT_BY.nulls_last(), bundles.c.lease_until)
    .limit(bindparam("most"))
)
# As long as any other key is remembered. One whose hold became an order, however that was, stays:
# its key could not hold again.
_FORGET: Final = text(
    "WITH old AS (SELECT id FROM bundles WHERE state = 'released'"
    " AND ended_at < clock_timestamp() - interval '48 hours'"
    " AND NOT EXISTS (SELECT FROM bundle_shows JOIN orders"
    " ON orders.id = CAST(encode(hold_id, 'hex') AS uuid) WHERE bundle_id = bundles.id)"
    " ORDER BY ended_at LIMIT :most),"
    " parts AS (DELETE FROM bundle_shows USING old WHERE bundle_id = old.id)"
    " DELETE FROM bundles USING old WHERE bundles.id = old.id"
)


async def add_bundle(  # noqa: PLR0913 - what a bundle is made of
    connection: AsyncConnection,
    *,
    bundle: EntityId,
    reseller: EntityId,
    body_fp: int,
    currency: str,
    parts: Sequence[NewPart],
) -> bool:
    """Add a bundle whose shows are about to be asked; False if there is one of that id."""
    new = (
        insert_new(bundles)
        .values(
            id=bundle,
            reseller_id=reseller,
            state=BundleState.HOLDING,
            body_fp=body_fp,
            currency=currency,
            lease_until=LEASE,
        )
        .on_conflict_do_nothing(index_elements=["id"])
        .returning(bundles.c.id)
    )
    if (await connection.execute(new)).first() is None:
        return False
    rows = [
        {
            "bundle_id": bundle,
            "show_no": number,
            "reseller_id": reseller,
            "show_id": part.show,
            "hold_id": part.hold,
            "pass_number": part.pass_number,
        }
        for number, part in enumerate(parts, start=1)
    ]
    await connection.execute(insert(bundle_shows), rows)
    return True


async def find_bundle(connection: AsyncConnection, bundle: int) -> Bundle | None:
    """Return a bundle that the connection sees."""
    row = (await connection.execute(_BUNDLE, {"bundle": bundle})).one_or_none()
    if row is None:
        return None
    shows = (await connection.execute(_SHOWS, {"bundle": bundle})).all()
    return Bundle(
        id=row.id,
        reseller=row.reseller_id,
        state=BundleState(row.state),
        reason=row.reason,
        body_fp=row.body_fp,
        currency=row.currency,
        created_at=row.created_at,
        expires_at=row.expires_at,
        purchase_key_hash=row.purchase_key_hash,
        purchase_fp=row.purchase_fp,
        payment_reference=row.payment_reference,
        is_decidable=bool(row.is_decidable),
        shows=tuple(
            BundledShow(one.show_no, one.show_id, HoldId(one.hold_id), one.refused, one.pass_number)
            for one in shows
        ),
    )


async def find_due(connection: AsyncConnection, most: int) -> list[tuple[EntityId, EntityId]]:
    """Return up to so many bundles, with their resellers, on which nobody works.

    Those first that the store keeps for 60 s from their intent, the oldest intent before all.
    """
    found = await connection.execute(_DUE, {"most": most})
    return [(row.id, row.reseller_id) for row in found]


async def forget_released(connection: AsyncConnection, most: int) -> int:
    """Forget up to so many bundles that were released 48 hours ago or before; return how many.

    The connection is of the recorder's role. Their keys are new afterwards.
    """
    return (await connection.execute(_FORGET, {"most": most})).rowcount


async def take_lease(connection: AsyncConnection, bundle: int) -> bool:
    """Take a bundle on which nobody works; False if somebody does."""
    return bool((await connection.execute(_LEASE_IT, {"bundle": bundle})).rowcount)


async def keep_lease(connection: AsyncConnection, bundle: int) -> None:
    """Go on working on a bundle."""
    await connection.execute(_KEEP_IT, {"bundle": bundle})


async def note_refusals(
    connection: AsyncConnection, bundle: int, refused: Mapping[int, str]
) -> None:
    """Note what shows, by their number, said when they did not go along."""
    for number, word in sorted(refused.items()):
        await connection.execute(
            update(bundle_shows)
            .where(bundle_shows.c.bundle_id == bundle, bundle_shows.c.show_no == number)
            .values(refused=word)
        )


async def move(
    connection: AsyncConnection, bundle: Bundle, to: BundleState, **values: object
) -> bool:
    """Move a bundle on from the state it was found in; False if somebody else has moved it.

    Raises:
        ValueError: that state leads nowhere near.
    """
    if to not in TRANSITIONS[bundle.state]:
        msg = f"{bundle.state} does not lead to {to}"
        raise ValueError(msg)
    named: dict[str, Any] = {"state": to, "lease_until": LEASE, **values}
    # Its key may have made another one since, if whoever found it has slept for days.
    statement = update(bundles).where(
        bundles.c.id == bundle.id,
        bundles.c.created_at == bundle.created_at,
        bundles.c.state == bundle.state,
    )
    match to:
        case BundleState.HELD:
            named["lease_until"] = (
                bindparam("ends", type_=bundles.c.expires_at.type) + _EXPIRED_AFTER
            )
            return await _moved(connection, statement.values(named), ends=values["expires_at"])
        case BundleState.COMMITTING:
            named["committing_at"] = func.clock_timestamp()
        case BundleState.PURCHASING:
            named["decided_at"] = func.clock_timestamp()
            in_time = func.clock_timestamp() < bundles.c.committing_at + DECIDED_WITHIN
            statement = statement.where(in_time)
        case BundleState.PURCHASED | BundleState.RELEASED | BundleState.FAILED:
            named["ended_at"] = func.clock_timestamp()
        case _:
            pass
    return await _moved(connection, statement.values(named))


async def _moved(connection: AsyncConnection, statement: Any, **parameters: object) -> bool:  # noqa: ANN401 - an UPDATE of SQLAlchemy's
    return bool((await connection.execute(statement, parameters)).rowcount)
