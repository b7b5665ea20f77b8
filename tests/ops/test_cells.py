"""Two cells side by side, by one command: each serves its own, and knows nothing of the other's."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from msgspec import Struct

from engine.platform.settings import load_settings, variable
from ops.cells import plan_cells
from ops.child import StackError
from ops.places import ROOT
from ops.port import first_free
from ops.resellers import make_reseller
from ops.running import NotRunningError, Running, find_settings, list_running
from tests.api.front_desk import FrontDesk, ShowDesk
from tests.ops.cell_scan import scan_cell
from tests.ops.test_up import Up, processes_of, up

pytestmark = pytest.mark.timeout(240)

EU, US = "eu", "us"
HOST = "127.0.0.1"


class Cells(Struct, frozen=True):
    """Two cells that run, by region."""

    data: Path
    command: Up
    running: Mapping[str, Running]
    folders: Mapping[str, Path]


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    """`./onsale up --region eu --region us`."""
    data = tmp_path_factory.mktemp("cells")
    with first_free(HOST, 18_000 + secrets.randbelow(10_000)) as free:
        port = free.number
    options = ("--region", EU, "--region", US, "--no-demo", "--port", str(port))
    with up(data, *options) as command:
        found = list_running(data)
        running = {one.region: one for one in found.values()}
        assert set(running) == {EU, US}, command.printed
        folders = {one.region: folder for folder, one in found.items()}
        yield Cells(data, command, running, folders)


class Sold(Struct, frozen=True):
    """What one cell's reseller did, and all that tells of it."""

    desk: FrontDesk
    show: str
    order: str
    hold: str
    markers: list[str | bytes | int]


def sell(cells: Cells, region: str) -> Sold:
    """Make a reseller, and sell to a buyer, all with names of their own."""
    word = f"{region}-{secrets.token_hex(8)}"
    running = cells.running[region]
    issued = asyncio.run(make_reseller(load_settings(running.environment), f"Seller {word}"))
    desk = FrontDesk(running.base_url, issued.text)
    show = ShowDesk(desk, desk.new_show(name=f"Show {word}").id)
    buyer, reference = f"buyer-{word}", f"payment-{word}"
    body = {"seats": ["B-1", "B-2"], "buyer": buyer}
    held = desk.post(f"{show.path}/holds", body, key=f"hold-{word}").json()
    bought = {"hold": held["hold"], "payment_reference": reference}
    order = desk.post(f"{show.path}/purchases", bought, key=f"buy-{word}")
    assert order.json()["status"] == "confirmed", order.text
    kept = desk.post(f"{show.path}/holds", {"seats": ["B-3"], "buyer": f"later-{word}"})
    assert kept.status_code == HTTPStatus.CREATED
    markers: list[str | bytes | int] = [
        *(f"Seller {word}", f"Show {word}", buyer, reference, f"later-{word}"),
        sha256(issued.text.encode()).digest(),
        bytes.fromhex(held["hold"].rpartition("_")[2]),
        int(show.id.rpartition("_")[2], 16),
        int(issued.reseller),
    ]
    return Sold(desk, show.id, order.json()["order"], held["hold"], markers)


@pytest.fixture(scope="module")
def sold(cells: Cells) -> Iterator[dict[str, Sold]]:
    """A sale in each."""
    sales = {region: sell(cells, region) for region in (EU, US)}
    yield sales
    for sale in sales.values():
        sale.desk.http.close()


@pytest.mark.parametrize(("here", "there"), [(EU, US), (US, EU)])
def test_each_sends_the_others_to_the_other(
    cells: Cells, sold: dict[str, Sold], here: str, there: str
) -> None:
    """Keys and ids, with the address that then works."""
    own, other = sold[here].desk, sold[there]
    wrong, right = cells.running[here].base_url, cells.running[there].base_url
    for target in (f"/v1/orders/{other.order}", f"/v1/shows/{other.show}/holds/{other.hold}"):
        for key in (own.key, other.desk.key):
            headers = {"Authorization": f"Bearer {key}"}
            refused = httpx.get(wrong + target, headers=headers)
            assert refused.status_code == HTTPStatus.MISDIRECTED_REQUEST
            assert (refused.json()["region"], refused.json()["cell"]) == (there, right)
        headers = {"Authorization": f"Bearer {other.desk.key}"}
        moved = httpx.get(refused.headers["location"], headers=headers)
        expected = {HTTPStatus.OK} if "orders" in target else {HTTPStatus.OK, HTTPStatus.CONFLICT}
        assert moved.status_code in expected
    assert own.get("/v1/cells").json() == {
        "region": here,
        "cells": [{"region": there, "address": right}],
    }


@pytest.mark.parametrize(("here", "there"), [(EU, US), (US, EU)])
async def test_no_byte_of_ones_users_is_in_the_others_stores(
    cells: Cells, sold: dict[str, Sold], here: str, there: str
) -> None:
    """Nor in its logs, after all was asked of the wrong cell too; in its own it is all found."""
    for key in (sold[here].desk.key, sold[there].desk.key):
        desk = FrontDesk(cells.running[there].base_url, key)
        with desk.http:
            for target in (f"/v1/orders/{sold[here].order}", f"/v1/shows/{sold[here].show}"):
                assert desk.get(target).status_code == HTTPStatus.MISDIRECTED_REQUEST
            asked = desk.post(
                f"/v1/shows/{sold[here].show}/holds",
                {"seats": ["B-5"], "buyer": str(sold[here].markers[2])},
            )
            assert asked.status_code == HTTPStatus.MISDIRECTED_REQUEST
    scans = {
        region: await scan_cell(load_settings(cells.running[region].environment), folder)
        for region, folder in cells.folders.items()
    }
    for marker in sold[here].markers:
        assert scans[there].places_of(marker) == set()
        found = scans[here].places_of(marker)
        assert any(place.startswith("file postgres/") for place in found) or any(
            place.startswith("file valkey/") for place in found
        )
    words = dict.fromkeys(("table", "key", "file postgres/", "file valkey/"), False)
    for marker in sold[here].markers:
        for place in scans[here].places_of(marker):
            for kind in words:
                words[kind] |= place.startswith(kind)
    assert all(words.values()), words


def test_other_commands_are_told_which_cell(cells: Cells) -> None:
    """They find it by its region, and ask for that where two run."""
    assert find_settings({}, cells.data, region=US).region == US
    with pytest.raises(NotRunningError, match="--region eu or --region us"):
        find_settings({}, cells.data)
    with pytest.raises(NotRunningError, match="no cell of ap runs here: here run eu, us"):
        find_settings({}, cells.data, region="ap")


def test_doctor_looks_at_the_cell_that_is_named(cells: Cells) -> None:
    """And says that one must be named."""
    words = [sys.executable, "-m", "ops", "doctor", "--data", str(cells.data), "--json"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("ONSALE_")}

    def look(*more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*words, *more],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert "say which, by --region eu or --region us" in look().stderr
    assert cells.running[US].base_url in look("--region", US).stdout


def test_the_cells_are_told_in_one_table(cells: Cells) -> None:
    """Region, address and folder of each, and their ports are side by side."""
    rows = [line.split() for line in cells.command.printed.splitlines()]
    assert ["cell", "address", "data"] in rows
    for region, running in cells.running.items():
        assert [region, running.base_url, str(cells.folders[region])] in rows
    ports = [int(one.base_url.rpartition(":")[2]) for one in cells.running.values()]
    assert abs(ports[0] - ports[1]) == 1


def test_they_have_no_secret_and_no_store_in_common(cells: Cells) -> None:
    """Whoever knows one cell's cannot read the other's."""
    eu, us = (load_settings(cells.running[region].environment) for region in (EU, US))
    for field in ("secret", "redis_url", "database_url", "app_database_url"):
        assert getattr(eu, field) != getattr(us, field)


def plan(data: Path, *regions: str, **environment: str) -> list[tuple[str, Path, str]]:
    """Return region, folder and known cells of what would run."""
    given = {variable(name): value for name, value in environment.items()}
    ports = [first_free(HOST, 30_000 + secrets.randbelow(9_000)) for _ in regions or ("",)]
    try:
        planned = plan_cells(data, regions, host=HOST, ports=ports, environment=given)
        return [(one.region, one.directory, one.environment[variable("cells")]) for one in planned]
    finally:
        for port in ports:
            port.close()


def test_a_single_cell_has_the_data_of_up_without_a_region(tmp_path: Path) -> None:
    """Whichever of the two came first."""
    assert plan(tmp_path, EU) == [(EU, tmp_path, "")]
    assert plan(tmp_path) == [(EU, tmp_path, "")]
    (both, us) = plan(tmp_path, EU, US)
    assert both[:2] == (EU, tmp_path)
    assert us[:2] == (US, tmp_path / "cells" / US)


def test_data_that_do_not_say_whose_they_are_stay_those_of_dev(tmp_path: Path) -> None:
    """As earlier versions left them: no other cell's ids are ever mixed in."""
    (tmp_path / "secret").write_text("s" * 40)
    assert plan(tmp_path) == [("dev", tmp_path, "")]
    assert plan(tmp_path, "dev") == [("dev", tmp_path, "")]
    assert plan(tmp_path, EU) == [(EU, tmp_path / "cells" / EU, "")]


def test_cells_side_by_side_find_their_data_again_alone(tmp_path: Path) -> None:
    """Each in its own folder, and who else is known from the environment stays known."""
    first = plan(tmp_path, EU, US, cells="ap=https://ap.onsale.example")
    assert [one[:2] for one in first] == [
        (EU, tmp_path / "cells" / EU),
        (US, tmp_path / "cells" / US),
    ]
    assert first[0][2].startswith("us=http://127.0.0.1:")
    assert first[0][2].endswith(",ap=https://ap.onsale.example")
    assert plan(tmp_path, US) == [(US, tmp_path / "cells" / US, "")]


@pytest.mark.parametrize("field", ["redis_url", "database_url", "secret", "sealing_keys"])
def test_cells_that_would_share_something_do_not_start(tmp_path: Path, field: str) -> None:
    """A server or a secret in the environment would be everybody's."""
    with pytest.raises(StackError, match=variable(field)):
        plan(tmp_path, EU, US, **{field: "x" * 40})


def test_one_interrupt_ends_all(cells: Cells) -> None:
    """No process of either is left."""
    cells.command.stop(signal.SIGINT)
    assert cells.command.process.returncode == 0
    if sys.platform == "linux":
        assert processes_of(cells.data) == []
    assert list_running(cells.data) == {}
