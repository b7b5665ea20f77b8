"""Recompute a draw from its published document, with nothing but Python: docs/DRAW.md says how.

Usage: python3 verify_draw.py DRAW.json [PLACES]    (PLACES: a line "entry,place" for each you know)
"""

import hashlib
import hmac
import json
import sys
from math import isqrt
from pathlib import Path


def places(key, count):
    """Give the places of the entries 0 to count - 1."""
    a = isqrt(max(count - 1, 0)) + 1
    a += a % 2  # the least even number whose square has room for all
    b = max(1, (count + a - 1) // a)

    def f(i, half):
        mac = hmac.new(key, bytes([i]) + half.to_bytes(8, "big"), hashlib.sha256)
        return int(mac.hexdigest(), 16) % (b if i % 2 else a)

    rounds = [
        ([f(i, r) for r in range(b)], [f(i + 1, x) for x in range(a)]) for i in range(0, 36, 2)
    ]

    def walk(point):
        right, left = divmod(point, a)
        for by_right, by_left in rounds:
            left = (left + by_right[right]) % a
            right = (right + by_left[left]) % b
        return right * a + left

    for entry in range(count):
        place = walk(entry)
        while place >= count:
            place = walk(place)
        yield place


def main(path, known_path=None):
    """Say what is right and what is wrong; return whether all is right."""
    draw = json.loads(Path(path).read_text(encoding="utf-8"))
    lines = Path(known_path).read_text(encoding="utf-8").split() if known_path else []
    known = dict(map(int, line.split(",")) for line in lines)
    secret, beacon = bytes.fromhex(draw["secret"]), bytes.fromhex(draw["beacon_value"] or "")
    mixed = "\0".join(["onsale-draw-1", draw["show"], str(draw["count"]), ""]).encode() + beacon
    key, digest = hmac.new(secret, mixed, hashlib.sha256).digest(), hashlib.sha256()
    for entry, place in enumerate(places(key, draw["count"])):
        digest.update(place.to_bytes(4 if draw["count"] <= 2**32 else 8, "big"))
        if known.get(entry) == place:
            del known[entry]
    checks = {
        "algorithm": draw["algorithm"] == "onsale-draw-1",
        "commitment": hashlib.sha256(secret).hexdigest() == draw["commitment"],
        "key": key.hex() == draw["key"],
        "digest of all places": digest.hexdigest() == draw["digest"],
        **{f"entry {entry} has place {place}": False for entry, place in known.items()},
    }
    for name, is_right in checks.items():
        print("ok   " if is_right else "WRONG", name)
    return all(checks.values())


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3} or sys.argv[1] in {"-h", "--help"}:
        print(__doc__)
        sys.exit(len(sys.argv) == 1)
    sys.exit(not main(*sys.argv[1:]))
