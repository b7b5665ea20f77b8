"""A draw is checked from its document alone, by the command and by a script that shares no code."""

import json
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache, partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engine.waitingroom.beacon import address_of
from engine.waitingroom.draw import ALGORITHM, Draw, commitment, derive_key, digest_places
from ops.cli import main
from ops.places import ROOT

SECRET = bytes(range(32))
BEACON = "fe290beca10872ef2fb164d2aa4442de4566183ec51c56ff3cd603d930e54fdd"
SHOW = "shw_dev_0123456789abcdef"


@lru_cache(maxsize=1)
def _places(key: bytes, count: int) -> list[int]:
    return list(Draw(key, count).places())


def _publish(count: int, beacon: str | None = BEACON) -> dict[str, Any]:
    key = derive_key(SECRET, SHOW, count, bytes.fromhex(beacon or ""))
    named = {"name": "drand quicknet", "round": 1000, "url": address_of(1000)}
    return {
        "show": SHOW,
        "algorithm": ALGORITHM,
        "commitment": commitment(SECRET).hex(),
        "beacon": named if beacon else None,
        "trust": "told by the operator",
        "drawn": True,
        "count": count,
        "secret": SECRET.hex(),
        "beacon_value": beacon,
        "key": key.hex(),
        "drawn_at": "2026-11-22T03:00:00Z",
        "digest": digest_places(_places(key, count), count).hex(),
    }


def _write(directory: Path, document: dict[str, Any], lines: list[str] | None = None) -> list[str]:
    (directory / "draw.json").write_text(json.dumps(document), encoding="utf-8")
    if lines is None:
        return [str(directory / "draw.json")]
    (directory / "places.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [str(directory / "draw.json"), str(directory / "places.csv")]


def _lines(document: dict[str, Any]) -> list[str]:
    places = _places(bytes.fromhex(document["key"]), document["count"])
    return [f"{entry},{place}" for entry, place in enumerate(places)]


def _command(*words: str) -> tuple[int, str]:
    told = CliRunner().invoke(main, ["verify-draw", *words])
    return told.exit_code, told.output


def _script(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", str(ROOT / "docs" / "verify_draw.py"), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def test_the_script_recomputes_a_million_places(tmp_path: Path) -> None:
    """Identically: of a million known places it tells the one that was changed, and no other."""
    document = _publish(1_000_000)
    lines = _lines(document)
    lines[777_777] = "777777,5"
    code, told = _script(*_write(tmp_path, document, lines))
    assert code == 1
    assert told.count("ok ") == 4
    assert told.count("WRONG") == 1
    assert "WRONG entry 777777 has place 5" in told


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 1001])
def test_all_is_right_with_what_was_published(tmp_path: Path, count: int) -> None:
    """Script and command agree with the engine, with a beacon and without."""
    for beacon in (BEACON, None):
        document = _publish(count, beacon)
        words = _write(tmp_path, document, _lines(document) if count else [])
        assert _script(*words)[0] == 0
        code, told = _command(words[0], "--places", words[1])
        assert code == 0, told
        assert told.endswith("All is right.\n")


_CHANGES = [
    ({"secret": (bytes(31) + b"\1").hex()}, "commitment"),
    ({"secret": SECRET[:-1].hex()}, "commitment"),
    ({"commitment": commitment(b"").hex()}, "commitment"),
    ({"key": bytes(32).hex()}, "key"),
    ({"count": 101}, "key"),
    ({"show": SHOW[:-1] + "0"}, "key"),
    ({"beacon_value": BEACON[:-1] + "c"}, "key"),
    ({"beacon_value": None}, "key"),
    ({"digest": bytes(32).hex()}, "digest"),
]


@pytest.mark.parametrize(("change", "named"), _CHANGES)
def test_any_change_of_the_document_is_found(
    tmp_path: Path, change: dict[str, Any], named: str
) -> None:
    """By both, and the place where it shows is named."""
    (path,) = _write(tmp_path, _publish(100) | change)
    for code, told in (_command(path), _script(path)):
        assert code == 1
        assert any("WRONG" in line and named in line for line in told.splitlines())


def test_every_line_that_differs_is_told_up_to_twenty(tmp_path: Path) -> None:
    """And how many there are; also those that are no places at all."""
    document = _publish(100)
    lines = _lines(document)
    path, places = _write(tmp_path, document, [*lines[:3], "3,x", "100,1", "", *lines[4:]])
    code, told = _command(path, "--places", places)
    assert code == 1
    assert "2 lines of places.csv differ" in told
    assert "line 4: is not of the form entry,place: '3,x'" in told
    assert "line 5: 100 is not among 100 entries" in told
    shifted = [f"{entry},{(int(line.split(',')[1]) + 1) % 100}" for entry, line in enumerate(lines)]
    path, places = _write(tmp_path, document, shifted)
    code, told = _command(path, "--places", places)
    assert "100 lines of places.csv differ" in told
    assert told.count("has place") == 20


def test_single_places_are_told_without_computing_all(tmp_path: Path) -> None:
    """Unless --all is given too; a number that nobody has is a misuse."""
    document = _publish(1000)
    (path,) = _write(tmp_path, document | {"digest": "00"})
    draw = Draw(bytes.fromhex(document["key"]), 1000)
    code, told = _command(path, "--entry", "0", "--entry", "999", "--json")
    assert code == 0
    verdict = json.loads(told)
    assert verdict["places"] == {"0": draw.place(0), "999": draw.place(999)}
    assert [check["name"] for check in verdict["checks"]] == ["commitment", "key"]
    assert _command(path, "--entry", "0", "--all")[0] == 1
    code, told = _command(path, "--entry", "1000")
    assert code == 2
    assert "1000 is not among 1000 entries" in told


def test_what_one_noted_and_fetched_is_compared(tmp_path: Path) -> None:
    """A whole other draw is right in itself: only what was noted before shows the exchange."""
    (path,) = _write(tmp_path, _publish(100))
    noted = commitment(SECRET).hex()
    assert _command(path, "--commitment", noted.upper(), "--beacon", BEACON)[0] == 0
    code, told = _command(path, "--commitment", "00" * 32)
    assert (code, "WRONG  noted commitment" in told) == (1, True)
    code, told = _command(path, "--beacon", "00" * 32)
    assert (code, "WRONG  beacon" in told) == (1, True)


def test_it_says_whom_one_still_trusts(tmp_path: Path) -> None:
    """The operator without a beacon; else how to fetch its value from somebody else."""
    (path,) = _write(tmp_path, _publish(10, None))
    assert "must be trusted not to have padded the entries" in _command(path)[1]
    (path,) = _write(tmp_path, _publish(10))
    told = _command(path)[1]
    assert "round 1000, signed at 2023-08-23 15:59:24 UTC" in told
    assert "https://drand.cloudflare.com/" in told
    (path,) = _write(tmp_path, _publish(10) | {"beacon": {"name": "the lottery of Saturday"}})
    assert "The beacon is the lottery of Saturday. Make sure" in _command(path)[1]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"drawn": False}, "nothing is drawn yet. Keep the commitment"),
        ({"algorithm": "onsale-draw-2"}, "'onsale-draw-2'"),
        ({"count": None}, "no count or no secret"),
        ({"count": -1}, "0 to 2**48 entries"),
        ({"secret": "xyz"}, "not of hexadecimal digits"),
        ({"commitment": 7}, "no draw's document"),
        ({"beacon": {"name": "x", "round": 10**30}}, "no draw's document"),
    ],
)
def test_what_is_no_draw_is_told(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    """In a sentence, with exit code 1."""
    (path,) = _write(tmp_path, _publish(10) | change)
    code, output = _command(path)
    assert (code, told in output) == (1, True), output


def test_a_document_does_not_steer_the_terminal(tmp_path: Path) -> None:
    """An operator who cheats could otherwise overwrite what is told of him."""
    (path,) = _write(tmp_path, _publish(10) | {"key": "\x1b[2J\rok"})
    code, told = _command(path)
    assert code == 1
    assert "\x1b" not in told
    assert "\r" not in told


@contextmanager
def _serve(directory: Path) -> Generator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name
            """Keep the tests' output clean."""

    with HTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(directory))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join(10)


def test_a_document_is_read_from_an_address(tmp_path: Path) -> None:
    """What is not there, too large, or nobody's is told."""
    _write(tmp_path, _publish(10))
    (tmp_path / "large").write_bytes(b" " * 70_000)
    with _serve(tmp_path) as address:
        assert _command(f"{address}/draw.json")[0] == 0
        assert "404" in _command(f"{address}/nothing")[1]
        assert "more than 65536 bytes" in _command(f"{address}/large")[1]
    code, told = _command(f"{address}/draw.json")
    assert (code, "can't be read" in told) == (1, True)
    assert "can't be read" in _command(str(tmp_path / "none.json"))[1]


def test_the_script_explains_itself() -> None:
    """With --help, and without words as a misuse."""
    code, told = _script("--help")
    assert (code, "Usage:" in told) == (0, True)
    assert _script()[0] == 1


def test_the_script_shares_no_code_and_is_short() -> None:
    """Whoever reads it should need no more than a few minutes, and Python."""
    text = (ROOT / "docs" / "verify_draw.py").read_text(encoding="utf-8")
    assert "engine" not in text
    assert len(text.splitlines()) < 75
