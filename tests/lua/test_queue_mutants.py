"""Mistakes made on purpose in the waiting room's scripts: the suite's checks must find each."""

from collections.abc import Mapping
from typing import Final

import pytest
from redis.exceptions import ResponseError

from engine.inventory.scripts import Script, load_script, make_script
from tests.lua.queue_room import queue_rooms
from tests.lua.queue_table import check_table
from tests.lua.show_room import Rooms
from tests.lua.test_mutants import Mutant
from tests.lua.test_queue_scripts import SCENARIOS
from tests.model.queue_machine import run_queue_machine

_OF_SERVE: Final[dict[str, Mutant]] = {
    "a number is given twice": Mutant(
        "  next_number = next_number + given\n", "  next_number = next_number + 0 * given\n"
    ),
    "plain joins pass the ceiling": Mutant("math.min(plain, ceiling - next_number)", "plain"),
    "a join passes the ceiling": Mutant("next_number >= ceiling", "false"),
    "people join a closed line": Mutant("if not may_join then", "if false then"),
    "a proof is good twice": Mutant(
        "redis.call('GETBIT', KEYS[spent], place_of_proof) == 1", "false"
    ),
    "a person gets a second number": Mutant(
        "    redis.call('HSET', KEYS[identities], identity, name(number))\n", ""
    ),
    "a pass is anybody's": Mutant(
        "if buyer and redis.call('HGET', buyers_key, name(number)) ~= buyer then", "if false then"
    ),
    "a number is used twice": Mutant("redis.call('GETBIT', used_key, number) == 1", "false"),
    "a number is not used up": Mutant(
        "  redis.call('SETBIT', used_key, number, 1)\n  stock,", "  stock,"
    ),
    "who is not admitted gets a pass": Mutant("place >= serving", "place > serving"),
    "a paused line issues passes": Mutant("or not is_admitting then", "then"),
    "arrival decides, not place": Mutant(
        "if command[1] == CLAIM then\n    answers[i] = enter(command[2], command[3], command[4])",
        "if command[1] == CLAIM then\n    answers[i] = enter(command[2], i, command[4])",
    ),
    "who claims is decided before the others wait": Mutant(
        "answers[i] = enter(command[2], command[3], command[4]) or false",
        "answers[i] = enter(command[2], command[3], command[4]) or claim(command[2], command[4])",
    ),
    "a part of a pass is a pass": Mutant("rank >= math.floor(stock)", "rank >= math.ceil(stock)"),
    "checkout is fuller than it may be": Mutant("or occupancy >= checkout_max then", "then"),
    "passes of one batch don't fill checkout": Mutant("occupancy + 1\n", "occupancy\n"),
    "a pass costs nothing": Mutant("stock - 1", "stock"),
    "passes are not counted": Mutant("issued + 1", "issued"),
    "a repeated claim is a new claim": Mutant(
        "if redis.call('ZADD', waiting_key, place, name(number)) == 1 then",
        "redis.call('ZADD', waiting_key, place, name(number)) if true then",
    ),
    "a place in checkout is not freed": Mutant(
        "occupancy = occupancy - redis.call('ZREM', passes_key, name(number))",
        "redis.call('ZREM', passes_key, name(number))",
    ),
    "who left comes back": Mutant(
        "    redis.call('SETBIT', used_key, number, 1)\n  end\n  return { 'left' }",
        "  end\n  return { 'left' }",
    ),
    "who left holds others up": Mutant(
        "    redis.call('ZREM', waiting_key, name(number))\n"
        "    redis.call('ZREM', seen_key, name(number))\n"
        "    redis.call('SETBIT'",
        "    redis.call('SETBIT'",
    ),
    "a pass lives at its deadline": Mutant("'-inf', now, 'LIMIT'", "'-inf', now - 1, 'LIMIT'"),
    "another server serves": Mutant("if not is_guarded(meta) then", "if false then"),
}
_OF_STEER: Final[dict[str, Mutant]] = {
    "another server is steered": Mutant("if not is_guarded(meta) then", "if false then"),
    "an older recovery steers": Mutant(
        "elseif tonumber(meta.epoch) ~= epoch then", "elseif false then"
    ),
    "two fill the stock": Mutant("if meta.holder ~= '' and held ~= replaced then", "if false then"),
    "a holder is replaced that made a step since": Mutant(
        "meta.holder .. ' ' .. meta.step", "meta.holder .. ' ' .. string.match(replaced, '%d*$')"
    ),
    "a late step acts": Mutant("elseif step <= tonumber(meta.step) then", "elseif false then"),
    "a step acts twice": Mutant("step <= tonumber(meta.step)", "step < tonumber(meta.step)"),
    "who takes over brings credit": Mutant("status, credit = 'taken', 0", "status = 'taken'"),
    "the stock has no bound": Mutant(
        "math.min(tonumber(meta.stock) + credit, stock_max)", "tonumber(meta.stock) + credit"
    ),
    "the line goes back": Mutant(
        "math.max(tonumber(meta.serving), math.min(serving, next_number))",
        "math.min(serving, next_number)",
    ),
    "the line goes beyond its end": Mutant("math.min(serving, next_number)", "serving"),
    "the ceiling sinks": Mutant("math.max(tonumber(meta.ceiling), ceiling)", "ceiling"),
    "who does not come back waits on": Mutant("if #gone > 0 then", "if false then"),
    "who comes back in time waits no more": Mutant("now - waited_for", "now"),
    "overdue passes stay": Mutant(
        "end_overdue_passes(passes_key, buyers_key, now, AT_ONCE)\n", "\n"
    ),
}
_OF_OPEN: Final[dict[str, Mutant]] = {
    "an older recovery opens": Mutant("if stored and stored >= epoch then", "if false then"),
    "stock is kept": Mutant("'stock', '0', ", ""),
    "the holder is kept": Mutant("'holder', '', ", ""),
    "claimants are kept": Mutant("redis.call('UNLINK', waiting_key, seen_key)", ""),
}
_OF_CLOSE: Final[dict[str, Mutant]] = {
    "entries are counted again": Mutant("meta.count or meta.next", "meta.next"),
    "an older recovery closes": Mutant(
        "elseif tonumber(meta.epoch) ~= epoch then", "elseif false then"
    ),
}
_MUTANTS: Final = [
    pytest.param(script, mutant, id=f"{script}: {mistake}")
    for script, mutants in (
        ("serve_queue", _OF_SERVE),
        ("steer_queue", _OF_STEER),
        ("open_queue", _OF_OPEN),
        ("close_entries", _OF_CLOSE),
    )
    for mistake, mutant in mutants.items()
]


def _check(rooms: Rooms, mutants: Mapping[str, Script]) -> None:
    with queue_rooms(rooms.client, mutants) as made:
        check_table(made)
        for scenario in SCENARIOS:
            scenario(made)
    run_queue_machine(rooms.client, mutants, examples=12)


def test_the_scripts_themselves_pass_the_checks(rooms: Rooms) -> None:
    """What is found below is the mutants' fault."""
    _check(rooms, {})


@pytest.mark.parametrize(("script", "mutant"), _MUTANTS)
def test_a_mistake_in_a_script_of_the_waiting_room_is_caught(
    rooms: Rooms, script: str, mutant: Mutant
) -> None:
    """The mutant differs in one place, and the table or the model notices."""
    body = load_script(script).body
    assert body.count(mutant.was) == 1
    mutants = {script: make_script(script, body.replace(mutant.was, mutant.becomes))}
    with pytest.raises((AssertionError, ResponseError)):
        _check(rooms, mutants)
