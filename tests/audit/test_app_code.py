"""Special tokens that an app writes by hand are found with their lines; prose about them is not."""

import json
import sys
import types

import pytest
from conftest import refused
from ftstudy.audit import app_code
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from templates import TOKENIZERS


def places(folder, tokenizer=None):
    found = app_code.check(folder, tokenizer)
    assert all((item.check, item.severity) == ("app.hard_coded_tokens", "warning") for item in found)
    return [line for item in found for line in item.evidence]


@pytest.mark.parametrize(
    "source, expected",
    [
        ('a = 1\nprompt = "<|im_start|>user\\n"\n', ["app.py:2: <|im_start|>"]),
        ('def ask(text):\n    return f"<start_of_turn>user\\n{text}<end_of_turn>"\n', ["app.py:2: <start_of_turn> <end_of_turn>"]),
        ('turn = lambda role: f"<|{role}|>"\n', ["app.py:1: <|…|>"]),
        ('P = """first\n[INST] {x}\nthird [/INST]\n"""\n', ["app.py:2: [INST]", "app.py:3: [/INST]"]),
        ('P = ("a"\n     "<|eot_id|>"\n     f"{1}<|begin_of_text|>")\n', ["app.py:2: <|eot_id|>", "app.py:3: <|begin_of_text|>"]),
        ('stop = [b"<|im_end|>"]\n', ["app.py:1: <|im_end|>"]),
        ('P = "### Instruction:\\n{x}\\n\\n### Response:\\n"\n', ["app.py:1: ### Instruction ### Response"]),
        ('P = f"{system} USER: {text} ASSISTANT:"\n', ["app.py:1: USER: ASSISTANT:"]),
        ('P = "\\n\\nHuman: " \\\n    "%s\\n\\nAssistant:"\n', ["app.py:1: Human:", "app.py:2: Assistant:"]),
        ("print '<|im_end|>'  # another Python\n", ["app.py:1: <|im_end|>"]),
    ],
)  # fmt: skip
def test_python_strings_are_found_with_line_numbers(tmp_path, source, expected):
    (tmp_path / "app.py").write_text(source)
    assert places(tmp_path) == expected


def test_docstrings_comments_and_other_strings_are_not_counted(tmp_path):
    (tmp_path / "app.py").write_text(
        '"""Writes <|im_start|>."""\n\ndef ask():\n    """No <|im_end|>."""\n    # <|im_end|>\n'
        '    "[INST] a note"\n    return "<b>bold</b> a|b [1] ### heading <|"\n'
    )
    assert places(tmp_path) == []


@pytest.mark.parametrize(
    "name", ["a.ts", "a.js", "a.swift", "a.yaml", "a.json", "a.txt", "a.jinja", "a.kt", "Prompt", "a.sh"]
)
def test_other_languages_are_searched_as_text(tmp_path, name):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / name).write_text("one\nlet p = '<|im_start|>system'\n")
    assert places(tmp_path) == [f"deep/{name}:2: <|im_start|>"]


@pytest.mark.parametrize("name", ["a.swift", "a.java", "a.kt", "a.js", "a.ts", "a.c", "a.m", "a.rs"])
def test_comments_in_other_languages_are_not_counted(tmp_path, name):
    (tmp_path / name).write_text(
        "// <|im_start|>\n   /// USER: x ASSISTANT: `<|im_end|>`\n/* [INST] */\n/**\n * <|eot_id|>\n */\n"
        "let url = 'https://a.b/<|im_end|>'\n/* a */ let p = '[INST]' // and so on\n/* open, and no end: '<bos>'\n"
    )
    assert places(tmp_path) == [f"{name}:7: <|im_end|>", f"{name}:8: [INST]", f"{name}:9: <bos>"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_files_with_a_byte_order_mark_are_read(tmp_path, encoding):
    text = "let p = '<|im_start|>'\n"
    (tmp_path / "a.swift").write_bytes(("\ufeff" * (encoding == "utf-16-be") + text).encode(encoding))
    (tmp_path / "b.py").write_bytes("p = '<|im_end|>'  # <|eot_id|>\n".encode("utf-8-sig"))
    assert places(tmp_path) == ["a.swift:1: <|im_start|>", "b.py:1: <|im_end|>"]


@pytest.mark.parametrize(
    "source, expected",
    [
        ('let p = "\\(system) USER: \\(text) ASSISTANT:"', "1: USER: ASSISTANT:"),
        ('\nlet p = "\\n\\nHuman: " + x; let q = "\\n\\nHuman: a\\n\\nAssistant:"', "2: Human: Assistant:"),
        ('let p = `a "b\nUser: ${text}\nAI:`', "2: User: AI:"),
        ('let p = """\n  \\(system)\n  Human: "x"\n  Assistant:\n  """', "3: Human: Assistant:"),
    ],
)
def test_roles_in_plain_words_are_found_in_one_string(tmp_path, source, expected):
    (tmp_path / "a.swift").write_text(source)
    assert places(tmp_path) == [f"a.swift:{expected}"]


def test_roles_in_prose_or_in_several_strings_are_not_counted(tmp_path):
    (tmp_path / "a.txt").write_text("User: how?\nAssistant: so.\n")
    (tmp_path / "a.swift").write_text('label("User: ") + label("Assistant: ")\nlet a = "SuperUser: x, MyAI: y"\n')
    (tmp_path / "a.py").write_text(
        '"""USER: x ASSISTANT: y"""\nlabels = ["User:", "Assistant:"]\nx = "user: a, assistant: b"\n'
    )
    assert places(tmp_path) == []


def test_notebook_code_is_searched_but_not_its_outputs(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["<|im_start|>"]},
        {"cell_type": "code", "source": ["%pip x\n", "x = '<|im_end|>'"], "outputs": [{"text": "<|im_start|>"}]},
    ]
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": cells}))
    assert places(tmp_path) == ["a.ipynb:2: <|im_end|>"]


def test_files_that_are_not_the_apps_code_are_skipped(tmp_path):
    for name in (".git/x.py", "node_modules/m/x.js", ".venv/x.py", "python/lib/x.py", "a/__pycache__/x.py",
                 "README.md", "model/tokenizer_config.json", "data/train.jsonl"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("'<|im_start|>'")
    (tmp_path / "python" / "pyvenv.cfg").write_text("")
    (tmp_path / "large.txt").write_text("<|im_start|>" + " " * 1_000_000)
    (tmp_path / "picture.png").write_bytes(b"\0<|im_start|>")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    assert places(tmp_path) == []


def test_special_tokens_of_the_tokenizer_are_known(tmp_path):
    (tmp_path / "a.py").write_text("x = '<s>' + text + '</s>'")
    (tmp_path / "a.html").write_text("<s>struck out</s>")
    assert places(tmp_path) == []
    assert places(tmp_path, TOKENIZERS["mistral"]()) == ["a.py:1: <s> </s>"]


def test_many_places_are_counted_and_five_are_shown(tmp_path):
    (tmp_path / "a.txt").write_text("<|im_end|>\n" * 12)
    (found,) = app_code.check(tmp_path)
    assert found.title == "Special tokens are written by hand in 12 lines of 1 file"
    assert len(found.evidence) == 6 and found.evidence[-1] == "… and 7 more"


def test_missing_folder_is_an_error(tmp_path):
    refused(lambda: app_code.check(tmp_path / "nowhere"), "nowhere", "app")


def test_function_is_searched_with_everything_it_uses(tmp_path, monkeypatch):
    (tmp_path / "handmade_app.py").write_text(
        "HEADER = '<|im_start|>assistant\\n'\nUNUSED = '<|eot_id|>'\n\n"
        "def turn(text):\n    return f'<|im_start|>user\\n{text}<|im_end|>\\n'\n\n"
        "def ask(example):\n    return ''.join([turn(one) for one in 'ab']) + HEADER\n\n"
        "def clean(example):\n    return example['messages']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (found,) = app_code.check_function("handmade_app:ask")
    assert found.evidence == ["handmade_app.py:5: <|im_start|> <|im_end|>", "handmade_app.py:HEADER: <|im_start|>"]
    assert app_code.check_function("handmade_app:clean") == []


@pytest.mark.parametrize("name", ["nowhere:x", "builtins:len", "json", "made_up:made"])
def test_function_without_source_has_no_findings(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "made_up", types.SimpleNamespace(made=eval("lambda row: '<|im_end|>'")))
    assert app_code.check_function(name) == []


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=60)
    | st.sampled_from(
        [b"(" * 5000, b"'\\ud800'", b"f'{", b"\xff\xfe'<|im_end|>'", b"/* a", b"\xff\xfe\x00\x00a", b"'USER:"]
    ),
    name=st.sampled_from(["a.py", "a.ipynb", "a.txt", "a.ts", "a.swift"]),
)
def test_search_never_raises_whatever_the_bytes(tmp_path, content, name):
    (tmp_path / name).write_bytes(content)
    app_code.check(tmp_path)
