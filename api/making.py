"""What the POSTs that make something have in common: made once, answered with where it is."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from litestar import Response
from litestar.status_codes import HTTP_201_CREATED
from msgspec import Struct

from api.context import ApiRequest
from api.repeating import Keeper, answer_once
from api.written import written_json
from engine.platform.database import Transaction
from engine.platform.errors import store_failures

T = TypeVar("T")
A = TypeVar("A", bound=Struct)

Remember = Callable[[Transaction, T], Awaitable[None]]
"""What a change calls with what it made, before it commits."""


async def make_once(  # noqa: PLR0913 - what is made, told, and where
    request: ApiRequest,
    scope: str,
    fingerprint: int,
    create: Callable[[Remember[T]], Awaitable[T]],
    *,
    tell: Callable[[T], A],
    answer: type[A],
    address: Callable[[A], str],
) -> Response[A]:
    """Make something, or find what was made under the request's key; `create` may refuse.

    Raises:
        ProblemError: what `create` raises, `key-reused` or `request-under-way`.
    """

    async def act(keeper: Keeper) -> tuple[int, A]:
        with store_failures():
            made = await create(keeper.remember(HTTP_201_CREATED, tell))
        return HTTP_201_CREATED, tell(made)

    answered = await answer_once(request, scope, fingerprint, act)
    made = msgspec.json.decode(answered.body, type=answer)
    return written_json(
        answer,
        answered.body,
        status_code=answered.status,
        headers={"Location": address(made)},
    )
