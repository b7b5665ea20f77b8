"""A round: a new show, buyers who fight over it, faults in the midst of it, and the judgement."""

import asyncio
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from loadtests.auditor import audit
from loadtests.checker import Bounds, Call, Held, Loss, Recorder, Verdict, check, read_history
from loadtests.torture.box_office_calls import BoxOffice
from loadtests.torture.crowd import Crowd, Goods
from loadtests.torture.faults import Strike, Struck, lacking
from loadtests.torture.forging import MARK
from loadtests.torture.ground import Ground
from loadtests.torture.older_copy import RESTORE
from loadtests.torture.opening import Opened, open_show
from loadtests.torture.reading import Left, UnsettledError, read_when_settled
from loadtests.torture.schedule import Planned, RoundPlan
from loadtests.torture.wire import Wire
from ops.recovering import read_recoveries

PATIENCE_S: Final = 30.0
"""How long a round's calls, and then its show, may take to come to rest."""

CALL_TIMEOUT_S: Final = 4.0
STRIKE_TIMEOUT_S: Final = 60.0
FENCING: Final = frozenset({"kill-valkey", "truncate-aof", "wipe-valkey", RESTORE})
"""Faults after which the show must be recovered before it sells again."""

FALLING_BACK: Final = frozenset({"truncate-aof", RESTORE})
"""Faults after which the store stands as it did a little before."""

_NS: Final = 1_000_000_000
_RECOVERIES_MAX: Final = 1000
_BACK_NS: Final = 6 * _NS
# How far a replica may be behind before a fault strikes.
_LAG_NS: Final = _NS


class Trouble(Struct, frozen=True):
    """One thing that is wrong, whoever found it."""

    kind: str
    subject: str
    says: str
    told: tuple[str, ...] = ()
    """The reason and the history, a line each."""


class RoundReport(Struct, frozen=True):
    """What a round came to."""

    plan: RoundPlan
    show: str
    operations: int
    ambiguous: int
    undecided: int
    struck: tuple[Struck, ...]
    recovery_s: tuple[float, ...]
    """After each fencing fault: from the server's return to the first hold that was had."""
    recovered_ms: tuple[int, ...]
    """How long each of the show's recoveries took, by its record."""
    troubles: tuple[Trouble, ...]
    wall_s: float


async def play_round(
    ground: Ground, api_key: str, plan: RoundPlan, faults: Mapping[str, Strike], directory: Path
) -> RoundReport:
    """Play one round and judge it; its history is kept in the directory.

    Raises:
        RefusedError, RefusedShowError, aiohttp.ClientError: no show could be opened.
        KeyError: the plan has a fault that is not known.
    """
    began = time.monotonic()
    wire = Wire(ground.base_url, api_key, CALL_TIMEOUT_S)
    opened = await open_show(ground.base_url, api_key, wire)
    utc_offset_ns = time.monotonic_ns() - time.time_ns()
    path = directory / f"round-{plan.number}.jsonl"
    with Recorder(path) as recorder:
        office = BoxOffice(wire, recorder, opened.hall.show, utc_offset_ns)
        goods = Goods(
            tuple(label for _, label in sorted(opened.hall.labels.items())), opened.hall.areas
        )
        crowd = Crowd(office, opened.hall.show, goods, plan.seed)
        striking = _Striking(ground, faults)
        async with asyncio.TaskGroup() as group:
            group.create_task(striking.strike(plan))
            group.create_task(crowd.fight(plan.seconds, PATIENCE_S))
    struck = sorted(striking.struck, key=lambda one: one.at_ns)
    troubles = [*striking.failed]
    troubles += [Trouble("strange-answer", "api", says) for says in office.strange]
    calls = read_history(path)
    left: Left | None = None
    try:
        left = await read_when_settled(ground.settings, opened.hall, utc_offset_ns, PATIENCE_S)
    except UnsettledError as error:
        troubles.append(Trouble("unsettled", opened.hall.show, str(error)))
    verdict = await asyncio.to_thread(_judge, opened, calls, left, struck)
    troubles += [_from_checker(verdict, n) for n in range(len(verdict.violations))]
    troubles += await _audit(ground, opened)
    troubles = without_forgeries(troubles) + _taken_forgeries(left)
    return RoundReport(
        plan=plan,
        show=opened.hall.show,
        operations=verdict.operations,
        ambiguous=verdict.ambiguous,
        undecided=len(verdict.undecided),
        struck=tuple(struck),
        recovery_s=tuple(recovery_times(calls, struck)),
        recovered_ms=await _read_recovered(ground, opened),
        troubles=tuple(troubles),
        wall_s=round(time.monotonic() - began, 2),
    )


class _Striking:
    """Lets a plan's faults strike, and keeps what came of them."""

    def __init__(self, ground: Ground, faults: Mapping[str, Strike]) -> None:
        self._ground = ground
        self._faults = faults
        self._began = time.monotonic()
        self.struck: list[Struck] = []
        self.failed: list[Trouble] = []

    async def strike(self, plan: RoundPlan) -> None:
        for volley in plan.volleys():
            async with asyncio.TaskGroup() as group:
                for planned in volley:
                    # What this machine can't do is missing among the faults that are told of.
                    if planned.kind not in lacking(self._ground):
                        group.create_task(self._strike(planned))

    async def _strike(self, planned: Planned) -> None:
        await asyncio.sleep(max(0.0, self._began + planned.at_s - time.monotonic()))
        dice = random.Random(planned.seed)  # noqa: S311 -- dice, no secrets
        try:
            async with asyncio.timeout(STRIKE_TIMEOUT_S):
                self.struck.append(await self._faults[planned.kind](self._ground, dice))
        except Exception as error:  # noqa: BLE001 -- told as what is wrong with the round
            self.failed.append(Trouble("fault-failed", planned.kind, repr(error)))


def _judge(
    opened: Opened, calls: Sequence[Call], left: Left | None, struck: Sequence[Struck]
) -> Verdict:
    losses = tuple(loss_of(one) for one in struck if one.loses_store or one.loses_holds)
    show = msgspec.structs.replace(opened.show, losses=losses)
    bounds = bounds_of(struck)
    if left is None:
        return check(show, calls, bounds=bounds)
    return check(show, calls, ledger=left.ledger, store=left.store, bounds=bounds)


def bounds_of(struck: Sequence[Struck]) -> Bounds:
    """Allow for what faults do to deadlines.

    A recovery puts them off by the time that the show was out. A clock that is ahead ends holds
    early, and as a show's time never goes back, one that is behind ends them late.
    """
    usual = Bounds()
    out_ns = sum(one.until_ns - one.at_ns + 2 * _NS for one in struck)
    ahead_s = max((one.clock_step_s for one in struck), default=0.0)
    stepped_s = sum(abs(one.clock_step_s) for one in struck)
    return Bounds(
        clock_error_ns=usual.clock_error_ns + round(max(ahead_s, 0.0) * _NS),
        overdue_ns_max=usual.overdue_ns_max + out_ns + round(stepped_s * _NS),
    )


def loss_of(struck: Struck) -> Loss:
    """Return when the store may have lost what, and until when back."""
    if struck.loses_holds:
        return Loss(struck.at_ns, struck.until_ns, struck.at_ns - _LAG_NS, keeps_sales=True)
    falls_back = struck.kind in FALLING_BACK
    return Loss(struck.at_ns, struck.until_ns, struck.at_ns - _BACK_NS if falls_back else None)


def _from_checker(verdict: Verdict, n: int) -> Trouble:
    one = verdict.violations[n]
    text = msgspec.structs.replace(verdict, violations=(one,), undecided=()).as_text()
    return Trouble(one.kind, one.subject, one.says, tuple(text.splitlines()[3:]))


def without_forgeries(troubles: Iterable[Trouble]) -> list[Trouble]:
    """Leave out what is said of forged sales: that they are there is their forger's doing."""
    return [one for one in troubles if MARK.hex() not in one.subject]


def _taken_forgeries(left: Left | None) -> list[Trouble]:
    """Return the forged sales that the ledger took for true."""
    return [
        Trouble("forgery-recorded", f"order {order.order}", f"it has {' '.join(order.seats)}")
        for order in (left.ledger.orders if left else ())
        if MARK.hex() in order.order and order.status == "confirmed"
    ]


async def _audit(ground: Ground, opened: Opened) -> list[Trouble]:
    result = await audit(ground.settings, show=opened.hall.number)
    return [Trouble(f"audit {one.check}", one.subject, one.says) for one in result.findings]


async def _read_recovered(ground: Ground, opened: Opened) -> tuple[int, ...]:
    rows = await read_recoveries(ground.settings, show=opened.hall.number, rows_max=_RECOVERIES_MAX)
    # The first is the show's opening.
    return tuple(row.took_ms for row in rows[:-1])


def recovery_times(calls: Sequence[Call], struck: Sequence[Struck]) -> list[float]:
    """Return for each fencing fault how long after it the first hold was had.

    One that another fault overlaps until then, or that no hold follows, counts not.
    """
    had = sorted(
        call.completed_ns
        for call in calls
        if call.kind == "hold" and isinstance(call.answer, Held) and call.completed_ns is not None
    )
    found: list[float] = []
    for one in struck:
        serves_ns = one.until_ns if one.serves_ns is None else one.serves_ns
        first = next((at for at in had if at > serves_ns), None)
        if (one.kind not in FENCING and one.serves_ns is None) or first is None:
            continue
        others = (other for other in struck if other is not one)
        if not any(other.at_ns < first and other.until_ns > one.at_ns for other in others):
            found.append((first - serves_ns) / _NS)
    return found
