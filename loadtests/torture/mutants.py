"""Engines that are broken on purpose: the checker is worth what it finds in them.

A mutant is a few replaced pieces of the source, or of how the servers are set up. Each names the
faults that bring its mistake to light; a mistake that no fault meets harms nobody.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from msgspec import Struct

from loadtests.torture.ground import Shape
from loadtests.torture.sources import Change
from ops.child import Plan

_BATCH: Final = "lua/batch.lua"
_GUARD: Final = "lua/includes/refuse_batch.lua"
_HOLDS: Final = "lua/includes/view_holds.lua"
_RECORDER: Final = "engine/sales/recorder.py"
_RETURNS: Final = "lua/return_places.lua"
_CONFIRMATIONS: Final = "engine/sales/confirmations.py"
_POSITION: Final = "engine/sales/position.py"


class Mutant(Struct, frozen=True, kw_only=True):
    """One mistake."""

    says: str
    changes: tuple[Change, ...] = ()
    sql: str = ""
    """Run as the database's owner once the platform stands."""
    valkey: tuple[tuple[str, str], ...] = ()
    """Options of the embedded Valkey, and what they are set to."""
    shape: Shape = "single"
    """What the store must be for it."""
    settings: tuple[tuple[str, str], ...] = ()
    """`ONSALE_*` settings that give the mistake more time to show."""
    faults: tuple[str, ...]
    """What brings it to light."""

    def adjust(self, plan: Plan) -> Plan:
        """Return the plan of a child that is set up as this mutant has it."""
        if plan.name != "valkey" or not self.valkey:
            return plan
        words = list(plan.command())
        for option, value in self.valkey:
            words[words.index(option) + 1] = value
        return replace(plan, command=lambda: words)


MUTANTS: Final[Mapping[str, Mutant]] = {
    "no-guard": Mutant(
        says="scripts act on whatever server they run on",
        changes=(
            Change(_GUARD, "meta.state ~= 'open' or not is_guarded(meta)", "meta.state ~= 'open'"),
        ),
        faults=("pause-worker", "restore-valkey"),
    ),
    "ack-before-fsync": Mutant(
        says="Valkey answers before anything is on its disk",
        valkey=(("--appendonly", "no"),),
        faults=("pause-worker", "kill-valkey"),
    ),
    "expiry-ignores-owner": Mutant(
        says="at its deadline a hold's seats open, whoever has them by then",
        changes=(
            Change(
                _BATCH,
                "      if record.state == PURCHASED then\n"
                "        unscheduled[#unscheduled + 1] = id\n",
                "      if record.state == PURCHASED then\n",
            ),
            Change(
                "lua/includes/view_holds.lua",
                "  for _, id in ipairs(overdue) do\n    view_record(view, id)\n",
                "  for _, id in ipairs(overdue) do\n"
                "    local record = view_record(view, id)\n"
                "    if record and record.state == PURCHASED then\n"
                "      move_record(view, record, OPEN, 'sold', 'open')\n"
                "    end\n",
            ),
        ),
        faults=("script-flush",),
    ),
    "position-before-commit": Mutant(
        says="the recorder's position is committed before the rows",
        changes=(
            Change(
                _RECORDER,
                "            newly_stranded = await add_batch("
                "connection, self._ids, batch, rows, position)\n"
                "            recent = await self._positions.refused_until("
                "connection, show, lock.position)\n",
                "            from sqlalchemy import text\n"
                "            await connection.execute(text('UPDATE recorder_positions SET'\n"
                "                ' epoch = :epoch, seq = :seq WHERE show_id = :show'),\n"
                "                {'epoch': position.epoch, 'seq': position.n, 'show': show})\n"
                "            recent = await self._positions.refused_until("
                "connection, show, lock.position)\n"
                "        await asyncio.sleep(0.2)\n"
                "        async with self._engine.begin() as later:\n"
                "            newly_stranded = await add_batch("
                "later, self._ids, batch, rows, position)\n",
            ),
        ),
        faults=("kill-worker",),
    ),
    "position-as-confirmation": Mutant(
        says="a sale is confirmed once the position has passed it, whatever became of it",
        changes=(
            Change(
                _CONFIRMATIONS,
                "            return Word.NOTHING\n        return Word.FAILED",
                "            return Word.CONFIRMED\n        return Word.FAILED",
            ),
            Change(
                _CONFIRMATIONS,
                "return Word.FAILED if hold in self.failed else Word.CONFIRMED",
                "return Word.CONFIRMED",
            ),
        ),
        # A sale that nobody confirms waits for long enough to hear of the recovery.
        settings=(("ONSALE_CONFIRM_TIMEOUT_MS", "3500"),),
        faults=("kill-worker", "wipe-valkey"),
    ),
    "recorder-ignores-epoch": Mutant(
        says="facts of every epoch become orders, whenever they turn up",
        changes=(
            Change(
                _POSITION,
                "        if drain:\n"
                "            return self.position < entry and entry.epoch <= self.show_epoch\n"
                "        return entry.epoch == self.show_epoch\n",
                "        return True\n",
            ),
            Change(
                _POSITION,
                "return entry <= self.position and entry.epoch == self.position.epoch",
                "return False",
            ),
            Change(
                _POSITION,
                "return self.position.epoch <= entry.epoch < self.show_epoch",
                "return False",
            ),
        ),
        faults=("forge-old-sale",),
    ),
    "clock-stream-ids": Mutant(
        says="a fact's place in the stream is the clock's",
        changes=(Change(_BATCH, "string.format('%d-*', epoch)\nfor _, sale", "'*'\nfor _, sale"),),
        faults=("kill-valkey",),
    ),
    "no-unique-index": Mutant(
        says="nothing in the ledger keeps a seat from two orders",
        sql="DROP INDEX tickets_one_owner_per_seat",
        faults=("forge-sale",),
    ),
    "idempotency-dropped": Mutant(
        says="a repeated key makes another hold",
        changes=(
            Change(
                "engine/platform/ids.py",
                "        hashed.update(_scope(reseller, show) + idempotency_key.encode())\n"
                "        return hashed.digest()\n\n    def complete_hold",
                "        import os\n"
                "        hashed.update(os.urandom(8))\n"
                "        return hashed.digest()\n\n    def complete_hold",
            ),
        ),
        faults=("drop-replies-api-valkey", "drop-replies-clients-api"),
    ),
    "batch-half-applied": Mutant(
        says="the last seat that a batch changes stays as it was",
        changes=(
            Change(
                _BATCH,
                "call_in_chunks('BITFIELD', key_of.seats, seat_writes, 4)",
                "if seat_writes_count > 4 then\n"
                "  for _ = 1, 4 do\n    table.remove(seat_writes)\n  end\nend\n"
                "call_in_chunks('BITFIELD', key_of.seats, seat_writes, 4)",
            ),
        ),
        faults=("script-flush",),
    ),
    "stale-epoch-accepted": Mutant(
        says="a process that has not heard of a recovery goes on under the epoch before it",
        changes=(Change(_GUARD, "tonumber(meta.epoch) ~= epoch or ", ""),),
        faults=("pause-api", "kill-valkey"),
    ),
    "blocks-forgotten": Mutant(
        says="a recovery puts on sale what the house withholds",
        changes=(
            Change(
                "engine/inventory/recovery.py",
                "            await read_blocks(connection, show.id),\n",
                "            type(await read_blocks(connection, show.id))(),\n",
            ),
        ),
        faults=("kill-valkey", "wipe-valkey"),
    ),
    "stands-unchecked": Mutant(
        says="a show is opened as it stands, whatever the ledger has that it has not",
        changes=(
            Change(
                "engine/inventory/claims.py",
                "return follows and has_all and in_time",
                "return follows and in_time",
            ),
            Change("lua/open_show.lua", "if not (is_read and is_same) then", "if not is_read then"),
        ),
        faults=("restore-valkey",),
    ),
    "guard-without-replid": Mutant(
        says="a server is known by its process alone, whatever became of its data",
        changes=(
            Change(
                _GUARD,
                "\n    and string.find(info, 'master_replid:' .. meta.replid, 1, true)",
                "",
            ),
            Change(
                "engine/inventory/tending.py",
                'if run_id != info["run_id"] or replid != info["master_replid"]:',
                'if run_id != info["run_id"]:',
            ),
        ),
        shape="cluster",
        faults=("there-and-back",),
    ),
    "no-wait-check": Mutant(
        says="a sale counts as kept by the replica, whether it has acknowledged it or not",
        changes=(
            Change(
                "engine/inventory/replies.py",
                "return structs.replace(outcome, durable=False)",
                "return outcome",
            ),
        ),
        shape="cluster",
        faults=("pause-worker", "elect-late-replica"),
    ),
    "return-repeated": Mutant(
        says="a return is applied as often as it is told, whatever its number, and is told again",
        changes=(
            Change(_RETURNS, "if number <= applied then", "if false then"),
            Change(_RETURNS, "elseif number > applied + 1 then", "elseif false then"),
            Change(
                _RETURNS,
                "record.state == PURCHASED and not record.returned",
                "record.state == PURCHASED",
            ),
            Change(
                "engine/inventory/returning.py",
                "waiting = await _read(connection, show, applied)",
                "waiting = await _read(connection, show, max(0, applied - 5))",
            ),
            Change(
                "engine/inventory/returning.py",
                "int(applied[0] or 0) < show.return_no",
                "int(applied[0] or 0) <= show.return_no",
            ),
        ),
        faults=("drop-replies-clients-api",),
    ),
    "memory-on-replay": Mutant(
        says="what is sold is refused from memory, also to the hold that has it",
        changes=(
            Change(
                "engine/inventory/sold_memory.py",
                "if self._made[bit >> 3] & 1 << (bit & 7):",
                "if False:",
            ),
        ),
        faults=("drop-replies-api-postgres",),
    ),
}
