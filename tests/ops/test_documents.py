"""The documents about settings and dependencies say what is so."""

import re
import tomllib

from engine.platform.settings import Settings, variable
from ops.places import ROOT

_ROW = re.compile(r"^\| `(ONSALE_\w+)` \| (?:`([^`]*)` \|)?", re.MULTILINE)


def test_every_setting_is_described_with_its_default() -> None:
    """docs/SETTINGS.md has a row for each, no other, and the defaults of the code."""
    text = (ROOT / "docs" / "SETTINGS.md").read_text(encoding="utf-8")
    described = {match[1]: match[2] for match in _ROW.finditer(text)}
    assert set(described) == {variable(field) for field in Settings.__struct_fields__}
    bare = Settings(redis_url="redis://", database_url="postgresql://", secret="x" * 32)
    for field in ("region", "host", "port", "api_workers", "log_level", "batch_max"):
        assert described[variable(field)] == str(getattr(bare, field))
    for field in Settings.__struct_fields__:
        if field.endswith(("_ms", "_s", "_max")):
            assert described[variable(field)] == str(getattr(bare, field))


def test_every_direct_dependency_has_its_reason() -> None:
    """docs/DEPENDENCIES.md names what pyproject.toml asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [*project["project"]["dependencies"]]
    for group in project["dependency-groups"].values():
        wanted += group
    text = (ROOT / "docs" / "DEPENDENCIES.md").read_text(encoding="utf-8")
    for requirement in wanted:
        name = re.split(r"[\[<>=~]", requirement)[0]
        assert re.search(rf"`{re.escape(name)}(\[\w+\])?`", text), name
