"""Mails that are to be sent: written, sealed, beside what they tell of.

Nothing sends them yet; `./onsale reseller mails` shows them to who runs the cell.
"""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.ids import EntityId, new_entity_id
from engine.platform.sealing import Sealer
from engine.platform.tables import outgoing_mails

_ADDRESS_PLACE = "outgoing_mails.address_sealed"
_TEXT_PLACE = "outgoing_mails.text_sealed"

_mail = outgoing_mails.c


class MailKind(StrEnum):
    """What a mail is about."""

    CONFIRM = "confirm"
    INVITATION = "invitation"
    RESET = "reset"
    CHANGED = "changed"
    """Tells owners that somebody changed where money goes, or how one of them signs in."""


class Mail(Struct, frozen=True):
    """A mail."""

    id: EntityId
    reseller: EntityId
    kind: MailKind
    address: str
    text: str
    created_at: datetime


class NewMail(Struct, frozen=True):
    """A mail to be written."""

    kind: MailKind
    address: str
    text: str


async def write_mail(
    sealer: Sealer, connection: AsyncConnection, reseller: EntityId, mail: NewMail
) -> None:
    """Write a mail in the transaction of what it tells of, which sees this reseller's rows."""
    await connection.execute(
        insert(outgoing_mails).values(
            id=new_entity_id(),
            reseller_id=reseller,
            kind=mail.kind,
            address_sealed=await sealer.seal(connection, reseller, _ADDRESS_PLACE, mail.address),
            text_sealed=await sealer.seal(connection, reseller, _TEXT_PLACE, mail.text),
        )
    )


async def read_mails(
    sealer: Sealer, connection: AsyncConnection, *, limit: int, reseller: EntityId | None = None
) -> list[Mail]:
    """Return the newest mails that are not sent, the oldest of them first.

    Of all resellers for a connection that sees all.
    """
    query = select(outgoing_mails).where(_mail.sent_at.is_(None))
    if reseller is not None:
        query = query.where(_mail.reseller_id == reseller)
    rows = await connection.execute(query.order_by(_mail.created_at.desc()).limit(limit))
    return [
        Mail(
            id=EntityId(row.id),
            reseller=EntityId(row.reseller_id),
            kind=MailKind(row.kind),
            address=await sealer.open(
                connection, row.reseller_id, _ADDRESS_PLACE, row.address_sealed
            ),
            text=await sealer.open(connection, row.reseller_id, _TEXT_PLACE, row.text_sealed),
            created_at=row.created_at,
        )
        for row in reversed(rows.all())
    ]
