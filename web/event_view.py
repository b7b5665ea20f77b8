"""What the page of an event says, in words: its shows, and what each is at the moment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec import Struct

from engine.catalog.interchange.schema_org import describe_event, for_script
from engine.catalog.interchange.shown import ShownShow, page_of_event
from engine.catalog.pages import EventPage, Picture
from engine.platform.money import decimal_text

_SUMMARY_CHARACTERS_MAX: Final = 200
_KINDS: Final = {"theatre": "Theatre", "other": "Event", "family": "For families"}
_LANGUAGES: Final = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hu": "Hungarian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sv": "Swedish",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "zh": "Chinese",
}
"""Those met most; others are told by their tag."""


class DateView(Struct, frozen=True, kw_only=True):
    """One show, as a line of the page. `tone` is good, bad or calm."""

    show: str
    name: str
    day: str
    hours: str
    iso: str
    place: Sequence[str]
    state: str
    tone: str
    price: str
    before: str
    calendar: str
    """Empty where there is nothing to look forward to."""


class EventView(Struct, frozen=True, kw_only=True):
    """The page."""

    name: str
    kind: str
    address: str
    summary: str
    description: str
    picture: Picture | None
    performers: Sequence[str]
    notes: Sequence[str]
    dates: Sequence[DateView]
    past: Sequence[DateView]
    calendar: str
    schema: str
    reseller: str
    json_ld: str


def view_event(page: EventPage, shown: Sequence[ShownShow], site: str, now: datetime) -> EventView:
    """Return what the page says at a moment."""
    dates = [(_is_over(show, now), _view_show(show, page.name, now)) for show in shown]
    base = f"{site}/v1/events/{page.event}"
    return EventView(
        name=page.name,
        kind=_KINDS.get(page.type, page.type.capitalize()),
        address=page_of_event(site, page.event),
        summary=_summary(page, shown),
        description=page.description,
        # A page that came by https has no picture that does not: browsers would leave it out.
        picture=next((one for one in page.pictures if one.url.startswith("https://")), None),
        performers=[performer.name for performer in page.performers],
        notes=_notes(page),
        dates=[date for is_over, date in dates if not is_over],
        past=[date for is_over, date in dates if is_over],
        calendar=f"{base}/calendar.ics",
        schema=f"{base}/schema.json",
        reseller=page.reseller,
        json_ld=for_script(describe_event(page, shown, site, now)),
    )


def _view_show(shown: ShownShow, event_name: str, now: datetime) -> DateView:
    local = shown.starts_at.astimezone(shown.zone)
    hours = f"{local:%H:%M}"
    if shown.ends_at is not None:
        hours += f" to {shown.ends_at.astimezone(shown.zone):%H:%M}"
    hours += f" {local:%Z}"
    if shown.doors_at is not None:
        hours += f", doors {shown.doors_at.astimezone(shown.zone):%H:%M}"
    state, tone = _state(shown, now)
    before = ""
    if shown.former_starts_at is not None:
        former = shown.former_starts_at.astimezone(shown.zone)
        before = f"Moved from {_day(former)}, {former:%H:%M}."
    is_off = shown.state == "cancelled" or _is_over(shown, now)
    is_sold = tone == "good" or shown.opens_at > now
    return DateView(
        show=shown.show,
        name="" if shown.name.casefold() == event_name.casefold() else shown.name,
        day=_day(local),
        hours=hours,
        iso=local.isoformat(),
        place=shown.place.in_lines(),
        state=state,
        tone=tone,
        price=_price(shown) if is_sold else "",
        before=before,
        calendar="" if is_off else f"/v1/shows/{shown.show}/calendar.ics",
    )


def _state(  # noqa: PLR0911 -- a table
    shown: ShownShow, now: datetime
) -> tuple[str, str]:
    """Say what a buyer would find, and in which tone."""
    if shown.state == "cancelled":
        return "Cancelled", "bad"
    if _is_over(shown, now):
        return "Over", "calm"
    if shown.is_sold_out:
        return "Sold out", "bad"
    match shown.state:
        case "paused":
            return "Sales are paused", "calm"
        case "off_sale":
            return "Sales have ended", "calm"
        case "rescheduled":
            return "Rescheduled", "calm"
        case _ if shown.opens_at > now:
            opens = shown.opens_at.astimezone(shown.zone)
            return f"On sale from {_day(opens)}, {opens:%H:%M}", "calm"
        case "on_sale":
            if shown.closes_at is not None and shown.closes_at <= now:
                return "Sales have ended", "calm"
            return "On sale", "good"
        case _:
            return "Announced", "calm"


def _is_over(shown: ShownShow, now: datetime) -> bool:
    return shown.state == "past" or (shown.ends_at or shown.starts_at) < now


def _price(shown: ShownShow) -> str:
    if shown.price_min is None:
        return ""
    return f"from {decimal_text(shown.price_min, shown.currency)} {shown.currency}"


def _notes(page: EventPage) -> list[str]:
    notes: list[str] = []
    if page.age_min is not None:
        notes.append(f"From {page.age_min} years")
    if page.languages:
        tags = [_LANGUAGES.get(tag.partition("-")[0], tag) for tag in page.languages]
        notes.append(f"In {', '.join(dict.fromkeys(tags))}")
    return notes


def _summary(page: EventPage, shown: Sequence[ShownShow]) -> str:
    """Return a sentence for who sees a link: the description's beginning, else when and where."""
    text = " ".join(page.description.split())
    if not text and shown:
        first = shown[0]
        local = first.starts_at.astimezone(first.zone)
        text = f"{_day(local)}, {local:%H:%M}, {', '.join(first.place.in_lines())}"
    if len(text) <= _SUMMARY_CHARACTERS_MAX:
        return text or page.name
    return text[: _SUMMARY_CHARACTERS_MAX - 1].rpartition(" ")[0] + "…"


def _day(local: datetime) -> str:
    return f"{local:%A, %-d %B %Y}"
