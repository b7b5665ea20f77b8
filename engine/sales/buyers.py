"""The people whom tickets are for, as a reseller tells of them: kept, found, exported, forgotten.

Orders and holds name a *buyer* by the reseller's own reference. Who that is stands in one sealed
row, which is found by keyed digests. To forget somebody is to drop that row, and to put another
reference into the orders of shows that are over (decision 31).
"""

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from msgspec import Struct
from sqlalchemy import Row, Text, Uuid, bindparam, column, delete, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from engine.inventory.keys import show_keys
from engine.inventory.records import unpack_buyer
from engine.platform.database import tenant_transaction
from engine.platform.ids import EntityId, entity_hex
from engine.platform.redis import Store
from engine.platform.sealing import Sealer, SealError
from engine.platform.tables import buyer_erasures, buyers, orders, shows, tickets
from engine.sales.sellers import name_of_seller

PAGE_MAX: Final = 200
_log = structlog.stdlib.get_logger(__name__)

_SHOWS_AT_ONCE: Final = 500
_ERASURES_AT_ONCE: Final = 100
_RECORDED_WITHIN: Final = timedelta(days=1)

_buyer = buyers.c
_FORGET: Final = select(func.forget_buyer(bindparam("buyer")))
# Also what they bought of other resellers' shows, through this one.
_BOUGHT: Final = func.orders_of_buyer(bindparam("buyer", type_=Text)).table_valued(
    *(column(one.name, one.type) for one in orders.c), name="bought"
)
_GOT: Final = func.tickets_of_buyer(
    bindparam("buyer", type_=Text), bindparam("named", type_=ARRAY(Uuid))
).table_valued(*(column(one.name, one.type) for one in tickets.c), name="got")
_COUNT: Final = select(func.count()).select_from(_BOUGHT)
_SHOWS_OF_OTHERS: Final = select(func.open_shows_of_others())
_DAY: Final = text("interval '1 day'")
_IS_OVER: Final = shows.c.starts_at < func.now() - _DAY
"""As the waiting rooms and the database's `forget_buyer` see it."""


class Contact(Struct, frozen=True, kw_only=True):
    """Who a buyer is. None of it has to be told."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None


class KnownBuyer(Struct, frozen=True, kw_only=True):
    """A buyer that contact data are held of."""

    buyer: str
    contact: Contact
    created_at: datetime
    changed_at: datetime


class BuyersOrder(Struct, frozen=True, kw_only=True):
    """An order of theirs, with its tickets: id, label and how it stands."""

    id: UUID
    show: EntityId
    status: str
    currency: str
    total: int
    payment_reference: str
    sold_at: datetime
    tickets: list[tuple[UUID, str, str]]


class BuyersHold(Struct, frozen=True):
    """How many tickets are held for them of a show, and until when."""

    show: EntityId
    tickets: int
    until_ms: int


class BuyerExport(Struct, frozen=True, kw_only=True):
    """All that is held of a buyer; of orders those behind the one that was asked from."""

    known: KnownBuyer | None
    asked_to_forget_at: datetime | None
    orders: list[BuyersOrder]
    holds: list[BuyersHold]


class Forgotten(Struct, frozen=True):
    """What was done, and what is still to be: orders of shows that are not over yet."""

    had_contact: bool
    orders_changed: int
    orders_left: int


class BuyersOffice:
    """Keeps what resellers tell of buyers, for one process.

    All methods may raise what SQLAlchemy raises, and `SealError` should a text not open.
    """

    def __init__(self, app: AsyncEngine, redis: Store, sealer: Sealer) -> None:
        """Take what the composition root has opened."""
        self._app = app
        self._redis = redis
        self._sealer = sealer

    async def keep(self, reseller: EntityId, buyer: str, contact: Contact) -> KnownBuyer:
        """Keep a buyer's contact data, in the place of what was known before."""
        seal = self._sealer.seal
        sealed: dict[str, bytes | None] = {}
        async with tenant_transaction(self._app, reseller) as connection:
            for name in Contact.__struct_fields__:
                value: str | None = getattr(contact, name)
                sealed[f"{name}_sealed"] = (
                    None
                    if value is None
                    else await seal(connection, reseller, f"buyers.{name}_sealed", value)
                )
            email = contact.email
            sealed["email_digest"] = None if email is None else self._email_digest(reseller, email)
            added = insert(buyers).values(
                reseller_id=reseller,
                buyer_digest=self._digest(reseller, buyer),
                buyer_sealed=await seal(connection, reseller, "buyers.buyer_sealed", buyer),
                **sealed,
            )
            kept = added.on_conflict_do_update(
                index_elements=["reseller_id", "buyer_digest"],
                set_={**sealed, "changed_at": func.now()},
            ).returning(_buyer.created_at, _buyer.changed_at)
            row = (await connection.execute(kept)).one()
            # Whoever is told of again is not to be forgotten any more.
            await connection.execute(delete(buyer_erasures).where(*self._erasure(reseller, buyer)))
        return KnownBuyer(
            buyer=buyer, contact=contact, created_at=row.created_at, changed_at=row.changed_at
        )

    async def find(self, reseller: EntityId, buyer: str) -> KnownBuyer | None:
        """Return what is known of a buyer; None if nothing is."""
        async with tenant_transaction(self._app, reseller) as connection:
            return await self._find(connection, reseller, buyer)

    async def find_by_email(
        self, reseller: EntityId, email: str, after: bytes, limit: int
    ) -> tuple[list[KnownBuyer], bytes | None]:
        """Return buyers who have a mail address, and what the next page is behind."""
        query = (
            select(buyers)
            .where(
                _buyer.reseller_id == reseller,
                _buyer.email_digest == self._email_digest(reseller, email),
                _buyer.buyer_digest > after,
            )
            .order_by(_buyer.buyer_digest)
            .limit(limit + 1)
        )
        async with tenant_transaction(self._app, reseller) as connection:
            rows = (await connection.execute(query)).all()
            found = [await self._open(connection, reseller, row) for row in rows[:limit]]
        return found, rows[limit - 1].buyer_digest if len(rows) > limit else None

    async def export(
        self, reseller: EntityId, buyer: str, after: UUID | None, limit: int
    ) -> BuyerExport:
        """Return all that is held of a buyer here. Raises as `redis` does, too."""
        async with tenant_transaction(self._app, reseller) as connection:
            known = await self._find(connection, reseller, buyer)
            asked = await connection.scalar(
                select(buyer_erasures.c.asked_at).where(*self._erasure(reseller, buyer))
            )
            found = await _orders(connection, buyer, after, limit)
            named = await _open_shows(connection, reseller, buyer)
        return BuyerExport(
            known=known,
            asked_to_forget_at=asked,
            orders=found,
            holds=await self._holds(named),
        )

    async def forget(self, reseller: EntityId, buyer: str) -> Forgotten:
        """Drop a buyer's contact data, and the reference from orders of shows that are over.

        The others follow when theirs are: `finish_erasures` sees to it. So do those that are not
        in the ledger yet. Raises as `redis` does, too.
        """
        is_buying = await self._is_buying(reseller, buyer)
        async with tenant_transaction(self._app, reseller) as connection:
            dropped = await connection.execute(
                delete(buyers).where(
                    _buyer.reseller_id == reseller,
                    _buyer.buyer_digest == self._digest(reseller, buyer),
                )
            )
            changed = await connection.scalar(_FORGET, {"buyer": buyer}) or 0
            left = await _count_orders(connection, buyer)
            if left or is_buying:
                place = "buyer_erasures.buyer_sealed"
                pending = insert(buyer_erasures).values(
                    reseller_id=reseller,
                    buyer_digest=self._digest(reseller, buyer),
                    buyer_sealed=await self._sealer.seal(connection, reseller, place, buyer),
                )
                await connection.execute(pending.on_conflict_do_nothing())
        return Forgotten(dropped.rowcount > 0, changed, left)

    async def _find(
        self, connection: AsyncConnection, reseller: EntityId, buyer: str
    ) -> KnownBuyer | None:
        query = select(buyers).where(
            _buyer.reseller_id == reseller, _buyer.buyer_digest == self._digest(reseller, buyer)
        )
        row = (await connection.execute(query)).one_or_none()
        return None if row is None else await self._open(connection, reseller, row)

    async def _open(
        self, connection: AsyncConnection, reseller: EntityId, row: Row[Any]
    ) -> KnownBuyer:
        async def opened(column: str) -> str | None:
            sealed: bytes | None = getattr(row, column)
            if sealed is None:
                return None
            return await self._sealer.open(connection, reseller, f"buyers.{column}", sealed)

        return KnownBuyer(
            buyer=await opened("buyer_sealed") or "",
            contact=Contact(
                name=await opened("name_sealed"),
                email=await opened("email_sealed"),
                phone=await opened("phone_sealed"),
            ),
            created_at=row.created_at,
            changed_at=row.changed_at,
        )

    async def _is_buying(self, reseller: EntityId, buyer: str) -> bool:
        """Tell whether somebody holds or has bought places of a show that is not over.

        Asked before the ledger is: what it does not have yet is seen here.
        """
        async with tenant_transaction(self._app, reseller) as connection:
            named = await _open_shows(connection, reseller, buyer)
        return any(held or bought for _, held, bought, _ in await self._places(named))

    async def _holds(self, named: Sequence[tuple[int, str]]) -> list[BuyersHold]:
        return [
            BuyersHold(show, held, until_ms)
            for show, held, _, until_ms in await self._places(named)
            if held
        ]

    async def _places(
        self, named: Sequence[tuple[int, str]]
    ) -> list[tuple[EntityId, int, int, int]]:
        """Return of which shows somebody has places: held, bought, and the holds' deadline.

        They are named by their name in each.
        """
        found: list[tuple[EntityId, int, int, int]] = []
        for start in range(0, len(named), _SHOWS_AT_ONCE):
            some = named[start : start + _SHOWS_AT_ONCE]
            pipeline = self._redis.pipeline(transaction=False)
            for show, buyer in some:
                pipeline.hmget(show_keys(show).buyers, [buyer])
            for (show, _), [packed] in zip(
                some, await pipeline.execute(raise_on_error=True), strict=True
            ):
                if packed:
                    found.append((EntityId(show), *unpack_buyer(packed)))
        return found

    def _digest(self, reseller: EntityId, buyer: str) -> bytes:
        return self._sealer.digest(reseller, "buyers.buyer_digest", buyer)

    def _email_digest(self, reseller: EntityId, email: str) -> bytes:
        form = unicodedata.normalize("NFKC", email).casefold()
        return self._sealer.digest(reseller, "buyers.email_digest", form)

    def _erasure(self, reseller: EntityId, buyer: str) -> tuple[Any, ...]:
        erasure = buyer_erasures.c
        digest = self._digest(reseller, buyer)
        return erasure.reseller_id == reseller, erasure.buyer_digest == digest


async def finish_erasures(engine: AsyncEngine, sealer: Sealer) -> int:
    """Take the references of buyers who are to be forgotten from orders of shows that are over.

    Returns how many of them have none left. For the recorder's role.

    Raises:
        sqlalchemy.exc.SQLAlchemyError, OSError, TimeoutError: PostgreSQL can't be asked.
        SealError: a reference does not open.
    """
    erasure = buyer_erasures.c
    query = select(buyer_erasures).order_by(erasure.reseller_id, erasure.buyer_digest)
    query = query.limit(_ERASURES_AT_ONCE)
    after: tuple[int, bytes] | None = None
    done = 0
    while True:
        behind = query
        if after is not None:
            place = func.row(erasure.reseller_id, erasure.buyer_digest)
            behind = query.where(place > func.row(*after))
        async with engine.connect() as connection:
            rows = (await connection.execute(behind)).all()
        for row in rows:
            try:
                done += await _finish_erasure(engine, sealer, row)
            except SealError as error:  # it is there to be looked at; the others' turn comes
                of = entity_hex(row.reseller_id)
                _log.error("erasure can't be read", reseller=of, error=repr(error))
        if len(rows) < _ERASURES_AT_ONCE:
            return done
        after = (rows[-1].reseller_id, rows[-1].buyer_digest)


async def _finish_erasure(engine: AsyncEngine, sealer: Sealer, row: Row[Any]) -> bool:
    reseller: int = row.reseller_id
    async with tenant_transaction(engine, reseller) as connection:
        buyer = await sealer.open(
            connection, reseller, "buyer_erasures.buyer_sealed", row.buyer_sealed
        )
        changed = await connection.scalar(_FORGET, {"buyer": buyer})
        if await _count_orders(connection, buyer):
            return False
        # None yet: what was bought before they were to be forgotten may still be recorded.
        if not changed and datetime.now(UTC) - row.asked_at < _RECORDED_WITHIN:
            return False
        await connection.execute(
            delete(buyer_erasures).where(
                buyer_erasures.c.reseller_id == reseller,
                buyer_erasures.c.buyer_digest == row.buyer_digest,
            )
        )
    return True


async def _open_shows(
    connection: AsyncConnection, reseller: int, buyer: str
) -> Sequence[tuple[int, str]]:
    """Return the shows that are not over, also of others, with a buyer's name in each."""
    query = select(shows.c.id).where(shows.c.reseller_id == reseller, ~_IS_OVER)
    own = [(show, buyer) for show in await connection.scalars(query)]
    of_others = await connection.scalars(_SHOWS_OF_OTHERS)
    return [*own, *((show, name_of_seller(reseller, buyer)) for show in of_others)]


async def _count_orders(connection: AsyncConnection, buyer: str) -> int:
    return await connection.scalar(_COUNT, {"buyer": buyer}) or 0


async def _orders(
    connection: AsyncConnection, buyer: str, after: UUID | None, limit: int
) -> list[BuyersOrder]:
    query = select(_BOUGHT).order_by(_BOUGHT.c.id).limit(limit)
    if after is not None:
        query = query.where(_BOUGHT.c.id > after)
    rows = (await connection.execute(query, {"buyer": buyer})).all()
    told = {"buyer": buyer, "named": [row.id for row in rows]}
    places: dict[UUID, list[tuple[UUID, str, str]]] = {}
    for ticket in await connection.execute(select(_GOT).order_by(_GOT.c.label), told):
        places.setdefault(ticket.order_id, []).append((ticket.id, ticket.label, ticket.status))
    return [
        BuyersOrder(
            id=row.id,
            show=EntityId(row.show_id),
            status=row.status,
            currency=row.currency,
            total=row.total,
            payment_reference=row.payment_reference,
            sold_at=row.sold_at,
            tickets=places.get(row.id, []),
        )
        for row in rows
    ]
