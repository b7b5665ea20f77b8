"""The quick start works as it is written: every block of it is run, on the real stack."""

from pathlib import Path

from ops.stack import Stack
from tests.ops.page_blocks import read_page, run_page


def test_every_block_of_the_quick_start_runs(stack: Stack, tmp_path: Path) -> None:
    """The shell's in one shell, Python's in the one file that the page makes of them."""
    page = read_page("QUICK_START.md")
    assert len(page.python) > 5
    assert len(page.shell) == 4
    printed = "".join(run_page(page, stack, tmp_path, "quick_start.py"))
    for said in ("places", "held ['", "seats-taken", "confirmed ['", "told of order.confirmed"):
        assert said in printed, printed
