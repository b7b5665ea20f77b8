"""What people in a waiting room and its reseller are told."""

import random
from datetime import datetime
from typing import Final

from msgspec import Struct

from api.times import utc
from engine.waitingroom.commands import Issued, NoPass, Over
from engine.waitingroom.draw import ALGORITHM, derive_key
from engine.waitingroom.queues import Queue
from engine.waitingroom.room import NumberGiven, PassIssued, Position
from engine.waitingroom.rules import DRAND, Beacon
from engine.waitingroom.standing import Standing
from engine.waitingroom.states import QueueState

POLL_S_MIN: Final = 1.0
POLL_S_MAX: Final = 60.0
_POLL_PART: Final = 10
_JITTER: Final = 0.25
_TRUST_DRAND: Final = (
    "The places follow from a secret whose hash was published before anybody joined, the count of "
    "entries and a public value that nobody knew before the entries were closed."
)
_TRUST_TOLD: Final = (
    "The places follow from a secret whose hash was published before anybody joined, the count of "
    "entries and a value that the seller tells: fetch it yourself from the beacon that was named "
    "in advance, and compare. If they differ, the seller may have chosen the outcome."
)
_TRUST_OPERATOR: Final = (
    "There is no beacon: the operator, who knows the secret, must be trusted not to have added "
    "entries to choose the outcome."
)


class JoinAnswer(Struct, frozen=True):
    """A number in a show's line. `place` and `ahead` are null until places are drawn."""

    token: str
    number: int
    drawn: bool
    place: int | None
    ahead: int | None
    state: str
    serving: int
    serving_url: str


class Pace(Struct, frozen=True):
    """How many places a second the line has moved lately: 10th and 90th percentile."""

    slow: float
    fast: float


class ServingAnswer(Struct, frozen=True):
    """How the line stands: the same for everybody.

    Whoever has a place below `serving` is admitted. `skipped` lists places that nobody has, each
    from the first to before the last.
    """

    show: str
    state: str
    serving: int
    next: int
    rate: float
    epoch: int
    drawn: bool
    count: int | None
    opens_at: datetime
    draws_at: datetime | None
    sale_opens_at: datetime | None
    server_time: datetime
    pace: Pace | None
    skipped: tuple[tuple[int, int], ...]


class Wait(Struct, frozen=True):
    """A range of seconds: never a promise. `high` is null where the line has stood still lately."""

    low: int
    high: int | None


class PositionAnswer(Struct, frozen=True, rename={"queue_pass": "pass"}):
    """Where one number stands. Ask again after `poll_after_s`, not before."""

    number: int
    place: int | None
    ahead: int | None
    admitted: bool
    state: str
    serving: int
    wait_s: Wait | None
    poll_after_s: float
    queue_pass: str
    expires_at: datetime | None = None


class PassAnswer(Struct, frozen=True, rename={"queue_pass": "pass"}):
    """The one pass of a number: for this buyer, until its deadline or its purchase."""

    queue_pass: str
    show: str
    number: int
    buyer: str
    expires_at: datetime


class BeaconAnswer(Struct, frozen=True):
    """The public value that is mixed into the draw."""

    name: str
    round: int | None
    url: str | None


class DrawAnswer(Struct, frozen=True):
    """The commitment to a draw; after it, all that anybody needs to recompute every place."""

    show: str
    algorithm: str
    commitment: str
    beacon: BeaconAnswer | None
    trust: str
    drawn: bool
    count: int | None
    secret: str | None
    beacon_value: str | None
    key: str | None
    closed_at: datetime | None
    drawn_at: datetime | None
    digest: str | None


class SafetyNetAnswer(Struct, frozen=True):
    """Up to how many joins a second nobody waits."""

    joins_per_s: float


class QueueAnswer(Struct, frozen=True):
    """The rules of a waiting room, the draw's commitment, and what identities are signed with."""

    show: str
    mode: str
    paused: bool
    state: str | None
    opens_at: datetime
    draws_at: datetime | None
    rate: float
    burst: float
    checkout_max: int
    pass_ttl_s: int
    safety_net: SafetyNetAnswer | None
    proof_of_work_bits: int
    return_addresses: tuple[str, ...]
    beacon: BeaconAnswer | None
    commitment: str
    identity_key: str
    page: str


def tell_joined(given: NumberGiven, position: Position, show: str) -> JoinAnswer:
    """Tell a number."""
    return JoinAnswer(
        token=given.token,
        number=given.number,
        drawn=position.place is not None,
        place=position.place,
        ahead=position.ahead,
        state=position.standing.state.value,
        serving=position.standing.serving,
        serving_url=f"/v1/shows/{show}/queue/serving",
    )


def tell_serving(queue: Queue, standing: Standing, now: datetime) -> ServingAnswer:
    """Tell how the line stands."""
    rules, sale_opens_at_ms = queue.rules, standing.sale_opens_at_ms
    return ServingAnswer(
        show=queue.show_text,
        state=standing.state.value,
        serving=standing.serving,
        next=standing.next,
        rate=standing.rate,
        epoch=standing.epoch,
        drawn=queue.drawn_at is not None,
        count=queue.count if queue.drawn_at else None,
        opens_at=rules.opens_at,
        draws_at=rules.draws_at,
        sale_opens_at=None if sale_opens_at_ms is None else utc(sale_opens_at_ms),
        server_time=now,
        pace=_pace(standing),
        skipped=queue.vacant,
    )


def tell_position(position: Position, standing_pass: Issued | Over | NoPass) -> PositionAnswer:
    """Tell where a number stands, and when to ask again."""
    standing = position.standing
    wait = _wait(position)
    deadline = standing_pass.deadline_ms if isinstance(standing_pass, Issued) else None
    return PositionAnswer(
        number=position.number,
        place=position.place,
        ahead=position.ahead,
        admitted=position.is_admitted and standing.state is not QueueState.PRE_QUEUE,
        state=standing.state.value,
        serving=standing.serving,
        wait_s=wait,
        poll_after_s=poll_after_s(wait, is_admitted=position.is_admitted),
        queue_pass=_PASS_WORDS[type(standing_pass)],
        expires_at=None if deadline is None else utc(deadline),
    )


def tell_pass(issued: PassIssued, show: str) -> PassAnswer:
    """Tell a pass."""
    return PassAnswer(issued.text, show, issued.number, issued.buyer, utc(issued.deadline_ms))


def tell_draw(queue: Queue) -> DrawAnswer:
    """Tell the commitment, and what it was to once the places are drawn."""
    beacon = queue.rules.beacon
    is_drawn = queue.drawn_at is not None
    return DrawAnswer(
        show=queue.show_text,
        algorithm=ALGORITHM,
        commitment=queue.commitment.hex(),
        beacon=None if beacon is None else BeaconAnswer(beacon.name, beacon.round, beacon.url),
        trust=_trust(beacon),
        drawn=is_drawn,
        # The count is told as soon as the entries are closed, before the beacon is known.
        count=queue.count,
        secret=queue.secret.hex() if is_drawn else None,
        beacon_value=queue.beacon_value.hex() if is_drawn and queue.beacon_value else None,
        key=_key(queue).hex() if is_drawn else None,
        closed_at=queue.closed_at,
        drawn_at=queue.drawn_at,
        digest=queue.digest.hex() if queue.digest else None,
    )


def tell_queue(queue: Queue, standing: Standing | None, identity_key: str) -> QueueAnswer:
    """Tell a reseller the rules as they stand."""
    rules = queue.rules
    beacon = rules.beacon
    return QueueAnswer(
        show=queue.show_text,
        mode=rules.mode.value,
        paused=rules.is_paused,
        state=None if standing is None else standing.state.value,
        opens_at=rules.opens_at,
        draws_at=rules.draws_at,
        rate=rules.rate,
        burst=rules.burst,
        checkout_max=rules.checkout_max,
        pass_ttl_s=rules.pass_ttl_s,
        safety_net=None if rules.safety_net is None else SafetyNetAnswer(rules.safety_net),
        proof_of_work_bits=rules.proof_bits,
        return_addresses=rules.return_addresses,
        beacon=None if beacon is None else BeaconAnswer(beacon.name, beacon.round, beacon.url),
        commitment=queue.commitment.hex(),
        identity_key=identity_key,
        page=f"/queue/{queue.show_text}",
    )


def poll_after_s(wait: Wait | None, *, is_admitted: bool) -> float:
    """Return when to ask again: sooner the nearer one's turn, and spread by chance."""
    due = POLL_S_MIN if is_admitted else 5.0 if wait is None else wait.low / _POLL_PART
    spread = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
    return round(min(POLL_S_MAX, max(POLL_S_MIN, due)) * spread, 2)


def _trust(beacon: Beacon | None) -> str:
    """Return what has to be believed of a draw, and what need not be."""
    if beacon is None:
        return _TRUST_OPERATOR
    return _TRUST_DRAND if beacon.name == DRAND else _TRUST_TOLD


def _key(queue: Queue) -> bytes:
    return derive_key(queue.secret, queue.show_text, queue.count or 0, queue.beacon_value or b"")


def _pace(standing: Standing) -> Pace | None:
    if standing.slow is None or standing.fast is None:
        return None
    return Pace(round(standing.slow, 3), round(standing.fast, 3))


def _wait(position: Position) -> Wait | None:
    pace = _pace(position.standing)
    if position.ahead is None or pace is None or position.standing.state is QueueState.PAUSED:
        return None
    if not pace.fast:
        return None
    return Wait(
        int(position.ahead / pace.fast),
        -int(-position.ahead // pace.slow) if pace.slow else None,
    )


_PASS_WORDS: Final[dict[type, str]] = {Issued: "live", Over: "ended", NoPass: "none"}
