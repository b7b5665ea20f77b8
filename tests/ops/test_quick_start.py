"""The quick start works as it is written: every block of it is run, on the real stack."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from ops.places import ROOT
from ops.stack import Stack

_BLOCK: Final = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STARTS: Final = "./onsale up"
_ADDRESS: Final = "http://127.0.0.1:8000"


def test_every_block_of_the_quick_start_runs(stack: Stack, tmp_path: Path) -> None:
    """The shell's in one shell, Python's in the one file that the page makes of them."""
    page = (ROOT / "docs/QUICK_START.md").read_text()
    blocks = _BLOCK.findall(page)
    python = [text for kind, text in blocks if kind == "python"]
    shell = [text for kind, text in blocks if kind == "sh" and _STARTS not in text]
    assert len(python) > 5
    assert len(shell) == 4
    (tmp_path / "quick_start.py").write_text("\n\n".join(python))
    (tmp_path / "loadtests").symlink_to(ROOT / "loadtests")
    (tmp_path / ".onsale").symlink_to(ROOT / ".onsale")
    script = "shopt -s expand_aliases\nset -eu\n" + "\n".join(shell)
    ran = subprocess.run(
        ["/bin/bash", "-c", script.replace(_ADDRESS, stack.base_url)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}/clients/python"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for said in ("places", "held ['", "seats-taken", "confirmed ['", "told of order.confirmed"):
        assert said in ran.stdout, ran.stdout
