"""The document in files: as the code has it, and as it was last released."""

import json
from pathlib import Path
from typing import Any, Final

from api.contract import assemble
from ops.places import ROOT
from web.app import compose

DOCUMENT: Final = ROOT / "docs" / "openapi.json"
RELEASED: Final = ROOT / "docs" / "openapi.released.json"
"""What clients were promised last; its `info.version` says when."""


def made() -> dict[str, Any]:
    """Return the document of the code as it is."""
    return json.loads(json.dumps(assemble(compose())))


def read(path: Path) -> dict[str, Any]:
    """Return a document that was written; without one, an empty one."""
    if not path.exists():
        return {"info": {"version": "0.0.0"}, "paths": {}}
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, document: dict[str, Any]) -> None:
    """Write a document so that changes of it can be read."""
    text = json.dumps(document, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
