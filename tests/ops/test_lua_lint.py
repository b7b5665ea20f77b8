"""The linter of the Lua scripts."""

from pathlib import Path

import pytest

from ops.lua_lint import lint


@pytest.mark.parametrize(
    ("lua", "line", "message"),
    [
        ("return redis.call('GET', keys[1])", 1, "`keys` is not defined"),
        ("local a = 1\ncount = a\nreturn 1", 2, "`count` would be a global: make it local"),
        ("function f()\nend\nreturn 1", 1, "`f` would be a global: make it local"),
        ("local spare = KEYS[1]\nreturn 1", 1, "`spare` is never used"),
        ("local function f(a, b)\n  return a\nend\nreturn f(1)", 1, "`b` is never used"),
        ("for i, seat in ipairs(KEYS) do\n  redis.log(i)\nend", 1, "`seat` is never used"),
        ("local a = 1\ndo\n  local a = 2\n  a = a + 1\nend\nreturn a", 3, "`a` shadows the one of"),
        ("local type = 1\nreturn type", 1, "`type` shadows a global"),
        ("local a = 1\nreturn a +", 2, "unexpected symbol"),
        ("return os.time()", 1, "`os` is not defined"),
        ("return 1 ", 1, "ends in white space"),
    ],
)
def test_a_problem_is_told_at_its_line(tmp_path: Path, lua: str, line: int, message: str) -> None:
    """Each kind of problem is found, alone, and at the line that it stands in."""
    (tmp_path / "do_it.lua").write_text(lua, encoding="utf-8")
    (problem,) = lint(tmp_path)
    assert problem.line == line
    assert message in problem.message


def test_a_clean_script_has_no_problems(tmp_path: Path) -> None:
    """Closures, loops, fields, `_`, recursion and repeat-until are read as Lua reads them."""
    (tmp_path / "do_it.lua").write_text(
        """
local function depth(n)
  if n == 0 then return 0 end
  return 1 + depth(n - 1)
end
local found = { state = depth(3), [ARGV[1]] = 'x' }
for _, key in ipairs(KEYS) do
  found.last = key
end
local tries = 0
repeat
  local enough = tries > 2
  tries = tries + 1
until enough
local add = function(...) return select('#', ...) end
return cmsgpack.pack({ found, add(1, 2), (found.last):upper() })
""",
        encoding="utf-8",
    )
    assert lint(tmp_path) == []


def test_a_problem_in_an_include_is_told_once_and_in_its_own_file(tmp_path: Path) -> None:
    """Two scripts share an include: what is wrong in it is one problem, at its own line."""
    includes = tmp_path / "includes"
    includes.mkdir()
    (includes / "shared.lua").write_text("\nlocal shared = nowhere\n", encoding="utf-8")
    for name in ("one", "two"):
        (tmp_path / f"{name}.lua").write_text(
            "--- include shared\nreturn shared\n", encoding="utf-8"
        )
    (problem,) = lint(tmp_path)
    assert (problem.path, problem.line) == (includes / "shared.lua", 2)


def test_a_name_of_an_include_must_be_used_by_one_script_at_least(tmp_path: Path) -> None:
    """A script need not use all that an include offers, but what nobody uses is told."""
    includes = tmp_path / "includes"
    includes.mkdir()
    (includes / "pair.lua").write_text("local left = 1\nlocal right = 2\n", encoding="utf-8")
    (tmp_path / "one.lua").write_text("--- include pair\nreturn left\n", encoding="utf-8")
    assert [problem.message for problem in lint(tmp_path)] == ["`right` is never used"]
    (tmp_path / "two.lua").write_text("--- include pair\nreturn right\n", encoding="utf-8")
    assert lint(tmp_path) == []


def test_an_include_that_nobody_includes_is_told(tmp_path: Path) -> None:
    """A forgotten file is not dead weight for ever."""
    includes = tmp_path / "includes"
    includes.mkdir()
    (includes / "old.lua").write_text("local old = 1\n", encoding="utf-8")
    assert [problem.message for problem in lint(tmp_path)] == ["no script includes it"]
