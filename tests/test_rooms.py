"""The rooms of the library import each other in one direction."""

import ast
from pathlib import Path

import ftstudy

LIB = Path(ftstudy.__file__).parent
# From the ground up: a room imports only from those before it. "" holds the modules on the top level.
ROOMS = ["", "chat_format", "sources", "privacy", "engine", "models", "extract", "demo", "audit", "training", "compare"]
ROOMS += ["original_report", "report", "cli"]


def imports():
    """(importing file, its room, the room it imports from) of every import between rooms, also within functions."""
    for path in LIB.rglob("*.py"):
        place = path.relative_to(LIB)
        room = place.parts[0] if len(place.parts) > 1 else ""
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                above = place.parts[: len(place.parts) - node.level]
                for alias in node.names:
                    target = [*above, *(node.module or "").split("."), alias.name]
                    first = next(part for part in target if part)
                    yield place.as_posix(), room, first if (LIB / first).is_dir() else ""


def test_every_room_is_listed():
    assert {path.name for path in LIB.iterdir() if (path / "__init__.py").is_file()} == set(ROOMS) - {""}


def test_no_room_imports_from_a_later_one():
    upwards = [(file, other) for file, room, other in imports() if ROOMS.index(other) > ROOMS.index(room)]
    assert upwards == [("__main__.py", "cli")]
