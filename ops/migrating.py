"""Bringing the database's tables up to date."""

from concurrent.futures import ThreadPoolExecutor

from engine.platform.settings import Settings
from migrations.apply import upgrade


def migrate(settings: Settings) -> None:
    """Apply the migrations that are missing, as the owner; safe to repeat and to run twice at once.

    Works from within an event loop too: the migrations' own loop runs in a thread of its own.
    """
    migrate_database(settings.database_url)


def migrate_database(database_url: str) -> None:
    """Do the same for a database of which nothing but the URL is known."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(upgrade, database_url).result()
