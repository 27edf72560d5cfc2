"""The rooms of the library import each other in one direction."""

import ast
import graphlib
import json
import os
import subprocess
import sys
from pathlib import Path

import ftstudy

LIB = Path(ftstudy.__file__).parent
# From the ground up: a room imports only from those before it. "" holds the modules on the top level, but for those
# that need nothing.
GROUND = ("errors", "paths", "printable")
ROOMS = [
    "ground",
    "files",
    "",
    "chat_format",
    "sources",
    "privacy",
    "engine",
    "models",
    "extract",
    "record",
    "demo",
    "audit",
    "training",
    "repair",
    "compare",
    "proof",
]
ROOMS += ["diagnosis", "original_report", "report", "stages", "cli"]


def imports():
    """(importing file, its room, the room it imports from) of every import between rooms, also within functions."""
    for path in LIB.rglob("*.py"):
        place = path.relative_to(LIB)
        room = place.parts[0] if len(place.parts) > 1 else "ground" if place.stem in GROUND else ""
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                above = place.parts[: len(place.parts) - node.level]
                for alias in node.names:
                    target = [*above, *(node.module or "").split("."), alias.name]
                    first = next(part for part in target if part)
                    other = first if (LIB / first).is_dir() else "ground" if first in GROUND else ""
                    yield place.as_posix(), room, other


def test_every_room_is_listed():
    assert {path.name for path in LIB.iterdir() if (path / "__init__.py").is_file()} == set(ROOMS) - {"", "ground"}


def test_no_room_imports_from_a_later_one():
    upwards = [(file, other) for file, room, other in imports() if ROOMS.index(other) > ROOMS.index(room)]
    assert upwards == [("__main__.py", "cli")]


def test_an_app_an_audit_and_a_comparison_need_no_extra(tmp_path):
    extras = "jupyterlab ipywidgets IPython papermill nbconvert jinja2 matplotlib pandas pyarrow vobject phonenumbers"
    extras += " babel"
    code = (
        "import sys\n"
        f"for name in {extras.split()!r}: sys.modules[name] = None\n"
        "sys.modules.pop('jinja2')  # transformers brings it\n"
        "import ftstudy.chat_format.capture, ftstudy.audit, ftstudy.training, ftstudy.compare.plan, ftstudy.cli.audit\n"
        "import ftstudy.compare.archaeology, ftstudy.compare.results\n"
        "from ftstudy import cli\n"
        "cli.main(['audit', '--config', 'mine.yaml', '--inference', 'historical', '--owner', 'Sam', '--fail-on', 'never'])\n"
    )
    rows = [{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]}] * 4
    for name in ("train", "valid"):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.yaml").write_text("model: tiny\ndata: .\n")
    command = [sys.executable, "-c", code]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(LIB.parent)}, cwd=tmp_path)


def test_no_modules_import_each_other_in_a_circle():
    needs = {}
    for path in LIB.rglob("*.py"):
        parts = path.relative_to(LIB).with_suffix("").parts
        package, own = parts[:-1], parts[:-1] if parts[-1] == "__init__" else parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = (*package[: len(package) - node.level + 1], *(node.module or "").split("."))
                base = tuple(part for part in base if part)
                for alias in node.names:
                    deeper = (*base, alias.name)
                    is_module = LIB.joinpath(*deeper).with_suffix(".py").is_file() or LIB.joinpath(*deeper).is_dir()
                    target = deeper if is_module else base
                    if target != own[: len(target)]:  # a module may need what its own package defines
                        needs.setdefault(own, set()).add(target)
    graphlib.TopologicalSorter(needs).prepare()  # raises CycleError


def test_tests_of_a_room_are_in_the_folder_of_its_name():
    folders = {path.parent.name for path in Path(__file__).parent.glob("*/test_*.py")}
    assert folders - set(ROOMS) == {"faults"}  # the matrix of injected faults, which several rooms share
