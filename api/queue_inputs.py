"""What people in a waiting room and its reseller may send."""

import ipaddress
from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.inputs import (
    BUYER_BYTES_MAX,
    Body,
    Buyer,
    Moment,
    Name,
    too_many_bytes,
    years_out_of_bounds,
)
from api.problems import Fault
from engine.waitingroom.credit import BURST_MIN, default_burst
from engine.waitingroom.rules import (
    CHECKOUT_MAX,
    DRAND,
    PASS_TTL_S_MAX,
    PASS_TTL_S_MIN,
    PROOF_BITS_MAX,
    RATE_MAX,
    RETURN_ADDRESSES_MAX,
    Beacon,
    Mode,
    QueueRules,
    name_drand,
)

IDENTITY_CHARACTERS_MAX: Final = 2048
PROOF_CHARACTERS_MAX: Final = 4096


class JoinBody(Body, frozen=True, kw_only=True):
    """Who joins, if the reseller has signed it, and the proof that joining may need."""

    identity: Annotated[str, Meta(max_length=IDENTITY_CHARACTERS_MAX)] = ""
    proof: Annotated[str, Meta(max_length=PROOF_CHARACTERS_MAX)] = ""


class ClaimBody(Body, frozen=True, kw_only=True):
    """For whom the pass is: the buyer that the reseller's holds will name."""

    buyer: Buyer | UnsetType = UNSET

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        return too_many_bytes("/buyer", self.buyer or "", BUYER_BYTES_MAX)


class SafetyNet(Struct, frozen=True, forbid_unknown_fields=True):
    """Up to how many joins a second nobody waits."""

    joins_per_s: Annotated[float, Meta(gt=0, le=RATE_MAX)]


class BeaconBody(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A public value that is known only after the entries are closed.

    `drand` is fetched, its round chosen half a minute after `draws_at` unless told. Of any other
    you tell the `beacon_value` once it is known.
    """

    name: Name
    round: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    url: Annotated[str, Meta(max_length=300, pattern=r"^https://[\x21-\x7e]+$(?!\n)")] | None = None


class QueueBody(Body, frozen=True, kw_only=True):
    """The rules of a show's waiting room; what is left out gets its default."""

    mode: Mode = Mode.ON
    paused: bool = False
    opens_at: Moment
    draws_at: Moment | None = None
    rate: Annotated[float, Meta(gt=0, le=RATE_MAX, description="Passes a second.", examples=[5.0])]
    burst: (
        Annotated[
            float,
            Meta(
                ge=BURST_MIN,
                le=10 * RATE_MAX,
                description="Passes at once; null: 2, and 2 seconds of the rate.",
            ),
        ]
        | None
    ) = None
    checkout_max: Annotated[
        int, Meta(ge=1, le=CHECKOUT_MAX, description="Passes that live at a time.")
    ]
    pass_ttl_s: Annotated[int, Meta(ge=PASS_TTL_S_MIN, le=PASS_TTL_S_MAX)] = 600
    safety_net: SafetyNet | None = None
    proof_of_work_bits: Annotated[int, Meta(ge=0, le=PROOF_BITS_MAX)] = 0
    return_addresses: Annotated[
        list[Annotated[str, Meta(max_length=200)]],
        Meta(
            max_length=RETURN_ADDRESSES_MAX,
            description="Origins that the page may send people back to.",
            examples=[["https://shop.example"]],
        ),
    ] = msgspec.field(default_factory=list[str])
    beacon: BeaconBody | None = None
    beacon_value: (
        Annotated[
            str,
            Meta(
                pattern=r"^(?:[0-9a-f]{2}){8,64}$(?!\n)",
                description="The beacon's value in hex, once it is known.",
            ),
        ]
        | None
    ) = None

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        faults = [
            Fault("no origin such as https://shop.example", pointer=f"/return_addresses/{n}")
            for n, address in enumerate(self.return_addresses)
            if not is_origin(address)
        ]
        years = years_out_of_bounds({"opens_at": self.opens_at, "draws_at": self.draws_at})
        # What no clock can tell is not reckoned with.
        return faults + (years or self._draw_faults())

    def _draw_faults(self) -> list[Fault]:
        beacon, draws_at = self.beacon, self.draws_at
        faults: list[Fault] = []
        if draws_at is not None and draws_at <= self.opens_at:
            faults.append(Fault("must be after opens_at", pointer="/draws_at"))
        if beacon is None:
            if self.beacon_value is not None:
                faults.append(Fault("no beacon is named", pointer="/beacon_value"))
            return faults
        if draws_at is None:
            faults.append(Fault("there is no draw without draws_at", pointer="/beacon"))
        if beacon.name != DRAND:
            return faults
        if self.beacon_value is not None:
            faults.append(Fault("drand's is fetched, and told by nobody", pointer="/beacon_value"))
        if draws_at is not None:
            try:
                name_drand(draws_at, beacon.round)
            except ValueError as error:
                faults.append(Fault(str(error), pointer="/beacon/round"))
        return faults

    def rules(self) -> QueueRules:
        """Return it in the engine's words."""
        return QueueRules(
            mode=self.mode,
            is_paused=self.paused,
            opens_at=self.opens_at,
            draws_at=self.draws_at,
            rate=self.rate,
            burst=default_burst(self.rate) if self.burst is None else self.burst,
            checkout_max=self.checkout_max,
            pass_ttl_s=self.pass_ttl_s,
            safety_net=self.safety_net.joins_per_s if self.safety_net else None,
            proof_bits=self.proof_of_work_bits,
            return_addresses=tuple(self.return_addresses),
            beacon=self._beacon(),
        )

    def _beacon(self) -> Beacon | None:
        beacon, draws_at = self.beacon, self.draws_at
        if beacon is None or draws_at is None:
            return None
        if beacon.name == DRAND:
            return name_drand(draws_at, beacon.round)
        return Beacon(beacon.name, beacon.round, beacon.url)


def is_origin(text: str) -> bool:
    """Tell whether a text is an https origin, or an http one of this machine itself."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or text != f"{parts.scheme}://{parts.netloc}" or "@" in parts.netloc:
        return False
    if not text.isascii() or not text.isprintable() or any(c in text for c in "\"'<>\\ ;,"):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
