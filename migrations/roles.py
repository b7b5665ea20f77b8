"""The four roles of the ledger.

Roles belong to the whole PostgreSQL server, not to one database, so they are made before the
revisions run and are never dropped by one. Passwords are the operator's to set.
"""

from typing import Final

from sqlalchemy import Connection, text

from engine.platform.settings import APP_ROLE, AUDITOR_ROLE, OWNER_ROLE, RECORDER_ROLE

_ROLES: Final = {
    OWNER_ROLE: "NOLOGIN",
    APP_ROLE: "LOGIN",
    RECORDER_ROLE: "LOGIN",
    AUDITOR_ROLE: "LOGIN",
}

# Another database of the same server may be migrating at this moment, and advisory locks do not
# reach across databases: who loses a race finds the role made, or the grant done.
_CREATE: Final = """
DO $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
        CREATE ROLE {role} {login} NOSUPERUSER NOCREATEDB NOCREATEROLE;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END $$
"""

# A superuser may take on any role as it is. Any other log-in that migrates has to be a member.
_JOIN: Final = """
DO $$ BEGIN
    IF NOT pg_has_role(current_user, '{role}', 'MEMBER') THEN
        GRANT {role} TO CURRENT_USER;
    ELSIF current_setting('server_version_num')::int >= 160000
          AND NOT pg_has_role(current_user, '{role}', 'SET') THEN
        GRANT {role} TO CURRENT_USER;
    END IF;
END $$
"""


class RoleError(RuntimeError):
    """A role has rights that would undo the separation of resellers; the message names it."""


def ensure_roles(connection: Connection) -> None:
    """Make the roles that are missing, and let the log-in that migrates take them on.

    Raises:
        RoleError: a role of that name exists already and looks past row-level security.
    """
    for role, login in _ROLES.items():
        connection.execute(text(_CREATE.format(role=role, login=login)))
        connection.execute(text(_JOIN.format(role=role)))
    too_strong = connection.scalars(
        text(
            "SELECT rolname FROM pg_roles"
            " WHERE rolname = ANY(:roles) AND (rolsuper OR rolbypassrls)"
        ),
        {"roles": list(_ROLES)},
    ).all()
    if too_strong:
        msg = f"{', '.join(too_strong)}: must be neither superuser nor BYPASSRLS"
        raise RoleError(msg)
    connection.execute(text(f"GRANT USAGE, CREATE ON SCHEMA public TO {OWNER_ROLE}"))
