"""What resellers are told about their webhooks."""

from datetime import datetime

from msgspec import Struct, structs

from engine.facts.types import FactType
from engine.notify.deliveries import Attempt, Delivery
from engine.notify.endpoints import Endpoint
from engine.notify.judging import DeliveryState
from engine.notify.sending import Sent
from engine.notify.signing import Secrets
from engine.platform.ids import Ids, Prefix


class EndpointAnswer(Struct, frozen=True):
    """An endpoint. `reason`: `asked` for, `gone` (it answered 410) or `failing` (for days).

    `failures` counts the attempts in a row that failed, the first of them at `failing_since`. Until
    `rests_until` nothing is sent.
    """

    endpoint: str
    url: str
    description: str
    types: list[FactType] | None
    status: str
    reason: str | None
    failures: int
    failing_since: datetime | None
    rests_until: datetime | None
    delivered_at: datetime | None
    created_at: datetime
    changed_at: datetime


class SecretAnswer(Struct, frozen=True):
    """What verifies signatures: `secret` of those that begin with `v1`, `public_key` of `v1a`.

    `until` is null of the newest; older ones sign too until then.
    """

    secret: str
    public_key: str
    until: datetime | None


class EndpointMade(EndpointAnswer, frozen=True, kw_only=True):
    """A new endpoint with its secrets."""

    secrets: list[SecretAnswer]


class EndpointPage(Struct, frozen=True):
    """All endpoints: there are 20 at most, so that `next_cursor` is always null."""

    endpoints: list[EndpointAnswer]
    next_cursor: str | None


class SecretPage(Struct, frozen=True):
    """The secrets that are in force, the newest first."""

    secrets: list[SecretAnswer]


class PingAnswer(Struct, frozen=True):
    """What became of a test event."""

    delivered: bool
    status: int | None
    error: str | None
    duration_ms: int
    response: str


class DeliveryAnswer(Struct, frozen=True):
    """A fact on its way to an endpoint, or at its end.

    While it is `pending`, `next_at` is when it is tried next; null: an earlier fact of the same
    object comes first.
    """

    delivery: str
    fact: str
    type: FactType
    object: str
    state: DeliveryState
    attempts: int
    next_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    last_status: int | None
    last_error: str | None
    last_duration_ms: int | None
    last_response: str | None


class AttemptAnswer(Struct, frozen=True):
    """One try. `status` is null if there was no answer; `error` says why."""

    number: int
    at: datetime
    status: int | None
    error: str | None
    duration_ms: int
    response: str


class FullDeliveryAnswer(DeliveryAnswer, frozen=True, kw_only=True):
    """A delivery with its latest attempts, the last one first."""

    log: list[AttemptAnswer]


class DeliveryPage(Struct, frozen=True):
    """Deliveries, those of the latest facts first. `next_cursor` is null on the last page."""

    deliveries: list[DeliveryAnswer]
    next_cursor: str | None


class ReplayAnswer(Struct, frozen=True):
    """How many facts are told again. Go on with `next_cursor` as `after` unless it is null."""

    replayed: int
    next_cursor: str | None


def tell_endpoint(endpoint: Endpoint, ids: Ids) -> EndpointAnswer:
    """Tell an endpoint."""
    standing = endpoint.standing
    return EndpointAnswer(
        endpoint=ids.entity(Prefix.ENDPOINT, endpoint.id),
        url=endpoint.url,
        description=endpoint.description,
        types=None if endpoint.types is None else [FactType(name) for name in endpoint.types],
        status=standing.status,
        reason=standing.reason,
        failures=standing.failures,
        failing_since=standing.failing_since,
        rests_until=standing.rests_until,
        delivered_at=standing.delivered_at,
        created_at=endpoint.created_at,
        changed_at=endpoint.changed_at,
    )


def tell_secrets(secrets: Secrets) -> list[SecretAnswer]:
    """Tell secrets; private keys stay here."""
    return [SecretAnswer(secret.shared, secret.public, secret.until) for secret in secrets]


def tell_ping(sent: Sent) -> PingAnswer:
    """Tell what became of a test event."""
    return PingAnswer(sent.is_delivered, sent.status, sent.error, sent.duration_ms, sent.response)


def tell_delivery(delivery: Delivery, ids: Ids) -> DeliveryAnswer:
    """Tell a delivery."""
    return DeliveryAnswer(
        delivery=ids.delivery(delivery.endpoint, delivery.fact),
        fact=ids.entity(Prefix.FACT, delivery.fact),
        type=delivery.type,
        object=delivery.object,
        state=delivery.state,
        attempts=delivery.attempts,
        next_at=delivery.next_at,
        created_at=delivery.created_at,
        ended_at=delivery.ended_at,
        last_status=delivery.last_status,
        last_error=delivery.last_error,
        last_duration_ms=delivery.last_duration_ms,
        last_response=delivery.last_response,
    )


def tell_full_delivery(delivery: Delivery, attempts: list[Attempt], ids: Ids) -> FullDeliveryAnswer:
    """Tell a delivery with its attempts."""
    log = [
        AttemptAnswer(one.number, one.at, one.status, one.error, one.duration_ms, one.response)
        for one in attempts
    ]
    return FullDeliveryAnswer(**structs.asdict(tell_delivery(delivery, ids)), log=log)
