"""Writes `synchronous.py`, the client that is not awaited, from `asynchronous.py`.

    python clients/python/make_synchronous.py

One source for both, so that they cannot part; a test holds the file to it.
"""

import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "onsale_client"
SOURCE: Final = FOLDER / "asynchronous.py"
TARGET: Final = FOLDER / "synchronous.py"

_CHANGES: Final = (
    (
        r"^\"\"\".*?\"\"\"",
        '"""The client, without awaiting. Made from `asynchronous.py`: change that one."""',
    ),
    (r"^import asyncio\n", ""),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\bAsyncGenerator\b", "Generator"),
    (r"\bhttpx\.AsyncClient\b", "httpx.Client"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\basync (?=def|with|for)", ""),
    (r"\bawait ", ""),
    (r"\b__a(?=enter__|exit__)", "__"),
    (r"\baclose\b", "close"),
)


def made() -> str:
    """Return what `synchronous.py` has to be."""
    text = SOURCE.read_text()
    for pattern, instead in _CHANGES:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text


if __name__ == "__main__":
    TARGET.write_text(made())
