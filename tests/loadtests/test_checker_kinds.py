"""Every rule of the checker finds what breaks it, under the name that is documented."""

import re
from pathlib import Path
from typing import get_args

import pytest

from loadtests.checker import Bounds, check
from loadtests.checker.verdict import Kind
from tests.loadtests.violations_by_hand import OF_AREAS, OF_HOLDS, OF_SEATS, OF_WHOLES, Row
from tests.loadtests.violations_of_stores import OF_BOTH, OF_THE_LEDGER, OF_THE_STORE

ROWS = [
    *OF_SEATS,
    *OF_HOLDS,
    *OF_AREAS,
    *OF_WHOLES,
    *OF_THE_LEDGER,
    *OF_THE_STORE,
    *OF_BOTH,
]
DOCUMENT = Path(__file__).parents[2] / "docs" / "CHECKER.md"


def documented() -> set[tuple[str, str]]:
    """Return the checks with their kinds of violation, as the document's table has them."""
    lines = re.findall(r"^\| `(\w+_check)` \|.*\|(.*)\|$", DOCUMENT.read_text(), re.MULTILINE)
    return {(name, kind) for name, kinds in lines for kind in re.findall(r"`([a-z-]+)`", kinds)}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.kind}-by-{row.check}")
def test_what_breaks_one_rule_is_found_under_one_name(row: Row) -> None:
    """Nothing else is told, and the sentences say what is the case."""
    bounds = Bounds(clock_error_ns=0, stale_ns_max=0)
    verdict = check(row.show, row.calls, ledger=row.ledger, store=row.store, bounds=bounds)
    assert {v.kind for v in verdict.violations} == {row.kind}, verdict.as_text()
    assert len(verdict.violations) == len(row.says), verdict.as_text()
    for violation, says in zip(verdict.violations, row.says, strict=True):
        assert says in violation.says


def test_every_documented_kind_of_violation_is_among_these() -> None:
    """And none is told that the document's table has not."""
    assert {(row.check, row.kind) for row in ROWS} == documented()
    assert {kind for _, kind in documented()} == set(get_args(Kind))
