"""The tutorial works as it is written: every block is run, and answered as the page says."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.stack import Stack
from tests.ops.page_blocks import fits, read_page, run_page


@pytest.fixture
def lively(tmp_path: Path) -> Iterator[Stack]:
    """A platform as the tutorial starts it, with no other shows whose ends workers see to first."""
    environment = {"ONSALE_WEBHOOK_PRIVATE": "on", "ONSALE_SHOW_LASTS_S": "5"}
    with Stack(tmp_path / "stack", environment=environment) as stack:
        yield stack


def test_the_life_of_a_show_is_as_the_tutorial_tells_it(lively: Stack, tmp_path: Path) -> None:
    """From a venue to a show that is archived; what differs each time is `...` on the page."""
    page = read_page("TUTORIAL.md")
    assert len(page.python) > 20
    assert len(page.shell) == 2
    printed = run_page(page, lively, tmp_path, "tutorial.py")
    for block, said in zip(page.python, printed, strict=True):
        assert fits(said, block.told or ""), f"{block.code}\nprinted:\n{said}\nnot:\n{block.told}"


def test_what_is_printed_is_held_to_the_page() -> None:
    """Only `...` stands for anything else, and not for another line."""
    assert fits("ven_dev_12 Hall\n", "ven_dev_... Hall\n")
    assert not fits("ven_dev_12 Hall\n", "ven_dev_... House\n")
    assert not fits("sold: 1\nsold: 2\n", "sold: ...\n")
    assert not fits("sold: 1\n", "")
