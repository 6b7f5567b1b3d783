"""Rooms know no other rooms than ARCHITECTURE.md says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "any2seg_ros"
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
FOR_ALL = set(
    re.findall(r"`(\w+)\.py`", TEXT.partition("Every room may know ")[2].partition("\n\n")[0])
)
PLAYS_TO_A_NODE = PACKAGE / "bench" / "soak.py"


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
        if path != PLAYS_TO_A_NODE and any(name.split(".")[0] == "rclpy" for name in imports(path)):
            assert "rclpy" in table()[room], f"{path} imports rclpy"
