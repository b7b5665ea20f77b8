"""Rows by hand for tables of a reseller's that no test fills otherwise: for walks of all tables."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from engine.platform.ids import new_entity_id
from engine.platform.tables import webhook_attempts, webhook_deliveries, webhook_endpoints

SEALED_BY_HAND = (
    *("webhook_attempts", "webhook_deliveries", "webhook_endpoints"),
    *("sessions", "mailed_tokens", "invitations", "outgoing_mails", "users", "accounts"),
    *("buyer_erasures", "buyers", "data_keys"),
)
A_QUEUE: dict[str, Any] = {
    "mode": "on",
    "is_paused": False,
    "opens_at": datetime(2026, 1, 1, tzinfo=UTC),
    "rate": 1.0,
    "burst": 2.0,
    "checkout_max": 1,
    "pass_ttl_s": 60,
    "proof_bits": 0,
    "return_addresses": [],
    "secret": bytes(32),
    "commitment": bytes(32),
}

AN_EDIT: dict[str, Any] = {
    "edit_no": 1,
    "inventory_version": 1,
    "price_version": 1,
    "reason": "stage",
    "asked": [],
    "overlay": {},
    **dict.fromkeys(("seats_moved", "seats_taken_out", "seats_put_back", "seats_removed"), 0),
}

AN_ALLOTMENT: dict[str, Any] = {
    "allotment_no": 1,
    "name": "Fan club",
    "asked": {},
    "seats": [],
    "shares": [],
    "code_digests": [],
    "channels": ["box-office"],
    "is_personal": False,
    "inventory_version": 1,
    "places_left": 0,
}


def tokens(reseller: int) -> dict[str, dict[str, Any]]:
    """Return a row for each table of OAuth, in the order of their foreign keys."""
    of, client = {"reseller_id": reseller}, new_entity_id()
    later = datetime(2099, 1, 1, tzinfo=UTC)
    scopes: dict[str, list[str]] = {"scopes": []}
    of_grant = {"grant_id": client, "expires_at": later, **of}
    return {
        "oauth_clients": {
            "id": client,
            "name": "shop",
            "grant_types": [],
            "redirect_uris": [],
            **scopes,
            **of,
        },
        "oauth_grants": {
            "id": client,
            "client_id": client,
            "user_id": client,
            "account_id": reseller,
            "acts_for": reseller,
            "signed_in_at": later,
            **scopes,
            **of,
        },
        "oauth_codes": {
            "code_hash": client.to_bytes(8, "big"),
            "redirect_uri": "https://shop.example",
            "challenge": "c",
            **of_grant,
        },
        "refresh_tokens": {"token_hash": client.to_bytes(8, "big"), **of_grant},
    }


def an_account(reseller: int) -> dict[str, dict[str, Any]]:
    """Return a row for each table of a reseller's account; the reseller is its own sandbox."""
    of, user = {"reseller_id": reseller}, new_entity_id()
    later = datetime(2099, 1, 1, tzinfo=UTC)
    mailed = {"token_hash": new_entity_id().to_bytes(8, "big"), "expires_at": later, **of}
    sealed = dict.fromkeys(("legal_name_sealed", "address_sealed", "payout_account_sealed"), b"s")
    return {
        "accounts": {"sandbox_id": reseller, "country": "DE", "currency": "EUR", **sealed, **of},
        "users": {"id": user, "role": "owner", "email_digest": mailed["token_hash"], **of},
        "sessions": {"id": user, "user_id": user, "signed_in_at": later, **mailed},
        "invitations": {
            "id": user,
            "role": "owner",
            "email_sealed": b"s",
            "email_digest": b"d",
            **mailed,
        },
        "mailed_tokens": {"user_id": user, "purpose": "reset", **mailed},
        "outgoing_mails": {
            "id": user,
            "kind": "reset",
            "address_sealed": b"s",
            "text_sealed": b"s",
            **of,
        },
    }


def a_catalogue(reseller: int, manifest: int) -> dict[str, dict[str, Any]]:
    """Return a row for each table of the catalogue, in the order of their foreign keys."""
    of, one = {"reseller_id": reseller}, new_entity_id()
    return {
        "venues": {
            "id": one,
            "name": "Hall",
            "address": {},
            "city": "Erfurt",
            "country": "DE",
            "time_zone": "Europe/Berlin",
            **of,
        },
        "configurations": {"id": one, "venue_id": one, "name": "Seated", **of},
        "configuration_versions": {
            "configuration_id": one,
            "version": 1,
            "manifest_id": manifest,
            "valid_from": date(2026, 1, 1),
            "capacity": 1,
            **of,
        },
        "performers": {"id": one, "name": "The Kettles", **of},
        "events": {"id": one, "name": "First Light", "type": "concert", **of},
        "event_performers": {"event_id": one, "billing_no": 1, "performer_id": one, **of},
    }


def a_listing(reseller: int, show: int) -> dict[str, dict[str, Any]]:
    """Return a row for each table of the read model, in the order of their foreign keys."""
    of, soon = {"reseller_id": reseller}, datetime(2099, 1, 1, tzinfo=UTC)
    names = ("name", "show_name", "reseller_name", "venue", "city_key", "venue_key")
    return {
        "listings": {
            "show_id": show,
            "item_id": show,
            "starts_at": soon,
            "opens_at": soon,
            "state": "on_sale",
            "currency": "EUR",
            "is_public": False,
            "title_words": "",
            "words": "",
            **dict.fromkeys(names, "Evening"),
            **of,
        },
        "listing_counts": {
            "show_id": show,
            "item_id": show,
            "starts_at": soon,
            "city_key": "",
            "currency": "EUR",
            "state": "on_sale",
            "is_found": False,
            "listed_at": soon,
            **of,
        },
        "listing_places": {"venue_id": show, "place": "(0, 0, 0)", **of},
        "pages": {"kind": "event", "id": show, "is_public": False, "document": {}, **of},
        "catalog_marks": {"kind": "show", "id": show, **of},
    }


def of_prices() -> dict[str, dict[str, Any]]:
    """Return a row for each table of a show's prices, without the show's own columns."""
    return {
        "ticket_types": {"slug": "child", "type_no": 0, "name": "Child", "kind": "child"},
        "price_steps": {"step_no": 1, "after_sold": 1, "prices": {}, "type_prices": {}},
    }


def a_change(of_order: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a show's change, and the choice that it gives an order."""
    of_show = {name: of_order[name] for name in ("show_id", "reseller_id")}
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return {
        "show_changes": {
            "change_no": 1,
            "kind": "cancelled",
            "offered": ["refund"],
            "default_choice": "refund",
            "choose_by": now,
            "starts_at_before": now,
            "sold_until": now,
            "settled_at": now,
            **of_show,
        },
        "order_choices": {"change_no": 1, **of_order},
    }


def a_bundle(of_show: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a bundle with one show, in the order of their foreign keys."""
    of, bundle = {"reseller_id": of_show["reseller_id"]}, new_entity_id()
    return {
        "bundles": {"id": bundle, "state": "held", "body_fp": 1, "currency": "EUR", **of},
        "bundle_shows": {"bundle_id": bundle, "show_no": 1, "hold_id": bytes(16), **of_show},
    }


async def add_webhook(connection: AsyncConnection, reseller: int) -> None:
    """Add an endpoint that is told nothing, with a delivery and its attempt."""
    now, endpoint = datetime.now(UTC), new_entity_id()
    await connection.execute(
        insert(webhook_endpoints).values(
            id=endpoint,
            reseller_id=reseller,
            url="https://shop.example.com/",
            description="",
            status="disabled",
            secrets_sealed=b"",
            since=0,
            created_at=now,
            changed_at=now,
        )
    )
    of_fact = {"endpoint_id": endpoint, "reseller_id": reseller, "fact_id": 1}
    await connection.execute(
        insert(webhook_deliveries).values(
            fact_xid=1,
            type="order.confirmed",
            object="ord",
            state="failed",
            give_up_at=now,
            created_at=now,
            **of_fact,
        )
    )
    await connection.execute(
        insert(webhook_attempts).values(number=1, at=now, duration_ms=1, response="", **of_fact)
    )
