"""Runs what a page of the documents tells its reader to run, in the page's order."""

import re
import subprocess
from pathlib import Path
from typing import Final

from msgspec import Struct

from ops.places import ROOT
from ops.stack import Stack

_BLOCK: Final = re.compile(
    r"^```(sh|python)\n(.*?)^```$(?:\n\n?^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL
)
_STARTS: Final = "./onsale up"
_ADDRESS: Final = "http://127.0.0.1:8000"
_TIMEOUT_S: Final = 90
_MARK: Final = "\x1e"
"""What Python's blocks are told apart by in what they print."""


class Block(Struct, frozen=True):
    """What is to be run, and what the page says that it prints."""

    code: str
    told: str | None


class Page(Struct, frozen=True):
    """The blocks of a page; how the platform is started is left out."""

    shell: list[Block]
    python: list[Block]


def read_page(name: str) -> Page:
    """Return the blocks of a document."""
    shell: list[Block] = []
    python: list[Block] = []
    for kind, code, told in _BLOCK.findall((ROOT / "docs" / name).read_text()):
        if _STARTS not in code:
            (python if kind == "python" else shell).append(Block(code, told or None))
    return Page(shell, python)


def run_page(page: Page, stack: Stack, directory: Path, file: str) -> list[str]:
    """Run the shell's blocks in one shell, Python's as the one file that they make; they must work.

    Returns what Python's blocks print, one by one.
    """
    marked = (f'{block.code}\nprint("{_MARK}", flush=True)\n' for block in page.python)
    (directory / file).write_text("\n".join(marked))
    for used in ("loadtests", ".onsale", "onsale"):
        (directory / used).symlink_to(ROOT / used)
    script = "\n".join(["shopt -s expand_aliases", "set -eu", *(one.code for one in page.shell)])
    ran = subprocess.run(
        ["/bin/bash", "-c", script.replace(_ADDRESS, stack.base_url)],
        cwd=directory,
        env=stack.environment | {"PYTHONPATH": f"{ROOT}/clients/python"},
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    printed = ran.stdout.split(f"{_MARK}\n")
    assert len(printed) == len(page.python) + 1, ran.stdout
    return printed[:-1]


def fits(printed: str, told: str) -> bool:
    """Tell whether something was printed as a page tells it, where `...` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in told.split("..."))
    return re.fullmatch(pattern, printed) is not None
