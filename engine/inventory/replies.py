"""What the batch script answers, read back into values."""

from collections.abc import Sequence
from typing import Any, Final, Literal, get_args

import msgspec
from msgspec import Struct, structs

from engine.inventory.commands import (
    Answer,
    Command,
    Held,
    Hold,
    Inconsistent,
    Outcome,
    Recovering,
)
from engine.inventory.records import read_standing

Status = Literal["ok", "too-late", "fenced", "stale"]

_STATUSES: Final[dict[bytes, Status]] = {word.encode(): word for word in get_args(Status)}
_LISTS_FROM: Final = 0x90
"""What msgpack lists begin with; what a record begins with is far below."""

_read_words: Final = msgspec.msgpack.Decoder(Answer).decode


class ReplyError(ValueError):
    """The script's reply is not what this version reads."""


class Reply(Struct, frozen=True):
    """What the script answers to a batch; with any status but `ok` it changed nothing."""

    status: Status
    now_ms: int
    inconsistent: bool
    answers: tuple[Answer, ...]
    replicas: int | None = None
    """How many have acknowledged it; None: they were not waited for."""


def read_reply(
    reply: list[Any],
    commands: Sequence[Command],
    price_version: int,
    *,
    replicas: int | None = None,
) -> Reply:
    """Read the reply to a batch of these commands, sent with this price version.

    Raises:
        ReplyError: it can't be read.
    """
    try:
        status, now_ms, inconsistent, *answers = reply
        return Reply(
            _STATUSES[status],
            now_ms,
            bool(inconsistent),
            tuple(map(_read_answer, answers, commands, [price_version] * len(answers))),
            replicas,
        )
    except (KeyError, ValueError, TypeError, IndexError, msgspec.DecodeError) as error:
        msg = f"not a reply to a batch: {error!r}"
        raise ReplyError(msg) from error


def _read_answer(answer: int | bytes, command: Command, price_version: int) -> Answer:
    if isinstance(answer, int):
        assert isinstance(command, Hold)  # noqa: S101 - no other is answered so
        wanted = command.selection
        return Held(command.buyer, answer, price_version, wanted.seats, wanted.areas, wanted.types)
    if answer[0] >= _LISTS_FROM:
        return _read_words(answer)
    return read_standing(answer)


def unsure(outcome: Outcome) -> Outcome:
    """Return a sale as one that replicas may lack."""
    return structs.replace(outcome, durable=False)


def outcome_of(answer: Answer) -> Outcome:
    """Return what an answer means to who asked."""
    return Recovering() if isinstance(answer, Inconsistent) else answer
