"""What stands before a number is given: a gate that joiners pass by a proof, whatever that is.

Built in is the proof of work. A deployment names its own in `ONSALE_JOIN_GATE` as
`module:attribute`: something that is called with the settings and returns a `JoinGate`;
`engine.waitingroom.captcha:captcha_gate` is one.
"""

from importlib import import_module
from typing import Final, Protocol, runtime_checkable

from msgspec import Struct

from engine.platform.settings import Settings, SettingsError, variable
from engine.waitingroom.proof_of_work import ALGORITHM, ProofError, ProofOfWork, SpentSlot

_SEND_PROOF: Final = "Solve the challenge and join again with the proof."


class Challenge(Struct, frozen=True):
    """What is to be solved, as the joiner is told it."""

    challenge: str
    bits: int
    algorithm: str
    """`sha256`: find a nonce (docs/API.md); anything else is what a gate of one's own says."""


class Passed(Struct, frozen=True):
    """The joiner may have a number, unless `spent` is marked already: then they are `Refused`."""

    spent: SpentSlot | None = None
    """To be marked in the same script that gives the number; None: nothing."""


class Refused(Struct, frozen=True):
    """The joiner has no proof, or none that counts."""

    challenge: Challenge
    detail: str


class GateAway(Struct, frozen=True):
    """Whoever judges proofs can't be asked at present."""


GateOutcome = Passed | Refused | GateAway


@runtime_checkable
class JoinGate(Protocol):
    """Judges what joiners bring. One a process; called at once by as many as join."""

    async def check(self, show: int, bits: int, address: str, proof: str | None) -> GateOutcome:
        """Judge a proof; None: they brought none. `bits` is what the show's rules ask for.

        Must end within seconds, and must not let through when in doubt.
        """
        ...

    async def close(self) -> None:
        """End what it has open."""
        ...


class ProofGate:
    """The proof of work, for shows whose rules ask for one."""

    def __init__(self, work: ProofOfWork) -> None:
        """Take what makes and checks challenges."""
        self._work = work

    async def check(self, show: int, bits: int, address: str, proof: str | None) -> GateOutcome:  # noqa: ARG002 - other gates ask for the address
        """Judge a proof; one of fewer bits counts if the rules asked for no more at its making."""
        if bits == 0:
            return Passed()
        if proof is None:
            return self.refuse(show, bits)
        try:
            return Passed(self._work.check(show, proof))
        except ProofError as error:
            return self.refuse(show, bits, str(error))

    def refuse(self, show: int, bits: int, detail: str = _SEND_PROOF) -> Refused:
        """Return a new challenge; also for a proof that was found to be spent."""
        return Refused(Challenge(self._work.make_challenge(show, bits), bits, ALGORITHM), detail)

    async def close(self) -> None:
        """Have nothing to end."""


def load_gate(settings: Settings) -> JoinGate:
    """Return the gate that the settings name.

    Raises:
        SettingsError: what they name is not there, is no gate, or lacks a setting of its own.
    """
    path = settings.join_gate
    if not path:
        return ProofGate(ProofOfWork(settings.secret.encode()))
    module, _, attribute = path.partition(":")
    try:
        gate = getattr(import_module(module), attribute)(settings)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        msg = f"{variable('join_gate')}: {path} can't be had: {error}"
        raise SettingsError(msg) from error
    if not isinstance(gate, JoinGate):
        msg = f"{variable('join_gate')}: {path} makes no JoinGate"
        raise SettingsError(msg)
    return gate
