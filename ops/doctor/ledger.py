"""What the doctor looks at in PostgreSQL."""

import time
from collections.abc import AsyncIterator
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.database import connect_once
from engine.platform.settings import (
    APP_ROLE,
    AUDITOR_ROLE,
    OWNER_ROLE,
    RECORDER_ROLE,
    Settings,
    variable,
)
from migrations.apply import applied_revision, newest_revision
from ops.doctor.findings import Finding, fine, judge_version, wrong
from ops.doctor.store import Clock, place, unreachable

_TIMEOUT_S: Final = 5
_ROLES: Final = (OWNER_ROLE, APP_ROLE, RECORDER_ROLE, AUDITOR_ROLE)
_LOG_INS: Final = {
    APP_ROLE: "app_database_url",
    RECORDER_ROLE: "recorder_database_url",
    AUDITOR_ROLE: "auditor_database_url",
}
_DURABLE: Final = ("fsync", "full_page_writes", "synchronous_commit")
_MIGRATE: Final = "run ./onsale migrate"
_UNREACHABLE: Final = (OSError, TimeoutError, SQLAlchemyError)


async def examine_ledger(settings: Settings) -> AsyncIterator[Finding | Clock]:
    """Look at the ledger; its clock is among what is yielded, if it could be reached."""
    try:
        async with connect_once(settings.database_url, command_timeout_s=_TIMEOUT_S) as connection:
            yield fine("ledger", f"{place(settings.database_url)} answers")
            version = await connection.scalar(text("SHOW server_version"))
            yield judge_version("PostgreSQL", str(version))
            for setting in _DURABLE:
                yield await _examine_setting(connection, setting)
            yield await _examine_roles(connection)
            yield await _read_clock(connection)
        yield await _examine_revision(settings)
    except _UNREACHABLE as error:
        yield unreachable("ledger", settings.database_url, error)
        return
    for role, field in _LOG_INS.items():
        problem = await _log_in_problem(settings, role, field)
        if problem is not None:
            yield problem


async def _examine_setting(connection: AsyncConnection, setting: str) -> Finding:
    found = str(await connection.scalar(text("SELECT current_setting(:name)"), {"name": setting}))
    if found in {"off", "local"} and (setting, found) != ("synchronous_commit", "local"):
        return wrong(
            f"PostgreSQL's {setting}",
            found,
            f"ALTER SYSTEM SET {setting} = on; SELECT pg_reload_conf(); "
            "else a crash loses orders that were confirmed",
        )
    return fine(f"PostgreSQL's {setting}", found)


async def _examine_roles(connection: AsyncConnection) -> Finding:
    rows = await connection.execute(
        text("SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = ANY(:roles)"),
        {"roles": list(_ROLES)},
    )
    found = {str(name): bool(strong) for name, strong in rows}
    missing = [role for role in _ROLES if role not in found]
    if missing:
        return wrong("roles", f"missing: {', '.join(missing)}", f"{_MIGRATE}, which makes them")
    too_strong = [role for role, strong in found.items() if strong]
    if too_strong:
        return wrong(
            "roles",
            f"look past row-level security: {', '.join(too_strong)}",
            f"ALTER ROLE {too_strong[0]} NOSUPERUSER NOBYPASSRLS",
        )
    return fine("roles", "all four are there")


async def _examine_revision(settings: Settings) -> Finding:
    newest = newest_revision()
    applied = await applied_revision(settings.database_url)
    if applied == newest:
        return fine("migrations", f"at {applied}, the newest")
    if applied is None:
        return wrong("migrations", "never applied", _MIGRATE)
    return wrong("migrations", f"at {applied}; the newest is {newest}", _MIGRATE)


async def _log_in_problem(settings: Settings, role: str, field: str) -> Finding | None:
    """Return what keeps a process from taking on its role, if something does."""
    url, role = settings.database_login(role)
    try:
        async with connect_once(url, role=role, command_timeout_s=_TIMEOUT_S) as connection:
            await connection.scalar(text("SELECT 1"))
    except _UNREACHABLE as error:
        return wrong(
            f"log-in as {role}",
            f"{place(url)}: {str(error).splitlines()[0]}",
            f"GRANT {role} to that log-in, or set {variable(field)}",
        )
    return None


async def _read_clock(connection: AsyncConnection) -> Clock:
    statement = text("SELECT extract(epoch FROM clock_timestamp())::float8")
    before = time.time()
    there = float(str(await connection.scalar(statement)))
    after = time.time()
    return Clock("ledger", there - (before + after) / 2, (after - before) / 2)
