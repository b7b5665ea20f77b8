"""Drives the scripts and the reference model side by side, and compares all that they say and keep.

Each step is a batch of one to eight commands, a change by the house, a refused batch, a recovery,
or time passing. The domains are small on purpose: few holds, buyers, keys and seats, so that
commands meet each other all the time.
"""

from collections.abc import Callable
from typing import Any, Final

import redis
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.inventory.commands import Commit, Hold, Look, Purchase, Release, Replace, Selection
from engine.inventory.edits import MapEdit, plan_steps
from engine.inventory.facts import StreamId
from engine.inventory.house import Change
from engine.inventory.manifest import Manifest
from engine.inventory.overlay import Overlay, lay_over
from engine.inventory.rebuild import HouseBlocks, Inventory, LedgerOrder, rebuild
from engine.inventory.records import AreaCounts, HoldRecord, HoldState, SaleRecord, Tombstone
from engine.inventory.scripts import Script
from engine.platform.ids import HoldId, purchase_key_digest
from tests.lua.show_room import (
    START_MS,
    Contents,
    Raw,
    Rules,
    ShowRoom,
    hold_id,
    make_manifest,
)
from tests.model.reference_inventory import Claim, Ended, ReferenceInventory

HALLS: Final = (
    # Three levels, the last row split between two of them, an aisle of two separators.
    make_manifest("|oooo|ooooo|oo||oooooo|", [[(1, 11)], [(12, 18)], [(18, 22)]], [6, 3]),
    # One level whose rows are not in one range, best first.
    make_manifest("|oooooo|ooo|oo|", [[(8, 11), (1, 7), (12, 14)]], [2]),
    # Seats only.
    make_manifest("|ooooooooo|"),
)
HOLDS: Final = 14
BUYERS: Final = ("ann", "bob", "Zoë")
BUNDLES: Final = tuple(f"{n:016x}" for n in (1, 2))
KEYS: Final = tuple(f"key-{n}" for n in range(8))
MINUTE_MS: Final = 60_000

_MALFORMED: Final[tuple[Any, ...]] = (
    [],
    [9],
    7,
    [1, "ann"],
    [1, 60_000, [], "", [1], []],
    [1, 60_000, [], "x" * 513, [1], []],
    [1, 0, [], "ann", [1], []],
    [1, 60_000, [], "ann", [0], []],
    [1, 60_000, [], "ann", [1, 1], []],
    [1, 60_000, [], "ann", [99_999], []],
    [1, 60_000, [], "ann", [-1], []],
    [1, 60_000, [], "ann", ["1"], []],
    [1, 60_000, [], "ann", 1, []],
    [1, 60_000, [], "ann", [], [[9, 1]]],
    [1, 60_000, [], "ann", [], [[0, 0]]],
    [1, 60_000, [], "ann", [], [0]],
    [1, 60_000, [[7, 1]], "ann", [], []],
    [1, 60_000, [], "ann", [], []],
    [1, 60_000, False, "ann", [1, 1]],
    [1, 60_000, 1, "ann", [1]],
    [1, 60_000, False, "ann", []],
    [1, 60_000.5, False, "ann", [1]],
    [1, 2**40, False, "ann", [1]],
    [1, 60_000, False, "ann", [1, 2, 3, 4, 5, 6, 7, 7]],
    [2, False, []],
    [2, [[0]], [1]],
    [4, "ref", ""],
    [4, None, "k1"],
    [4, "x" * 513, "k1"],
    # Bundles that are none.
    [6, 60_000, False, "ann", [1]],
    [6, "0" * 15, 60_000, False, "ann", [1]],
    [6, 7, 60_000, False, "ann", [1]],
    [3, "0" * 17],
    [4, "ref", "k1", ""],
    [7],
    [7, "x"],
    # Types that are no text, or none that a record takes.
    [1, 60_000, False, "ann", [1], [], 7],
    [1, 60_000, False, "ann", [1], [], "x" * 4097],
    [2, False, [1], [], ""],
)
_TYPES: Final = st.sampled_from(("", "", "child:1", "child:1,standard:2"))
"""To the script they are a text that it keeps."""


def _selections(manifest: Manifest) -> st.SearchStrategy[Selection]:
    seats = st.lists(
        st.sampled_from(sorted(manifest.positions())), min_size=1, max_size=3, unique=True
    ).map(tuple)
    together = st.lists(
        st.tuples(st.sampled_from(range(len(manifest.levels))), st.sampled_from((1, 2, 2, 3, 4))),
        min_size=1,
        max_size=2,
    ).map(tuple)
    choices = [
        st.builds(Selection, seats=seats, types=_TYPES),
        st.builds(Selection, best=together, types=_TYPES),
        st.builds(Selection, seats=seats, best=together, types=_TYPES),
    ]
    if manifest.areas:
        pair = st.tuples(st.sampled_from(range(len(manifest.areas))), st.integers(1, 3))
        areas = st.lists(pair, min_size=1, max_size=2, unique_by=lambda pair: pair[0]).map(tuple)
        choices += [
            st.builds(Selection, areas=areas, types=_TYPES),
            st.builds(Selection, seats=seats, areas=areas, best=together, types=_TYPES),
        ]
    return st.one_of(choices)


_KINDS: Final = (
    *("hold",) * 9,
    *("replace",) * 4,
    *("release",) * 2,
    *("purchase",) * 4,
    *("commit",) * 2,
    *("look", "malformed"),
)
_MALFORMED_SELECTIONS: Final = (
    Selection(),
    Selection(seats=(0,)),
    Selection(seats=(1, 2, 1)),
    Selection(seats=(99_999,)),
    Selection(areas=((9, 1),)),
    Selection(areas=((0, 1), (0, 1))),
    Selection(best=((0, 0),)),
)


def _kinds(manifest: Manifest) -> dict[str, Callable[[bytes], st.SearchStrategy[Any]]]:
    """Return, by kind, how a command for a hold is drawn."""
    body = st.sampled_from((1, 1, 1, 1, 2))
    selection = _selections(manifest)
    selections = st.one_of(*[selection] * 9, st.sampled_from(_MALFORMED_SELECTIONS))
    ttls_ms = st.sampled_from((30_000, 60_000, 600_000))
    bundle = st.sampled_from(("", "", "", *BUNDLES[:1] * 2, BUNDLES[1]))
    return {
        "hold": lambda hold: st.builds(
            Hold, st.just(hold), st.sampled_from(BUYERS), ttls_ms, body, selections, bundle
        ),
        "replace": lambda hold: st.builds(Replace, st.just(hold), st.integers(1, 4), selections),
        "release": lambda hold: st.builds(Release, st.just(HoldId(hold)), bundle),
        "purchase": lambda hold: st.builds(
            Purchase,
            st.just(hold),
            st.sampled_from(KEYS),
            body,
            st.sampled_from(("", "ref-1")),
            bundle,
        ),
        "commit": lambda hold: st.builds(
            Commit, st.just(HoldId(hold)), st.sampled_from((*BUNDLES[:1] * 4, BUNDLES[1]))
        ),
        "look": lambda hold: st.just(Look(HoldId(hold))),
        "malformed": lambda hold: st.builds(Raw, st.just(hold), st.sampled_from(_MALFORMED)),
    }


class InventoryMachine(RuleBasedStateMachine):
    """One show, from its opening on."""

    client: "redis.Redis"
    batch_script: Script | None = None

    room: ShowRoom
    plan: Manifest
    overlay: Overlay
    model: ReferenceInventory
    now_ms: int
    mirror_at: StreamId
    mirror: list[str]
    mirror_areas: dict[int, AreaCounts]
    mirror_expired: set[bytes]

    @initialize(
        hall=st.sampled_from(HALLS),
        per_hold=st.integers(4, 7),
        per_buyer=st.integers(5, 12),
        backlog_max=st.sampled_from((1, 2, 4, 1000, 1000)),
    )
    def opens(self, hall: Manifest, per_hold: int, per_buyer: int, backlog_max: int) -> None:
        """Open a show in one of the halls."""
        rules = Rules(max_per_hold=per_hold, max_per_buyer=per_buyer)
        self.room = ShowRoom(self.client, hall, batch_script=self.batch_script).open(rules=rules)
        self.room.backlog_max = backlog_max
        self.plan, self.overlay = hall, Overlay()
        self.model = ReferenceInventory(hall, rules, backlog_max=backlog_max)
        self.now_ms = START_MS
        self._forget_mirror()
        self._kinds = _kinds(hall)

    # ------------------------------------------------------------ what happens

    @rule(data=st.data())
    def decides_a_batch(self, data: st.DataObject) -> None:
        """Let the script and the model decide the same commands."""
        commands = self._draw_commands(data)
        reply = self.room.batch(*commands)
        assert (reply.status, reply.now_ms) == ("ok", self.now_ms)
        assert not reply.inconsistent
        self.model.pass_time(self.now_ms)
        for command, told in zip(commands, reply.answers, strict=True):
            expected = self.model.decide(command, self.now_ms, told)
            note(f"{command} -> {told}")
            assert told == expected, f"{command} at {self.now_ms}"

    @rule(data=st.data())
    def decides_another_batch(self, data: st.DataObject) -> None:
        """Be chosen more often than the other rules."""
        self.decides_a_batch(data)

    @rule(data=st.data())
    def decides_two_batches(self, data: st.DataObject) -> None:
        """Let nothing happen between two batches."""
        self.decides_a_batch(data)
        self.decides_a_batch(data)

    @rule(ms=st.sampled_from((1, 29_999, 30_000, MINUTE_MS, 10 * MINUTE_MS, 70 * MINUTE_MS)))
    def passes_time(self, ms: int) -> None:
        """Move time forward."""
        self._move_time(self.now_ms + ms)

    @precondition(lambda self: self.model.expiry())
    @rule(data=st.data(), before_ms=st.sampled_from((0, 0, 1)))
    def passes_time_to_a_deadline(self, data: st.DataObject, before_ms: int) -> None:
        """Move time to the very millisecond at which something is due, or to the one before."""
        due_ms = data.draw(st.sampled_from(sorted(set(self.model.expiry().values()))))
        self._move_time(max(self.now_ms, due_ms - before_ms))

    @rule(data=st.data())
    def the_house_withholds_and_gives_back(self, data: st.DataObject) -> None:
        """Block and unblock seats and places."""
        manifest = self.room.manifest
        position = st.sampled_from(sorted(manifest.positions()))
        block = data.draw(st.lists(position, max_size=2, unique=True))
        unblock = [
            p for p in data.draw(st.lists(position, max_size=4, unique=True)) if p not in block
        ]
        area = st.tuples(st.sampled_from(range(len(manifest.areas) or 1)), st.integers(-2, 2))
        areas = data.draw(st.lists(area, max_size=1)) if manifest.areas else []
        status, *rest = self.room.change(block=block, unblock=unblock, areas=areas)
        expected = self.model.change(block, unblock, areas)
        assert (status == "changed") == expected, (status, rest)

    @rule(data=st.data())
    def the_house_edits_the_map(self, data: st.DataObject) -> None:
        """Move seats, take some out and put some back, change capacities; in one or two steps."""
        manifest, planned = self.room.manifest, sorted(self.plan.positions())
        some = st.lists(st.sampled_from(planned), max_size=3, unique=True)
        level = st.sampled_from(range(len(manifest.levels)))
        gone = sorted(manifest.removed_by_label.values())
        back = data.draw(st.lists(st.sampled_from(gone), unique=True)) if gone else []
        wanted = MapEdit(
            levels={position: data.draw(level) for position in data.draw(some)},
            take_out=[position for position in data.draw(some) if position not in back],
            put_back=back,
            capacities={
                n: data.draw(st.integers(max(area.capacity - 2, 0), area.capacity + 2))
                for n, area in enumerate(manifest.areas)
            },
        )
        steps = plan_steps(manifest, wanted, 7, self.model.blocked_seats)
        expected = self.model.edit(wanted)
        if steps.less is not None:
            assert (self._step(steps.less)[0] == "changed") == expected, wanted
        assert expected or steps.less is not None, wanted
        if not expected:
            return
        if steps.more is not None:
            assert self._step(steps.more)[0] == "changed"
        self.overlay = self.overlay.with_changes(
            levels=steps.levels,
            taken_out=steps.taken_out,
            put_back=steps.put_back,
            area_levels={},
            capacities=steps.capacities,
        )
        self.room.manifest = lay_over(self.plan, self.overlay)
        self.room.price_version += 1
        self.model.price_version += 1

    def _step(self, change: Change) -> list[Any]:
        return self.room.change(
            free=change.must_be_free,
            take_out=change.take_out,
            put_back=change.put_back_open,
            put_back_blocked=change.put_back_blocked,
            capacities=change.capacities,
            edit_no=change.edit_no,
        )

    @rule(
        sale_state=st.sampled_from((*("on_sale",) * 6, "closed")),
        opens_in_ms=st.sampled_from((0, 0, 0, 0, 0, 1)),
        closes_in_ms=st.sampled_from((None, None, None, None, 0, 1, MINUTE_MS)),
    )
    def the_house_sets_the_window(
        self, sale_state: str, opens_in_ms: int, closes_in_ms: int | None
    ) -> None:
        """Close the sale, or move its window."""
        self.model.rules = Rules(
            sale_state=sale_state,
            opens_at_ms=self.now_ms + opens_in_ms if opens_in_ms else 0,
            closes_at_ms=0 if closes_in_ms is None else self.now_ms + closes_in_ms,
            max_per_hold=self.model.rules.max_per_hold,
            max_per_buyer=self.model.rules.max_per_buyer,
        )
        assert self.room.change(rules=self.model.rules.fields())[0] == "changed"

    @rule(data=st.data())
    def the_ledger_catches_up(self, data: st.DataObject) -> None:
        """Note how many sales of the epoch are recorded; a note may come late, or of an old one."""
        sold = sum(at.epoch == self.room.epoch for at, _ in self.model.facts)
        count = data.draw(st.integers(0, sold))
        assert self.room.note_recorded(sold + 1, epoch=self.room.epoch - 1) == [b"stale"]
        self.model.recorded = max(self.model.recorded, count)
        assert self.room.note_recorded(count) == [b"noted", sold, self.model.recorded]

    @precondition(lambda self: self.sold())
    @rule(data=st.data(), late=st.sampled_from((0, 0, 0, 1, 2)))
    def an_order_is_returned(self, data: st.DataObject, late: int) -> None:
        """Apply the next return, or one whose number has passed, which must change nothing."""
        hold = data.draw(st.sampled_from(self.sold()))
        claim = self.model.holds[hold]
        assert isinstance(claim, Claim)
        number = self.model.returns + 1
        blocked = self.model.blocked_places
        status, *_ = self.room.take_back(
            int.from_bytes(hold, "big"),
            number - late,
            seats=claim.seats,
            areas=[(area, count, blocked.get(area, 0)) for area, count in claim.areas],
            buyer=claim.buyer,
        )
        if late:
            assert status == "passed"
        else:
            assert status == "returned"
            self.model.take_back(hold)

    def sold(self) -> list[bytes]:
        """Return the holds that are sold."""
        return [
            hold
            for hold, what in self.model.holds.items()
            if isinstance(what, Claim) and what.sale is not None and not what.sale.returned
        ]

    @rule(data=st.data(), why=st.sampled_from(("too-late", "fenced", "stale", "stale epoch")))
    def is_refused_a_batch(self, data: st.DataObject, why: str) -> None:
        """Send a batch that must change nothing."""
        commands = self._draw_commands(data)
        run_id = self.room.meta()["run_id"]
        if why == "too-late":
            reply = self.room.batch(*commands, not_after_ms=self.now_ms - 1)
        elif why == "stale":
            reply = self.room.batch(*commands, version=self.room.version - 1)
        elif why == "stale epoch":
            reply = self.room.batch(*commands, epoch=self.room.epoch - 1)
        else:
            self.room.set_meta(run_id="another server's")
            reply = self.room.batch(*commands)
            self.room.set_meta(run_id=run_id)
        assert reply.status == why.partition(" ")[0]
        assert reply.answers == ()

    @rule()
    def is_recovered(self) -> None:
        """Rebuild the show from its orders, the blocks and the surviving holds."""
        before = self.room.read()
        self.room.open(
            inventory=rebuilt(self.room.manifest, self.model, before.records),
            rules=self.model.rules,
        )
        self.model.was_rebuilt(self.room.epoch)
        self._forget_mirror()

    def _draw_commands(self, data: st.DataObject) -> list[Any]:
        """Draw a batch: mostly holds under new ids, and other commands for holds that live."""
        live = [
            hold
            for hold, what in self.model.holds.items()
            if isinstance(what, Claim) and what.sale is None
        ]
        fresh = [hold_id(n) for n in range(1, HOLDS + 1) if hold_id(n) not in self.model.holds]
        commands: list[Any] = []
        for kind in data.draw(st.lists(st.sampled_from(_KINDS), min_size=1, max_size=8)):
            likely = fresh if kind == "hold" else live
            ids = st.integers(1, HOLDS).map(hold_id)
            if likely:
                ids = st.one_of(*[st.sampled_from(likely)] * 5, ids)
            hold = data.draw(ids)
            if kind == "hold" and hold in fresh:
                fresh.remove(hold)
                live.append(hold)
            commands.append(data.draw(self._kinds[kind](hold)))
        return commands

    # ------------------------------------------------------------ what must be so

    @invariant()
    def keeps_the_same(self) -> None:
        """Compare every key of the show with the model."""
        found, model = self.room.read(), self.model
        assert found.seats == model.seats()
        assert found.areas == model.areas()
        assert found.buyers == model.buyers()
        assert found.keys == {purchase_key_digest(k): hold for k, hold in model.keys.items()}
        assert found.expiry == model.expiry()
        assert found.sales == model.facts
        assert set(found.records) == set(model.holds)
        for hold, record in found.records.items():
            _compare(record, model.holds[hold])
        self._follow(found)

    def _follow(self, found: Contents) -> None:
        """Check that whoever follows the deltas sees the same seats and areas."""
        for delta in found.deltas:
            if delta.at > self.mirror_at:
                self.mirror_at = delta.at
                for position, state in delta.seats:
                    assert self.mirror[position] != chr(state), "a delta that changes nothing"
                    self.mirror[position] = chr(state)
                self.mirror_areas.update(delta.areas)
                self.mirror_expired.update(delta.expired)
        assert _expired(found) <= self.mirror_expired
        assert "".join(self.mirror) == found.seats
        assert self.mirror_areas == found.areas

    def _forget_mirror(self) -> None:
        found = self.room.read()
        self.mirror_at = found.deltas[-1].at
        self.mirror = list(found.seats)
        self.mirror_areas = found.areas
        self.mirror_expired = _expired(found)

    def _move_time(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.room.set_time(now_ms)

    def teardown(self) -> None:
        """Remove the show."""
        if hasattr(self, "room"):
            self.room.close()


def _expired(found: Contents) -> set[bytes]:
    """Return the holds that have expired and are remembered."""
    return {
        hold
        for hold, record in found.records.items()
        if isinstance(record, Tombstone) and record.state is HoldState.EXPIRED
    }


def rebuilt(
    manifest: Manifest,
    model: ReferenceInventory,
    survivors: dict[bytes, HoldRecord | Tombstone],
    *,
    outage_ms: int = 0,
) -> Inventory:
    """Rebuild from what a ledger that recorded all of the model's sales would have."""
    orders = [
        LedgerOrder(
            hold=hold,
            buyer=claim.buyer,
            owns=not _sale(claim).returned,
            seats=tuple(sorted(claim.seats)),
            areas=claim.areas,
            types=claim.types,
            price_version=claim.price_version,
            hold_fingerprint=claim.fingerprint,
            purchase_key=_key(claim),
            sale=_sale(claim),
        )
        for hold, claim in model.holds.items()
        if isinstance(claim, Claim) and claim.sale is not None
    ]
    blocks = HouseBlocks(tuple(model.blocked_seats), tuple(model.blocked_places.items()))
    most = model.rules.max_per_buyer
    return rebuild(manifest, orders, blocks, survivors, outage_ms, max_per_buyer=most)


def _sale(claim: Claim) -> SaleRecord:
    sale = claim.sale
    assert sale is not None
    return SaleRecord(sale.body, sale.at.epoch, sale.at.n, sale.sold_at_ms, sale.returned)


def _key(claim: Claim) -> str:
    assert claim.sale is not None
    return claim.sale.key


def _compare(record: HoldRecord | Tombstone, what: Claim | Ended) -> None:
    if isinstance(what, Ended):
        assert isinstance(record, Tombstone)
        assert HoldState(record.state).name.lower() == type(what.outcome).__name__.lower()
        assert record.forgotten_at_ms == what.forgotten_at_ms
        assert what.fingerprint in {None, record.fingerprint}
        return
    assert isinstance(record, HoldRecord)
    assert record.buyer == what.buyer
    assert record.fingerprint == what.fingerprint
    assert record.price_version == what.price_version
    assert record.areas == what.areas
    if what.sale is None:
        assert record.sale is None
        assert record.seats == what.seats
        assert record.deadline_ms == what.deadline_ms
        assert record.selection_fingerprint == what.selection_fingerprint
        assert (record.bundle, record.committing) == (what.bundle, what.committing)
    else:
        assert record.seats == what.seats
        assert record.sale == _sale(what)


def run_machine(  # noqa: PLR0913 -- how it is run, all by name
    client: "redis.Redis",
    batch_script: Script | None = None,
    *,
    examples: int,
    steps: int = 25,
    derandomize: bool = True,
    shrink: bool = False,
) -> None:
    """Run the machine; raises what the first difference raises."""
    machine = type("Machine", (InventoryMachine,), {"client": client, "batch_script": batch_script})
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    factory: Callable[[], RuleBasedStateMachine] = machine
    run_state_machine_as_test(
        factory,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=derandomize,
            deadline=None,
            database=None,
            phases=phases,
            print_blob=not derandomize,
            report_multiple_bugs=False,
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
        ),
    )
