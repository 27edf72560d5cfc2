"""SECURITY.md: the tests that it names exist, and so do the licences."""

import ast
import re

import pytest
from ftstudy import paths

PAGE = (paths.ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)


def promises():
    """The lines of the tables of promises."""
    tables = PAGE.partition("## Not promised")[0].splitlines()
    return [line for line in tables if line.startswith("| ") and not line.startswith(("| Promise", "| ---"))]


@pytest.mark.parametrize("file, name", NAMED, ids=[name or file for file, name in NAMED])
def test_every_named_test_exists(file, name):
    tree = ast.parse((paths.ROOT / file).read_text(encoding="utf-8"))
    there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
    assert there if not name else name in there


def test_every_promise_names_a_test():
    assert len(promises()) >= 15
    assert not [line for line in promises() if "`tests/" not in line]
