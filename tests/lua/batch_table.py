"""One row per status of `batch.lua`'s commands, in the order of precedence in its header.

A row's show stands in the way of its command by every later status too, as far as they can be true
at once: the sale is closed and not yet open and over, limits are exceeded, seats are taken. So the
row's status is told only if the script decides in that order.
"""

import random
from collections.abc import Callable, Mapping
from typing import Final

from engine.inventory.commands import (
    AlreadyPurchased,
    Answer,
    AreaShort,
    Commit,
    Committing,
    Done,
    Expired,
    Held,
    Hold,
    Inconsistent,
    KeyReused,
    LedgerBehind,
    Look,
    Malformed,
    NoneTogether,
    NotOnSale,
    OfBundle,
    OverBuyerLimit,
    OverHoldLimit,
    Purchase,
    Purchased,
    Release,
    Released,
    Replace,
    SalesEnded,
    SeatsTaken,
    Selection,
    TooEarly,
    Unknown,
)
from engine.inventory.manifest import Manifest
from engine.inventory.scripts import Script
from tests.lua.show_room import (
    BACKLOG_MAX,
    START_MS,
    Packable,
    Raw,
    Rooms,
    Rules,
    ShowRoom,
    hold_id,
    make_manifest,
)
from tests.model.reference_inventory import ReferenceInventory

HALL: Final[Manifest] = make_manifest("|oooo|oooooooo|", [[(1, 5)], [(6, 14)]], [4])
"""The command takes seat 12, two places, and two seats together of the first row."""

ME: Final = hold_id(1)
SELECTION: Final = Selection(seats=(12,), areas=((0, 2),), best=((0, 2),))
FIRST_HOLD: Final = Hold(ME, "ann", 60_000, 7, SELECTION)
MINUTE_MS: Final = 60_000
NOW_MS: Final = START_MS + MINUTE_MS

Arrange = Callable[[ShowRoom], None]

# ---------------------------------------------------------------- what stands in the way


def _bob(room: ShowRoom, n: int, selection: Selection) -> None:
    answer = room.ask(Hold(hold_id(n), f"bob-{n}", 3_600_000, 1, selection))
    assert isinstance(answer, Held), answer


def _none_together(room: ShowRoom) -> None:
    _bob(room, 20, Selection(seats=(2, 4)))


def _area_short(room: ShowRoom) -> None:
    _bob(room, 21, Selection(areas=((0, 3),)))


def _seats_taken(room: ShowRoom) -> None:
    _bob(room, 22, Selection(seats=(12,)))


def _over_buyer_limit(room: ShowRoom) -> None:
    assert isinstance(room.hold(30, seats=(6, 7)), Held)
    assert isinstance(room.ask(Purchase(hold_id(30), "ann's other", 1, "")), Purchased)
    room.set_meta(max_per_buyer=6)


OBSTACLES: Final[Mapping[str, Arrange]] = {
    "not-on-sale": lambda room: room.set_meta(sale_state="closed"),
    "too-early": lambda room: room.set_meta(opens_at=NOW_MS + 1),
    "too-late-to-hold": lambda room: room.set_meta(closes_at=NOW_MS),
    "over-hold-limit": lambda room: room.set_meta(max_per_hold=4),
    "over-buyer-limit": _over_buyer_limit,
    "seats-taken": _seats_taken,
    "area-short": _area_short,
    "none-together": _none_together,
    "ledger-behind": lambda room: room.set_meta(sold=BACKLOG_MAX),
}
"""From the first to the last in precedence; they are put up from the last to the first."""

REFUSALS: Final[Mapping[str, Answer]] = {
    "not-on-sale": NotOnSale("closed"),
    "too-early": TooEarly(NOW_MS + 1),
    "too-late-to-hold": SalesEnded(NOW_MS),
    "over-hold-limit": OverHoldLimit(4),
    "over-buyer-limit": OverBuyerLimit(6, 2),
    "seats-taken": SeatsTaken((12,)),
    "area-short": AreaShort(((0, 1),)),
    "none-together": NoneTogether(0, 2),
    "ledger-behind": LedgerBehind(),
}

_IN_THE_STORE: Final = frozenset({"over-buyer-limit", "seats-taken", "area-short", "none-together"})

# ---------------------------------------------------------------- how the command's hold stands


def _nothing(_: ShowRoom) -> None:
    pass


def _live(room: ShowRoom, *, fingerprint: int = 7) -> None:
    command = Hold(ME, "ann", 10 * MINUTE_MS, fingerprint, Selection(seats=(10,)))
    assert isinstance(room.ask(command), Held)


def _live_of_another_body(room: ShowRoom) -> None:
    _live(room, fingerprint=8)


def _about_to_expire(room: ShowRoom) -> None:
    """Let the hold's deadline be the millisecond at which the command is decided."""
    command = Hold(ME, "ann", MINUTE_MS, 7, Selection(seats=(10,)))
    assert isinstance(room.ask(command), Held)


def _released(room: ShowRoom) -> None:
    _live(room)
    assert room.ask(Release(ME)) == Done()


def _released_before_it_came(room: ShowRoom) -> None:
    assert room.ask(Release(ME)) == Done()


def _purchased(room: ShowRoom) -> None:
    _live(room)
    assert isinstance(room.ask(Purchase(ME, "key", 5, "ref")), Purchased)


def _without_its_seat(room: ShowRoom) -> None:
    _live(room)
    room.client.setrange(room.keys.seats, 10, b"o")


def _overdue_without_its_seat(room: ShowRoom) -> None:
    """It can't be ended, since the store holds something else."""
    _about_to_expire(room)
    room.client.setrange(room.keys.seats, 10, b"o")


def _key_of_another(room: ShowRoom) -> None:
    assert isinstance(room.hold(40, seats=(9,), buyer="cem"), Held)
    assert isinstance(room.ask(Purchase(hold_id(40), "key", 5, "ref")), Purchased)


def _key_of_another_and(arrange: Arrange) -> Arrange:
    def both(room: ShowRoom) -> None:
        _key_of_another(room)
        arrange(room)

    return both


def _sold(count: int, *, recorded: int = 0) -> Arrange:
    """Let so many have been sold in the epoch."""

    def arrange(room: ShowRoom) -> None:
        room.set_meta(sold=count)
        if recorded:
            assert room.note_recorded(recorded) == [b"noted", count, recorded]

    return arrange


def _live_and_sold(count: int) -> Arrange:
    def arrange(room: ShowRoom) -> None:
        _live(room)
        room.set_meta(sold=count)

    return arrange


# ---------------------------------------------------------------- the rows


def _live_and_cancelled(room: ShowRoom) -> None:
    _live(room)
    room.set_meta(sale_state="cancelled")


BUNDLE: Final = f"{0xB1:016x}"
_OTHER_BUNDLE: Final = f"{0xB2:016x}"
_COMMITTED_MS: Final = START_MS + 1000


def _bundled(room: ShowRoom, *, ttl_ms: int = 10 * MINUTE_MS) -> None:
    assert isinstance(room.ask(Hold(ME, "ann", ttl_ms, 7, Selection(seats=(10,)), BUNDLE)), Held)


def _bundled_and_about_to_expire(room: ShowRoom) -> None:
    _bundled(room, ttl_ms=MINUTE_MS)


def _bundled_without_its_seat(room: ShowRoom) -> None:
    _bundled(room)
    room.client.setrange(room.keys.seats, 10, b"o")


def _bundled_and_cancelled(room: ShowRoom) -> None:
    _bundled(room)
    room.set_meta(sale_state="cancelled")


def _committing(room: ShowRoom) -> None:
    _bundled_and_about_to_expire(room)
    room.set_time(_COMMITTED_MS)
    assert room.ask(Commit(ME, BUNDLE)) == Committing(_COMMITTED_MS + MINUTE_MS)


def _committing_and_cancelled(room: ShowRoom) -> None:
    _committing(room)
    room.set_meta(sale_state="cancelled")


def _committing_without_its_seat(room: ShowRoom) -> None:
    _committing(room)
    room.client.setrange(room.keys.seats, 10, b"o")


def _committing_to_its_end(room: ShowRoom) -> None:
    """Let what was committed end at the millisecond at which the command is decided."""
    _bundled(room)
    assert room.ask(Commit(ME, BUNDLE)) == Committing(NOW_MS)


class Row:
    """A status, what is so before, the command, and its exact answer."""

    def __init__(
        self,
        command: Packable,
        answer: Answer,
        *,
        so: Arrange = _nothing,
        behind: str = "not-on-sale",
        before: str = "",
    ) -> None:
        """Take the command and its answer; obstacles stand from `behind` on, up to `before`."""
        self.command = command
        self.answer = answer
        self.so = so
        self.behind = behind
        self.before = before

    def check(self, room: ShowRoom) -> None:
        """Put the show in the row's state, ask, and compare.

        Raises:
            AssertionError: another answer, or a refusal that changed something.
        """
        names = list(OBSTACLES)
        end = names.index(self.before) if self.before else len(names)
        standing = names[names.index(self.behind) : end] if self.behind else []
        for name in reversed(standing):
            if name in _IN_THE_STORE:
                OBSTACLES[name](room)
        self.so(room)
        room.set_time(NOW_MS)
        for name in reversed(standing):
            if name not in _IN_THE_STORE:
                OBSTACLES[name](room)
        before = room.read()
        answer = room.ask(self.command)
        assert answer == self.answer
        is_anything_due = any(due_ms <= NOW_MS for due_ms in before.expiry.values())
        if not is_anything_due and not isinstance(answer, Held | Purchased | Committing | Done):
            after = room.read()
            assert (after.seats, after.areas) == (before.seats, before.areas)
            assert (after.records, after.keys) == (before.records, before.keys)
            assert (after.buyers, after.sales) == (before.buyers, before.sales)


def _selecting(command: Packable, so: Arrange) -> dict[str, Row]:
    return {
        status: Row(command, answer, so=so, behind=status) for status, answer in REFUSALS.items()
    }


_HELD: Final = Held("ann", NOW_MS + MINUTE_MS, 1, (12, 1, 2), ((0, 2),))
_KEPT: Final = Held("ann", START_MS + 10 * MINUTE_MS, 1, (10,), ())
_SOLD: Final = Purchased("ann", 1, 0, START_MS, 1, (10,), ())
_SOLD_NOW: Final = Purchased("ann", 1, 0, NOW_MS, 1, (10,), ())
_SOLD_SECOND: Final = Purchased("ann", 1, 1, START_MS, 1, (10,), ())
_REPLACE: Final = Replace(ME, 9, SELECTION)
_PURCHASE: Final = Purchase(ME, "key", 5, "ref")
_COMMIT: Final = Commit(ME, BUNDLE)
_BOUGHT_AS_ONE: Final = Purchase(ME, "key", 5, "ref", BUNDLE)
_PLAIN_HOLD: Final = Hold(ME, "ann", MINUTE_MS, 7, Selection(seats=(12,)))
_NOWHERE: Final = "none-together"

TABLE: Final[Mapping[str, Mapping[str, Row]]] = {
    "hold": {
        "malformed": Row(
            Raw(ME, [1, 0, 7, [], "ann", [12], []]), Malformed(), so=_live_of_another_body
        ),
        "key-reused": Row(FIRST_HOLD, KeyReused(), so=_live_of_another_body),
        "held (a replay)": Row(FIRST_HOLD, _KEPT, so=_live),
        "purchased (a replay)": Row(FIRST_HOLD, _SOLD_SECOND, so=_purchased),
        "inconsistent": Row(FIRST_HOLD, Inconsistent(), so=_overdue_without_its_seat),
        "released": Row(FIRST_HOLD, Released(), so=_released),
        "expired": Row(FIRST_HOLD, Expired(), so=_about_to_expire),
        **_selecting(FIRST_HOLD, _nothing),
        "held": Row(FIRST_HOLD, _HELD, behind=""),
    },
    "replace": {
        "malformed": Row(Raw(ME, [2, -1, [], [12], []]), Malformed()),
        "unknown": Row(_REPLACE, Unknown()),
        "released": Row(_REPLACE, Released(), so=_released),
        "expired": Row(_REPLACE, Expired(), so=_about_to_expire),
        "already-purchased": Row(Replace(ME, 7, SELECTION), AlreadyPurchased(), so=_purchased),
        "of-bundle": Row(Replace(ME, 7, SELECTION), OfBundle(BUNDLE), so=_bundled),
        "held (a replay)": Row(Replace(ME, 7, SELECTION), _KEPT, so=_live),
        "inconsistent": Row(_REPLACE, Inconsistent(), so=_without_its_seat),
        **_selecting(_REPLACE, _live),
        "held": Row(
            _REPLACE,
            Held("ann", START_MS + 10 * MINUTE_MS, 1, (12, 1, 2), ((0, 2),)),
            so=_live,
            behind="",
        ),
    },
    "release": {
        "malformed": Row(Raw(ME, ["3"]), Malformed(), so=_purchased),
        "already-purchased": Row(Release(ME), AlreadyPurchased(), so=_purchased),
        "of-bundle": Row(
            Release(ME), OfBundle(BUNDLE), so=_bundled_without_its_seat, behind=_NOWHERE
        ),
        "inconsistent": Row(Release(ME), Inconsistent(), so=_without_its_seat, behind=_NOWHERE),
        "done (also when repeated, and for an unknown hold)": Row(Release(ME), Done(), so=_live),
    },
    "purchase": {
        "malformed": Row(Raw(ME, [4, "ref", ""]), Malformed(), so=_key_of_another_and(_live)),
        "key-reused": Row(_PURCHASE, KeyReused(), so=_key_of_another_and(_about_to_expire)),
        "unknown": Row(_PURCHASE, Unknown()),
        "released": Row(_PURCHASE, Released(), so=_released),
        "expired": Row(_PURCHASE, Expired(), so=_about_to_expire),
        "purchased (a replay)": Row(_PURCHASE, _SOLD, so=_purchased, behind="seats-taken"),
        "already-purchased": Row(
            Purchase(ME, "other", 5, "ref"), AlreadyPurchased(), so=_purchased
        ),
        "of-bundle": Row(
            _PURCHASE, OfBundle(BUNDLE), so=_committing_and_cancelled, behind="seats-taken"
        ),
        "not-on-sale": Row(
            _PURCHASE, NotOnSale("cancelled"), so=_live_and_cancelled, behind="seats-taken"
        ),
        "inconsistent": Row(_PURCHASE, Inconsistent(), so=_without_its_seat, behind=_NOWHERE),
        "ledger-behind": Row(_PURCHASE, LedgerBehind(), so=_live, behind="seats-taken"),
        "purchased": Row(
            _PURCHASE, _SOLD_NOW, so=_live, behind="seats-taken", before="ledger-behind"
        ),
    },
    "look": {
        "unknown": Row(Look(ME), Unknown()),
        "inconsistent": Row(Look(ME), Inconsistent(), so=_overdue_without_its_seat),
        "released": Row(Look(ME), Released(), so=_released),
        "expired": Row(Look(ME), Expired(), so=_about_to_expire),
        "held": Row(Look(ME), _KEPT, so=_live),
        "purchased": Row(Look(ME), _SOLD, so=_purchased, behind="seats-taken"),
    },
    "commit": {
        "malformed": Row(Raw(ME, [7, "no bundle"]), Malformed()),
        "unknown": Row(_COMMIT, Unknown()),
        "released": Row(_COMMIT, Released(), so=_released),
        "expired": Row(_COMMIT, Expired(), so=_bundled_and_about_to_expire),
        "already-purchased": Row(_COMMIT, AlreadyPurchased(), so=_purchased, behind="seats-taken"),
        "of-bundle": Row(
            Commit(ME, _OTHER_BUNDLE),
            OfBundle(BUNDLE),
            so=_committing_and_cancelled,
            behind="seats-taken",
        ),
        "committing (a replay)": Row(
            _COMMIT,
            Committing(_COMMITTED_MS + MINUTE_MS),
            so=_committing_and_cancelled,
            behind="seats-taken",
        ),
        "not-on-sale": Row(
            _COMMIT, NotOnSale("cancelled"), so=_bundled_and_cancelled, behind="seats-taken"
        ),
        "inconsistent": Row(_COMMIT, Inconsistent(), so=_bundled_without_its_seat, behind=_NOWHERE),
        "ledger-behind": Row(_COMMIT, LedgerBehind(), so=_bundled, behind="seats-taken"),
        "committing": Row(
            _COMMIT,
            Committing(NOW_MS + MINUTE_MS),
            so=_bundled,
            behind="seats-taken",
            before="ledger-behind",
        ),
    },
}

MORE: Final[Mapping[str, Row]] = {
    "a purchase's key with another body": Row(
        Purchase(ME, "key", 6, "ref"), KeyReused(), so=_purchased, behind=""
    ),
    "a hold of the key of an unknown hold that was released": Row(
        FIRST_HOLD, Released(), so=_released_before_it_came, behind=""
    ),
    "the release of an unknown hold": Row(Release(ME), Done(), behind=""),
    "a release repeated": Row(Release(ME), Done(), so=_released, behind=""),
    "the release of an expired hold": Row(Release(ME), Done(), so=_about_to_expire, behind=""),
    "a hold when nine tenths of the bound are not recorded": Row(
        FIRST_HOLD, LedgerBehind(), so=_sold(9 * BACKLOG_MAX // 10), behind=""
    ),
    "a plain hold when nine tenths of the bound are not recorded": Row(
        _PLAIN_HOLD, LedgerBehind(), so=_sold(9 * BACKLOG_MAX // 10), behind=""
    ),
    "a hold just below nine tenths of the bound": Row(
        FIRST_HOLD, _HELD, so=_sold(9 * BACKLOG_MAX // 10 - 1), behind=""
    ),
    "a hold when most of what was sold is recorded": Row(
        FIRST_HOLD, _HELD, so=_sold(BACKLOG_MAX, recorded=BACKLOG_MAX // 2), behind=""
    ),
    "a replacement by as many, when nine tenths of the bound are not recorded": Row(
        Replace(ME, 9, Selection(seats=(11,))),
        Held("ann", START_MS + 10 * MINUTE_MS, 1, (11,), ()),
        so=_live_and_sold(9 * BACKLOG_MAX // 10),
        behind="",
    ),
    "a purchase just below the bound": Row(
        _PURCHASE,
        Purchased("ann", 1, 0, NOW_MS, 1, (10,), ()),
        so=_live_and_sold(BACKLOG_MAX - 1),
        behind="",
    ),
    "a command of no kind": Row(Raw(ME, [6]), Malformed(), behind=""),
    "the release of a bundle's hold": Row(Release(ME, BUNDLE), Done(), so=_bundled, behind=""),
    "the release of what is committing": Row(
        Release(ME, BUNDLE), Done(), so=_committing, behind=""
    ),
    "the release of what is committing, by itself": Row(
        Release(ME), OfBundle(BUNDLE), so=_committing, behind=""
    ),
    "the release of another bundle's hold": Row(
        Release(ME, _OTHER_BUNDLE), OfBundle(BUNDLE), so=_bundled, behind=""
    ),
    "a replacement of what is committing": Row(_REPLACE, OfBundle(BUNDLE), so=_committing),
    "a bundle's purchase before it commits": Row(
        _BOUGHT_AS_ONE, OfBundle(BUNDLE), so=_bundled, behind=""
    ),
    "a bundle's purchase of a hold that is none of it": Row(
        _BOUGHT_AS_ONE, OfBundle(BUNDLE), so=_live, behind=""
    ),
    "another bundle's purchase": Row(
        Purchase(ME, "key", 5, "ref", _OTHER_BUNDLE), OfBundle(BUNDLE), so=_committing, behind=""
    ),
    "a bundle's purchase after its own deadline": Row(
        _BOUGHT_AS_ONE, _SOLD_NOW, so=_committing, behind="seats-taken", before="ledger-behind"
    ),
    "a bundle's purchase without its seat": Row(
        _BOUGHT_AS_ONE, Inconsistent(), so=_committing_without_its_seat, behind=""
    ),
    "a bundle's purchase too late": Row(
        _BOUGHT_AS_ONE, Expired(), so=_committing_to_its_end, behind=""
    ),
    "a bundle's purchase of a cancelled show": Row(
        _BOUGHT_AS_ONE, NotOnSale("cancelled"), so=_committing_and_cancelled, behind=""
    ),
    "a look at what is committing": Row(
        Look(ME), Held("ann", _COMMITTED_MS + MINUTE_MS, 1, (10,), ()), so=_committing, behind=""
    ),
    "a release with what is no bundle": Row(
        Raw(ME, [3, "short"]), Malformed(), so=_bundled, behind=""
    ),
    "a purchase with what is no bundle": Row(
        Raw(ME, [4, "ref", "key", 7]), Malformed(), so=_committing, behind=""
    ),
    "a hold for what is no bundle": Row(
        Raw(ME, [6, "short", 60_000, False, "ann", [12]]), Malformed(), behind=""
    ),
    "something that is no command": Row(Raw(ME, "hold"), Malformed(), behind=""),
}


def check_table(rooms: Rooms, batch_script: Script | None = None) -> None:
    """Check every row.

    Raises:
        AssertionError: a row's answer is another.
    """
    for rows in (*TABLE.values(), MORE):
        for row in rows.values():
            row.check(rooms.open(HALL, batch_script=batch_script))


FENCES: Final[Mapping[str, Mapping[str, str]]] = {
    "another run": {"run_id": "0" * 40},
    "another data set": {"replid": "0" * 40},
    "recovering": {"state": "recovering"},
}


def _check_passed_run(rooms: Rooms, batch_script: Script | None) -> None:
    """Check that a run which one search passed over is found once a seat of it is gone."""
    hall = make_manifest("|oooo|ooo|ooo|")
    room = rooms.open(hall, batch_script=batch_script)
    wishes = (Selection(best=((0, 3),)), Selection(seats=(1,)), Selection(best=((0, 3),)))
    commands = [Hold(hold_id(n), f"b-{n}", 60_000, 1, wish) for n, wish in enumerate(wishes)]
    found = [answer.seats for answer in room.batch(*commands).answers if isinstance(answer, Held)]
    assert found == [(6, 7, 8), (1,), (2, 3, 4)]
    room.close()


def _check_pairs(rooms: Rooms, batch_script: Script | None) -> None:
    """Check single seats in a hall of pairs: what one leaves alone is the next's, or is taken."""
    hall = make_manifest("|" + "oo|" * 8)
    one = Selection(best=((0, 1),))
    wishes = [one] * 3 + [Selection(seats=(5,)), one, one, Selection(seats=(11,)), one, one, one]
    room = rooms.open(hall, batch_script=batch_script)
    model = ReferenceInventory(hall, Rules())
    commands = [Hold(hold_id(n), f"b-{n}", 60_000, 1, wish) for n, wish in enumerate(wishes)]
    for command, told in zip(commands, room.batch(*commands).answers, strict=True):
        assert told == model.decide(command, START_MS, told)
    assert room.read().seats == model.seats()
    room.close()


def check_searches(rooms: Rooms, batch_script: Script | None = None) -> None:
    """Check searches in a hall of several windows, while seats open and close in the same batch.

    Raises:
        AssertionError: a search found another place than the reference does.
    """
    _check_passed_run(rooms, batch_script)
    _check_pairs(rooms, batch_script)
    dice = random.Random(7)  # noqa: S311 -- no secret
    hall = make_manifest("|" + "oooooooo|" * 400)
    rules = Rules(max_per_hold=8, max_per_buyer=10_000)
    room = rooms.open(hall, rules, batch_script=batch_script)
    positions = list(hall.positions())
    blocked = [position for position in positions if dice.random() < 0.6]
    assert room.change(block=blocked)[0] == "changed"
    model = ReferenceInventory(hall, rules, blocked_seats=set(blocked))
    held = 0
    for _ in range(12):
        commands: list[Hold | Release] = []
        for _ in range(60):
            if held > 2 and dice.random() < 0.3:
                commands.append(Release(hold_id(dice.randint(1, held))))
            else:
                held += 1
                buyer = dice.choice(["ann", f"b-{held}"])
                wanted = Selection(best=((0, dice.randint(1, 8)),))
                if dice.random() < 0.2:  # a fifth want a seat by its name
                    wanted = Selection(seats=(dice.choice(positions),))
                commands.append(Hold(hold_id(held), buyer, 60_000, 1, wanted))
        for command, told in zip(commands, room.batch(*commands).answers, strict=True):
            assert told == model.decide(command, START_MS, told)
    assert room.read().seats == model.seats()
    room.close()


def check_crowd(rooms: Rooms, batch_script: Script | None = None) -> None:
    """Check that many who want the same few seats in one batch get what the reference gives them.

    Raises:
        AssertionError: an answer, or what is kept, is another.
    """
    dice = random.Random(7)  # noqa: S311 -- no secret
    hall = make_manifest("|" + "oooooo|" * 6)
    rules = Rules(max_per_hold=2, max_per_buyer=3)
    positions = list(hall.positions())
    for _ in range(10):
        room = rooms.open(hall, rules, batch_script=batch_script)
        model = ReferenceInventory(hall, rules)
        for _ in range(4):
            commands: list[Hold | Release] = []
            for _ in range(12):
                hold = hold_id(dice.randint(1, 40))
                first = dice.choice(positions)
                second = dice.choice([None, first + 1, first - 1, dice.choice(positions)])
                seats = (first,) if second is None else (first, second)
                buyer = f"b-{dice.randint(1, 20)}"
                commands.append(Hold(hold, buyer, 60_000, 1, Selection(seats=seats)))
            commands.append(Release(hold_id(dice.randint(1, 40))))
            for command, told in zip(commands, room.batch(*commands).answers, strict=True):
                assert told == model.decide(command, START_MS, told)
        found = room.read()
        assert (found.seats, found.buyers) == (model.seats(), model.buyers())
        assert found.expiry == model.expiry()
        room.close()


def _check_bound(rooms: Rooms, batch_script: Script | None) -> None:
    room = rooms.open(HALL, batch_script=batch_script)
    for n in (1, 2):
        assert isinstance(room.hold(n, seats=(n,), buyer=f"b-{n}"), Held)
    room.backlog_max = 1
    purchases = [Purchase(hold_id(n), f"key-{n}", 5, "ref") for n in (1, 2)]
    told = room.batch(*purchases).answers
    assert [type(answer) for answer in told] == [Purchased, LedgerBehind]
    room.close()


def check_refusals(rooms: Rooms, batch_script: Script | None = None) -> None:
    """Check that too-late, fenced, stale and ok come in this order, and only ok changes anything.

    And that of a batch's purchases no more are decided than the ledger's bound leaves.

    Raises:
        AssertionError: another status, or a refused batch changed something.
    """
    _check_bound(rooms, batch_script)
    command = Hold(ME, "ann", 60_000, 1, Selection(seats=(1,)))
    for fence in FENCES.values():
        room = rooms.open(HALL, batch_script=batch_script)

        def statuses(room: ShowRoom) -> list[str]:
            before = room.read()
            told = [
                room.batch(command, not_after_ms=START_MS - 1, version=9, epoch=9).status,
                room.batch(command, not_after_ms=START_MS, version=9, epoch=9).status,
                room.batch(command, version=9).status,
                room.batch(command, version=0).status,
                room.batch(command, epoch=room.epoch - 1).status,
                room.batch(command, epoch=room.epoch + 1).status,
            ]
            assert room.read() == before
            return told

        room.set_meta(**fence)
        assert statuses(room) == ["too-late", *["fenced"] * 5]
        room.open()
        assert statuses(room) == ["too-late", *["stale"] * 5]
        reply = room.batch(command, not_after_ms=START_MS)
        assert reply.status == "ok"
        assert isinstance(reply.answers[0], Held)
