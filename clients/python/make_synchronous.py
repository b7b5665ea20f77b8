"""Writes the client that is not awaited from the one that is.

Of `asynchronous.py` it makes `synchronous.py`, of `nouns_awaited.py` `nouns.py`, and so on.

    python clients/python/make_synchronous.py

One source for both, so that they cannot part; a test holds the files to it.
"""

import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "onsale_client"

_CHANGES: Final = (
    (
        r"\A\"\"\".*?\"\"\"",
        '"""The client, without awaiting. Made from `{source}`: change that one."""',
    ),
    (r"^import asyncio\n(?!import time)", "import time\n"),
    (r"^import asyncio\n", ""),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\bAsyncGenerator\b", "Generator"),
    (r"\bhttpx\.AsyncClient\b", "httpx.Client"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\b(nouns?|offers)_awaited\b", r"\1"),
    (r"\basync (?=def|with|for)", ""),
    (r"\bawait ", ""),
    (r"\b__a(?=enter__|exit__)", "__"),
    (r"\baclose\b", "close"),
)


def made() -> dict[Path, str]:
    """Return what each module that is not awaited has to be."""
    sources = {FOLDER / "asynchronous.py": FOLDER / "synchronous.py"}
    for source in sorted(FOLDER.glob("*_awaited.py")):
        sources[source] = source.with_stem(source.stem.removesuffix("_awaited"))
    return {target: _made(source) for source, target in sources.items()}


def _made(source: Path) -> str:
    text = source.read_text()
    for pattern, instead in _CHANGES:
        flags = re.MULTILINE | (re.DOTALL if pattern.startswith(r"\A") else 0)
        text = re.sub(pattern, instead, text, flags=flags)
    return text.replace("{source}", source.name)


if __name__ == "__main__":
    for target, text in made().items():
        target.write_text(text)
