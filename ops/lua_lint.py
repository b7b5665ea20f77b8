"""A linter for the Lua scripts: `python -m ops.lua_lint [FOLDER]`.

It does what luacheck does for such scripts: syntax (by Lua 5.1 itself), unknown and written
globals, unused names, shadowing, line length. luacheck has no wheel and no npm package, and
everything here installs from those; docs/DEPENDENCIES.md has more.

Scripts are read as the server gets them, with their includes in place; a problem is reported where
it stands in its own file. A name of an include may stay unused in some scripts, not in all.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from luaparser import ast, astnodes
from lupa.lua51 import LuaError, LuaRuntime

from ops.places import ROOT

LINE_LENGTH_MAX: Final = 120  # luacheck's own

# https://valkey.io/topics/lua-api/ -- what a script finds there: the server's own, and Lua 5.1's
# without what its sandbox takes away.
_GLOBALS: Final = frozenset(
    {
        *("redis", "server", "cmsgpack", "cjson", "struct", "bit", "KEYS", "ARGV"),
        *("_G", "_VERSION", "assert", "collectgarbage", "error", "getmetatable", "ipairs", "load"),
        *("loadstring", "math", "next", "pairs", "pcall", "rawequal", "rawget", "rawset", "select"),
        *("setmetatable", "string", "table", "tonumber", "tostring", "type", "unpack", "xpcall"),
    }
)
_LUA: Final = LuaRuntime(unpack_returned_tuples=False)
_INCLUDE: Final = re.compile(r"^--- include (\w+)$")


_PARTS: Final[dict[type[astnodes.Node], tuple[str, ...]]] = {
    astnodes.While: ("test", "body"),
    astnodes.If: ("test", "body", "orelse"),
    astnodes.ElseIf: ("test", "body", "orelse"),
    astnodes.Do: ("body",),
    astnodes.Return: ("values",),
    astnodes.Index: ("value",),
    astnodes.Call: ("func", "args"),
    astnodes.Invoke: ("source", "args"),
    astnodes.Table: ("fields",),
    astnodes.Field: ("value",),
    astnodes.BinaryOp: ("left", "right"),
    astnodes.UnaryOp: ("operand",),
}


@dataclass(frozen=True, order=True)
class Problem:
    """Something to mend, at a line (from 1) of a file."""

    path: Path
    line: int
    message: str


@dataclass(frozen=True, order=True)
class _Place:
    path: Path
    line: int


@dataclass
class _Variable:
    name: str
    place: _Place
    used: bool = False


@dataclass
class _Walk:
    """One pass over a script, keeping the names in scope."""

    places: Sequence[_Place]
    problems: set[Problem] = field(default_factory=set[Problem])
    unused: set[tuple[_Place, str]] = field(default_factory=set[tuple[_Place, str]])
    declared: set[tuple[_Place, str]] = field(default_factory=set[tuple[_Place, str]])
    _scopes: list[dict[str, _Variable]] = field(default_factory=list[dict[str, _Variable]])
    _line: int = 1

    def block(self, block: astnodes.Block, names: Iterable[astnodes.Node] = ()) -> None:
        self._open(names)
        self._visit_all(block.body)
        self._close()

    def _visit_all(self, nodes: Iterable[object]) -> None:
        for node in nodes:
            self._visit(node)

    def _visit(self, node: object) -> None:
        if not isinstance(node, astnodes.Node):
            return  # a step that is missing, an empty else
        if node.line is not None:
            self._line = node.line
        if not (self._visit_names(node) or self._visit_scopes(node)):
            self._visit_all(_parts(node))

    def _visit_names(self, node: astnodes.Node) -> bool:
        """Visit a node that reads, writes or declares names; tell whether it is one."""
        match node:
            case astnodes.Name():
                self._read(node)
            case astnodes.LocalAssign():
                self._visit_all(node.values)
                self._declare_all(node.targets)
            case astnodes.Assign():
                self._visit_all(node.values)
                self._write_all(node.targets)
            case astnodes.LocalFunction():
                self._declare_all([node.name])
                self.block(node.body, node.args)
            case astnodes.Function():
                self._write_all([node.name])
                self.block(node.body, node.args)
            case astnodes.Method():
                self._visit(node.source)
                self.block(node.body, node.args)
            case _:
                return False
        return True

    def _visit_scopes(self, node: astnodes.Node) -> bool:
        """Visit a node that opens a scope; tell whether it is one."""
        match node:
            case astnodes.AnonymousFunction():
                self.block(node.body, node.args)
            case astnodes.Forin():
                self._visit_all(node.iter)
                self.block(node.body, node.targets)
            case astnodes.Fornum():
                self._visit_all([node.start, node.stop, node.step])
                self.block(node.body, [node.target])
            case astnodes.Repeat():
                self._open(())
                self._visit_all([*node.body.body, node.test])  # the test sees the body's names
                self._close()
            case astnodes.Block():
                self.block(node)
            case _:
                return False
        return True

    def _open(self, names: Iterable[astnodes.Node]) -> None:
        self._scopes.append({})
        self._declare_all(names)

    def _close(self) -> None:
        for variable in self._scopes.pop().values():
            self._settle(variable)

    def _settle(self, variable: _Variable) -> None:
        key = (variable.place, variable.name)
        self.declared.add(key)
        if not variable.used and not variable.name.startswith("_"):
            self.unused.add(key)

    def _declare_all(self, names: Iterable[astnodes.Node]) -> None:
        for node in names:
            if not isinstance(node, astnodes.Name):
                continue  # `...`
            name = str(node.id)
            earlier = self._find(name)
            if earlier is not None and not name.startswith("_"):
                self._problem(f"`{name}` shadows the one of {_at(earlier.place)}")
                if name in self._scopes[-1]:
                    self._settle(earlier)
            elif name in _GLOBALS:
                self._problem(f"`{name}` shadows a global")
            self._scopes[-1][name] = _Variable(name, self._place())

    def _read(self, node: astnodes.Name) -> None:
        variable = self._find(str(node.id))
        if variable is not None:
            variable.used = True
        elif node.id not in _GLOBALS:
            self._problem(f"`{node.id}` is not defined")

    def _write_all(self, targets: Iterable[object]) -> None:
        for target in targets:
            if not isinstance(target, astnodes.Name):
                self._visit(target)
            elif self._find(str(target.id)) is None:
                self._problem(f"`{target.id}` would be a global: make it local")

    def _find(self, name: str) -> _Variable | None:
        for scope in reversed(self._scopes):
            if name in scope:
                return scope[name]
        return None

    def _place(self) -> _Place:
        return self.places[self._line - 1]

    def _problem(self, message: str) -> None:
        place = self._place()
        self.problems.add(Problem(place.path, place.line, message))


def _parts(node: astnodes.Node) -> Iterator[object]:
    """Yield the expressions and blocks within a node that has no say about names."""
    for kind, fields in _PARTS.items():
        if isinstance(node, kind):
            for name in fields:
                part: object = getattr(node, name)
                yield from cast("list[object]", part) if isinstance(part, list) else (part,)
    # `a.b` and `{ b = 1 }` do not read a variable called b.
    if isinstance(node, astnodes.Index) and node.notation is astnodes.IndexNotation.SQUARE:
        yield node.idx
    if isinstance(node, astnodes.Field) and node.between_brackets:
        yield node.key


def lint(folder: Path) -> list[Problem]:
    """Return the problems of all scripts of a folder and of the includes beside them."""
    problems: set[Problem] = set()
    declared: set[tuple[_Place, str]] = set()
    used: set[tuple[_Place, str]] = set()
    included: set[Path] = set()
    for script in sorted(folder.glob("*.lua")):
        lines, places = _assemble(script)
        included.update(place.path for place in places)
        fault = _syntax_fault(lines, places)
        if fault is not None:
            problems.add(fault)
            continue
        walk = _Walk(places)
        walk.block(ast.parse("\n".join(lines)).body)
        problems |= walk.problems
        declared |= walk.declared
        used |= walk.declared - walk.unused
    problems |= {
        Problem(place.path, place.line, f"`{name}` is never used")
        for place, name in declared - used
    }
    for include in (folder / "includes").glob("*.lua"):
        if include not in included:
            problems.add(Problem(include, 1, "no script includes it"))
    for path in folder.rglob("*.lua"):
        problems |= _layout_problems(path)
    return sorted(problems)


def _assemble(script: Path) -> tuple[list[str], list[_Place]]:
    """Return a script's lines with its includes in place, and where each comes from."""
    lines: list[str] = []
    places: list[_Place] = []
    for number, line in enumerate(script.read_text(encoding="utf-8").splitlines(), 1):
        found = _INCLUDE.match(line)
        if found is None:
            lines.append(line)
            places.append(_Place(script, number))
            continue
        include = script.parent / "includes" / f"{found[1]}.lua"
        text = include.read_text(encoding="utf-8").rstrip()
        for inner_number, inner in enumerate(text.splitlines(), 1):
            lines.append(inner)
            places.append(_Place(include, inner_number))
    return lines, places


def _syntax_fault(lines: list[str], places: list[_Place]) -> Problem | None:
    text = "\n".join(lines)
    try:
        _LUA.compile(text)
    except LuaError as error:
        found = re.search(r":(\d+):\s*(.*)", str(error))
        line = int(found[1]) if found else 1
        place = places[min(line, len(places)) - 1]
        return Problem(place.path, place.line, found[2] if found else str(error))
    return None


def _layout_problems(path: Path) -> set[Problem]:
    problems: set[Problem] = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if len(line) > LINE_LENGTH_MAX:
            problems.add(Problem(path, number, f"longer than {LINE_LENGTH_MAX} characters"))
        if line != line.rstrip():
            problems.add(Problem(path, number, "ends in white space"))
        if "\t" in line:
            problems.add(Problem(path, number, "has a tab"))
    return problems


def _at(place: _Place) -> str:
    return f"{place.path.name}:{place.line}"


def main(arguments: Sequence[str]) -> int:
    """Print the problems, one a line; the exit code is 1 if there are any."""
    folder = Path(arguments[0]) if arguments else ROOT / "lua"
    problems = lint(folder)
    for problem in problems:
        sys.stdout.write(f"{problem.path}:{problem.line}: {problem.message}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
