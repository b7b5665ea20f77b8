"""A whole run: rounds on platforms of its own, each of which is kept for a number of rounds."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec import structs
from sqlalchemy import text

from engine.platform.database import connect_once
from engine.platform.settings import OWNER_ROLE, Settings
from loadtests.auditor import audit
from loadtests.torture.ground import Shape, open_ground
from loadtests.torture.kinds import KINDS
from loadtests.torture.mutants import Mutant
from loadtests.torture.rounds import RoundReport, Trouble, play_round, without_forgeries
from loadtests.torture.schedule import RoundPlan
from loadtests.torture.sources import SHORT_HOLDS, Source
from ops.child import Plan
from ops.resellers import make_reseller

ROUNDS_A_PLATFORM: Final = 20
"""A restart recovers all shows of a platform; more of them would only make the rounds slower."""

_STATEMENT_S_MAX: Final = 20

Say = Callable[[str], None]


async def play(
    plans: Iterable[RoundPlan],
    directory: Path,
    *,
    mutant: Mutant | None,
    say: Say,
    shape: Shape = "single",
) -> AsyncGenerator[RoundReport]:
    """Play the rounds and yield each one's report.

    Raises:
        StackError: a platform could not be started.
    """
    remaining = iter(plans)
    number = 0
    while chunk := list(islice(remaining, ROUNDS_A_PLATFORM)):
        number += 1
        place = directory / f"platform-{number}"
        place.mkdir(parents=True)
        api_workers = 1 + number % 2  # two processes know of different things
        playing = _play_on_one(
            chunk, place, mutant=mutant, shape=shape, api_workers=api_workers, say=say
        )
        async with aclosing(playing):
            async for report in playing:
                yield report


async def _play_on_one(  # noqa: PLR0913 -- what `play` has taken, and a platform's own, by name
    plans: Sequence[RoundPlan],
    place: Path,
    *,
    mutant: Mutant | None,
    shape: Shape,
    api_workers: int,
    say: Say,
) -> AsyncGenerator[RoundReport]:
    changes = (*SHORT_HOLDS, *(mutant.changes if mutant else ()))
    source = await asyncio.to_thread(Source, place / "source", changes)

    def adjust(plan: Plan) -> Plan:
        plan = source.adjust(plan)
        return mutant.adjust(plan) if mutant else plan

    say(f"starting a platform in {place}")
    opening = open_ground(
        place / "data",
        shape=shape,
        mutant=adjust,
        api_workers=api_workers,
        environment=dict(mutant.settings) if mutant else None,
    )
    async with opening as ground:
        if mutant and mutant.sql:
            await _run_sql(ground.settings, mutant.sql)
        issued = await make_reseller(ground.settings, "Torture")
        for plan in plans:
            report = await play_round(ground, issued.text, plan, KINDS[shape], place)
            if plan is plans[-1]:
                # What earlier rounds left in order must have stayed so.
                found = await _audit_all(ground.settings)
                report = structs.replace(report, troubles=(*report.troubles, *found))
            yield report


async def _run_sql(settings: Settings, statement: str) -> None:
    url, role = settings.database_login(OWNER_ROLE)
    async with (
        connect_once(url, role=role, command_timeout_s=_STATEMENT_S_MAX) as connection,
        connection.begin(),
    ):
        await connection.execute(text(statement))


async def _audit_all(settings: Settings) -> list[Trouble]:
    result = await audit(settings)
    return without_forgeries(
        Trouble(f"audit {one.check}", f"show {one.show:016x} {one.subject}", one.says)
        for one in result.findings
    )
