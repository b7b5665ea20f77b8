"""What was compiled of a seating plan, kept beside it.

Plans that are there already stay without, and are compiled by each process that sells from them.

Revision ID: 0024
Revises: 0023
"""

from typing import Final

from alembic import op

from migrations.trail import forget_trail_of, keep_trail_of

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

# Nobody may change a plan. Whoever owns the database can: then what was compiled is not of it.
_FOLLOW: Final = (
    """
    CREATE FUNCTION forget_compiled() RETURNS TRIGGER
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
    BEGIN
        NEW.compiled := NULL;
        RETURN NEW;
    END
    $$
    """,
    """
    CREATE TRIGGER compiled_follows_plan BEFORE UPDATE OF plan ON manifests
    FOR EACH ROW EXECUTE FUNCTION forget_compiled()
    """,
)


def upgrade() -> None:
    """Make room for it. It follows from the plan, which the trail tells by its digest."""
    op.execute("ALTER TABLE manifests ADD COLUMN compiled BYTEA")
    # Compressed already.
    op.execute("ALTER TABLE manifests ALTER COLUMN compiled SET STORAGE EXTERNAL")
    for statement in _FOLLOW:
        op.execute(statement)
    forget_trail_of("manifests")
    keep_trail_of("manifests", digested=["plan"], noise=["compiled"])


def downgrade() -> None:
    """Compile each plan anew."""
    forget_trail_of("manifests")
    op.execute("DROP TRIGGER compiled_follows_plan ON manifests")
    op.execute("DROP FUNCTION forget_compiled()")
    op.execute("ALTER TABLE manifests DROP COLUMN compiled")
    keep_trail_of("manifests", digested=["plan"])
