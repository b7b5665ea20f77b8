"""What clients send of bundles."""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType, structs

from api.inputs import (
    BUYER_BYTES_MAX,
    PAYMENT_REFERENCE_BYTES_MAX,
    Body,
    Buyer,
    HoldBody,
    PaymentReference,
    QueuePass,
    SelectionBody,
    Ttl,
    too_many_bytes,
)
from api.problems import Fault
from engine.sales.bundles import SHOWS_MAX, SHOWS_MIN

ShowId = Annotated[str, Meta(min_length=1, max_length=64)]


class BundledSelection(SelectionBody, frozen=True, kw_only=True):
    """What to hold in one of a bundle's shows."""

    show: ShowId
    queue_pass: QueuePass = msgspec.field(default="", name="pass")

    def hold_body(self, buyer: str, ttl_s: int | UnsetType) -> HoldBody:
        """Return the hold that it is by itself."""
        names = set(HoldBody.__struct_fields__) & set(self.__struct_fields__)
        alike = {name: getattr(self, name) for name in names}
        return HoldBody(buyer=buyer, ttl_s=ttl_s, **alike)


class BundleBody(Body, frozen=True, kw_only=True):
    """Holds in several shows, of one buyer, that are bought as one or not at all."""

    buyer: Buyer
    shows: Annotated[
        list[BundledSelection],
        Meta(min_length=SHOWS_MIN, max_length=SHOWS_MAX, description="Each show once."),
    ]
    ttl_s: Ttl | UnsetType = UNSET

    def fingerprint(self) -> int:
        """Return what stands for it; by which passes it came makes no other request of it."""
        alone = [structs.replace(one, queue_pass="") for one in self.shows]
        return Body.fingerprint(structs.replace(self, shows=alone))

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        faults = too_many_bytes("/buyer", self.buyer, BUYER_BYTES_MAX)
        seen: set[str] = set()
        for n, one in enumerate(self.shows):
            here = f"/shows/{n}"
            if one.show in seen:
                faults.append(Fault("names a show twice", pointer=f"{here}/show"))
            seen.add(one.show)
            faults += [
                Fault(fault.reason, pointer=f"{here}{fault.pointer or ''}")
                for fault in one.faults()
            ]
        return faults


class BundlePurchaseBody(Body, frozen=True, kw_only=True):
    """By which payment a bundle is bought."""

    payment_reference: PaymentReference = ""

    def faults(self) -> Sequence[Fault]:
        """List what no single field shows."""
        reference = self.payment_reference
        return too_many_bytes("/payment_reference", reference, PAYMENT_REFERENCE_BYTES_MAX)
