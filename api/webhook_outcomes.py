"""What the webhooks' routes share: the endpoint that is named, and when there is none."""

from datetime import UTC, datetime

from api.context import ApiRequest, runtime_of
from api.problems import ProblemError, ProblemKind
from engine.notify.endpoints import Endpoint, UnknownEndpoint
from engine.platform.errors import store_failures
from engine.platform.ids import EntityId, IdError, Prefix
from engine.runtime import Webhooks


async def find_endpoint(request: ApiRequest, text: str) -> Endpoint:
    """Return the asking reseller's endpoint.

    Raises:
        ProblemError: `endpoint-not-found`, also for other people's.
    """
    named = parse_endpoint(request, text)
    with store_failures():
        found = await webhooks_of(request).endpoints.find(request.user, named)
    if isinstance(found, UnknownEndpoint):
        raise no_endpoint()
    return found


def parse_endpoint(request: ApiRequest, text: str) -> EntityId:
    """Read an endpoint's id.

    Raises:
        ProblemError: `endpoint-not-found`.
    """
    try:
        return runtime_of(request).ids.parse_entity(Prefix.ENDPOINT, text)
    except IdError:
        raise no_endpoint() from None


def webhooks_of(request: ApiRequest) -> Webhooks:
    """Return who knows of webhooks."""
    return runtime_of(request).webhooks


def no_endpoint() -> ProblemError:
    """Return the problem of an endpoint that is not there, or is somebody else's."""
    return ProblemError(ProblemKind.ENDPOINT_NOT_FOUND, "You have no such endpoint.")


def now() -> datetime:
    """Return the time, with its zone."""
    return datetime.now(UTC)
