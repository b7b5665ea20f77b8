"""What somebody passes before they get a number: limits, the reseller's word, a proof."""

import math
import time
from typing import Final, Protocol

from msgspec import Struct

from api.problems import ProblemError, ProblemKind
from api.queue_inputs import JoinBody
from engine.runtime import Serving
from engine.waitingroom.gates import GateAway, Passed, Refused
from engine.waitingroom.identities import IdentityError, identity_key, read_identity
from engine.waitingroom.queues import Queue

_TOO_MANY: Final = (
    "Too many joined from this address or by this identity just now; who has joined keeps their "
    "place."
)


class Arrival(Protocol):
    """Somebody who comes to join: by the API, or by the page."""

    @property
    def runtime(self) -> Serving:
        """What this process works with."""
        ...

    def address(self) -> str:
        """Return the address that they come from, as far as trusted proxies tell."""
        ...


class LetThrough(Struct, frozen=True):
    """Who joins, as far as they told: an identity's digest and buyer, and a proof to be spent."""

    identity: tuple[bytes, str] | None
    proof: tuple[int, int] | None


async def pass_gates(visit: Arrival, queue: Queue, body: JoinBody) -> LetThrough:
    """Let somebody through to their number.

    Raises:
        ProblemError: `too-many-joins`, `identity-invalid`, `proof-required`, or `unavailable`: the
            gate can't judge a proof at present.
    """
    gates = visit.runtime.gates
    now_s = time.monotonic()
    address = visit.address()
    _check_limit(gates.limits.take(address, now_s))
    identity = None
    if body.identity:
        identity = _identity(visit, queue, body.identity)
        _check_limit(gates.limits.take_identity(identity[0], now_s))
    judged = await gates.gate.check(queue.show, queue.rules.proof_bits, address, body.proof or None)
    if not isinstance(judged, Passed):
        raise _proof_problem(judged)
    spent = judged.spent
    return LetThrough(identity, None if spent is None else (spent.window, spent.bit))


async def proof_spent(visit: Arrival, queue: Queue) -> ProblemError:
    """Return the problem of a proof that was used before, with a new challenge."""
    gate = visit.runtime.gates.gate
    judged = await gate.check(queue.show, queue.rules.proof_bits, visit.address(), None)
    if isinstance(judged, Passed):  # the rules, or a gate of one's own, ask for none any more
        return ProblemError(ProblemKind.UNAVAILABLE, "Join again: no proof is needed now.")
    return _proof_problem(judged)


def _proof_problem(judged: Refused | GateAway) -> ProblemError:
    if isinstance(judged, GateAway):
        return ProblemError(
            ProblemKind.UNAVAILABLE, "Proofs can't be judged just now; join again in a moment."
        )
    return ProblemError(
        ProblemKind.PROOF_REQUIRED, judged.detail, members={"challenge": judged.challenge}
    )


def _check_limit(wait_s: float | None) -> None:
    if wait_s is not None:
        raise ProblemError(
            ProblemKind.TOO_MANY_JOINS,
            _TOO_MANY,
            headers={"Retry-After": str(max(1, math.ceil(wait_s)))},
        )


def _identity(visit: Arrival, queue: Queue, text: str) -> tuple[bytes, str]:
    gates = visit.runtime.gates
    key = identity_key(gates.secret, queue.reseller)
    try:
        identity = read_identity(key, queue.show_text, text, time.time())
    except IdentityError as error:
        raise ProblemError(ProblemKind.IDENTITY_INVALID, str(error)) from None
    return gates.digests.digest(queue.show, identity.subject), identity.subject
