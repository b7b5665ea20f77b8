"""Idempotency of the POSTs whose effect is in PostgreSQL: the same key gets the same answer.

Holds and purchases don't pass here: the engine makes them idempotent by deriving their ids.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from api.context import ApiRequest, runtime_of
from api.problems import Fault, ProblemError, ProblemKind
from api.reading import optional_key
from engine.platform.database import Transaction
from engine.platform.errors import store_failures
from engine.tenancy.idempotency import (
    Answered,
    Attempt,
    Begun,
    KeyTaken,
    UnderWay,
    abandon,
    begin,
    finish,
    finish_in,
)

_Changed = TypeVar("_Changed")


class Keeper:
    """Keeps an answer together with its effect: there is one if and only if there is the other."""

    def __init__(self, attempt: Attempt | None) -> None:
        """Take the request; None: it carries no key, and nothing is kept."""
        self._attempt = attempt
        self.kept = False

    def remember(
        self, status: int, tell: Callable[[_Changed], Struct]
    ) -> Callable[[Transaction, _Changed], Awaitable[None]]:
        """Return what a change of the house calls before it commits."""

        async def remember(transaction: Transaction, changed: _Changed) -> None:
            await self.keep(transaction, status, tell(changed))

        return remember

    async def keep(self, transaction: Transaction, status: int, answer: Struct) -> None:
        """Keep the answer in the transaction that has the effect."""
        if self._attempt is not None:
            await finish_in(transaction, self._attempt, status, msgspec.json.encode(answer))
            self.kept = True


async def answer_once(
    request: ApiRequest,
    scope: str,
    fingerprint: int,
    act: Callable[["Keeper"], Awaitable[tuple[int, Struct]]],
) -> Answered:
    """Return what `act` answers (status and body), or answered before under the request's key.

    `act` may keep its answer in the transaction that has the effect; what it has not kept by the
    time it returns is kept then.

    Only answers are kept. A refusal had no effect and is decided afresh; after any other failure
    nobody knows, so the key stays taken until it is certain that nobody works on it any more.

    Raises:
        ProblemError: what `act` raises, `key-reused` or `request-under-way`.
    """
    key = optional_key(request)
    if key is None:
        status, body = await act(Keeper(None))
        return Answered(status, msgspec.json.encode(body))
    app = runtime_of(request).app_engine
    attempt = Attempt(request.user, scope, key, fingerprint)
    with store_failures():
        begun = await begin(app, attempt)
    match begun:
        case Answered():
            return begun
        case KeyTaken():
            raise ProblemError(
                ProblemKind.KEY_REUSED,
                "This Idempotency-Key was used with another body; a new request needs a new key.",
                errors=[Fault("was used with another body", header="Idempotency-Key")],
            )
        case UnderWay():
            raise ProblemError(
                ProblemKind.REQUEST_UNDER_WAY,
                "The same request is being worked on; repeat in a moment to get its answer.",
                headers={"Retry-After": "1"},
            )
        case Begun():
            pass
    keeper = Keeper(attempt)
    try:
        status, body = await act(keeper)
    except ProblemError:
        with store_failures():
            await abandon(app, attempt)
        raise
    content = msgspec.json.encode(body)
    if not keeper.kept:
        with store_failures():
            await finish(app, attempt, status, content)
    return Answered(status, content)
