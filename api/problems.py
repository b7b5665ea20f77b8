"""Problem details (RFC 9457): every error that a client sees, of one of these kinds.

A kind's `type` is `urn:onsale:problem:<slug>`: stable, and the same wherever a cell runs.
docs/API.md lists them for clients; a test holds the two together.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:onsale:problem:"

_UNAVAILABLE: Final = HTTPStatus.SERVICE_UNAVAILABLE.value

_encode: Final = msgspec.json.Encoder().encode


class ProblemKind(Enum):
    """What went wrong: slug, status, title."""

    MALFORMED_REQUEST = "malformed-request", 400, "The request is malformed"
    MALFORMED_JSON = "malformed-json", 400, "The body is not JSON"
    IDEMPOTENCY_KEY_MISSING = "idempotency-key-missing", 400, "An Idempotency-Key is required"
    IDEMPOTENCY_KEY_INVALID = "idempotency-key-invalid", 400, "The Idempotency-Key is invalid"
    UNKNOWN_VERSION = "unknown-version", 400, "There is no such version of the API"
    UNAUTHORIZED = "unauthorized", 401, "A valid API key is required"
    INSUFFICIENT_SCOPE = "insufficient-scope", 403, "The credential lacks a scope"
    NOT_ADMITTED = "not-admitted", 403, "This needs a pass of the show's waiting room"
    PROOF_REQUIRED = "proof-required", 403, "Joining needs a proof"
    IDENTITY_INVALID = "identity-invalid", 403, "The identity is not one that the reseller signed"
    QUEUE_TOKEN_INVALID = "queue-token-invalid", 403, "A valid queue token is required"
    WATCH_TOKEN_INVALID = "watch-token-invalid", 403, "A valid watch token is required"
    NOT_FOUND = "not-found", 404, "There is nothing at this address"
    SHOW_NOT_FOUND = "show-not-found", 404, "No such show"
    VENUE_NOT_FOUND = "venue-not-found", 404, "No such venue"
    NO_CHOICE = "no-choice", 404, "The order has nothing to choose"
    HOLD_NOT_FOUND = "hold-not-found", 404, "No such hold"
    BUNDLE_NOT_FOUND = "bundle-not-found", 404, "No such bundle"
    BUYER_NOT_FOUND = "buyer-not-found", 404, "No such buyer"
    ORDER_NOT_FOUND = "order-not-found", 404, "No such order"
    OAUTH_CLIENT_NOT_FOUND = "oauth-client-not-found", 404, "No such OAuth client"
    KEY_NOT_FOUND = "key-not-found", 404, "No such API key"
    NO_ACCOUNT = "no-account", 404, "The reseller has no account"
    USER_NOT_FOUND = "user-not-found", 404, "No such user"
    INVITATION_NOT_FOUND = "invitation-not-found", 404, "No such invitation"
    ENDPOINT_NOT_FOUND = "endpoint-not-found", 404, "No such webhook endpoint"
    DELIVERY_NOT_FOUND = "delivery-not-found", 404, "No such delivery"
    FACT_NOT_FOUND = "fact-not-found", 404, "No such fact"
    CONFIGURATION_NOT_FOUND = "configuration-not-found", 404, "No such configuration"
    VERSION_NOT_FOUND = "version-not-found", 404, "The configuration has no such version"
    EVENT_NOT_FOUND = "event-not-found", 404, "No such event"
    PERFORMER_NOT_FOUND = "performer-not-found", 404, "No such performer"
    ALLOTMENT_NOT_FOUND = "allotment-not-found", 404, "No such allotment"
    NO_QUEUE = "no-queue", 404, "The show has no waiting room"
    METHOD_NOT_ALLOWED = "method-not-allowed", 405, "The method is not allowed here"
    NOT_ACCEPTABLE = "not-acceptable", 406, "Answers are JSON"
    REQUEST_TIMEOUT = "request-timeout", 408, "The request took too long to arrive"
    SEATS_TAKEN = "seats-taken", 409, "Seats are taken"
    AREA_SHORT = "area-short", 409, "Too few places are left"
    NONE_TOGETHER = "none-together", 409, "Not that many seats are left next to each other"
    OVER_BUYER_LIMIT = "over-buyer-limit", 409, "More tickets than one buyer may have"
    ALREADY_PURCHASED = "already-purchased", 409, "The hold was purchased already"
    HOLD_OF_BUNDLE = "hold-of-bundle", 409, "The hold is a bundle's"
    BUNDLE_REFUSED = "bundle-refused", 409, "The shows did not all go along"
    BUNDLE_ENDED = "bundle-ended", 409, "Nothing of the bundle is held or bought"
    PURCHASE_FAILED = "purchase-failed", 409, "The purchase failed"
    ORDER_NOT_CONFIRMED = "order-not-confirmed", 409, "The order is not confirmed"
    ORDER_COMPENSATED = "order-compensated", 409, "The order was compensated otherwise"
    NOT_ON_SALE = "not-on-sale", 409, "The show is not on sale"
    TRANSITION_REFUSED = "transition-refused", 409, "The show is not in a state for that"
    CHOICE_REFUSED = "choice-refused", 409, "That can't be chosen"
    TOO_EARLY = "too-early", 409, "The on-sale is still to come"
    SALES_ENDED = "sales-ended", 409, "Sales have ended"
    PRICES_CHANGED = "prices-changed", 409, "The prices have changed since"
    BLOCKS_REFUSED = "blocks-refused", 409, "Places are not free to be withheld or given back"
    SHOWS_TO_COME = "shows-to-come", 409, "Shows are to come there"
    CONFIGURATION_ARCHIVED = "configuration-archived", 409, "The configuration is archived"
    STILL_SELLING = "still-selling", 409, "Shows of it still sell"
    EDITS_REFUSED = "edits-refused", 409, "Places are held or sold"
    INVENTORY_CHANGED = "inventory-changed", 409, "The inventory was changed since"
    TOO_MANY_EDITS = "too-many-edits", 409, "The show has too many edits"
    ALLOTMENT_REFUSED = "allotment-refused", 409, "Places can't be allotted"
    TOO_MANY_ALLOTMENTS = "too-many-allotments", 409, "The show has too many allotments"
    REQUEST_UNDER_WAY = "request-under-way", 409, "The same request is under way"
    CREDENTIAL_ENDED = "credential-ended", 409, "The credential has ended"
    NOT_APPROVED = "not-approved", 409, "The account is not approved"
    TOO_MANY_CREDENTIALS = "too-many-credentials", 409, "There are too many credentials"
    QUEUE_CLOSED = "queue-closed", 409, "Nobody can join just now"
    NOT_YOUR_TURN = "not-your-turn", 409, "The number is not admitted yet"
    ALREADY_DRAWN = "already-drawn", 409, "The draw can't be changed any more"
    LAST_OWNER = "last-owner", 409, "The account would have no owner"
    USER_EXISTS = "user-exists", 409, "The address is a user's already"
    ADDRESS_TAKEN = "address-taken", 409, "The address has another log-in"
    TOO_MANY_INVITATIONS = "too-many-invitations", 409, "There are too many invitations"
    TOO_MANY_ENDPOINTS = "too-many-endpoints", 409, "No more webhook endpoints"
    HOLD_RELEASED = "hold-released", 410, "The hold was released"
    HOLD_EXPIRED = "hold-expired", 410, "The hold has expired"
    CURSOR_EXPIRED = "cursor-expired", 410, "What the cursor points at is not kept any more"
    PASS_ENDED = "pass-ended", 410, "The pass is over"
    BODY_TOO_LARGE = "body-too-large", 413, "The body is too large"
    URL_TOO_LONG = "url-too-long", 414, "The address is too long"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type", 415, "The body must be JSON"
    MISDIRECTED_REQUEST = "misdirected-request", 421, "Another cell serves this"
    INVALID_REQUEST = "invalid-request", 422, "The request does not fit"
    KEY_REUSED = "key-reused", 422, "The Idempotency-Key came with another body"
    UNKNOWN_SEATS = "unknown-seats", 422, "The show has no such seats"
    UNKNOWN_AREAS = "unknown-areas", 422, "The show has no such areas"
    UNKNOWN_PRICE_LEVELS = "unknown-price-levels", 422, "The show has no such price levels"
    TICKET_TYPES_REFUSED = "ticket-types-refused", 422, "Not to be had at these ticket types"
    OVER_HOLD_LIMIT = "over-hold-limit", 422, "More tickets than one hold may have"
    INVALID_SHEET = "invalid-sheet", 422, "The spreadsheet can't be imported"
    INVALID_SEATING_PLAN = "invalid-seating-plan", 422, "The seating plan can't be sold from"
    RATE_LIMITED = "rate-limited", 429, "Too many requests"
    TOO_MANY_JOINS = "too-many-joins", 429, "Too many joined from there"
    TOO_MANY_ATTEMPTS = "too-many-attempts", 429, "There were too many attempts"
    INTERNAL_ERROR = "internal-error", 500, "Something went wrong here"
    SHOW_RECOVERING = "show-recovering", 503, "The show is being recovered"
    IN_DOUBT = "in-doubt", 503, "The answer was lost"
    OVERLOADED = "overloaded", 503, "Too much is waiting"
    UNAVAILABLE = "unavailable", 503, "A store can't be reached"

    HTTP_VERSION = "http-version", 505, "Not over this version of HTTP"

    def __init__(self, slug: str, status: int, title: str) -> None:
        """Take the three apart."""
        self.slug = slug
        self.status = status
        self.title = title
        self.type = TYPE_PREFIX + slug
        """The URI that identifies it."""
        named = {"type": self.type, "title": title, "status": status}
        self.head = _encode(named)[:-1] + b',"detail":'
        """What its documents begin with."""


class Fault(Struct, frozen=True, omit_defaults=True):
    """One offending part of a request: where (one of the three), and why.

    `pointer` is a JSON pointer (RFC 6901) into the body; `""` is the whole body.
    """

    reason: str
    pointer: str | UnsetType = UNSET
    parameter: str | UnsetType = UNSET
    header: str | UnsetType = UNSET


class ProblemDetails(Struct, frozen=True, kw_only=True):
    """What a client reads of any problem; some kinds add members of their own."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] | UnsetType = UNSET


class ProblemError(Exception):
    """Ends a request with a problem. `members` are the kind's own, beside the standard ones."""

    # No dictionary for each of the refusals that a sold-out show answers with.
    __slots__ = ("detail", "errors", "headers", "kind", "members")

    def __init__(
        self,
        kind: ProblemKind,
        detail: str,
        errors: Sequence[Fault] = (),
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Take the kind and a sentence that helps."""
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.members = members
        self.headers = headers or {}
        if kind.status == _UNAVAILABLE:
            self.headers = {**self.headers, "Retry-After": self.headers.get("Retry-After", "1")}

    def __str__(self) -> str:
        """Name it in logs."""
        return f"{self.kind.slug}: {self.detail}"

    def body(self) -> bytes:
        """Return the document."""
        # Joined: a show that is sold out tells hardly anything but problems.
        document = self.kind.head + _encode(self.detail)
        if self.errors:
            document += b',"errors":' + _encode(self.errors)
        return document + (b"," + _encode(self.members)[1:] if self.members else b"}")


def invalid(*faults: Fault, more: int = 0) -> ProblemError:
    """Return the problem of a request whose parts do not fit; `more` faults are not listed."""
    first = faults[0]
    place = next(
        (
            f"{kind} {name!r}"
            for kind, name in (
                ("field", first.pointer),
                ("parameter", first.parameter),
                ("header", first.header),
            )
            if name
        ),
        "the body",
    )
    others = f" ({len(faults) - 1} more below)" if len(faults) > 1 else ""
    if more:
        others = f" ({len(faults) - 1} more below, and {more} that are not listed)"
    return ProblemError(
        ProblemKind.INVALID_REQUEST,
        f"{place}: {first.reason}.{others}",
        errors=faults,
        members={"more": more} if more else {},
    )
