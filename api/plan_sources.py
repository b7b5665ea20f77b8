"""Plans as clients send them: as JSON, as a compact table, or as edits of a version there is."""

import asyncio

import msgspec

from api.configuration_inputs import PlanSource
from api.context import ApiRequest, runtime_of
from api.problems import Fault, ProblemError, ProblemKind
from engine.catalog.compact_table import TableError, read_table
from engine.catalog.configurations import (
    Configuration,
    UnknownConfiguration,
    UnknownVersion,
    find_version,
)
from engine.catalog.plan_edits import PlanEditsError, edit_plan
from engine.inventory.seating_plan import SeatingPlan, SeatingPlanError, export_plan, read_plan
from engine.platform.errors import store_failures
from engine.platform.ids import fingerprint


async def read_sent(body: PlanSource, name: str) -> SeatingPlan | None:
    """Return the plan that a body has as JSON or as a table; None: it has neither.

    Raises:
        ProblemError: `invalid-seating-plan`, with every place and reason.
    """
    if body.has_plan():
        return await asyncio.to_thread(_read_plan, bytes(body.plan))
    if body.table:
        return await asyncio.to_thread(_read_table, body.table, body.table_name or name)
    return None


async def edit_version(
    request: ApiRequest, configuration: Configuration, body: PlanSource
) -> tuple[SeatingPlan, int] | UnknownConfiguration | UnknownVersion:
    """Return what a body's edits make of the version that they are of, and that version's number.

    Raises:
        ProblemError: `invalid-seating-plan`, with all that is wrong with the edits.
    """
    runtime = runtime_of(request)
    number = body.based_on or None
    with store_failures():
        base = await find_version(runtime.app_engine, request.user, configuration.id, number)
        if isinstance(base, UnknownConfiguration | UnknownVersion):
            return base
        plan = await runtime.plans.seating_plan(request.user, base.manifest_id)
    try:
        return await asyncio.to_thread(edit_plan, plan, body.edits or ()), base.version
    except PlanEditsError as error:
        raise _invalid_plan(
            [Fault(f.reason, pointer=f"/edits{f.pointer}") for f in error.faults], error.more
        ) from error


def source_fingerprint(body: PlanSource, plan: SeatingPlan | None) -> int:
    """Return what stands for a body: the same for any order of keys and any white space."""
    rest = msgspec.structs.replace(body, plan=msgspec.Raw(b"null"))
    canonical = msgspec.json.encode(rest, order="sorted")
    return fingerprint(canonical + (export_plan(plan) if body.has_plan() and plan else b""))


def _read_plan(document: bytes) -> SeatingPlan:
    try:
        return read_plan(document)
    except SeatingPlanError as error:
        faults = [Fault(f.reason, pointer=f"/plan{f.pointer}") for f in error.faults]
        raise _invalid_plan(faults, error.more) from error


def _read_table(table: str, name: str) -> SeatingPlan:
    try:
        return read_table(table, name)
    except TableError as error:
        faults = [Fault(f"line {f.line}: {f.reason}", pointer="/table") for f in error.faults]
        raise _invalid_plan(faults, error.more) from error


def _invalid_plan(faults: list[Fault], more: int) -> ProblemError:
    first = faults[0]
    others = len(faults) - 1 + more
    counted = f" (and {others} more)" if others else ""
    return ProblemError(
        ProblemKind.INVALID_SEATING_PLAN,
        f"The seating plan can't be sold from: {first.pointer}: {first.reason}{counted}.",
        errors=faults,
        members={"more": more} if more else {},
    )
