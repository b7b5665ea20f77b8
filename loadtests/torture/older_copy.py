"""The inventory store comes back from an older copy of its files: it has forgotten some seconds."""

import asyncio
import random
import shutil
import time
from pathlib import Path
from typing import Final

from loadtests.torture.faults import Struck
from loadtests.torture.faults.processes import bring_back
from loadtests.torture.ground import Ground

RESTORE: Final = "restore-valkey"
OLD_S: Final = (0.3, 2.5)
"""How old the copy is when it is put back."""


async def restore_older_copy(ground: Ground, dice: random.Random) -> Struck:
    """Copy the server's files, let it go on a while, kill it, and start it on the copy."""
    old_s = dice.uniform(*OLD_S)
    data = ground.stack.directory / "valkey"
    copy = ground.stack.directory / "valkey-older"
    valkey = ground.stack.valkey
    await asyncio.to_thread(shutil.copytree, data, copy)
    await asyncio.sleep(old_s)
    killed_ns = time.monotonic_ns()
    await asyncio.to_thread(valkey.kill, restart=False)
    await asyncio.to_thread(_put_back, copy, data)
    await bring_back(valkey)
    return Struck(
        kind=RESTORE,
        at_ns=killed_ns,
        until_ns=time.monotonic_ns(),
        details=f"started on a copy that was {old_s:.2f} s old",
        loses_store=True,
    )


def _put_back(copy: Path, data: Path) -> None:
    shutil.rmtree(data)
    copy.rename(data)
