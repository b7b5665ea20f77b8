"""What somebody passes before they get a number: limits, the reseller's word, a proof."""

import math
import time
from typing import Final

from msgspec import Struct

from api.fastlane.call import Visit
from api.problems import ProblemError, ProblemKind
from api.queue_inputs import JoinBody
from engine.waitingroom.identities import IdentityError, identity_key, read_identity
from engine.waitingroom.queues import Queue

_TOO_MANY: Final = (
    "Too many joined from this address or by this identity just now; who has joined keeps their "
    "place."
)


class Passed(Struct, frozen=True):
    """Who joins, as far as they told: an identity's digest and buyer, and a proof to be spent."""

    identity: tuple[bytes, str] | None
    proof: tuple[int, int] | None


async def pass_gates(visit: Visit, queue: Queue, body: JoinBody) -> Passed:
    """Let somebody through to their number.

    Raises:
        ProblemError: `too-many-joins`, `identity-invalid` or `proof-required`.
    """
    gates = visit.runtime.gates
    now_s = time.monotonic()
    address = visit.address()
    _check_limit(gates.limits.take(address, now_s))
    identity = None
    if body.identity:
        identity = _identity(visit, queue, body.identity)
        _check_limit(gates.limits.take_identity(identity[0], now_s))
    return Passed(identity, None)


def _check_limit(wait_s: float | None) -> None:
    if wait_s is not None:
        raise ProblemError(
            ProblemKind.TOO_MANY_JOINS,
            _TOO_MANY,
            headers={"Retry-After": str(max(1, math.ceil(wait_s)))},
        )


def _identity(visit: Visit, queue: Queue, text: str) -> tuple[bytes, str]:
    gates = visit.runtime.gates
    key = identity_key(gates.secret, queue.reseller)
    try:
        identity = read_identity(key, queue.show_text, text, time.time())
    except IdentityError as error:
        raise ProblemError(ProblemKind.IDENTITY_INVALID, str(error)) from None
    return gates.digests.digest(queue.show, identity.subject), identity.subject
