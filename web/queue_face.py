"""The page as it is for whoever looks: their stage, and what the template shows of it."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Final

from litestar import Response
from msgspec import Struct

from web.headings import PROVING, heading_of
from web.rendering import render
from web.returning import ReturnAddress, read_return
from web.room import Pass, ProofRequired, Queue, Room, Standing, TokenRefused
from web.stages import Stage, poll_after_s, refresh_after_s, stage_of
from web.visit import Visit


class Refusal(Struct, frozen=True):
    """Why somebody has no number yet: they owe a proof, or what the notice says."""

    proof: ProofRequired | None = None
    notice: str | None = None


_SOON: Final = timedelta(minutes=1)
_NO_REFUSAL: Final = Refusal()


async def show_face(
    visit: Visit, room: Room, queue: Queue, refusal: Refusal = _NO_REFUSAL
) -> Response[bytes]:
    """Make the page from what is so now."""
    standing = await find_standing(visit, room)
    stage = stage_of(queue, standing)
    opens_soon = queue.opens_at < datetime.now(UTC) + _SOON
    poll_s = poll_after_s(standing, soon=stage is Stage.EARLY and opens_soon)
    live = await _live_pass(visit, room) if stage is Stage.INSIDE else None
    if stage is Stage.INSIDE and live is None:
        stage = Stage.ENDED  # just now
    onward = return_of(visit, queue)
    return render(
        "queue.html",
        HTTPStatus.OK if refusal is _NO_REFUSAL else HTTPStatus.FORBIDDEN,
        form_origin=onward.origin if onward else None,
        queue=queue,
        stage=stage,
        standing=standing,
        heading=PROVING if refusal.proof else heading_of(stage, queue.state),
        proof=refusal.proof,
        notice=refusal.notice,
        again=visit.wants_another,
        identity=visit.identity,
        live=live,
        onward_address=address_with(live, onward, queue.show) if live and onward else None,
        onward_origin=onward.origin.partition("://")[2] if onward else None,
        return_refused=visit.return_text is not None and onward is None,
        retry_after_s=visit.retry_after_s if stage is Stage.ADMITTED else None,
        here=visit.here(),
        action=visit.address_of,
        document=f"/v1/shows/{queue.show}/queue/serving",
        opens_soon=opens_soon,
        poll_after_s=poll_s,
        refresh_after_s=None if refusal.proof else refresh_after_s(stage, poll_s),
    )


async def find_standing(visit: Visit, room: Room) -> Standing | None:
    """Return where the visitor stands; None if they have no number, or one that is refused."""
    if visit.token is None:
        return None
    standing = await room.position(visit.show, visit.token)
    return None if isinstance(standing, TokenRefused) else standing


def return_of(visit: Visit, queue: Queue) -> ReturnAddress | None:
    """Return where the visitor goes on to; None if they named no place, or none that is allowed."""
    text = visit.return_text
    return None if text is None else read_return(text, queue.return_addresses)


def address_with(given: Pass, onward: ReturnAddress, show: str) -> str:
    """Return where a pass is taken to."""
    return onward.with_pass(**{"pass": given.text, "show": show, "buyer": given.buyer})


async def _live_pass(visit: Visit, room: Room) -> Pass | None:
    """Return a pass that lives: it is handed out again, the same, and nothing begins by that."""
    if visit.token is None:
        return None
    claimed = await room.claim(visit.show, visit.token)
    return claimed if isinstance(claimed, Pass) else None
