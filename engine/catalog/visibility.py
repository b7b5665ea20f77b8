"""What is public: said once, as SQL, for whoever lists, keeps or tells what the public may see.

Each expression is about the row of its table in the query around it (`shows`, `events`, `venues`,
`performers` by their own names, no alias) and looks up what that row belongs to. PostgreSQL's
`now()` is the moment. They are for a transaction that sees all rows they name: the recorder's, or
the reseller's own.

- A *reseller* is public while it is live (no sandbox) and approved: neither pending nor suspended.
- An *event* is public while its reseller is, it is `public`, its `public_from` is null or past, and
  it is not archived. It need not have a show: an event may be announced before its dates.
- A *show* is public while its reseller is, it is `public`, its `public_from` is null or past, it is
  no draft, and its event, if it has one, is public.
- A *performer* is public while not archived and on the bill of a public event: nobody learns from a
  performer's page what is not announced yet.
- A *venue* is public while not archived and the place of a public show.

Time alone makes things public: `SHOW_TURNS_PUBLIC_AT` and `EVENT_TURNS_PUBLIC_AT` say when. Nothing
stops being public by time.
"""

from typing import Final

from sqlalchemy import Boolean, ColumnElement, DateTime, literal_column


def _reseller(table: str) -> str:
    return (
        "EXISTS (SELECT FROM resellers AS its_reseller"
        f" WHERE its_reseller.id = {table}.reseller_id"
        " AND its_reseller.mode = 'live' AND its_reseller.status = 'approved')"
    )


def _seen(table: str) -> str:
    return (
        f"{table}.visibility = 'public'"
        f" AND ({table}.public_from IS NULL OR {table}.public_from <= now())"
    )


def _event(table: str) -> str:
    return f"{table}.archived_at IS NULL AND {_seen(table)} AND {_reseller(table)}"


def _show(table: str) -> str:
    return (
        f"{table}.state <> 'draft' AND {_seen(table)} AND {_reseller(table)}"
        f" AND ({table}.event_id IS NULL OR EXISTS (SELECT FROM events AS its_event"
        f" WHERE its_event.id = {table}.event_id AND {_event('its_event')}))"
    )


EVENT_IS_PUBLIC: Final = f"({_event('events')})"
SHOW_IS_PUBLIC: Final = f"({_show('shows')})"
PERFORMER_IS_PUBLIC: Final = (
    "(performers.archived_at IS NULL AND EXISTS (SELECT FROM event_performers AS its_bill"
    " JOIN events AS its_event ON its_event.id = its_bill.event_id"
    f" WHERE its_bill.performer_id = performers.id AND {_event('its_event')}))"
)
VENUE_IS_PUBLIC: Final = (
    "(venues.archived_at IS NULL AND EXISTS (SELECT FROM configurations AS its_configuration"
    " JOIN shows AS its_show ON its_show.configuration_id = its_configuration.id"
    f" WHERE its_configuration.venue_id = venues.id AND {_show('its_show')}))"
)

EVENT_TURNS_PUBLIC_AT: Final = (
    "(CASE WHEN events.visibility = 'public' AND events.public_from > now()"
    " THEN events.public_from END)"
)
"""When time makes an event public that is not yet; NULL: never by time alone."""

SHOW_TURNS_PUBLIC_AT: Final = (
    "(SELECT CASE WHEN shows.visibility = 'public' AND coalesce(its_event.visibility, 'public')"
    " = 'public' AND greatest(shows.public_from, its_event.public_from) > now()"
    " THEN greatest(shows.public_from, its_event.public_from) END"
    " FROM (SELECT) AS one LEFT JOIN events AS its_event ON its_event.id = shows.event_id)"
)
"""When time makes a show public that is not yet; NULL: never by time alone."""

event_is_public: Final[ColumnElement[bool]] = literal_column(EVENT_IS_PUBLIC, Boolean)
show_is_public: Final[ColumnElement[bool]] = literal_column(SHOW_IS_PUBLIC, Boolean)
performer_is_public: Final[ColumnElement[bool]] = literal_column(PERFORMER_IS_PUBLIC, Boolean)
venue_is_public: Final[ColumnElement[bool]] = literal_column(VENUE_IS_PUBLIC, Boolean)
event_turns_public_at: Final = literal_column(EVENT_TURNS_PUBLIC_AT, DateTime(timezone=True))
show_turns_public_at: Final = literal_column(SHOW_TURNS_PUBLIC_AT, DateTime(timezone=True))
