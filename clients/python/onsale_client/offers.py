"""The client, without awaiting. Made from `offers_awaited.py`: change that one."""

from collections.abc import Generator, Mapping, Sequence
from typing import Any
from uuid import uuid4

from onsale_client import calls
from onsale_client.calls import Call, Sheet
from onsale_client.noun import Noun
from onsale_client.offer_models import (
    Allotment,
    AllotmentPage,
    Bundle,
    ImportedSheet,
    PersonalCode,
    PersonalCodes,
    PriceStep,
    PriceSteps,
    PublishedPrices,
    SearchPage,
    TicketType,
    TicketTypes,
)
from onsale_client.wire import path_of


class Events(Noun):
    """Events, as they are found."""

    def find(
        self,
        *,
        search: str | None = None,
        performer: str | None = None,
        venue: str | None = None,
        city: str | None = None,
        country: str | None = None,
        kind: str | None = None,
        since: str | None = None,
        until: str | None = None,
        near: tuple[float, float] | None = None,
        within_km: float | None = None,
        price_min: int | None = None,
        price_max: int | None = None,
        currency: str | None = None,
        available: bool | None = None,
        reseller: str | None = None,
        sort: str | None = None,
        facets: bool | None = None,
        cursor: str | None = None,
        limit: int | None = None,
    ) -> SearchPage:
        """Return a page of what fits all of it: with a key of your own events, else of everybody's.

        `since` and `until` are dates or moments (RFC 3339), `near` latitude and longitude in
        degrees, prices minor units with all included, `kind` the type of event.
        """
        asked = {
            "search": search,
            "performer": performer,
            "venue": venue,
            "city": city,
            "country": country,
            "type": kind,
            "from": since,
            "to": until,
            "near": None if near is None else f"{near[0]:.6f},{near[1]:.6f}",
            "within_km": None if within_km is None else f"{within_km:.3f}",
            "price_min": price_min,
            "price_max": price_max,
            "currency": currency,
            "available": calls.flag(available),
            "reseller": reseller,
            "sort": sort,
            "facets": calls.flag(facets),
            "cursor": cursor,
            "limit": limit,
        }
        return self._onsale.send(Call("GET", path_of("events", query=asked), SearchPage))


class Prices(Noun):
    """Prices of a show, its ticket types, and prices that come by themselves."""

    def get(self, show: str) -> PublishedPrices:
        """Return the prices that new holds are at, those before them, and the steps to come."""
        return self._onsale.send(
            Call("GET", path_of("shows", show, "prices"), PublishedPrices)
        )

    def publish(
        self,
        show: str,
        prices: Mapping[str, int],
        *,
        after_version: int,
        ticket_types: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> PublishedPrices:
        """Make the price version that follows this one: prices by level, in minor units."""
        body = {"after_version": after_version, "prices": dict(prices)}
        body |= calls.given({"ticket_types": ticket_types})
        path = path_of("shows", show, "prices")
        return self._onsale.send(Call("PUT", path, PublishedPrices, body=body))

    def ticket_types(self, show: str) -> list[TicketType]:
        """Return a show's ticket types, offered or not."""
        path = path_of("shows", show, "ticket-types")
        return (self._onsale.send(Call("GET", path, TicketTypes))).ticket_types

    def set_ticket_types(
        self, show: str, ticket_types: Sequence[Mapping[str, Any]]
    ) -> list[TicketType]:
        """Say which ticket types a show has, all of them at once."""
        path = path_of("shows", show, "ticket-types")
        body = {"ticket_types": list(ticket_types)}
        return (self._onsale.send(Call("PUT", path, TicketTypes, body=body))).ticket_types

    def steps(self, show: str) -> list[PriceStep]:
        """Return the price steps that have come, and those to come."""
        path = path_of("shows", show, "price-steps")
        return (self._onsale.send(Call("GET", path, PriceSteps))).steps

    def set_steps(self, show: str, steps: Sequence[Mapping[str, Any]]) -> list[PriceStep]:
        """Replace the steps that have not come yet."""
        path = path_of("shows", show, "price-steps")
        body = {"steps": list(steps)}
        return (self._onsale.send(Call("PUT", path, PriceSteps, body=body))).steps


class Allotments(Noun):
    """Places that are kept for who has a right to them."""

    def create(
        self,
        show: str,
        name: str,
        *,
        places: Mapping[str, Any],
        rights: Sequence[Mapping[str, Any]],
        since: str | None = None,
        until: str | None = None,
        key: str | None = None,
    ) -> Allotment:
        """Keep places, all or none, from and until a moment (RFC 3339).

        docs/ALLOTMENTS.md has what `places` are and which `rights` there are: codes, channels.
        """
        body = {"name": name, "places": places, "for": list(rights)}
        body |= calls.given({"from": since, "until": until})
        path = path_of("shows", show, "allotments")
        call = Call("POST", path, Allotment, body=body, key=key or uuid4().hex)
        return self._onsale.send(call)

    def get(self, allotment: str) -> Allotment:
        """Return an allotment with the counts of its places."""
        return self._onsale.send(Call("GET", path_of("allotments", allotment), Allotment))

    def of_show(self, show: str, *, page: int = 50) -> Generator[Allotment]:
        """Go through a show's allotments, those that have ended as well, the newest first."""
        cursor: str | None = None
        while True:
            query = {"cursor": cursor, "limit": page}
            path = path_of("shows", show, "allotments", query=query)
            found = self._onsale.send(Call("GET", path, AllotmentPage))
            for allotment in found.allotments:
                yield allotment
            cursor = found.next_cursor
            if cursor is None:
                return

    def codes(self, allotment: str, buyers: Sequence[str]) -> list[PersonalCode]:
        """Return the personal codes of buyers: the same whenever they are asked for."""
        path = path_of("allotments", allotment, "codes")
        body = {"buyers": list(buyers)}
        call = Call("POST", path, PersonalCodes, body=body, is_repeatable=True)
        return (self._onsale.send(call)).codes

    def end(self, allotment: str) -> Allotment:
        """Give its places to everybody now."""
        return self._onsale.send(Call("DELETE", path_of("allotments", allotment), Allotment))


class Bundles(Noun):
    """Holds in several shows that are bought as one, or not at all."""

    def create(
        self,
        shows: Sequence[Mapping[str, Any]],
        *,
        buyer: str,
        ttl_s: int | None = None,
        key: str | None = None,
    ) -> Bundle:
        """Hold places in 2 to 20 shows: each names its `show` and what to hold there."""
        body = calls.given({"buyer": buyer, "shows": list(shows), "ttl_s": ttl_s})
        call = Call("POST", path_of("bundles"), Bundle, body=body, key=key or uuid4().hex)
        return self._onsale.send(call)

    def get(self, bundle: str) -> Bundle:
        """Return a bundle."""
        return self._onsale.send(Call("GET", path_of("bundles", bundle), Bundle))

    def purchase(
        self, bundle: str, *, payment_reference: str = "", key: str | None = None
    ) -> Bundle:
        """Buy it; look at it again until its `state` is `purchased`, `released` or `failed`."""
        body = {"payment_reference": payment_reference}
        path = path_of("bundles", bundle, "purchase")
        call = Call("POST", path, Bundle, body=body, key=key or uuid4().hex)
        return self._onsale.send(call)

    def release(self, bundle: str) -> None:
        """Give it back."""
        self._onsale.send(Call[None]("DELETE", path_of("bundles", bundle), None))


class Sheets(Noun):
    """Shows and prices as spreadsheets: docs/SPREADSHEETS.md has their columns."""

    def import_shows(
        self, content: bytes, *, form: str = "csv", dry_run: bool = False, key: str | None = None
    ) -> ImportedSheet:
        """Make shows of a sheet (`csv` or `xlsx`): all, or none. `dry_run` tells what is wrong."""
        call = calls.import_sheet("shows", content, form, dry_run=dry_run, key=key)
        return self._onsale.send(call)

    def import_prices(
        self, content: bytes, *, form: str = "csv", dry_run: bool = False, key: str | None = None
    ) -> ImportedSheet:
        """Change the prices of shows by a sheet: of all that it names, or of none."""
        call = calls.import_sheet("prices", content, form, dry_run=dry_run, key=key)
        return self._onsale.send(call)

    def export_shows(self, *, form: str = "csv", cursor: str | None = None) -> Sheet:
        """Return shows as a sheet that can be imported, and the cursor of the next one."""
        return self._onsale.send(calls.export_sheet("shows", form, cursor))

    def export_prices(
        self, *, form: str = "csv", show: str | None = None, cursor: str | None = None
    ) -> Sheet:
        """Return price lists, of one show or of all that are not over, as `export_shows` does."""
        return self._onsale.send(calls.export_sheet("prices", form, cursor, show))
