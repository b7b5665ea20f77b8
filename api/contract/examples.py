"""Examples in the document: those written here, and for the rest what a schema itself suggests."""

from typing import Any, Final, cast

from api.contract.words import EXAMPLES_BY_NAME

Json = dict[str, Any]

_MOMENT: Final = "2026-12-01T09:00:00Z"
_DEPTH_MAX: Final = 8
_SHOW: Final = EXAMPLES_BY_NAME["show"]
_HOLD: Final = EXAMPLES_BY_NAME["hold"]
_PRICE: Final[Json] = {
    "face_value": 9500,
    "fee": 450,
    "tax": 696,
    "discount": 0,
    "total": 10646,
}
_PICTURE: Final[Json] = {
    "url": "https://images.example.com/first-light.jpg",
    "alt": "A quartet between candles",
    "credit": "Ada Abendroth",
}
_PLAN: Final[Json] = {
    "name": "Studio",
    "size": {"width": 100, "height": 60},
    "categories": [{"name": "VIP", "color": "#8e44ad"}],
    "zones": [
        {
            "name": "Hall",
            "position": {"x": 0, "y": 0},
            "rows": [
                {
                    "row_number": "A",
                    "position": {"x": 0, "y": 0},
                    "seats": [
                        {
                            "seat_guid": f"A-1-{n}",
                            "seat_number": str(n),
                            "position": {"x": 10 * n, "y": 0},
                            "category": "VIP",
                        }
                        for n in (1, 2)
                    ],
                }
            ],
            "areas": [],
        }
    ],
}

WRITTEN: Final[dict[str, dict[str, Any]]] = {
    "HoldBody": {
        "seats": {"seats": ["A-1-1", "A-1-2"], "buyer": "b-17", "ttl_s": 600},
        "best available": {
            "best_available": {"price_level": "vip", "quantity": 2},
            "buyer": "b-17",
        },
        "places in an area": {"areas": {"floor": 2}, "buyer": "b-17"},
    },
    "BundleAnswer": {
        "two evenings": {
            "bundle": EXAMPLES_BY_NAME["bundle"],
            "state": "held",
            "reason": None,
            "buyer": "b-17",
            "created_at": _MOMENT,
            "expires_at": _MOMENT,
            "currency": "EUR",
            "price": {name: 2 * amount for name, amount in _PRICE.items()},
            "payment_reference": None,
            "shows": [
                {
                    "show": show,
                    "hold": _HOLD,
                    "status": "held",
                    "refused": None,
                    "seats": ["A-1-1"],
                    "areas": {},
                    "price": {
                        "currency": "EUR",
                        "lines": [
                            {
                                "price_level": "vip",
                                "area": None,
                                "quantity": 1,
                                "unit": _PRICE,
                                "total": _PRICE["total"],
                                "ticket_type": "standard",
                            }
                        ],
                        **_PRICE,
                    },
                    "order": None,
                }
                for show in (_SHOW, "shw_dev_00f3a1c05e9b7d25")
            ],
        },
    },
    "BundleBody": {
        "two evenings": {
            "buyer": "b-17",
            "shows": [
                {"show": _SHOW, "seats": ["A-1-1"]},
                {
                    "show": "shw_dev_00f3a1c05e9b7d25",
                    "best_available": {"price_level": "vip", "quantity": 1},
                },
            ],
        },
    },
    "PricesBody": {
        "the second version": {"after_version": 1, "prices": {"vip": 12000}},
    },
    "TicketTypesBody": {
        "children and companions": {
            "ticket_types": [
                {"ticket_type": "child", "name": "Up to 14 years", "kind": "child"},
                {
                    "ticket_type": "companion",
                    "name": "Companion",
                    "kind": "companion",
                    "max_per_hold": 1,
                },
            ]
        }
    },
    "PriceStepsBody": {
        "the end of an early bird": {
            "steps": [{"after_sold": 500, "prices": {"vip": 14000}}],
        }
    },
    "SelectionBody": {"seats": {"seats": ["A-1-2"]}},
    "PurchaseBody": {"purchase": {"hold": _HOLD, "payment_reference": "pay_8731"}},
    "BatchBody": {
        "three commands": {
            "commands": [
                {"op": "hold", "key": "5f1c9b", "seats": ["A-1-1"], "buyer": "b-18"},
                {"op": "purchase", "key": "77aa03", "hold": _HOLD},
                {"op": "release", "hold": _HOLD},
            ]
        }
    },
    "BatchAnswer": {
        "of three commands": {
            "answers": [
                {"status": 201, "body": {"hold": _HOLD, "show": _SHOW, "status": "held"}},
                {
                    "status": 409,
                    "body": {
                        "type": "urn:onsale:problem:already-purchased",
                        "title": "The hold was purchased already",
                        "status": 409,
                        "detail": "The hold became an order by another purchase.",
                    },
                },
                {"status": 204, "body": None},
            ]
        }
    },
    "BlockBody": {"for a camera": {"seats": ["A-1-1"], "reason": "camera"}},
    "ReleaseBlockBody": {"the camera is gone": {"seats": ["A-1-1"]}},
    "AllotmentBody": {
        "two seats for the box office": {
            "name": "Box office",
            "places": {"seats": ["A-1-1", "A-1-2"]},
            "for": [{"channel": "box-office"}],
        },
        "a presale of all places": {
            "name": "Fan club presale",
            "places": {"all": True},
            "for": [{"code": "FANCLUB-2027"}, {"personal_codes": True}],
            "until": _MOMENT,
        },
    },
    "CodesBody": {"two buyers": {"buyers": ["b-17", "b-18"]}},
    "EditsBody": {
        "a camera in the last row": {
            "edits": [
                {
                    "kind": "take_out",
                    "rows": [{"zone": "Hall", "row": "A", "from": "1", "to": "2"}],
                }
            ],
            "reason": "camera",
        },
        "more on the floor": {
            "edits": [{"kind": "set_capacity", "area": "floor", "capacity": 600}],
            "inventory_version": 1,
        },
    },
    "ShowBody": {
        "a small hall": {
            "name": "First Light",
            "venue": "Riethsporthalle Erfurt",
            "starts_at": "2027-03-01T19:00:00Z",
            "opens_at": _MOMENT,
            "closes_at": None,
            "currency": "EUR",
            "tax_bps": 700,
            "prices": {"vip": 9500},
            "max_per_hold": 8,
            "max_per_buyer": 8,
            "plan": _PLAN,
        }
    },
    "VenueBody": {
        "a sports hall": {
            "name": "Riethsporthalle",
            "address": {"line_1": "Essener Straße 20", "postal_code": "99089", "city": "Erfurt"},
            "country": "DE",
            "latitude": 50.9981,
            "longitude": 11.0167,
            "time_zone": "Europe/Berlin",
            "contacts": [{"name": "Ada Abendroth", "role": "house manager"}],
            "accessibility": "Step-free from the tram.",
            "pictures": [_PICTURE],
        }
    },
    "VenueChangeBody": {"how one gets in": {"accessibility": "Step-free by entrance B."}},
    "ConfigurationBody": {
        "seats and an open floor": {"name": "Open floor", "description": "Tiers and standing."}
    },
    "ConfigurationChangeBody": {"another name": {"name": "Pit"}},
    "CopyBody": {"for the season to come": {"name": "Open floor 2028"}},
    "VersionBody": {
        "a compact table": {
            "table": "section,row,from,to,category,area,capacity\n"
            "Hall,A,1,8,VIP,,\nHall,B,1,10,Standard,,\n,,,,Standing,Floor,200\n",
            "valid_from": "2027-01-01",
        },
        "a seating plan": {"plan": _PLAN, "note": "as measured"},
        "small edits of the last one": {
            "edits": [
                {"edit": "remove_row", "zone": "Hall", "row": "B"},
                {"edit": "set_attributes", "seats": ["Hall-A-1"], "accessible": True},
            ],
            "note": "first tier removed",
        },
    },
    "ChangeBody": {
        "a version that there is": {"version": 1},
        "small edits of the last one": {
            "edits": [{"edit": "set_capacity", "area": "floor", "capacity": 150}]
        },
    },
    "EventBody": {
        "a concert": {
            "name": "First Light",
            "type": "concert",
            "description": "Chamber music by candle light.\n\nDoors open an hour before.",
            "pictures": [_PICTURE],
            "age_min": 6,
            "languages": ["de", "en-GB"],
            "performers": [EXAMPLES_BY_NAME["performer"]],
        }
    },
    "EventChangeBody": {
        "announced later, by another name": {
            "name": "First Light, again",
            "public_from": _MOMENT,
        }
    },
    "PerformerBody": {
        "a quartet": {
            "name": "Candlewick Quartet",
            "description": "Four who play in the dark.",
            "pictures": [_PICTURE],
            "links": [{"label": "Web site", "url": "https://candlewick.example.com/"}],
        }
    },
    "PerformerChangeBody": {"without links": {"links": None}},
    "CancelBody": {
        "refund": {"note": "The singer is ill.", "choose_by": "2027-02-20T12:00:00Z"},
    },
    "RescheduleBody": {
        "a week later": {"starts_at": "2099-03-08T19:00:00Z", "note": "The hall is flooded."},
    },
    "DateBody": {
        "once the first sells out": {
            "starts_at": "2099-03-02T19:00:00Z",
            "opens": "when_first_sells_out",
        },
    },
    "ChoiceBody": {"money back": {"choice": "refund"}},
    "ShowChangeBody": {
        "a name and a limit": {"name": "First Light, live", "max_per_buyer": 6},
        "no limit in time": {"closes_at": None},
    },
    "SignUpBody": {
        "a reseller in Germany": {
            "legal_name": "Erfurt Tickets GmbH",
            "address": {"line_1": "Domplatz 1", "postal_code": "99084", "city": "Erfurt"},
            "country": "DE",
            "currency": "EUR",
            "tax_id": "DE136695976",
            "payout_account": {"iban": "DE89370400440532013000"},
            "owner_name": "Ada Abendroth",
            "email": "ada@tickets-erfurt.de",
            "password": "seven green kettles",
        }
    },
    "AccountChangeBody": {"another name": {"legal_name": "Erfurt Tickets & Events GmbH"}},
    "ClientBody": {
        "a system": {
            "name": "Box office",
            "kind": "confidential",
            "grant_types": ["client_credentials"],
            "scopes": ["shows:read", "holds:write", "orders:write"],
        },
        "an app for people": {
            "name": "Staff app",
            "kind": "public",
            "grant_types": ["authorization_code"],
            "redirect_uris": ["https://staff.tickets-erfurt.de/signed-in"],
            "scopes": ["shows:read", "orders:read"],
        },
    },
    "JoinBody": {"anybody": {}},
    "ClaimBody": {"for a buyer": {"buyer": "b-17"}},
    "QueueBody": {
        "a draw, then five a second": {
            "opens_at": "2026-11-30T09:00:00Z",
            "draws_at": "2026-11-30T10:00:00Z",
            "rate": 5,
            "checkout_max": 400,
        }
    },
    "Price": {"price": _PRICE},
    "HoldAnswer": {
        "held": {
            "hold": _HOLD,
            "show": _SHOW,
            "status": "held",
            "buyer": "b-17",
            "seats": ["A-1-1"],
            "areas": {},
            "expires_at": "2026-12-01T09:10:00Z",
            "price": {
                "currency": "EUR",
                "lines": [
                    {
                        "price_level": "vip",
                        "area": None,
                        "quantity": 1,
                        "unit": _PRICE,
                        "total": 10646,
                        "ticket_type": "standard",
                    }
                ],
                **_PRICE,
            },
        }
    },
    "SeatMap": {"two rows": {"version": 1, "states": "oohs|oobb|"}},
    "Counts": {"counts": {"capacity": 8, "sold": 1, "held": 1, "blocked": 2, "open": 4}},
}
"""By the name of their schema, then by what they are examples of."""


def examples_of(schema: Json, components: Json) -> Json:
    """Return the named examples of a media type."""
    name = schema.get("$ref", "").rpartition("/")[2]
    written = WRITTEN.get(name)
    if written is None:
        return {"example": {"value": suggest(schema, components)}}
    return {
        title.replace(" ", "-"): {"summary": title, "value": value}
        for title, value in written.items()
    }


def suggest(schema: Json, components: Json, name: str = "", depth: int = 0) -> Any:  # noqa: ANN401, PLR0911, PLR0912, C901 - a JSON value; a table of forms
    """Return a value that fits a schema, by what it says of itself and by its member's name."""
    if "$ref" in schema:
        target: str = schema["$ref"].rpartition("/")[2]
        if target in WRITTEN:
            return next(iter(WRITTEN[target].values()))
        return suggest(components[target], components, name, depth + 1)
    for told in ("const", "default"):
        if schema.get(told) is not None:
            return schema[told]
    if schema.get("examples"):
        return schema["examples"][0]
    if schema.get("enum"):
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return _chosen(cast("list[Json]", schema[choice]), components, name, depth)
    kind = schema.get("type", "object" if "properties" in schema else "")
    if isinstance(kind, list):
        kind = cast("list[str]", kind)[0]
    match kind:
        case "object":
            return _object(schema, components, depth)
        case "array":
            if depth > _DEPTH_MAX or schema.get("maxItems") == 0:
                return []
            if "prefixItems" in schema:
                return [suggest(i, components, name, depth + 1) for i in schema["prefixItems"]]
            return [suggest(schema.get("items", {}), components, name.rstrip("s"), depth + 1)]
        case "string":
            return _text(schema, name)
        case "integer" | "number":
            named = EXAMPLES_BY_NAME.get(name)
            return named if isinstance(named, int) else max(1, int(schema.get("minimum", 1)))
        case "boolean":
            return False
        case _:
            return None


def _chosen(choices: list[Json], components: Json, name: str, depth: int) -> Any:  # noqa: ANN401 - a JSON value
    if name in EXAMPLES_BY_NAME and EXAMPLES_BY_NAME[name] is None:
        return None
    real = [choice for choice in choices if choice.get("type") != "null"]
    return suggest(real[0], components, name, depth + 1) if real else None


def _object(schema: Json, components: Json, depth: int) -> Json:
    if depth > _DEPTH_MAX:
        return {}
    properties: dict[str, Json] = schema.get("properties", {})
    required: list[str] = schema.get("required", [])
    return {
        member: suggest(of, components, member, depth + 1)
        for member, of in properties.items()
        if member in required
    }


def _text(schema: Json, name: str) -> str:
    match schema.get("format"):
        case "date-time":
            return _MOMENT
        case "date":
            return _MOMENT[:10]
        case "uri":
            return "https://shop.example/"
        case _:
            named = EXAMPLES_BY_NAME.get(name)
            text = named if isinstance(named, str) else name.replace("_", "-") or "text"
            return text[: schema.get("maxLength", len(text))]
