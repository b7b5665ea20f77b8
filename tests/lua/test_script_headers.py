"""Headers, bodies, readers and table tests say the same."""

import re
from typing import get_args

import pytest

from engine.inventory.commands import Answer
from engine.inventory.keys import QueueKeys, ShowKeys
from engine.inventory.replies import Reply
from engine.inventory.scripts import assemble, load_script
from engine.waitingroom.commands import Answer as QueueAnswer
from tests.lua.batch_table import OBSTACLES, TABLE
from tests.lua.queue_table import QUEUE_TABLE
from tests.lua.script_headers import (
    SCRIPTS,
    assembled_body,
    bare,
    batch_statuses,
    body,
    consecutive,
    header,
    numbered,
    queue_answers,
    returned,
    source,
    used,
)

_OF_SHOWS = dict(enumerate(ShowKeys.__struct_fields__[:9], start=1))
_OF_QUEUES = dict(enumerate(QueueKeys.__struct_fields__, start=1))
_SERVING_QUEUES = ("close_entries", "open_queue", "serve_queue", "steer_queue")


def test_every_status_in_the_batch_header_has_a_row_and_no_row_is_of_another() -> None:
    """The table's rows are the header's statuses, in the header's order."""
    assert {command: list(rows) for command, rows in TABLE.items()} == batch_statuses()


def test_the_obstacles_stand_in_the_order_of_the_header() -> None:
    """A row's obstacles are all the later refusals, only if their order is the header's."""
    of_hold = [bare(status) for status in batch_statuses()["hold"]]
    assert [status for status in of_hold if status in OBSTACLES] == list(OBSTACLES)


def test_every_status_in_the_batch_header_has_a_reader_and_no_reader_is_of_another() -> None:
    """`Answer` reads what the header names, and nothing else."""
    named = {bare(status) for statuses in batch_statuses().values() for status in statuses}
    assert {kind.__struct_config__.tag for kind in get_args(Answer)} == named


def test_every_status_of_a_batch_has_a_reader() -> None:
    """`Reply` reads what the header names, and nothing else."""
    kinds = get_args(Reply.__annotations__["status"])
    assert set(kinds) == set(returned("batch"))
    assert returned("batch") == ["too-late", "fenced", "stale", "ok"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_status_in_a_header_is_one_that_the_script_can_return(script: str) -> None:
    """A status word in the header stands in the text of the script, and the reverse."""
    for status in returned(script):
        assert f"'{status}'" in assembled_body(script), status
    if script == "serve_queue":
        assert _told(body(script)) == {*returned(script), *_answers_of_queues()}
    elif script != "batch":
        assert _told(body(script)) <= set(returned(script))


def test_every_status_of_a_command_is_one_that_the_batch_script_can_return() -> None:
    """A status word in the header stands in the text of the script, and the reverse."""
    named = {bare(status) for statuses in batch_statuses().values() for status in statuses}
    # These two are told by the hold's record.
    assert _told(assembled_body("batch")) == named - {"held", "purchased"} | {"ok"}


def test_every_answer_in_the_queue_header_has_a_reader_a_row_and_no_other_has() -> None:
    """The table's rows are the header's answers, in the header's order; `Answer` reads them."""
    assert {command: list(rows) for command, rows in QUEUE_TABLE.items()} == queue_answers()
    kinds = get_args(QueueAnswer)
    assert {kind.__struct_config__.tag for kind in kinds} == _answers_of_queues()


def _answers_of_queues() -> set[str]:
    return {bare(answer) for answers in queue_answers().values() for answer in answers}


def _told(text: str) -> set[str]:
    """Return the words that stand first in a table, the names of meta's fields left out."""
    without_fields = re.sub(r"read_meta\([^)]*\)", "", text)
    return set(re.findall(r"\{\s*'([a-z-]+)'", without_fields))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_header_names_the_keys_that_the_script_uses(script: str) -> None:
    """KEYS are numbered as they are passed, and each one that is used is named."""
    named = numbered(header(script)["KEYS"])
    expected = _OF_QUEUES if script in _SERVING_QUEUES else _OF_SHOWS
    assert {n: named.get(n) for n in expected} == expected
    assert used(script, "KEYS") <= set(named)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_header_names_the_arguments_that_the_script_uses(script: str) -> None:
    """ARGV are numbered from 1, all are named and all are used."""
    assert used(script, "ARGV") == set(range(1, consecutive(header(script)["ARGV"]) + 1))


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_header_says_purpose_keys_arguments_returns_and_facts(script: str) -> None:
    """No part of a header is left out."""
    sections = header(script)
    assert sections[""].strip().endswith(".")
    assert {"KEYS", "ARGV", "Returns", "Facts"} <= set(sections)


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_include_is_there_and_used(script: str) -> None:
    """An include is put in once, and something in it is needed by the script or an include."""
    names = re.findall(r"^--- include (\w+)$", source(script), re.MULTILINE)
    assert len(names) == len(set(names))
    assert "--- include" not in load_script(script).body
    text = load_script(script).body
    for name in names:
        defined = re.findall(
            r"^local (?:function )?(\w+)", assemble(f"--- include {name}"), re.MULTILINE
        )
        assert any(len(re.findall(rf"\b{word}\b", text)) > 1 for word in defined), name
