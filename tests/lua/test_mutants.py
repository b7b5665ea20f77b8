"""Mistakes made on purpose: a batch script with one of them must not pass the suite's checks."""

from typing import Final

import pytest
from msgspec import Struct
from redis.exceptions import ResponseError

from engine.inventory.scripts import load_script, make_script
from tests.lua.batch_table import check_crowd, check_refusals, check_searches, check_table
from tests.lua.show_room import Rooms
from tests.model.inventory_machine import run_machine


class Mutant(Struct, frozen=True):
    """A piece of the script, which stands in it once, and what a mistake would make of it."""

    was: str
    becomes: str


MUTANTS: Final[dict[str, Mutant]] = {
    "a hold may be bought at its deadline": Mutant(
        "record.state == LIVE and record.deadline <= view.now then",
        "record.state == LIVE and record.deadline < view.now then",
    ),
    "a tombstone is kept a millisecond too long": Mutant(
        "if is_tombstone and record.deadline <= view.now then",
        "if is_tombstone and record.deadline < view.now then",
    ),
    "no tombstone is kept": Mutant(
        "state = state, deadline = record.deadline + KEPT_AFTER_DEADLINE_MS,",
        "state = state, deadline = view.now,",
    ),
    "a seat may be held by two": Mutant(
        "if seat_state(view, seats[i]) ~= OPEN then", "if false then"
    ),
    "a seat may be held by two, plainly": Mutant("and first_state == OPEN and", "and"),
    "the second seat may be held by two, plainly": Mutant(
        "or string_byte(span, second + offset)) == OPEN", "or string_byte(span, second + offset))"
    ),
    "a seat may be held twice in a batch, plainly": Mutant("and not known_seats[first]", ""),
    "the second seat may be held twice in a batch, plainly": Mutant(
        "and not known_seats[second]", ""
    ),
    "a plain hold's repetition is a second hold": Mutant("and known_records[id] == nil", ""),
    "a buyer's plain holds are counted alone": Mutant("and not stored_buyers[i]", ""),
    "a buyer's plain holds of a batch are counted alone": Mutant("and not known_buyers[name]", ""),
    "an area may be oversold": Mutant("if open < count then", "if open < 0 then"),
    "a purchase's key may be used for two holds": Mutant(
        "if used_for and used_for ~= id then", "if false then"
    ),
    "a hold's key may come with another body": Mutant(
        "if record.fp ~= fp and record.fp ~= FP_OF_UNKNOWN then", "if false then"
    ),
    "a buyer's limit is one too low": Mutant(
        "count > most_per_buyer do", "count >= most_per_buyer do"
    ),
    "a hold's limit is one too high": Mutant(
        "count > most_per_hold then", "count > most_per_hold + 1 then"
    ),
    "a buyer's holds each have a deadline of their own": Mutant(
        "if has.held == 0 or has.deadline <= now then", "if true then"
    ),
    "a replaced selection is not given back": Mutant(
        "move_record(view, record, OPEN, 'held', 'open')\n    local taken\n",
        "local taken\n",
    ),
    "a hold may be bought whose seats the store has not": Mutant(
        "if seat_state(view, position) ~= HELD then", "if false then"
    ),
    "a late batch acts": Mutant("if now > not_after then", "if false then"),
    "a batch acts on another server": Mutant(
        "and string.find(info, 'run_id:' .. meta.run_id, 1, true)", ""
    ),
    "a batch of another epoch acts": Mutant("tonumber(meta.epoch) ~= epoch or ", ""),
    "a sale leaves no fact": Mutant(
        "local added = redis.call('XADD', key_of.sales, stream_id, 'h', sale.id, 'f', fact)",
        "local added = string.gsub(stream_id, '%*', '0')",
    ),
    "a purchase does not count for the buyer": Mutant(
        "buyer.bought = buyer.bought + count", "buyer.bought = buyer.bought"
    ),
    "a single seat is left alone": Mutant("elseif last - first ~= n then", "elseif true then"),
    "a search goes on behind a seat that has opened": Mutant("      part.cursors = {}\n", ""),
    "a search goes on behind a run that fits now": Mutant(
        "if cursor.seats[log[i]] then", "if false then"
    ),
    "a seat that opened is not found": Mutant(
        "if part.opened_seen < #view.opened then", "if false then"
    ),
    "a seat that was taken in the batch is found": Mutant(
        "if (seats[position] or OPEN) ~= OPEN then", "if false then"
    ),
    "a seat that was taken in the batch is found in a long run": Mutant(
        "        closed = position\n", ""
    ),
    "a seat that a search left alone is left so": Mutant(
        "cursor.alone, cursor.seats[first + 1] = first + 1, true", ""
    ),
    "a seat that a search left alone is found though it was taken": Mutant(
        "cursor.alone, cursor.seats[first + 1] = first + 1, true", "cursor.alone = first + 1"
    ),
    "a search in vain is remembered for fewer seats, too": Mutant(
        "second >= (batch.misses[first - TOGETHER] or NONE)", "batch.misses[first - TOGETHER]"
    ),
    "a purchase does not mind how far the ledger is behind": Mutant(
        "elseif backlog + #sales >= backlog_max then\n      return { 'ledger-behind' }\n    end",
        "elseif false then\n      return { 'ledger-behind' }\n    end",
    ),
    "the purchases of a batch do not count for the ledger's bound": Mutant(
        "elseif backlog + #sales >= backlog_max then\n      return { 'ledger-behind' }\n    end",
        "elseif backlog >= backlog_max then\n      return { 'ledger-behind' }\n    end",
    ),
    "a hold does not mind how far the ledger is behind": Mutant(
        "if taken and backlog + #sales >= holds_backlog_max then", "if false then"
    ),
    "a plain hold does not mind how far the ledger is behind": Mutant(
        "is_selling and not is_ledger_near", "is_selling"
    ),
    "holds stop no earlier than purchases": Mutant(
        "math.ceil(9 * backlog_max / 10)", "backlog_max"
    ),
    "what is recorded counts as waiting": Mutant(
        "(tonumber(meta.sold) or 0) - (tonumber(meta.recorded) or 0)", "(tonumber(meta.sold) or 0)"
    ),
    "what a batch sells is not counted": Mutant(
        "'sold', sales[#sales].record.n + 1)", "'sold', 0)"
    ),
    "a replacement by as many minds how far the ledger is behind": Mutant(
        "count > before and take_more or take_selection", "take_more"
    ),
    "a hold that is refused because of the ledger takes its seats": Mutant(
        "      move_record(seen, { seats = taken, areas = areas }, OPEN, 'held', 'open')\n", ""
    ),
    "a bundle's hold may be bought by itself": Mutant(
        "elseif record.bundle ~= bundle or bundle and not record.committing then",
        "elseif bundle and (record.bundle ~= bundle or not record.committing) then",
    ),
    "a bundle's hold may be bought before it commits": Mutant(
        "elseif record.bundle ~= bundle or bundle and not record.committing then",
        "elseif record.bundle ~= bundle then",
    ),
    "a bundle's hold may be released by itself": Mutant(
        "elseif record.bundle ~= bundle and record.state == LIVE then",
        "elseif bundle and record.bundle ~= bundle and record.state == LIVE then",
    ),
    "a bundle's hold may be replaced": Mutant("elseif record.bundle then\n", "elseif false then\n"),
    "a bundle's hold may commit for another": Mutant(
        "elseif record.bundle ~= bundle then\n", "elseif not record.bundle then\n"
    ),
    "what is committing never ends while it is asked again": Mutant(
        "elseif record.committing then\n", "elseif false then\n"
    ),
    "what is committing ends at its own deadline": Mutant(
        "record.committing, record.deadline, record.packed = true, now + COMMITTING_MS, nil",
        "record.committing, record.packed = true, nil",
    ),
    "what is committing forgets it": Mutant(
        "local state = r.committing and COMMITTING or BUNDLED", "local state = BUNDLED"
    ),
    "a hold commits though the ledger is too far behind to purchase it": Mutant(
        "elseif backlog + #sales >= backlog_max then\n      return { 'ledger-behind' } --",
        "elseif false then\n      return { 'ledger-behind' } --",
    ),
    "a cancelled show's hold may commit": Mutant(
        "deadline }\n    elseif NOTHING_IS_BOUGHT[meta.sale_state] then",
        "deadline }\n    elseif false then",
    ),
    "a search that failed is remembered for ever": Mutant(
        "if next(view.misses) then\n      view.misses, view.misses_changed",
        "if false then\n      view.misses, view.misses_changed",
    ),
}


def _check(rooms: Rooms, body: str) -> None:
    """Run the checks that the tests of the script run.

    Raises:
        AssertionError: a check failed.
    """
    script = make_script("batch", body)
    check_table(rooms, script)
    check_refusals(rooms, script)
    check_searches(rooms, script)
    check_crowd(rooms, script)
    run_machine(rooms.client, script, examples=20)


def test_the_script_itself_passes_the_checks(rooms: Rooms) -> None:
    """What is found below is the mutants' fault."""
    _check(rooms, load_script("batch").body)


@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS.keys())
def test_a_mistake_in_the_script_is_caught(rooms: Rooms, mutant: Mutant) -> None:
    """The mutant differs in one place, and at least one check fails on it."""
    body = load_script("batch").body
    assert body.count(mutant.was) == 1
    with pytest.raises((AssertionError, ResponseError)):
        _check(rooms, body.replace(mutant.was, mutant.becomes))
