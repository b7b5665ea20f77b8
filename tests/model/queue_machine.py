"""A Hypothesis state machine that drives the waiting room's scripts and the reference model.

After each step both have answered the same and keep the same, in every key; and what the model
keeps obeys what it must, whoever is wrong.
"""

from collections.abc import Mapping
from typing import Any, Final

import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from engine.inventory.scripts import Script
from engine.waitingroom.commands import Check, Claim, Command, Join, Leave, Look
from tests.lua.queue_room import QueueRoom, identity
from tests.lua.show_room import START_MS
from tests.model.reference_queue import ReferenceQueue

_ENTRIES: Final = 12
_TTL_MS: Final = 3000
_NUMBERS = st.integers(0, 15)
_BUYERS = st.sampled_from(["ann", "ann", "ann", "bob"])
_PEOPLE = st.integers(0, 5)
_JOINS = st.builds(
    Join,
    st.none() | _PEOPLE.map(identity),
    st.none() | st.tuples(st.just(4), st.integers(0, 3)),
)


def _place(number: int) -> int:
    """Entries stand in another order than their numbers'."""
    return (number * 5 + 3) % _ENTRIES if number < _ENTRIES else number


def _claim(number: int, buyer: str) -> Claim:
    return Claim(number, _place(number), buyer)


_CLAIMS = st.builds(_claim, _NUMBERS, _BUYERS)
_COMMANDS: st.SearchStrategy[Command] = st.one_of(
    _JOINS,
    _CLAIMS,
    _CLAIMS,
    _CLAIMS,
    st.builds(Look, _NUMBERS),
    st.builds(Check, _NUMBERS, _BUYERS),
    st.builds(Leave, _NUMBERS),
)


_ODDITIES = st.sampled_from(["", "", "", "", "late", "other", "replaces", "newer", "older"])
_CHANGES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "credit": st.sampled_from([0.0, 0.4, 1.0, 2.7]),
        "stock_max": st.sampled_from([5.0, 5.0, 2.0, 0.0]),
        "serving": st.integers(0, 30),
        "ceiling": st.integers(0, 25),
    },
    optional={
        "state": st.sampled_from(["running", "running", "running", "paused", "passthrough"]),
        "joins": st.sampled_from(["open", "open", "shut"]),
        "checkout_max": st.sampled_from(["0", "1", "3", "6"]),
    },
)


class QueueMachine(RuleBasedStateMachine):
    """Drives one room and one model."""

    client: "redis.Redis"
    mutants: Mapping[str, Script] | None = None

    @initialize(
        ceiling=st.integers(10, 20), checkout_max=st.integers(1, 4), serving=st.integers(4, 14)
    )
    def begin(self, ceiling: int, checkout_max: int, serving: int) -> None:
        """Open both, and let some people join and be admitted."""
        fields: dict[str, Any] = {
            "ceiling": str(ceiling),
            "checkout_max": str(checkout_max),
            "pass_ttl": str(_TTL_MS),
        }
        self.room = QueueRoom(self.client, self.mutants).open(**fields)
        self.model = ReferenceQueue(
            now=START_MS, ceiling=ceiling, checkout_max=checkout_max, pass_ttl=_TTL_MS
        )
        self.brought = 0.0
        self.serve(12, [])
        for step in (1, 2):
            self._steer(
                holder="ann",
                step=step,
                epoch=1,
                replaced="",
                credit=2.0,
                stock_max=5.0,
                serving=serving,
                ceiling=ceiling,
                waited_for_ms=2000,
            )

    @rule(plain=st.integers(0, 6), commands=st.lists(_COMMANDS, max_size=8))
    def serve(self, plain: int, commands: list[Command]) -> None:
        """Serve a batch."""
        served = self.room.serve(*commands, plain=plain)
        may_join, first, given, answers = self.model.serve(plain, commands)
        assert served.status == "ok"
        assert (served.may_join, served.first, served.given) == (may_join, first, given)
        assert list(served.answers) == answers

    @rule(oddity=_ODDITIES, changes=_CHANGES)
    def steer(self, oddity: str, changes: dict[str, Any]) -> None:
        """Make a step, perhaps a late one, another's, or one of another recovery."""
        model = self.model
        step: dict[str, Any] = {
            "holder": model.holder if oddity in {"", "late"} else "bob",
            "step": model.step + (oddity != "late"),
            "epoch": model.epoch + {"newer": 1, "older": -1}.get(oddity, 0),
            "replaced": f"{model.holder} {model.step - (oddity != 'replaces')}",
            "waited_for_ms": 2000,
            **changes,
        }
        self._steer(**step)

    def _steer(self, **step: Any) -> None:  # noqa: ANN401 - a step's parts
        before = self.model.stock
        told = self.room.steer(**step)
        assert told == self.model.steer(**step)
        self.brought += self.model.stock - before

    @rule(passed_ms=st.sampled_from([1, 400, 999, 1000, 2000, _TTL_MS]))
    def pass_time(self, passed_ms: int) -> None:
        """Let time pass."""
        self.model.now += passed_ms
        self.room.set_meta(time=self.model.now)

    @rule(ahead=st.sampled_from([1, 0, 0]), skipped=st.integers(0, 5))
    def reopen(self, ahead: int, skipped: int) -> None:
        """Open it anew behind what was given out, or under an epoch that is over."""
        first = max(self.model.next, self.model.ceiling) + skipped if ahead else 0
        fields = {"ceiling": str(first + 10), "serving": str(self.model.serving)}
        epoch, stock = self.model.epoch + ahead, self.model.stock
        told = self.room.try_to_open(epoch, first, fields)
        assert told == self.model.open(epoch, first, fields)
        self.brought -= stock if ahead else 0.0

    @rule(stale=st.sampled_from([0, 1]))
    def close_entries(self, stale: int) -> None:
        """Count the entries."""
        epoch = self.model.epoch + stale
        assert self.room.close_entries(epoch) == self.model.close_entries(epoch)

    @rule()
    def restart(self) -> None:
        """Ask a server that is another, which answers nobody and keeps all as it is."""
        run_id = self.room.meta("run_id")
        self.room.set_meta(run_id="0" * 40)
        assert self.room.serve(Join(), plain=2).status == "fenced"
        assert self.room.steer(step=self.model.step + 1)[0] == "fenced"
        assert self.room.close_entries() == ["fenced"]
        self.room.set_meta(run_id=run_id)

    @invariant()
    def agree(self) -> None:
        """Compare every key, and what must be so in any case."""
        if not hasattr(self, "model"):
            return
        found, model = self.room.read(), self.model
        for name in (
            "epoch",
            "next",
            "ceiling",
            "serving",
            "issued",
            "claims",
            "lag",
            "step",
            "checkout_max",
            "pass_ttl",
        ):
            assert found.meta.get(name) == str(getattr(model, name)), name
        for name in ("state", "joins", "holder"):
            assert found.meta.get(name) == getattr(model, name), name
        for name in ("checkout_max", "pass_ttl"):
            assert found.meta.get(name) == str(getattr(model, name)), name
        assert float(found.meta["stock"]) == model.stock
        assert found.meta.get("count") == (None if model.count is None else str(model.count))
        assert int(found.meta["time"]) <= model.now
        assert found.passes == {number: at for number, (at, _) in model.passes.items()}
        assert found.buyers == {number: buyer for number, (_, buyer) in model.passes.items()}
        assert (found.used, found.waiting, found.seen) == (model.used, model.waiting, model.seen)
        assert (found.identities, found.spent) == (model.identities, model.spent)
        assert model.serving <= model.next
        assert len(set(model.identities.values())) == len(model.identities)
        assert abs(model.issued + model.stock - self.brought) < 1e-3

    def teardown(self) -> None:
        """Remove the room's keys."""
        if hasattr(self, "room"):
            self.room.close()


def run_queue_machine(
    client: "redis.Redis",
    mutants: Mapping[str, Script] | None = None,
    *,
    examples: int,
    steps: int = 30,
) -> None:
    """Run the machine; raises what the first difference raises."""
    machine: type[QueueMachine] = type(
        "Machine", (QueueMachine,), {"client": client, "mutants": mutants}
    )
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            database=None,
            phases=(Phase.generate,),
            report_multiple_bugs=False,
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large),
        ),
    )
