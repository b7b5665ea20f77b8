"""Bundles: holds in several shows that are bought as one, or not at all."""

import asyncio
from hashlib import sha256
from typing import Final

from litestar import Response, Router, delete, get, post
from litestar.openapi import ResponseSpec
from litestar.params import FromPath
from litestar.status_codes import HTTP_201_CREATED, HTTP_202_ACCEPTED, HTTP_204_NO_CONTENT

from api.bundle_answers import (
    BundleAnswer,
    bundle_ended,
    bundle_not_found,
    bundle_refused,
    tell_bundle,
)
from api.bundle_inputs import BundleBody, BundledSelection, BundlePurchaseBody
from api.context import ApiRequest, runtime_of, show_of
from api.documents import describe
from api.fastlane.admission import admitted_ttl_ms
from api.outcomes import problem_of
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.reading import check_key, check_query, read_body, single_header
from api.rights import check_guess
from engine.platform.ids import IdError, Prefix
from engine.runtime import Serving
from engine.sales.bundles import Bundle, BundleState
from engine.sales.bundling import BundleRefused, Wish
from engine.tenancy.principals import Scope

_FINISHED_WITHIN_S: Final = 3.0
_RELEASED_WITHIN_S: Final = 2.0
_RETRY_AFTER_S: Final = "1"
_OVER: Final = frozenset(
    {BundleState.RELEASING, BundleState.RELEASED, BundleState.FAILING, BundleState.FAILED}
)


@post(
    "",
    summary="Hold in several shows as one",
    operation_class=describe(
        scope=Scope.HOLDS_WRITE,
        body=BundleBody,
        key="required",
        problems=(
            *(ProblemKind.SHOW_NOT_FOUND, ProblemKind.NOT_ADMITTED, ProblemKind.KEY_REUSED),
            *(ProblemKind.BUNDLE_REFUSED, ProblemKind.BUNDLE_ENDED),
        ),
    ),
)
async def hold_bundle(request: ApiRequest) -> Response[BundleAnswer]:
    """Claim places in 2 to 20 shows for one buyer: in all of them, or nothing is held.

    Its holds are bought and released as one. They end when the first of them does. The same
    Idempotency-Key and body give the same bundle.
    """
    check_query(request)
    key = check_key(single_header(request, "idempotency-key"))
    body = await read_body(request, BundleBody)
    runtime = runtime_of(request)
    wishes = await asyncio.gather(*(_wish(request, body, one) for one in body.shows))
    currency = wishes[0].show.currency
    faults = [
        Fault(f"sells in {wish.show.currency}, the first show in {currency}", f"/shows/{n}/show")
        for n, wish in enumerate(wishes)
        if wish.show.currency != currency
    ]
    if faults:
        raise invalid(*faults)
    outcome = await runtime.bundling.hold(request.user, key, body.fingerprint(), wishes)
    if isinstance(outcome, BundleRefused):
        raise bundle_refused(runtime, outcome)
    if not isinstance(outcome, Bundle):
        raise problem_of(outcome, wishes[0].show)
    if outcome.state in _OVER:
        raise bundle_ended(runtime, outcome)
    answer = await tell_bundle(runtime, outcome)
    headers = {"Location": f"/v1/bundles/{answer.bundle}"}
    return Response(answer, status_code=HTTP_201_CREATED, headers=headers)


@get(
    "/{bundle:str}",
    summary="Look at a bundle",
    operation_class=describe(scope=Scope.HOLDS_WRITE, problems=(ProblemKind.BUNDLE_NOT_FOUND,)),
)
async def look_at_bundle(request: ApiRequest, bundle: FromPath[str]) -> BundleAnswer:
    """Tell how a bundle stands: its state, and its hold or order in each show."""
    check_query(request)
    return await tell_bundle(runtime_of(request), await _find(request, bundle))


@delete(
    "/{bundle:str}",
    summary="Release a bundle",
    status_code=HTTP_204_NO_CONTENT,
    operation_class=describe(
        scope=Scope.HOLDS_WRITE,
        problems=(
            ProblemKind.BUNDLE_NOT_FOUND,
            ProblemKind.ALREADY_PURCHASED,
            ProblemKind.REQUEST_UNDER_WAY,
        ),
    ),
)
async def release_bundle(request: ApiRequest, bundle: FromPath[str]) -> None:
    """Give back all places of a bundle. Repeating it changes nothing and gets the same answer."""
    check_query(request)
    runtime = runtime_of(request)
    found = await _find(request, bundle)
    if found.state in {BundleState.HELD, BundleState.HOLDING}:
        found = await runtime.bundling.begin_release(found)
    if found.state in {BundleState.RELEASING, BundleState.FAILING}:
        finished = await runtime.bundling.finish(
            request.user, found.id, within_s=_RELEASED_WITHIN_S
        )
        found = finished or found
    if found.state is BundleState.PURCHASED:
        raise ProblemError(
            ProblemKind.ALREADY_PURCHASED, "This bundle was purchased: return its orders instead."
        )
    if found.state not in _OVER:
        raise _under_way(found)


@post(
    "/{bundle:str}/purchase",
    summary="Purchase a bundle",
    responses={
        HTTP_202_ACCEPTED: ResponseSpec(
            BundleAnswer, description="Not decided or not recorded yet: look at it again."
        )
    },
    operation_class=describe(
        scope=Scope.ORDERS_WRITE,
        body=BundlePurchaseBody,
        key="required",
        problems=(
            *(ProblemKind.BUNDLE_NOT_FOUND, ProblemKind.BUNDLE_ENDED),
            *(ProblemKind.ALREADY_PURCHASED, ProblemKind.REQUEST_UNDER_WAY),
            ProblemKind.KEY_REUSED,
        ),
    ),
)
async def purchase_bundle(request: ApiRequest, bundle: FromPath[str]) -> Response[BundleAnswer]:
    """Buy everything that a bundle holds, or nothing.

    `201` says that every order is in the ledger. `202` says that it is still being worked on: look
    at the bundle until its state is `purchased`, `released` or `failed`, and capture money only
    for the first. The same Idempotency-Key and body get the same answer.
    """
    check_query(request)
    key = check_key(single_header(request, "idempotency-key"))
    body = await read_body(request, BundlePurchaseBody)
    runtime = runtime_of(request)
    found = await _find(request, bundle)
    key_hash, fingerprint = sha256(key.encode()).digest(), body.fingerprint()
    if found.state is BundleState.HELD:
        found = await runtime.bundling.begin_purchase(
            found, key_hash, fingerprint, body.payment_reference
        )
    if found.purchase_key_hash is not None:
        _check_same(found, key_hash, fingerprint)
    if found.state is BundleState.HOLDING:
        raise _under_way(found)
    finished = await runtime.bundling.finish(request.user, found.id, within_s=_FINISHED_WITHIN_S)
    found = finished or found
    if found.state in _OVER:
        raise bundle_ended(runtime, found)
    answer = await tell_bundle(runtime, found)
    headers = {"Location": f"/v1/bundles/{answer.bundle}"}
    if found.state is BundleState.PURCHASED:
        return Response(answer, status_code=HTTP_201_CREATED, headers=headers)
    headers["Retry-After"] = _RETRY_AFTER_S
    return Response(answer, status_code=HTTP_202_ACCEPTED, headers=headers)


async def _wish(request: ApiRequest, body: BundleBody, one: BundledSelection) -> Wish:
    runtime = runtime_of(request)
    show = await show_of(runtime, request.user, one.show)
    hold = one.hold_body(body.buyer, body.ttl_s)
    ttl_ms, number = hold.ttl_ms(show.hold_ttl_s), None
    if show.has_queue:
        ttl_ms = await admitted_ttl_ms(runtime, show, one.show, hold)
        number = runtime.waiting_room.read_number(show, one.queue_pass, body.buyer)
    shown = one.shown(body.buyer)
    check_guess(runtime, request.auth, show, shown)
    return Wish(show, body.buyer, ttl_ms, hold.wanted(), hold.fingerprint, shown, number)


async def _find(request: ApiRequest, text: str) -> Bundle:
    runtime: Serving = runtime_of(request)
    try:
        bundle = runtime.ids.parse_entity(Prefix.BUNDLE, text)
    except IdError:
        raise bundle_not_found() from None
    found = await runtime.bundling.find(request.user, bundle)
    if found is None:
        raise bundle_not_found()
    return found


def _check_same(bundle: Bundle, key_hash: bytes, fingerprint: int) -> None:
    if bundle.purchase_key_hash != key_hash:
        if bundle.state is BundleState.PURCHASED:
            raise ProblemError(
                ProblemKind.ALREADY_PURCHASED, "This bundle was purchased with another key."
            )
        if bundle.state not in _OVER:
            raise _under_way(bundle)
    elif bundle.purchase_fp != fingerprint:
        raise ProblemError(
            ProblemKind.KEY_REUSED,
            "This Idempotency-Key was used with another body; a new request needs a new key.",
            errors=[Fault("was used with another body", header="Idempotency-Key")],
        )


def _under_way(bundle: Bundle) -> ProblemError:
    return ProblemError(
        ProblemKind.REQUEST_UNDER_WAY,
        f"Another request is at work on this bundle, which is {bundle.state}; look at it again.",
        headers={"Retry-After": _RETRY_AFTER_S},
    )


router = Router(
    path="/v1/bundles",
    tags=["bundles"],
    route_handlers=[hold_bundle, look_at_bundle, release_bundle, purchase_bundle],
)
