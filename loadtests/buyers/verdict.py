"""Compares what the buyers were told with what the ledger has."""

import asyncio
import time
from collections import Counter
from typing import Final

from msgspec import Struct

from engine.platform.settings import Settings
from loadtests.auditor.ledger import LedgerOrder, open_ledger, read_ledger
from loadtests.buyers.tally import Receipt, Tally

_ORDER_HEX: Final = 32
_PAUSE_S: Final = 0.2


class Verdict(Struct, frozen=True):
    """What became of the promises."""

    sold: int
    """Active tickets in the ledger."""
    double_sold: int
    """Seats that are on two receipts, or have two active tickets."""
    lost: int
    """Orders that were confirmed to a buyer and are not in the ledger, or not with those places."""


async def reach_verdict(
    settings: Settings, show: int, tally: Tally, *, expected: int, patience_s: float
) -> Verdict:
    """Read the ledger, once it has as many tickets as expected or patience ends, and compare."""
    deadline = time.monotonic() + patience_s
    async with open_ledger(settings) as connection:
        while True:
            async with connection.begin():
                orders = (await read_ledger(connection, [show]))[show].orders
            sold = sum(order.tickets for order in orders.values())
            if sold >= expected or time.monotonic() > deadline:
                break
            await asyncio.sleep(_PAUSE_S)
    owners = Counter(seat for order in orders.values() for seat, _ in order.seats)
    twice = {seat for seat, count in owners.items() if count > 1}
    return Verdict(
        sold=sold,
        double_sold=max(len(twice), len(tally.sold_twice())),
        lost=sum(not _is_kept(receipt, orders) for receipt in tally.receipts.values()),
    )


def _is_kept(receipt: Receipt, orders: dict[bytes, LedgerOrder]) -> bool:
    order = orders.get(bytes.fromhex(receipt.order[-_ORDER_HEX:]))
    return (
        order is not None
        and order.status == "confirmed"
        and sorted(label for _, label in order.seats) == sorted(receipt.seats)
        and sum(count for _, count in order.areas) == sum(count for _, count in receipt.areas)
    )
