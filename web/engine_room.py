"""The waiting rooms of the engine, as the page sees them: by the API's own gates and answers."""

import hashlib
from typing import Final, cast

from litestar.datastructures import State as AppState
from msgspec import Struct

from api.context import RUNTIME, parse_show
from api.fastlane.call import address_behind
from api.outcomes import problem_of_store
from api.problems import ProblemError, ProblemKind
from api.queue_answers import tell_position
from api.queue_gates import pass_gates, proof_spent
from api.queue_inputs import IDENTITY_CHARACTERS_MAX, PROOF_CHARACTERS_MAX, JoinBody
from api.queue_outcomes import problem_of_queue
from api.times import utc
from engine.inventory.commands import Overloaded, Recovering
from engine.platform.errors import store_failures
from engine.platform.ids import IdError
from engine.runtime import Serving
from engine.waitingroom import queues, room, standing
from engine.waitingroom.commands import Issued, Left, NoPass, NotYet, Over, Shut, Spent, Waits
from engine.waitingroom.gates import Challenge
from engine.waitingroom.proof_of_work import ALGORITHM
from engine.waitingroom.states import JOINING
from engine.waitingroom.tokens import QueueToken, TokenError
from web.room import (
    CameFrom,
    ClaimOutcome,
    IdentityRefused,
    Joined,
    JoinOutcome,
    NotYourTurn,
    OtherCheck,
    Pass,
    PassEnded,
    PassState,
    ProofRequired,
    Queue,
    QueueShut,
    Standing,
    State,
    TokenRefused,
    TooManyJoins,
    Wait,
)

_GUEST: Final = "guest-"
_GUEST_DIGEST_BYTES: Final = 10
_RETRY_S: Final = 2


class _Arrival(Struct, frozen=True):
    """Somebody who comes to join: api.queue_gates.Arrival."""

    runtime: Serving
    came_from: CameFrom

    def address(self) -> str:
        """Return the address that they come from, as far as trusted proxies tell."""
        proxies = self.runtime.settings.trusted_proxies
        return address_behind(proxies, self.came_from.forwarded, self.came_from.address)


class EngineRoom:
    """A web.room.Room over what the application has opened."""

    def __init__(self, state: AppState) -> None:
        """Take what the application's lifespan opens things in."""
        self._state = state

    @property
    def _runtime(self) -> Serving:
        return cast("Serving", self._state[RUNTIME])

    async def queue(self, show: str) -> Queue | None:
        """As web.room.Room. Raises ProblemError: the show is being recovered, or too much waits."""
        found = await self._find(show)
        if found is None:
            return None
        queue, line = found
        with store_failures():
            shown = await self._runtime.box_office.show(queue.reseller, queue.show)
        return Queue(
            show=queue.show_text,
            name=shown.name,
            venue=shown.venue,
            starts_at=utc(shown.starts_at_ms),
            opens_at=queue.rules.opens_at,
            sale_opens_at=utc(shown.opens_at_ms),
            draws_at=queue.rules.draws_at,
            state=State(line.state.value),
            serving=line.serving,
            next=line.next,
            drawn=queue.drawn_at is not None,
            has_draw=queue.rules.draws_at is not None,
            return_addresses=queue.rules.return_addresses,
        )

    async def join(
        self, show: str, came_from: CameFrom, *, identity: str | None, proof: str | None
    ) -> JoinOutcome:
        """As web.room.Room. Raises ProblemError: no number can be given just now."""
        found = await self._find(show)
        if found is None or found[1].state not in JOINING:
            return QueueShut()
        if len(identity or "") > IDENTITY_CHARACTERS_MAX:
            return IdentityRefused()
        queue, line = found
        given_proof = (proof or "")[:PROOF_CHARACTERS_MAX]
        body = JoinBody(identity=identity or "", proof=given_proof)
        arrival = _Arrival(self._runtime, came_from)
        try:
            passed = await pass_gates(arrival, queue, body)
        except ProblemError as problem:
            return _refusal(problem)
        waiting_room = self._runtime.waiting_room
        given = await waiting_room.join(queue, identity=passed.identity, proof=passed.proof)
        match given:
            case room.NumberGiven():
                return Joined(given.token)
            case Shut():
                return QueueShut()
            case Spent():
                return _refusal(await proof_spent(arrival, queue))
            case _:
                raise problem_of_queue(given, show, waiting_room.position(queue, line, 0))

    async def position(self, show: str, token: str) -> Standing | TokenRefused:
        """As web.room.Room. Raises ProblemError as `queue`."""
        read = await self._read(show, token)
        if read is None:
            return TokenRefused()
        queue, line, known = read
        position = self._runtime.waiting_room.position(queue, line, known.number)
        looked: Issued | Over | NoPass = NoPass()
        if position.is_admitted:
            seen = await self._runtime.waiting_room.look(queue, known.number)
            if not isinstance(seen, Issued | Over | NoPass):
                raise problem_of_store(seen)
            looked = seen
        told = tell_position(position, looked)
        return Standing(
            number=told.number,
            place=told.place,
            ahead=told.ahead,
            admitted=told.admitted,
            wait=Wait(told.wait_s.low, told.wait_s.high) if told.wait_s else None,
            poll_after_s=told.poll_after_s,
            passed=PassState(told.queue_pass),
            named=known.identity is not None,
        )

    async def claim(self, show: str, token: str) -> ClaimOutcome:
        """As web.room.Room. Raises ProblemError as `queue`."""
        read = await self._read(show, token)
        if read is None:
            return TokenRefused()
        queue, line, known = read
        waiting_room = self._runtime.waiting_room
        claimed = await waiting_room.claim(queue, known, known.buyer or guest(token))
        match claimed:
            case room.PassIssued():
                return Pass(
                    text=claimed.text, buyer=claimed.buyer, expires_at=utc(claimed.deadline_ms)
                )
            case NotYet() | Waits():
                return NotYourTurn(_RETRY_S)
            case Over() | room.AnotherBuyer():
                return PassEnded()
            case _:
                position = waiting_room.position(queue, line, known.number)
                raise problem_of_queue(claimed, show, position)

    async def leave(self, show: str, token: str) -> None:
        """As web.room.Room. Raises ProblemError as `queue`."""
        read = await self._read(show, token)
        if read is None:
            return
        queue, _, known = read
        left = await self._runtime.waiting_room.leave(queue, known.number)
        if not isinstance(left, Left):
            raise problem_of_store(left)

    async def _find(self, show: str) -> tuple[queues.Queue, standing.Standing] | None:
        waiting_room = self._runtime.waiting_room
        try:
            shown = parse_show(self._runtime.ids, show)
            found = waiting_room.known(shown) or await waiting_room.look_in(shown)
        except (IdError, queues.NoQueueError):
            return None
        if isinstance(found, Recovering | Overloaded):
            raise problem_of_store(found)
        return found

    async def _read(
        self, show: str, token: str
    ) -> tuple[queues.Queue, standing.Standing, QueueToken] | None:
        found = await self._find(show)
        if found is None:
            return None
        try:
            return *found, self._runtime.waiting_room.read_token(found[0], token)
        except TokenError:
            return None


def guest(token: str) -> str:
    """Return the buyer's name of somebody whom no reseller named: the same for the same token."""
    digest = hashlib.blake2b(token.encode(), digest_size=_GUEST_DIGEST_BYTES)
    return _GUEST + digest.hexdigest()


def _refusal(problem: ProblemError) -> JoinOutcome:
    members = problem.members or {}
    match problem.kind:
        case ProblemKind.PROOF_REQUIRED:
            asked = members.get("challenge")
            if isinstance(asked, Challenge) and asked.algorithm == ALGORITHM:
                return ProofRequired(asked.challenge, asked.bits)
            return OtherCheck()
        case ProblemKind.IDENTITY_INVALID:
            return IdentityRefused()
        case ProblemKind.TOO_MANY_JOINS:
            return TooManyJoins(int(problem.headers.get("Retry-After", "1")))
        case ProblemKind.QUEUE_CLOSED:
            return QueueShut()
        case _:
            raise problem
