"""The load generators: both send the same, count the same, and wrk is found or fetched."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from loadtests.generator import (
    Generator,
    GeneratorError,
    Load,
    LoadResult,
    find_generator,
    run_wrk,
    write_requests,
)
from loadtests.generator.choosing import PythonGenerator, WrkGenerator
from loadtests.generator.load import read_requests
from loadtests.generator.pinning import children_on, pin, usable_cpus
from ops.places import HOME
from tests.listener import Listener

_CACHE = HOME / "tools" / "wrk"


_told = logging.getLogger("onsale.tests").info


@pytest.fixture(params=["wrk", "python"])
def generator(request: pytest.FixtureRequest) -> Generator:
    """Each generator; wrk only where it can be had."""
    if request.param == "python":
        return PythonGenerator()
    wrk = find_generator(_CACHE, _told)
    if wrk is None:
        pytest.skip("neither wrk nor Debian's archive is here")
    return WrkGenerator(wrk)


class BoxOffice:
    """A server of holds and purchases with nothing behind it.

    A hold for `b-refused` is refused; each third purchase is first told to be recorded still.
    """

    def __init__(self) -> None:
        """Start with nobody asked yet."""
        self.url = ""
        self.holds: list[str] = []
        self.purchases: dict[str, list[str]] = {}
        self.connections = 0

    def answer(self, head: str, body: bytes) -> tuple[str, bytes]:
        """Return status and body."""
        if not body:
            return "400 Bad Request", b""
        words = msgspec.json.decode(body, type=dict[str, str])
        if "/holds" in head:
            self.holds.append(words["buyer"])
            if words["buyer"] == "b-refused":
                return "409 Conflict", b'{"detail":"taken: \\"A-1\\" \xc3\xa9\\n"}'
            hold = f"hld_dev_{len(self.holds):04}"
            return "201 Created", b'{"hold":"%b","status":"held"}' % hold.encode()
        hold = words["hold"]
        keys = self.purchases.setdefault(hold, [])
        keys.append(head.lower().partition("idempotency-key: ")[2].partition("\r\n")[0])
        recording = int(hold[-4:]) % 3 == 0 and len(keys) == 1
        told = {"order": "ord_1", "status": "recording" if recording else "confirmed", "hold": hold}
        return "202 Accepted" if recording else "201 Created", msgspec.json.encode(told)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        self.connections += 1
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0] or 0)
            status, body = self.answer(head, await reader.readexactly(length))
            told = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
            # In two parts, as it may come over a network.
            writer.write(told[:40])
            await writer.drain()
            writer.write(told[40:])


@asynccontextmanager
async def _open_box_office() -> AsyncGenerator[BoxOffice]:
    office = BoxOffice()
    async with Listener(office.serve) as listener:
        office.url = listener.url
        yield office


def _hold(buyer: str) -> bytes:
    body = msgspec.json.encode({"buyer": buyer})
    head = f"POST /v1/shows/s/holds HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _send(
    generator: Generator, folder: Path, office: BoxOffice, requests: list[bytes], **more: object
) -> LoadResult:
    path = folder / "requests"
    write_requests(path, requests)
    asked = {"url": office.url, "requests": path, "connections": 5, "seconds_max": 20} | more
    return await asyncio.to_thread(generator.send, msgspec.convert(asked, Load))


async def test_every_request_is_sent_once_and_every_answer_counted(
    generator: Generator, tmp_path: Path
) -> None:
    """Statuses, the text to count, and how the first refusals begin, in any alphabet."""
    buyers = [f"b-{n}" for n in range(200)] + ["b-refused"] * 5
    async with _open_box_office() as office:
        result = await _send(
            generator, tmp_path, office, [_hold(buyer) for buyer in buyers], counted='"held"'
        )
    assert sorted(office.holds) == sorted(buyers)
    assert (result.answered, result.statuses) == (205, {201: 200, 409: 5})
    assert (result.counted, result.repeated, result.connection_errors) == (200, 0, 0)
    assert result.whole
    assert len(result.failures) == 3
    assert result.failures[0].startswith('{"detail":"taken: \\"A-1\\" ')
    assert 0 < result.wall_s < 10
    assert 0 < result.cpu_s < 10
    assert 0 < result.p50_ms <= result.p99_ms <= result.max_ms < 10_000


async def test_a_hold_is_followed_by_its_purchase_until_it_is_confirmed(
    generator: Generator, tmp_path: Path
) -> None:
    """A purchase that is being recorded is repeated with the same key; a refusal has none."""
    buyers = [f"b-{n}" for n in range(60)] + ["b-refused"]
    async with _open_box_office() as office:
        result = await _send(
            generator,
            tmp_path,
            office,
            [_hold(buyer) for buyer in buyers],
            counted='"status":"confirmed"',
            purchase_head="POST /v1/shows/s/purchases HTTP/1.1\r\nHost: x\r\nIdempotency-Key: ",
        )
    assert len(office.holds) == 61
    assert len(office.purchases) == 60
    assert all(set(keys) == {f"buy-{hold}"} for hold, keys in office.purchases.items())
    assert (result.counted, result.repeated) == (60, 20)
    assert result.statuses == {201: 120, 202: 20, 409: 1}
    assert result.whole


async def test_the_answers_bodies_are_kept_where_that_is_asked_for(
    generator: Generator, tmp_path: Path
) -> None:
    """A line for each, whatever their order."""
    async with _open_box_office() as office:
        requests = [_hold(f"b-{n}") for n in range(150)]
        result = await _send(generator, tmp_path, office, requests, bodies=tmp_path / "bodies")
    lines = (tmp_path / "bodies").read_bytes().splitlines()
    assert result.whole
    assert sorted(msgspec.json.decode(line)["hold"] for line in lines) == [
        f"hld_dev_{n:04}" for n in range(1, 151)
    ]


async def test_the_generator_in_python_keeps_to_a_rate(tmp_path: Path) -> None:
    """Neither more nor, with connections to spare, much less; wrk says that it can't."""
    async with _open_box_office() as office:
        requests = [_hold("b-1")] * 1000
        result = await _send(
            PythonGenerator(), tmp_path, office, requests, seconds_max=2, requests_per_s=100.0
        )
    assert 130 < result.answered <= 211
    assert not result.whole


async def test_every_request_is_sent_at_a_rate_too(tmp_path: Path) -> None:
    """The run ends with the last answer."""
    async with _open_box_office() as office:
        requests = [_hold("b-1")] * 100
        result = await _send(PythonGenerator(), tmp_path, office, requests, requests_per_s=200.0)
    assert (result.answered, result.whole) == (100, True)
    assert 0.3 < result.wall_s < 5


def test_wrk_keeps_to_no_rate(wrk: Path, tmp_path: Path) -> None:
    """It says so instead of sending as fast as it can."""
    load = Load(
        url="http://127.0.0.1:1",
        requests=tmp_path / "requests",
        connections=1,
        seconds_max=1,
        requests_per_s=5,
    )
    with pytest.raises(GeneratorError, match="no rate"):
        WrkGenerator(wrk).send(load)


async def test_time_ends_a_round_that_is_not_done(generator: Generator, tmp_path: Path) -> None:
    """What was answered by then counts, and the result says that it is not all."""
    async with _open_box_office() as office:
        requests = [_hold("b-1")] * 200_000
        result = await _send(generator, tmp_path, office, requests, seconds_max=1)
    assert 0 < result.answered < 200_000
    assert not result.whole
    assert 0.5 < result.wall_s < 3


async def test_connections_are_used_together(generator: Generator, tmp_path: Path) -> None:
    """As many as were asked for (wrk looks first, with one more)."""
    async with _open_box_office() as office:
        await _send(generator, tmp_path, office, [_hold("b-1")] * 300, connections=30)
    assert office.connections in {30, 31}


def test_a_file_of_requests_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Whatever bytes are in them."""
    requests = [b"GET / HTTP/1.1\r\n\r\n", b"\n7\n\x00\xff", b"x" * 100_000]
    write_requests(tmp_path / "requests", requests)
    assert list(read_requests(tmp_path / "requests")) == requests


# ---------------------------------------------------------------- wrk itself


@pytest.fixture
def wrk() -> Path:
    """wrk, where it can be had."""
    found = find_generator(_CACHE, _told)
    if found is None:
        pytest.skip("neither wrk nor Debian's archive is here")
    return found


async def test_a_script_that_prints_no_json_is_told(wrk: Path, tmp_path: Path) -> None:
    """With what wrk printed instead."""
    script = tmp_path / "silent.lua"
    script.write_text("function done() print('nothing to tell') end", encoding="utf-8")
    async with _open_box_office() as office:
        with pytest.raises(GeneratorError, match="nothing to tell"):
            await asyncio.to_thread(_run, wrk, script, office.url)


async def test_a_script_that_fails_is_told(wrk: Path, tmp_path: Path) -> None:
    """Lua's own message."""
    script = tmp_path / "broken.lua"
    script.write_text("function init() error('no such hall') end", encoding="utf-8")
    async with _open_box_office() as office:
        with pytest.raises(GeneratorError, match="no such hall"):
            await asyncio.to_thread(_run, wrk, script, office.url)


def test_a_server_that_is_not_there_is_told(wrk: Path, tmp_path: Path) -> None:
    """Its exit code is not overlooked."""
    script = tmp_path / "any.lua"
    script.write_text("function done() print('{}') end", encoding="utf-8")
    with pytest.raises(GeneratorError, match="refused"):
        _run(wrk, script, "http://127.0.0.1:1")


async def test_a_script_finds_its_environment_and_the_files_beside_it(
    wrk: Path, tmp_path: Path
) -> None:
    """`os.getenv` and `require`."""
    (tmp_path / "halls.lua").write_text("return { name = 'Arena' }", encoding="utf-8")
    script = tmp_path / "tells.lua"
    script.write_text(
        "local halls = require('halls')\n"
        """wrk.method, wrk.body = 'POST', '{"buyer":"b-1"}'\n"""
        "wrk.path = '/v1/shows/s/holds'\n"
        """function done() print('{"hall":"' .. halls.name .. os.getenv('HALL_NO') .. '"}') end""",
        encoding="utf-8",
    )
    async with _open_box_office() as office:
        result = await asyncio.to_thread(_run, wrk, script, office.url, {"HALL_NO": "7"})
    assert result == {"hall": "Arena7"}


def _run(
    wrk: Path, script: Path, url: str, environment: dict[str, str] | None = None
) -> dict[str, object]:
    return run_wrk(
        wrk,
        url=url,
        script=script,
        connections=2,
        threads=1,
        seconds=1,
        environment=environment or {},
        cpus=(),
        timeout_s=20,
    ).told


# ---------------------------------------------------------------- finding it


def _program(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def test_a_wrk_on_path_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any that was fetched."""
    _program(tmp_path / "bin", "wrk", "")
    _program(tmp_path / "cache" / "usr" / "bin", "wrk", "")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert find_generator(tmp_path / "cache", _told) == tmp_path / "bin" / "wrk"


def test_a_fetched_wrk_is_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without apt."""
    _program(tmp_path / "cache" / "usr" / "bin", "wrk", "")
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    found = find_generator(tmp_path / "cache", _told)
    assert found == tmp_path / "cache" / "usr" / "bin" / "wrk"


def test_without_apt_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is said why."""
    monkeypatch.setenv("PATH", str(tmp_path))
    told: list[str] = []
    assert find_generator(tmp_path / "cache", told.append) is None
    assert told == ["wrk is not installed, and without apt-get it can't be fetched"]


def test_an_apt_that_fails_leaves_none_and_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last line says why."""
    programs = tmp_path / "bin"
    _program(programs, "apt-get", "import sys; sys.exit('E: Unable to locate package wrk')")
    _program(programs, "dpkg-deb", "")
    monkeypatch.setenv("PATH", str(programs))
    told: list[str] = []
    assert find_generator(tmp_path / "tools" / "wrk", told.append) is None
    assert told[-1] == "wrk could not be fetched: E: Unable to locate package wrk"
    assert os.listdir(tmp_path / "tools") == []  # noqa: PTH208 -- names are what counts


def test_it_is_fetched_once_and_unpacked_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every package is unpacked into the cache; the second time nobody is asked."""
    programs = tmp_path / "bin"
    _program(
        programs,
        "apt-get",
        "import sys, pathlib\n"
        "[pathlib.Path(f'{name}_1_amd64.deb').touch() for name in sys.argv[3:]]\n"
        f"pathlib.Path({str(tmp_path / 'asked')!r}).open('a').write('x')",
    )
    _program(
        programs,
        "dpkg-deb",
        "import sys, pathlib\n"
        "name = pathlib.Path(sys.argv[2]).name.partition('_')[0]\n"
        "folder = pathlib.Path(sys.argv[3], 'usr', 'bin')\n"
        "folder.mkdir(parents=True, exist_ok=True)\n"
        "(folder / name).touch()",
    )
    monkeypatch.setenv("PATH", str(programs))
    cache = tmp_path / "tools" / "wrk"
    assert find_generator(cache, _told) == cache / "usr" / "bin" / "wrk"
    assert find_generator(cache, _told) == cache / "usr" / "bin" / "wrk"
    unpacked = {path.name for path in (cache / "usr" / "bin").iterdir()}
    assert unpacked == {"wrk", "libluajit-5.1-2", "libluajit-5.1-common"}
    assert (tmp_path / "asked").read_text(encoding="utf-8") == "x"


# ---------------------------------------------------------------- pinning


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux pins")
async def test_a_child_runs_where_it_is_told_and_we_where_we_were() -> None:
    """Its affinity is the one that was asked for; a running one is moved."""
    cores = usable_cpus()
    before = os.sched_getaffinity(0)
    with children_on(cores[-1:]):
        child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=-1)
    try:
        assert os.sched_getaffinity(0) == before
        assert os.sched_getaffinity(child.pid) == {cores[-1]}
        pin([child.pid], cores[:1])
        assert os.sched_getaffinity(child.pid) == {cores[0]}
    finally:
        child.kill()
        await child.wait()
    pin([child.pid], cores)  # it has ended: nothing to do
