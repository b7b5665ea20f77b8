"""Recoveries by hand: for an operator who does not want to wait, and what they read afterwards."""

import asyncio
import json
import sys
import time
from typing import Any

from engine.platform.ids import entity_hex
from ops.places import ROOT
from tests.faults.reseller_desk import ResellerDesk, empty, told


async def _onsale(desk: ResellerDesk, *words: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "ops", *words),
        cwd=ROOT,
        env=desk.stack.environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode(), errors.decode()


async def _told(desk: ResellerDesk, *words: str) -> dict[str, Any]:
    code, output, errors = await _onsale(desk, *words, "--json")
    assert code == 0, errors
    answer: dict[str, Any] = json.loads(output.splitlines()[-1])
    return answer


async def test_a_show_is_recovered_by_hand_and_loses_nothing(desk: ResellerDesk) -> None:
    """Though nothing was wrong with it; the record of it can be read."""
    order = await desk.sell("B-1-1", "B-1-2")
    held = told(await desk.hold("B-1-3", buyer="b-2"), 201)
    recovered = await _told(desk, "recover", desk.show)
    assert recovered["show"] == desk.show
    assert (recovered["holds_kept"], recovered["holds_voided"]) == (1, 0)
    assert told(await desk.purchase(held["hold"]), 201)["status"] == "confirmed"
    assert (await desk.order(order["order"]))["status"] == "confirmed"
    [last, first] = (await _told(desk, "recoveries", "--show", desk.show))["recoveries"]
    assert last["reason"] == "asked for by hand"
    assert first["reason"] == "the store does not know it"
    assert last["epoch"] == recovered["epoch"] == first["epoch"] + 1
    assert {name: last[name] for name in ("holds_kept", "took_ms")} == {
        name: recovered[name] for name in ("holds_kept", "took_ms")
    }
    code, output, _ = await _onsale(desk, "recoveries", "--last", "1")
    assert code == 0
    assert desk.show in output
    assert "asked for by hand" in output
    await desk.assert_clean()


async def test_every_show_of_an_emptied_store_is_rebuilt_by_hand(desk: ResellerDesk) -> None:
    """Without a worker, which would do the same."""
    order = await desk.sell("A-1-1", "A-1-2")
    other = await desk.open_another()
    await other.sell("A-1-1")
    desk.stack.worker.kill(restart=False)
    try:
        desk.stack.valkey.stop()
        empty(desk.stack.directory / "valkey")
        desk.stack.valkey.start()
        rebuilt = await _told(desk, "rebuild")
        assert rebuilt["ailing"] == rebuilt["shows"] == rebuilt["recovered"] >= 2
        assert rebuilt["left"] == {}
        again = await _told(desk, "rebuild")
        assert (again["ailing"], again["recovered"]) == (0, 0)
    finally:
        desk.stack.worker.start()
    assert (await desk.order(order["order"]))["status"] == "confirmed"
    assert [(await each.counts())["sold"] for each in (desk, other)] == [2, 1]
    told(await other.hold("A-1-1"), 409)
    await desk.assert_clean()


async def test_a_recovery_that_can_not_be_is_refused_with_the_way_out(desk: ResellerDesk) -> None:
    """An id that is none, a show that is not here, a store that is not there."""
    code, _, errors = await _onsale(desk, "recover", "B-1-1")
    assert code == 2
    assert "is not a show's id, such as shw_" in errors
    code, _, errors = await _onsale(desk, "recover", entity_hex(desk.show_id() ^ 1))
    assert code == 1
    assert "was ever put on sale here" in errors
    desk.stack.postgres.stop()
    try:
        for words in (("recover", desk.show), ("rebuild",), ("recoveries",)):
            began = time.monotonic()
            code, _, errors = await _onsale(desk, *words)
            assert code == 1, errors
            assert "./onsale doctor" in errors
            assert "Traceback" not in errors
            assert time.monotonic() - began < 30
    finally:
        desk.stack.postgres.start()
    assert (await desk.counts())["sold"] == 0
