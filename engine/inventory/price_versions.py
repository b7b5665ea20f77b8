"""Price versions: what a show's tickets cost, published one after the other, never changed.

A hold keeps the number of the version that it was made at, in two bytes.
"""

from collections.abc import Mapping
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.inventory.ticket_types import STANDARD
from engine.platform.money import share
from engine.platform.tables import price_versions, shows

VERSION_MAX: Final = 0xFFFF

_VERSION: Final = select(price_versions.c.prices, price_versions.c.type_prices).where(
    price_versions.c.show_id == bindparam("show"),
    price_versions.c.version == bindparam("version"),
)


class TypePrice(Struct, frozen=True, omit_defaults=True):
    """What a ticket type costs: face values by level slug, else a share of the level's."""

    share_bps: int | None = None
    prices: dict[str, int] = {}


class Prices(Struct, frozen=True):
    """One price version: face values in minor units of the show's currency, by level slug."""

    version: int
    face_values: dict[str, int]
    types: dict[str, TypePrice] = {}
    """By ticket type slug; the standard one costs the level's face value."""


def price_of(
    face_values: Mapping[str, int], types: Mapping[str, TypePrice], level: str, ticket_type: str
) -> int | None:
    """Return what a type's ticket costs in a level; None if the level has no price.

    A type without a price there costs what the level does: a hold that was asked for before a
    type was taken off, or a seat moved, must not become a sale that nobody can price.
    """
    whole = face_values.get(level)
    price = None if ticket_type == STANDARD else types.get(ticket_type)
    if whole is None or price is None:
        return whole
    if level in price.prices:
        return price.prices[level]
    return whole if price.share_bps is None else share(whole, price.share_bps)


class PriceVersionsSpentError(RuntimeError):
    """The show has had as many price versions as a hold can name."""


async def read_price_version(connection: AsyncConnection, show: int, version: int) -> Prices:
    """Read a price version.

    Raises:
        LookupError: the connection sees no such version.
    """
    found = await connection.execute(_VERSION, {"show": show, "version": version})
    row = found.one_or_none()
    if row is None:
        msg = f"price version {version}"
        raise LookupError(msg)
    return Prices(version, row.prices, read_type_prices(row.type_prices))


async def add_price_version(
    connection: AsyncConnection, show: int, reseller: int, prices: Prices
) -> None:
    """Make a price version the show's current one, in the transaction that has locked its row.

    Whoever does so raises the inventory version, too, or holds go on at the old prices.

    Raises:
        PriceVersionsSpentError: there can be no more of them.
    """
    if prices.version > VERSION_MAX:
        raise PriceVersionsSpentError(show)
    await connection.execute(
        insert(price_versions).values(
            show_id=show,
            reseller_id=reseller,
            version=prices.version,
            prices=prices.face_values,
            type_prices=write_type_prices(prices.types),
        )
    )
    await connection.execute(
        update(shows).where(shows.c.id == show).values(price_version=prices.version)
    )


async def copy_price_version(connection: AsyncConnection, show: int, reseller: int) -> int:
    """Make the next price version, at the current prices, and return its number.

    For a change of what the prices are for, such as seats that move between levels. Raises as
    `add_price_version`.
    """
    query = select(shows.c.price_version).where(shows.c.id == show)
    version = int((await connection.execute(query)).scalar_one())
    current = await read_price_version(connection, show, version)
    copied = msgspec.structs.replace(current, version=version + 1)
    await add_price_version(connection, show, reseller, copied)
    return copied.version


def read_type_prices(stored: object) -> dict[str, TypePrice]:
    """Read a `type_prices` column."""
    return msgspec.convert(stored, dict[str, TypePrice])


def write_type_prices(types: dict[str, TypePrice]) -> object:
    """Write a `type_prices` column."""
    return msgspec.to_builtins(types)
