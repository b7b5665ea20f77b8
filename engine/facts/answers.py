"""A fact as it is told: the same JSON in the log and as a webhook's body."""

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from engine.facts.log import Fact
from engine.facts.types import FactType
from engine.platform.ids import Ids, Prefix


class FactAnswer(Struct, frozen=True):
    """Something that happened.

    `object` is the id of what it is about, and `sequence` rises from one fact about it to the next.
    A fact has one `id`, however often and by whichever way it arrives. `show` is null where it is
    about no show.
    """

    id: str
    type: FactType
    sequence: int
    occurred_at: datetime
    show: str | None
    object: str
    data: dict[str, Any]


def tell_fact(fact: Fact, ids: Ids) -> FactAnswer:
    """Return a fact's outside form."""
    return FactAnswer(
        id=ids.entity(Prefix.FACT, fact.id),
        type=fact.type,
        sequence=fact.sequence,
        occurred_at=fact.occurred_at.astimezone(UTC),
        show=None if fact.show is None else ids.entity(Prefix.SHOW, fact.show),
        object=fact.object,
        data=fact.data,
    )
