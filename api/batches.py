"""Many commands of a reseller's own queue in one request."""

from typing import Annotated, Any, Final

from litestar import Router, post
from litestar.params import FromPath
from litestar.status_codes import HTTP_200_OK
from msgspec import Meta, Struct

from api.context import served_in_front
from api.documents import describe
from api.inputs import (
    KEY_PATTERN,
    LOOSE,
    Body,
    HoldBody,
    LooseBuyer,
    PurchaseBody,
    is_legible,
    is_visible,
)
from api.problems import Fault, ProblemKind
from engine.tenancy.principals import Scope

COMMANDS_MAX: Final = 500

CommandKey = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=255,
        pattern=KEY_PATTERN,
        description="The command's Idempotency-Key: the same as in a request of its own.",
    ),
]
LooseKey = Annotated[str, Meta(min_length=1, max_length=255)]


class HoldCommand(HoldBody, frozen=True, kw_only=True, tag_field="op", tag="hold"):
    """Hold places, as `POST /v1/shows/{show}/holds`."""

    key: CommandKey

    def fingerprint(self) -> int:
        """Return what stands for the body of a request of its own: the two are one command."""
        alone = HoldBody(
            seats=self.seats,
            areas=self.areas,
            best_available=self.best_available,
            ticket_types=self.ticket_types,
            access_code=self.access_code,
            channel=self.channel,
            buyer=self.buyer,
            ttl_s=self.ttl_s,
        )
        return alone.fingerprint()


class LooseHoldCommand(HoldCommand, frozen=True, kw_only=True, tag_field="op", tag="hold"):
    """A `HoldCommand` as it is read."""

    buyer: LooseBuyer
    key: LooseKey

    def is_legible(self) -> bool:
        """Tell whether buyer and key fit their patterns."""
        return is_legible(self.buyer) and is_visible(self.key)


class PurchaseCommand(PurchaseBody, frozen=True, kw_only=True, tag_field="op", tag="purchase"):
    """Purchase a hold, as `POST /v1/shows/{show}/purchases`."""

    key: CommandKey

    def fingerprint(self) -> int:
        """Return what stands for the body of a request of its own: the two are one command."""
        alone = PurchaseBody(hold=self.hold, payment_reference=self.payment_reference)
        return alone.fingerprint()


class ReleaseCommand(Body, frozen=True, kw_only=True, tag_field="op", tag="release"):
    """Release a hold, as `DELETE /v1/shows/{show}/holds/{hold}`."""

    hold: Annotated[str, Meta(min_length=1, max_length=64)]


Command = HoldCommand | PurchaseCommand | ReleaseCommand


class BatchBody(Body, frozen=True, kw_only=True):
    """Commands, each as if it came in a request of its own, in their order."""

    commands: Annotated[list[Command], Meta(min_length=1, max_length=COMMANDS_MAX)]

    def faults(self) -> list[Fault]:
        """List what no single field shows."""
        return [
            Fault(fault.reason, pointer=f"/commands/{n}{fault.pointer}")
            for n, command in enumerate(self.commands)
            for fault in command.faults()
        ]


class LooseBatchBody(BatchBody, frozen=True, kw_only=True):
    """A `BatchBody` as it is read."""

    # A list may be overridden so, since nobody adds to it: the body is frozen.
    commands: Annotated[  # pyright: ignore[reportIncompatibleVariableOverride]
        list[LooseHoldCommand | PurchaseCommand | ReleaseCommand],
        Meta(min_length=1, max_length=COMMANDS_MAX),
    ]

    def is_legible(self) -> bool:
        """Tell whether all of its commands are."""
        return all(command.is_legible() for command in self.commands)


LOOSE[BatchBody] = LooseBatchBody


class CommandAnswer(Struct, frozen=True):
    """What one command is answered with: the status and the body of the single call."""

    status: int
    body: dict[str, Any] | None
    """Null where the single call has no body (204)."""


class BatchAnswer(Struct, frozen=True):
    """An answer for each command, in their order."""

    answers: list[CommandAnswer]


@post(
    "/{show:str}/batch",
    summary="Many commands in one request",
    status_code=HTTP_200_OK,
    operation_class=describe(
        scope=Scope.HOLDS_WRITE, body=BatchBody, problems=(ProblemKind.SHOW_NOT_FOUND,)
    ),
)
async def run_batch(show: FromPath[str]) -> BatchAnswer:
    """Carry out up to 500 holds, purchases and releases, each on its own and in their order.

    Every command that takes an Idempotency-Key has it as its `key`, and every answer has the
    status and the body that the single call would have. What does not fit the schema refuses the
    whole request, before anything is done; all else concerns its own command only. After a lost
    answer repeat the request as it was: each command that had its effect is answered again.
    """
    raise served_in_front(show)


router = Router(path="/v1/shows", tags=["batches"], route_handlers=[run_batch])
