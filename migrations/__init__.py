"""The ledger's schema, step by step (Alembic). `migrations.apply` runs it."""
