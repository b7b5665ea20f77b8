"""Reads what a script's header promises."""

import re
from typing import Final

from engine.inventory.scripts import FOLDER, load_script

SCRIPTS: Final = tuple(sorted(path.stem for path in FOLDER.glob("*.lua")))

_SECTION = re.compile(r"^(KEYS|ARGV|Commands|Returns|Facts)\b", re.MULTILINE)
_NUMBERED = re.compile(r"(?:^|[\s:,(])(\d+)(?: to (\d+))? (\w+)")
_BLOCK_COMMENT = re.compile(r"--\[\[.*?--\]\]", re.DOTALL)
_LINE_COMMENT = re.compile(r"--.*")
_WORD = re.compile(r"[a-z]+(?:-[a-z]+)*")


def source(script: str) -> str:
    """Return a script as its file has it, includes not put in."""
    return (FOLDER / f"{script}.lua").read_text()


def header(script: str) -> dict[str, str]:
    """Return a header's sections by their first word; the purpose is under the empty one."""
    comment = source(script).partition("--]]")[0].removeprefix("--[[")
    starts = [*_SECTION.finditer(comment)]
    sections = {"": comment[: starts[0].start()]}
    for start, end in zip(starts, [*starts[1:], None], strict=True):
        sections[start[1]] = comment[start.end() : end.start() if end else None]
    return sections


def body(script: str) -> str:
    """Return what a script does, without comments."""
    return _without_comments(source(script))


def assembled_body(script: str) -> str:
    """Return what a script does, includes put in, without comments."""
    return _without_comments(load_script(script).body)


def _without_comments(text: str) -> str:
    return _LINE_COMMENT.sub("", _BLOCK_COMMENT.sub("", text))


def numbered(section: str) -> dict[int, str]:
    """Return the numbered names of a KEYS or ARGV section."""
    found: dict[int, str] = {}
    for match in _NUMBERED.finditer(section):
        first, last, name = int(match[1]), int(match[2] or match[1]), match[3]
        for number in range(first, last + 1):
            found.setdefault(number, name)
    return found


def consecutive(section: str) -> int:
    """Return up to which number a section counts from 1."""
    last = 0
    for match in _NUMBERED.finditer(section):
        if int(match[1]) == last + 1:
            last = int(match[2] or match[1])
    return last


def used(script: str, table: str) -> set[int]:
    """Return the numbers with which a body indexes KEYS or ARGV."""
    return {int(number) for number in re.findall(rf"\b{table}\[(\d+)\]", body(script))}


def batch_statuses() -> dict[str, list[str]]:
    """Return the statuses of each command of `batch.lua`, in the order of its header."""
    found: dict[str, list[str]] = {}
    command = ""
    for line in header("batch")["Commands"].splitlines():
        start = re.match(r"  \{\d.*\}\s+(\w+)$", line)
        if start:
            command = start[1]
            found[command] = []
        elif line.startswith("      ") and command:
            without_details = re.sub(r" \{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", "", line)
            # A comma within brackets does not part two statuses.
            words = re.split(r", ?(?![^(]*\))", without_details.strip())
            found[command] += [word for word in words if word]
    shared = found["hold"][found["hold"].index("not-on-sale") :]
    found["replace"] = [
        status
        for word in found["replace"]
        for status in (shared if word == "then as hold" else [word])
    ]
    return found


def queue_answers() -> dict[str, list[str]]:
    """Return the answers to each command of `serve_queue.lua`, in the order of its header."""
    found: dict[str, list[str]] = {}
    command = ""
    for line in header("serve_queue")["Commands"].splitlines():
        start = re.match(r"  \{\d.*\}\s+(\w+)$", line)
        if start:
            command = start[1]
        elif line.startswith("      ") and command:
            # One that came before under another condition is a row of its own.
            without_details = re.sub(r" \{[^{}]*\}", "", line.strip())
            found[command] = [word.strip() for word in without_details.split(", ")]
    return found


def returned(script: str) -> list[str]:
    """Return the status words that a script may return, in the order of its header."""
    text = header(script)["Returns"]
    if script == "batch":
        return _WORD.findall(text.partition("order of precedence:")[2].partition(".")[0])
    return re.findall(r"\{'([a-z-]+)'", text)


def bare(status: str) -> str:
    """Return the status word without what the header says of it."""
    return status.partition(" ")[0]
