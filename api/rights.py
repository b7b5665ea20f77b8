"""What a read shows of who asks, for places that are not for everybody: as query parameters."""

import re
from collections.abc import Mapping
from hashlib import blake2b
from math import ceil
from typing import Annotated, Final

from litestar.params import QueryParameter

from api.inputs import NO_CONTROLS
from api.problems import Fault, ProblemError, ProblemKind, invalid
from engine.inventory.shows import Show
from engine.platform.legible import BUYER_CHARACTERS_MAX
from engine.runtime import Serving
from engine.sales.rights import NOTHING_SHOWN, Shown
from engine.tenancy.principals import Principal

_CHARACTERS_MAX: Final = 64
_BOUNDS: Final = {
    "access_code": _CHARACTERS_MAX,
    "channel": _CHARACTERS_MAX,
    "buyer": BUYER_CHARACTERS_MAX,
}
_fits: Final = re.compile(NO_CONTROLS).search
SHOWN: Final = tuple(_BOUNDS)
"""The names of the parameters."""

AccessCodeParameter = Annotated[
    str | None,
    QueryParameter(
        max_length=_CHARACTERS_MAX,
        pattern=NO_CONTROLS,
        description="Tell places as who has this access code is told them.",
    ),
]
ChannelParameter = Annotated[
    str | None,
    QueryParameter(
        max_length=_CHARACTERS_MAX,
        pattern=NO_CONTROLS,
        description="Tell places as they are told to who comes by this channel.",
    ),
]
BuyerParameter = Annotated[
    str | None,
    QueryParameter(
        max_length=BUYER_CHARACTERS_MAX,
        pattern=NO_CONTROLS,
        description="Whose code it is, if it is one of a buyer's own.",
    ),
]


def read_shown(parameters: Mapping[str, str]) -> Shown:
    """Return what query parameters show.

    Raises:
        ProblemError: `invalid-request`: one of them does not fit.
    """
    faults = [
        Fault(f"more than {most} characters", parameter=name)
        for name, most in _BOUNDS.items()
        if len(parameters.get(name, "")) > most
    ]
    faults += [
        Fault("has control characters in it", parameter=name)
        for name in _BOUNDS
        if not _fits(parameters.get(name, ""))
    ]
    if faults:
        raise invalid(*faults)
    return shown_by(*(parameters.get(name) for name in SHOWN))


def check_guess(runtime: Serving, principal: Principal, show: Show, shown: Shown) -> None:
    """Refuse who has shown too many wrong codes of a show: by buyer, or by credential if none.

    Raises:
        ProblemError: `rate-limited`.
    """
    if not shown.access_code or not show.allotments.living or show.seller is not None:
        return
    who = f"b {shown.buyer}" if shown.buyer else f"c {principal.credential:x}"
    source = blake2b(f"{show.id:x} {who}".encode(), digest_size=16).digest()
    wait_s = runtime.code_guesses.take(source)
    if wait_s is not None:
        wait = str(max(1, ceil(wait_s)))
        raise ProblemError(
            ProblemKind.RATE_LIMITED,
            f"Nothing was done: too many wrong access codes; repeat after {wait} s.",
            headers={"Retry-After": wait},
        )
    if runtime.box_office.is_code(show, shown):
        runtime.code_guesses.give_back(source)


def shown_by(
    access_code: str | None = None, channel: str | None = None, buyer: str | None = None
) -> Shown:
    """Return what these show."""
    if not access_code and not channel:
        return NOTHING_SHOWN
    return Shown(access_code or "", channel or "", buyer or "")
