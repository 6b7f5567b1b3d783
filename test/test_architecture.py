"""Rooms import what ARCHITECTURE.md says; functions, classes and modules keep the house rules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "any2seg_ros"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
FOR_ALL = set(
    re.findall(r"`(\w+)\.py`", TEXT.partition("Every room may know ")[2].partition("\n\n")[0])
)
PLAY_TO_A_NODE = {
    PACKAGE / "bench" / f"{name}.py"
    for name in ("delivery", "soak", "startup", "vehicle", "vehicle_frames", "vehicle_sensors")
}
PLAY_TO_A_NODE |= set((PACKAGE / "bench" / "faults").glob("*.py"))


def table() -> dict[str, set[str]]:
    """What each room knows by the table, by the room's name."""
    rows = re.findall(r"^\| (`.+?) \| .+ \| (.+) \|$", TEXT, re.MULTILINE)
    return {
        room: set(re.findall(r"\w+", knows))
        for names, knows in rows
        for room in re.findall(r"`(\w+)(?:\.py|/)`", names)
    }


def sources() -> Iterator[tuple[str, Path]]:
    """Every module of a room, and the room's name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path != PACKAGE / "__init__.py":
            yield path.relative_to(PACKAGE).parts[0].removesuffix(".py"), path


def imports(path: Path) -> Iterator[str]:
    """Full names of what a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_room_is_in_the_table_and_knows_only_what_it_says() -> None:
    known = table()
    assert {room for room, _ in sources()} | FOR_ALL <= set(known)
    for room, path in sources():
        for name in imports(path):
            package, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if package == PACKAGE.name and other in known and "everything" not in known[room]:
                assert other in known[room] | FOR_ALL | {room}, f"{path} imports {name}"


def test_ros_is_known_where_the_table_says_so() -> None:
    for room, path in sources():
        if path not in PLAY_TO_A_NODE and any(
            name.split(".")[0] == "rclpy" for name in imports(path)
        ):
            assert "rclpy" in table()[room], f"{path} imports rclpy"


MAX_LINES, MAX_PARAMETERS, MAX_METHODS = 60, 10, 25

NO_TEST_MODULE = {
    "bench/faults/scene.py": "node and vehicle of bench.faults, run by test_bench_faults_measuring",
    "messages/kinds.py": "a table of type names, walked by the tests of bags and node",
    "network/whole.py": "an interface: networks that have it are run by those who test them",
}
"""Modules that need no test module of their own, and why."""


def definitions(path: Path, *kinds: type[ast.AST]) -> Iterator[Any]:
    """The definitions of some kinds in a file, nested ones included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, kinds):
            yield node


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Number of parameters, without self and cls."""
    known = function.args
    names = [known.vararg, known.kwarg, *known.posonlyargs, *known.args, *known.kwonlyargs]
    return sum(name is not None and name.arg not in ("self", "cls") for name in names)


def test_functions_are_short_and_take_few_parameters() -> None:
    for path in (path for _, path in sources()):
        for function in definitions(path, ast.FunctionDef, ast.AsyncFunctionDef):
            where = f"{relative(path)}:{function.lineno} {function.name}"
            lines = function.end_lineno - function.lineno + 1
            assert lines <= MAX_LINES, f"{where} has {lines} lines"
            count = parameters(function)
            assert count <= MAX_PARAMETERS, f"{where} has {count} parameters"


def test_classes_have_few_methods() -> None:
    for path in (path for _, path in sources()):
        for owner in definitions(path, ast.ClassDef):
            methods = [
                n for n in owner.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
            ]
            where = f"{relative(path)}:{owner.lineno} {owner.name}"
            assert len(methods) <= MAX_METHODS, f"{where} has {len(methods)} methods"


def imported_modules(path: Path, modules: dict[str, Path]) -> set[str]:
    """Modules of the package that must be loaded before this one can be."""
    statements: list[ast.stmt] = ast.parse(path.read_text(encoding="utf-8")).body
    found: set[str] = set()
    while statements:
        statement = statements.pop()
        if isinstance(statement, ast.Import):
            found |= {alias.name for alias in statement.names}
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                name = f"{statement.module}.{alias.name}"
                found.add(name if name in modules else str(statement.module))
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" not in ast.dump(statement.test):
            statements += [*statement.body, *statement.orelse]
        elif isinstance(statement, ast.Try):
            statements += statement.body
    return found & set(modules)


def test_no_module_imports_itself_by_way_of_others() -> None:
    """At module level; an import within a function waits until the modules are there."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }
    graph = {name: imported_modules(path, modules) - {name} for name, path in modules.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise AssertionError("import circle: " + " -> ".join(error.args[1])) from None


def test_every_module_has_the_test_module_of_its_name() -> None:
    for _, path in sources():
        name = relative(path).removeprefix("any2seg_ros/")
        if path.stem in ("__init__", "__main__") or name in NO_TEST_MODULE:
            continue
        test = "test_" + name.removesuffix(".py").replace("/", "_") + ".py"
        assert (ROOT / "test" / test).is_file(), f"{relative(path)} has no test/{test}"


def test_exceptions_are_of_files_that_exist() -> None:
    for name in NO_TEST_MODULE:
        assert (PACKAGE / name).is_file(), f"{name} is gone: take it out of the list"
