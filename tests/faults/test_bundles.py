"""API and worker killed while they buy a bundle: it is bought everywhere, or nowhere.

They run a copy of the code that kills its own process at a step which the bundle's payment
reference names, once; the platform's own code has no such thing.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from loadtests.torture.sources import Change, Source
from ops.stack import Stack
from tests.faults.reseller_desk import ResellerDesk, open_desk, told

_ENDED = {"purchased", "released", "failed"}
_ENDED_WITHIN_S = 40
_FINISHING = "engine/sales/bundle_finishing.py"
_LEDGER = "engine/sales/bundle_ledger.py"
_DIE = """

def _die(bundle: Bundle, step: str) -> None:
    import os
    import sys
    import tempfile
    from pathlib import Path

    who = "worker" if "workers.tasks" in sys.modules else "api"
    wanted = (bundle.payment_reference or "").split()
    flag = Path({flags!r}) / f"{{bundle.id}}-{{who}}-{{step}}"
    if f"{{who}}:{{step}}" in wanted and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), 9)
"""
_STEPS = {"one show that commits": "Commit", "the decision": "purchasing"}
"""tests/engine/test_bundles.py has all of them, with coordinators that end in their process."""


def _changes(flags: str) -> tuple[Change, ...]:
    ask = "        return await self._box_office.ask(show, command)\n"
    ledger = "from engine.sales.bundle_ledger import BundleLedger\n"
    moved = '            _log.info("bundle moved",'
    first = "class BundleLedger:\n"
    return (
        Change(
            _FINISHING,
            ask,
            "        if bundle.payment_reference and one.show_no > 1:\n"
            "            await asyncio.sleep(0.2)\n"
            "        outcome = await self._box_office.ask(show, command)\n"
            "        _die(bundle, type(command).__name__)\n"
            "        return outcome\n",
        ),
        Change(_FINISHING, ledger, ledger.replace("import ", "import _die, ")),
        Change(
            _LEDGER,
            moved,
            "            again = await self.again(bundle)\n"
            f"            _die(again, again.state.value)\n{moved}",
        ),
        Change(_LEDGER, first, _DIE.format(flags=flags).lstrip("\n") + "\n\n" + first),
    )


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A platform whose API and worker die where a bundle says so; they are started again."""
    directory = tmp_path_factory.mktemp("mortal")
    flags = directory / "flags"
    flags.mkdir()
    source = Source(directory / "source", _changes(str(flags)))
    with Stack(directory / "stack", environment={}, adjust=source.adjust) as stack:
        yield stack


async def test_a_bundle_whose_coordinators_are_killed_is_bought_everywhere_or_nowhere(
    mortal: Stack,
) -> None:
    """Before the decision and after it; and the worker that took it up."""
    async with open_desk(mortal) as desk:
        shows = [desk.show, (await desk.open_another()).show]
        bundles: dict[str, str] = {}
        for n, (name, step) in enumerate(_STEPS.items(), start=1):
            bundles[name] = await _hold(desk, shows, f"B-1-{n}")
            await _die_buying(desk, bundles[name], f"api:{step}")
        worked = await _hold(desk, shows, "B-2-1")
        await _die_buying(desk, worked, "api:Commit worker:Purchase")
        bundles["the worker"] = worked
        for name, bundle in bundles.items():
            ended = await _ended(desk, bundle)
            assert ended["state"] == "purchased", (name, ended)
            for one in ended["shows"]:
                assert (await desk.order(one["order"]))["status"] == "confirmed", name
        assert mortal.worker.pid
        await desk.assert_clean()


async def _hold(desk: ResellerDesk, shows: list[str], seat: str) -> str:
    wanted = [{"show": show, "seats": [seat]} for show in shows]
    body = {"buyer": f"b-{seat}", "ttl_s": 600, "shows": wanted}
    return told(await desk.ask("POST", "/v1/bundles", body), 201)["bundle"]


async def _die_buying(desk: ResellerDesk, bundle: str, steps: str) -> None:
    """Ask to buy, once: the answer never comes."""
    headers = {"Authorization": f"Bearer {desk.key}", "Idempotency-Key": bundle}
    async with httpx.AsyncClient(base_url=desk.stack.base_url, headers=headers) as http:
        with pytest.raises(httpx.TransportError):
            await http.post(
                f"/v1/bundles/{bundle}/purchase", json={"payment_reference": steps}, timeout=30
            )


async def _ended(desk: ResellerDesk, bundle: str) -> dict[str, Any]:
    async with asyncio.timeout(_ENDED_WITHIN_S):
        while True:
            found = told(await desk.ask("GET", f"/v1/bundles/{bundle}"), 200)
            if found["state"] in _ENDED:
                return found
            await asyncio.sleep(0.2)
