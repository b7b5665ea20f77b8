"""Reads seating plans in pretix's JSON format, checks them, and writes them back.

A plan that is wrong is refused with every place and reason at once, in two passes: the shape of
the document, and, where that is right, what its parts say together. Both are bounded for input of
any size and malice. The format and the limits: docs/SEATING_PLANS.md.
"""

import re
from typing import Final

import msgspec

from engine.inventory.seating_plan_faults import Faults, PlanFault, SeatingPlanError
from engine.inventory.seating_plan_format import SeatingPlan
from engine.inventory.seating_plan_rules import find_rule_faults
from engine.inventory.seating_plan_shape import find_shape_faults

__all__ = ["PlanFault", "SeatingPlan", "SeatingPlanError", "export_plan", "read_plan"]

PLAN_BYTES_MAX: Final = 64 * 1024 * 1024
"""A plan of 150 000 seats as pretix writes it has about 40 MB."""

VALUES_MAX: Final = 4_000_000
"""Such a plan has 1.8 million of the bytes that `_VALUE_STARTS` counts."""

_VALUE_STARTS: Final = (b",", b"[", b"{")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

_decoder = msgspec.json.Decoder(SeatingPlan)
_encoder = msgspec.json.Encoder()


def read_plan(document: bytes | str) -> SeatingPlan:
    """Read a seating plan.

    Raises:
        SeatingPlanError: it is not one, or breaks a rule; with all places and reasons.
    """
    content = _bounded(document)
    try:
        plan = _decoder.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _explained(content, error) from error
    faults = Faults()
    find_rule_faults(plan, faults)
    if refusal := faults.as_error():
        raise refusal
    return plan


def export_plan(plan: SeatingPlan) -> bytes:
    """Write a plan in the format that it was read from: the same fields with the same values."""
    return _encoder.encode(plan)


def _bounded(document: bytes | str) -> bytes:
    """Return the document as bytes, refused where decoding it could take much memory."""
    if len(document) > PLAN_BYTES_MAX:
        reason = f"has more than {PLAN_BYTES_MAX // 1024**2} MiB"
        raise _whole(reason)
    try:
        content = document.encode() if isinstance(document, str) else document
    except UnicodeEncodeError as error:
        reason = "is not valid Unicode"
        raise _whole(reason) from error
    # Every value but the first follows one of these bytes, so this bounds what decoding builds.
    if sum(content.count(start) for start in _VALUE_STARTS) > VALUES_MAX:
        reason = f"has more than {VALUES_MAX} values"
        raise _whole(reason)
    return content.removeprefix(_BYTE_ORDER_MARK)


def _explained(content: bytes, error: Exception) -> SeatingPlanError:
    """Return all that is wrong with a document that did not decode; `error` is its first fault."""
    try:
        loose = msgspec.json.decode(content)
    except msgspec.ValidationError:  # a number that no float holds: JSON, but no value
        return _at_path(error)
    except RecursionError:
        return _whole("is nested too deeply")
    except (msgspec.DecodeError, UnicodeDecodeError) as malformed:
        return _whole(f"is not JSON: {malformed}")
    faults = Faults()
    find_shape_faults(loose, SeatingPlan, faults)
    return faults.as_error() or _at_path(error)


def _at_path(error: Exception) -> SeatingPlanError:
    """Turn msgspec's message, with its path such as `$.zones[0].name`, into a fault."""
    reason, _, path = str(error).partition(" - at `$")
    pointer = "".join(f"/{step}" for step in re.findall(r"\w+", path))
    return SeatingPlanError((PlanFault(pointer, reason),))


def _whole(reason: str) -> SeatingPlanError:
    return SeatingPlanError((PlanFault("", reason),))
