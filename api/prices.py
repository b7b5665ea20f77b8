"""Prices of a show: price versions, ticket types, and steps that come by themselves."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final, TypeVar

from litestar import Router, get, put
from litestar.params import FromPath

from api.context import ApiRequest, find_show, runtime_of
from api.documents import ScopedOperation, describe
from api.inputs import Body, years_out_of_bounds
from api.life_outcomes import told_if_final
from api.price_answers import (
    PricesAnswer,
    PriceStepsAnswer,
    TicketTypesAnswer,
    tell_prices,
    tell_step,
    tell_type,
)
from api.price_inputs import PricesBody, PriceStepsBody, TicketTypesBody
from api.problems import Fault, ProblemError, ProblemKind, invalid
from api.reading import check_query, read_body
from engine.catalog.price_rules import PriceFaultsError
from engine.catalog.price_steps import list_steps, put_steps
from engine.catalog.prices import (
    PricesChanged,
    list_types,
    list_versions,
    publish_prices,
    put_types,
)
from engine.inventory.price_versions import VERSION_MAX, PriceVersionsSpentError
from engine.inventory.shows import Show
from engine.platform.errors import store_failures
from engine.platform.ids import Prefix
from engine.tenancy.principals import Scope

B = TypeVar("B", bound=Body)

_LOOK: Final = describe(scope=Scope.SHOWS_READ, problems=(ProblemKind.SHOW_NOT_FOUND,))


def _change(body: type[Body], *problems: ProblemKind) -> type[ScopedOperation]:
    always = (ProblemKind.SHOW_NOT_FOUND, ProblemKind.TRANSITION_REFUSED)
    return describe(scope=Scope.SHOWS_WRITE, body=body, problems=(*always, *problems))


@get(
    "/{show:str}/prices",
    summary="Prices of a show",
    operation_class=_LOOK,
)
async def show_prices(request: ApiRequest, show: FromPath[str]) -> PricesAnswer:
    """Tell the prices that new holds are at, those before them, and the steps to come."""
    check_query(request)
    return await _tell(request, await find_show(request, show))


@put(
    "/{show:str}/prices",
    summary="Publish prices",
    operation_class=_change(PricesBody, ProblemKind.PRICES_CHANGED),
)
async def put_prices(request: ApiRequest, show: FromPath[str]) -> PricesAnswer:
    """Make the next price version. New holds are at it at once; live ones keep their price.

    `after_version` is the version that you have seen: if another has come since, nothing changes.
    Repeating it is safe.
    """
    named, body = await _asked(request, show, PricesBody)
    runtime = runtime_of(request)
    with _told_faults():
        outcome = await publish_prices(
            runtime.app_engine, runtime.redis, runtime.ids, named, body.new(), body.after_version
        )
    if isinstance(outcome, PricesChanged):
        raise _changed(outcome.price_version)
    return await _tell(request, await runtime.box_office.reload(named))


@get(
    "/{show:str}/ticket-types",
    summary="Ticket types of a show",
    operation_class=_LOOK,
)
async def show_types(request: ApiRequest, show: FromPath[str]) -> TicketTypesAnswer:
    """List the ticket types, offered or not."""
    check_query(request)
    return await _tell_types(request, await find_show(request, show))


@put(
    "/{show:str}/ticket-types",
    summary="Set the ticket types",
    operation_class=_change(TicketTypesBody),
)
async def put_ticket_types(request: ApiRequest, show: FromPath[str]) -> TicketTypesAnswer:
    """Say which ticket types a show has, all of them at once.

    A new one is offered once `PUT /v1/shows/{show}/prices` gives it a price; one that is left out
    is not offered any more, and those who hold or have bought it keep it. `standard` is always
    there, at the price of the level; naming it here gives it a name.
    """
    named, body = await _asked(request, show, TicketTypesBody)
    runtime = runtime_of(request)
    with _told_faults():
        types = [one.type() for one in body.ticket_types]
        await put_types(runtime.app_engine, runtime.redis, named, types)
    return await _tell_types(request, await runtime.box_office.reload(named))


@get(
    "/{show:str}/price-steps",
    summary="Price steps of a show",
    operation_class=_LOOK,
)
async def show_steps(request: ApiRequest, show: FromPath[str]) -> PriceStepsAnswer:
    """List the steps that have come, and those to come."""
    check_query(request)
    return await _tell_steps(request, await find_show(request, show))


@put(
    "/{show:str}/price-steps",
    summary="Schedule prices",
    operation_class=_change(PriceStepsBody),
)
async def put_price_steps(request: ApiRequest, show: FromPath[str]) -> PriceStepsAnswer:
    """Replace the steps that have not come yet.

    Steps come in their order, within a second of their moment or count; where one is due, those
    before it come, too. A count is of tickets that are recorded, so some more may be sold at the
    old price until then. What a step leaves out stays as it is by then.
    """
    named, body = await _asked(request, show, PriceStepsBody)
    faults = years_out_of_bounds(body.moments())
    if faults:
        raise invalid(*faults)
    with _told_faults():
        steps = [step.step() for step in body.steps]
        await put_steps(runtime_of(request).app_engine, named, steps)
    return await _tell_steps(request, named)


async def _asked(request: ApiRequest, show: str, kind: type[B]) -> tuple[Show, B]:
    """Return a show, and what is to become of it."""
    check_query(request)
    named = await find_show(request, show)
    body = await read_body(request, kind)
    return named, body


@contextmanager
def _told_faults() -> Generator[None]:
    try:
        with told_if_final(), store_failures():
            yield
    except PriceFaultsError as error:
        raise invalid(*(Fault(f.reason, pointer=f.pointer) for f in error.faults)) from error
    except PriceVersionsSpentError as error:
        raise _changed(VERSION_MAX) from error


def _changed(version: int) -> ProblemError:
    return ProblemError(
        ProblemKind.PRICES_CHANGED,
        f"Nothing was published: the show's price version is {version}. Look at it, and publish "
        "what is to follow it.",
        members={"price_version": version},
    )


async def _tell(request: ApiRequest, show: Show) -> PricesAnswer:
    runtime = runtime_of(request)
    with store_failures():
        versions = await list_versions(runtime.app_engine, show)
        steps = await list_steps(runtime.app_engine, show)
    return tell_prices(show, versions, steps, runtime.ids)


async def _tell_types(request: ApiRequest, show: Show) -> TicketTypesAnswer:
    runtime = runtime_of(request)
    with store_failures():
        types = await list_types(runtime.app_engine, show)
    named = runtime.ids.entity(Prefix.SHOW, show.id)
    return TicketTypesAnswer(named, [tell_type(one) for one in types])


async def _tell_steps(request: ApiRequest, show: Show) -> PriceStepsAnswer:
    runtime = runtime_of(request)
    with store_failures():
        steps = await list_steps(runtime.app_engine, show)
    named = runtime.ids.entity(Prefix.SHOW, show.id)
    return PriceStepsAnswer(named, [tell_step(step) for step in steps])


router = Router(
    path="/v1/shows",
    tags=["prices"],
    route_handlers=[
        show_prices,
        put_prices,
        show_types,
        put_ticket_types,
        show_steps,
        put_price_steps,
    ],
)
