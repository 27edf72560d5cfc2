"""A conversation becomes a prompt in one place: the exact ids and masks it gives."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import example, make_pair, refused
from ftstudy import chat_format
from ftstudy.chat_format.rows import read_split
from ftstudy.errors import StudyError
from ftstudy.extract import variant_folder
from ftstudy.extract.variants import to_example
from hypothesis import given
from hypothesis import strategies as st

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40).filter(lambda text: "<|" not in text)


def test_training_ids_are_what_mlx_lm_trains_on(tokenizer):
    from mlx_lm.tuner.datasets import ChatDataset

    ids, _ = chat_format.training_ids(example(), tokenizer)
    assert ids == ChatDataset([example()], tokenizer).process(example())[0]


def test_mask_covers_only_the_reply_and_its_end_of_turn(tokenizer):
    ids, mask = chat_format.training_ids(example(), tokenizer)
    assert tokenizer.decode([token for token, on in zip(ids, mask) if on]) == "yes pls<|im_end|>"
    assert tokenizer.decode(ids[max(at for at, on in enumerate(mask) if on) + 1 :]) == "\n"


@given(system=TEXT, user=TEXT, reply=TEXT)
def test_aligned_prompt_is_a_prefix_of_training_ids(tokenizer, system, user, reply):
    row = example(system, user, reply)
    ids, mask = chat_format.training_ids(row, tokenizer)
    prompt = chat_format.prompt_ids(row, tokenizer)
    assert ids[: len(prompt)] == prompt
    assert not any(mask[: len(prompt)])
    trained = [token for token, on in zip(ids, mask) if on]
    assert tokenizer.decode(trained[:-1]) == reply and trained[-1] in chat_format.end_of_turn_ids(tokenizer)


def test_historical_prompt_matches_the_reports_listing(tokenizer):
    profile = chat_format.load_profile("historical", "Sam")
    text = tokenizer.decode(chat_format.prompt_ids(example(), tokenizer, profile))
    assert text == (
        "<|im_start|>system\nYou are Sam, a tech founder. Text like a real person... <|im_end|>\n"
        "<|im_start|>user\nContext:\nContact: hey\nSam: yo\nContact: dinner?\n\nLast Message: dinner?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("name", ["aligned", "other_system", "wrapped", "historical"])
def test_named_profiles_give_messages_training_ids_and_prompt_ids(tokenizer, name):
    profile = chat_format.load_profile(name, "Sam")
    messages = chat_format.messages_for(example(), profile)
    prompt = chat_format.prompt_ids(example(), tokenizer, profile)
    ids, mask = chat_format.training_ids(example(), tokenizer, profile)
    assert [message["role"] for message in messages] == ["system", "user", "assistant"]
    assert ids[: len(prompt)] == prompt and sum(mask) and not any(mask[: len(prompt)])


def test_historical_messages_through_the_template_give_the_hard_coded_string(tokenizer):
    profile = chat_format.load_profile("historical", "Sam")
    by_template = {"messages": chat_format.messages_for(example(), profile)}
    assert chat_format.prompt_ids(by_template, tokenizer) == chat_format.prompt_ids(example(), tokenizer, profile)


@pytest.mark.parametrize(
    "user, last",
    [
        ("Contact: hey", "hey"),
        ("Contact: hey\nSam: yo\nContact: two\nlines: here", "two\nlines: here"),
        ("Contact: time: 7?", "time: 7?"),
        ("Contact: a\nSam: b", "b"),
        ("no name at all", "no name at all"),
    ],
)
def test_last_message_is_complete_and_without_its_name(user, last):
    assert chat_format.last_message(example(user=user)) == last


@pytest.mark.parametrize("options", [{"form": "tagged"}, {"form": "tagged", "category": True}, {"form": "wrapped"}])
@pytest.mark.parametrize("is_group", [False, True])
def test_user_turns_of_all_variants_read_back_as_plain_text(options, is_group):
    pair = make_pair((None, "lunch?"), ("ann", "hey"), ("bo", "dinner?\nat 7"), reply="yes", is_group=is_group)
    plain, other = to_example(pair, "Sam", "Be Sam."), to_example(pair, "Sam", "Be Sam.", **options)
    assert chat_format.plain_context(other["messages"][1]["content"]) == plain["messages"][1]["content"]
    assert chat_format.last_message(other) == chat_format.last_message(plain) == "dinner?\nat 7"


LOOKS_LIKE_TWO = "menu:\nContact: pizza"  # one message with a line that looks like the next one


@pytest.mark.parametrize("options", [{}, {"form": "tagged"}, {"form": "tagged", "category": True}, {"form": "wrapped"}])
def test_own_rows_take_context_and_last_message_from_meta(options, tmp_path):
    pair = make_pair(("ann", "hey"), ("ann", LOOKS_LIKE_TWO), reply="yes")
    row = to_example(pair, "Sam", "Be Sam.", **options)
    meta = {
        "split": "test",
        "row": 0,
        "context": f"Contact: hey\nContact: {LOOKS_LIKE_TWO}",
        "last_message": LOOKS_LIKE_TWO,
    }
    (tmp_path / "test.jsonl").write_text(json.dumps(row))
    (tmp_path / "meta.jsonl").write_text(json.dumps(meta))
    (loaded,) = variant_folder.load_examples(tmp_path, "test")
    assert chat_format.context_of(loaded) == meta["context"]
    assert chat_format.last_message(loaded) == LOOKS_LIKE_TWO
    assert chat_format.messages_for(loaded)[1] == row["messages"][1]
    wrapped = chat_format.messages_for(loaded, {"user": chat_format.WRAPPER})[1]["content"]
    assert wrapped == f"Context:\n{meta['context']}\n\nLast Message: {LOOKS_LIKE_TWO}"
    loaded["messages"][1]["content"] = "Contact: edited"
    assert chat_format.context_of(loaded) == "Contact: edited" and chat_format.last_message(loaded) == "edited"


@pytest.mark.parametrize(
    "meta",
    [
        None,
        "",
        "{",
        "[]",
        '{"split": "test", "row": 0}',
        '{"split": "test", "row": [], "context": "a", "last_message": "b"}',
    ],
)
def test_rows_without_usable_meta_are_read_from_the_user_turn(meta, tmp_path):
    (tmp_path / "test.jsonl").write_text(json.dumps(example()))
    if meta is not None:
        (tmp_path / "meta.jsonl").write_text(meta)
    assert variant_folder.load_examples(tmp_path, "test") == [example()]
    assert chat_format.last_message(example()) == "dinner?"


def test_callable_gets_the_row_as_in_the_file(monkeypatch, tmp_path):
    (tmp_path / "keys_app.py").write_text("def ask(example): return ' '.join(example)")
    monkeypatch.syspath_prepend(tmp_path)
    row = example() | {chat_format.EXTRACTED: {"context": "a", "last_message": "b"}}
    assert chat_format.prompt_of(row, {"kind": "callable", "function": "keys_app:ask"}) == "messages"


MARKUP = "<|im_start|>{role}\n{content}<|im_end|>\n"
HEADER = "<|im_start|>assistant\n"
SYSTEM = "<|im_start|>system\n{system}<|im_end|>\n"
LAST = "<|im_start|>user\n{last_message}<|im_end|>\n"


def several_turns(*contents):
    turns = [{"role": "system", "content": "Be Sam."}]
    turns += [{"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents)]
    return {"messages": turns}


@pytest.mark.parametrize("template", [SYSTEM + "{history}" + LAST + HEADER, SYSTEM + "{context}" + HEADER])
@pytest.mark.parametrize(
    "row",
    [
        several_turns("hey", "yo", "note: dinner?\nat 7", "yes"),
        several_turns("a: b", "c: d", "e {content}", "f", "{role}", "g"),
        several_turns("note: call me", "ok"),
    ],
)
def test_template_writes_rows_with_earlier_turns_turn_by_turn(template, row, tokenizer):
    profile = chat_format.load_profile({"kind": "template", "template": template, "turn": MARKUP})
    assert chat_format.prompt_ids(row, tokenizer, profile) == chat_format.prompt_ids(row, tokenizer)


def test_turns_of_each_role_may_be_written_differently():
    turn = {"user": "Q {content}\n", "assistant": "A {content}\n"}
    profile = chat_format.load_profile({"kind": "template", "template": "{history}Now {last_message}", "turn": turn})
    assert chat_format.prompt_of(several_turns("a", "b", "c", "d"), profile) == "Q a\nA b\nNow c"
    del profile["turn"]["assistant"]
    refused(lambda: chat_format.prompt_of(several_turns("a", "b", "c", "d"), profile), "turn:", "role assistant")


def test_earlier_turns_without_a_form_are_refused_where_the_template_shows_them():
    row = several_turns("a", "b", "c", "d")
    for placeholder in ("{context}", "{history}"):
        profile = {"kind": "template", "template": placeholder}
        refused(lambda: chat_format.prompt_of(row, profile), 'turn: "', "earlier turns")
    assert chat_format.prompt_of(row, {"kind": "template", "template": "{last_message}"}) == "c"
    assert (
        chat_format.prompt_of(several_turns("a", "b"), {"kind": "template", "template": "{history}|{context}"}) == "|a"
    )


def test_the_original_apps_prompt_shows_earlier_turns_as_lines():
    prompt = chat_format.prompt_of(several_turns("a", "b", "c", "d"), chat_format.load_profile("historical", "Sam"))
    assert "Context:\nuser: a\nassistant: b\nuser: c\n\nLast Message: c<|im_end|>" in prompt


@pytest.mark.parametrize(
    "user, history",
    [
        ("Contact: hey", ""),
        ("no name at all", ""),
        ("Contact: hey\nSam: yo\nContact: two\nlines: here", "Contact: hey\nSam: yo"),
        ("<conversation>\nContact: a\nSam: b\n</conversation>\n<last_message>\nSam: b\n</last_message>", "Contact: a"),
        ("Context:\nContact: a\nContact: b\n\nLast Message: b", "Contact: a"),
    ],
)
def test_history_is_the_context_without_its_last_message(user, history):
    assert chat_format.prompt_of(example(user=user), {"kind": "template", "template": "{history}."}) == history + "."


def test_braces_in_a_message_are_not_placeholders(tokenizer):
    row = example(user="Contact: {system} {last_message}")
    text = tokenizer.decode(chat_format.prompt_ids(row, tokenizer, chat_format.load_profile("wrapped")))
    assert "Last Message: {system} {last_message}<|im_end|>" in text


def test_callable_may_return_text_ids_or_messages(tokenizer, monkeypatch, tmp_path):
    (tmp_path / "my_app.py").write_text(
        "def text(example): return 'hi'\ndef ids(example): return [1, 2]\ndef turns(example): return example['messages'][:-1]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ask = lambda name: chat_format.prompt_ids(example(), tokenizer, {"kind": "callable", "function": f"my_app:{name}"})  # noqa: E731
    assert ask("ids") == [1, 2]
    assert ask("text") == tokenizer.encode("hi")
    assert ask("turns") == chat_format.prompt_ids(example(), tokenizer)


def test_a_split_is_read_line_by_line(tmp_path):
    row, pair = example(), {"prompt": "hey", "completion": "yo"}
    lines = [json.dumps(row).encode(), b" ", b"{broken", b"\xff", b"5", json.dumps({"messages": []}).encode(), b"null"]
    (tmp_path / "train.jsonl").write_bytes(b"\n".join(lines))
    split = read_split(tmp_path, "train")
    assert (split.lines, split.rows, split.numbers) == (7, [row, 5, {"messages": []}, None], [1, 5, 6, 7])
    assert split.blank == [2] and split.schema == "chat" and list(split.chats()) == [(1, row)]
    assert [line[:7] for line in split.broken] == ["line 3:", "line 4:"] and "bytes that are not" in split.broken[1]
    assert split.conversation({"prompt": "hey"}, "chat") is split.conversation(row, "text") is None
    made = [{"role": "user", "content": "hey"}, {"role": "assistant", "content": "yo"}]
    assert split.conversation(pair, "completion") == pair | {"messages": made}


def test_captured_profile_returns_what_was_sent(tokenizer, tmp_path):
    (tmp_path / "sent.jsonl").write_text('{"split": "test", "row": 3, "ids": [5, 6]}\n')
    (tmp_path / "app.yaml").write_text("kind: captured\nfile: sent.jsonl\n")
    profile = chat_format.load_profile(tmp_path / "app.yaml")
    assert chat_format.prompt_ids(example(), tokenizer, profile, ("test", 3)) == [5, 6]
    with pytest.raises(StudyError, match="row"):
        chat_format.prompt_ids(example(), tokenizer, profile, ("test", 4))


def test_captured_lines_that_cannot_be_used_are_reported(tmp_path):
    rows = [{"split": "test", "row": at, "ids": [5, 6], "stop": stop} for at, stop in enumerate([["a"], ["b", 5, "a"]])]
    rows += [{"split": "test", "row": "1", "ids": [5]}, {"split": 1, "row": 1, "ids": [5]}, {**rows[0], "ids": [7]}]
    (tmp_path / "sent.jsonl").write_text("\n\n".join(map(json.dumps, rows)))
    profile = chat_format.load_profile(tmp_path / "sent.jsonl")
    assert profile["rows"] == {("test", 0): [5, 6], ("test", 1): [5, 6]} and profile["stop"] == ["a", "b"]
    assert [line.split(":")[0] for line in profile["broken"]] == ["line 5", "line 7", "line 9"]


@pytest.mark.parametrize(
    "text, words",
    [
        ("kind: postcard", "postcard"),
        ("kind: template", "template"),
        ("kind: messages\nsystm: hello", "systm"),
        ("kind: messages\nsystem: You are {owner}.", "{owner}"),
        ("- a list", "no `kind:`"),
        ("", "no `kind:`"),
        ("kind: callable", "no `function:`"),
        ("kind: captured\nfile: ''", "no `file:`"),
        ("kind: template\ntemplate:", "no `template:`"),
        ("kind: template\ntemplate: hi\nsystem: false", "False as its `system:`"),
        ("kind: messages\nuser: 5", "5 as its `user:`"),
        ('kind: messages\nuser: "\\ud800"', "as its `user:`"),
        ("kind: messages\ninstruction: [a]", "as its `instruction:`"),
        ("kind: messages\nuser: a\nrows: {}", "rows"),
        ("kind: messages\n5: x", "'5'"),
        ("kind: messages\nuser: '{system} {who} {what}'", "{who} in `user:`"),
        ("kind: template\ntemplate: hi\nturn: '{who}: {content}'", "{who} in `turn:`"),
        ("a: [", "YAML"),
    ],
)
def test_invalid_profile_error_names_file_and_key(tmp_path, text, words):
    path = tmp_path / "app.yaml"
    path.write_text(text)
    with pytest.raises(StudyError, match=words) as caught:
        chat_format.load_profile(path)
    assert "app.yaml" in str(caught.value)


def test_profile_keeps_the_keys_that_are_set(tmp_path):
    path = tmp_path / "inference_mine.yaml"
    path.write_text("kind: messages\nsystem: false\nuser:\ninstruction: Be kind.")
    expected = {"name": "mine", "kind": "messages", "system": False, "instruction": "Be kind."}
    assert chat_format.load_profile(path) == expected == chat_format.load_profile(dict(expected))


CAPTURED = {
    '{"split": "test", "row": 0, "ids": [5, 6]}': None,
    '{"split": "test", "row": 0, "ids": [5, 6], "prompt": "not used"}': None,
    '{"split": "test", "row": 1, "prompt": "hi"}': None,
    '{"split": "test", "row": 2, "ids": null, "prompt": "ho"}': None,
    "": None,
    '{"split": "test", "row": 0, "ids": [5]}': "test row 0 was already recorded with another prompt",
    '{"split": 1, "row": 0, "ids": [5]}': "not {",
    '{"split": "test", "row": true, "ids": [5]}': "not {",
    "[]": "not {",
    "{": "Expecting",
    '{"split": "test", "row": 3, "ids": [5], "cached": 4}': "only the end of a prompt",
    '{"split": "test", "row": 3, "ids": 5}': "its `ids` are 5",
    '{"split": "test", "row": 3, "ids": []}': "No prompt from this line: []",
    '{"split": "test", "row": 3, "prompt": [{"role": "user", "content": "hi"}]}': "messages, but",
}


def test_captured_lines_that_cannot_be_used_are_listed(tmp_path):
    (tmp_path / "sent.jsonl").write_text("\n".join(CAPTURED))
    profile = chat_format.load_profile({"kind": "captured", "file": str(tmp_path / "sent.jsonl")})
    assert profile["rows"] == {("test", 0): [5, 6], ("test", 1): "hi", ("test", 2): "ho"}
    reasons = [f"line {number}: {reason}" for number, reason in enumerate(CAPTURED.values(), 1) if reason]
    assert len(profile["broken"]) == len(reasons)
    assert all(line.startswith(reason) for line, reason in zip(profile["broken"], reasons)), profile["broken"]


def test_unreadable_recording_is_an_error(tmp_path):
    with pytest.raises(StudyError, match="Cannot read the captured prompts"):
        chat_format.load_profile({"kind": "captured", "file": str(tmp_path)})


@pytest.mark.parametrize(
    "code, words",
    [
        ("def ask(example): return None", "No prompt from the inference profile's function .*: None"),
        ("def ask(example): return []", "No prompt"),
        ("def ask(example): return [1.5]", "No prompt"),
        ("def ask(example): return [True]", "No prompt"),
        ("def ask(example): return [{'role': 'user'}]", "No prompt"),
        ("def ask(example): return '\\ud800'", "No prompt"),
        ("def ask(example): exit(3)", "raised SystemExit: 3"),
        ("ask = 5", "is not a function"),
        ("import nowhere_at_all", "Cannot import"),
    ],
)
def test_failing_function_is_an_error(code, words, tmp_path, monkeypatch):
    name = f"failing_app_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(StudyError, match=words):
        chat_format.prompt_of(example(), {"kind": "callable", "function": f"{name}:ask"})


def test_token_ids_outside_the_vocabulary_are_an_error(tokenizer):
    size = len(tokenizer)
    assert chat_format.encoded([0, size - 1], tokenizer) == [0, size - 1]
    for wrong in (-1, size):
        with pytest.raises(StudyError, match=rf"\[{wrong}\]"):
            chat_format.encoded([0, wrong], tokenizer)


def test_messages_for_puts_in_system_user_and_examples():
    row, roles = example(), lambda messages: [turn["role"] for turn in messages]
    plain = row["messages"]
    assert chat_format.messages_for(row) == plain and chat_format.messages_for(row)[0] is not plain[0]
    assert chat_format.messages_for(row, {"system": False}) == plain[1:]
    assert chat_format.messages_for({"messages": plain[1:]}, {"system": "Hi"})[0] == {"role": "system", "content": "Hi"}
    assert chat_format.messages_for(row, {"system": "{system}!"})[0]["content"] == plain[0]["content"] + "!"
    quoted = chat_format.messages_for(row, {"system": "A {instruction}", "instruction": "B", "user": "{system} C"})
    assert [turn["content"] for turn in quoted[:2]] == ["A B", "A B C"]
    two = {"messages": [*plain, {"role": "user", "content": "again"}, plain[2]]}
    changed = chat_format.messages_for(two, {"user": "new"})
    assert changed[1] == plain[1] and changed[3]["content"] == "new"
    assert chat_format.messages_for({"messages": plain[2:]}, {"user": "new"}) == plain[2:]
    for system in (None, False):
        shown = chat_format.messages_for(row, {"system": system, "shots": [example(user="Contact: x", reply="shot")]})
        assert roles(shown) == ["system"] * (system is None) + ["user", "assistant"] * 2
        assert [turn["content"] for turn in shown if turn["role"] == "assistant"] == ["shot", plain[2]["content"]]


@pytest.mark.parametrize(
    "row, ends",
    [
        (example(), True),
        ({"messages": example()["messages"][1:]}, True),
        (example(reply=" \n"), False),
        ({"messages": example()["messages"][:2]}, False),
        ({"messages": example()["messages"][2:]}, False),
        ({"messages": [{"role": "user"}, {"role": "assistant", "content": "a"}]}, False),
        ({"messages": ["user", {"role": "assistant", "content": "a"}]}, False),
        ({"messages": "ab"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_rows_that_end_with_a_reply(row, ends):
    assert chat_format.ends_with_reply(row) is ends


def test_missing_profile_is_an_error():
    with pytest.raises(StudyError, match="nowhere.yaml"):
        chat_format.load_profile("nowhere.yaml")


def test_function_may_be_next_to_its_profile(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "app_next_to_its_profile.py").write_text("def ask(example):\n    return example['messages'][1:-1]\n")
    (tmp_path / "profile.yaml").write_text("kind: callable\nfunction: app_next_to_its_profile:ask\n")
    profile = chat_format.load_profile(tmp_path / "profile.yaml")
    row = example()
    assert chat_format.prompt_of(row, profile) == row["messages"][1:-1]


@pytest.mark.parametrize(
    "function", ["subprocess:getoutput", "os:system", "os.path:exists", "numpy:array", "ftstudy.paths:shown", "builtins:exec",
    "__main__:main", "sys:exit", "json", f"{__name__}:example", "app_of_a_stranger:ask"],
)  # fmt: skip
def test_function_from_anywhere_but_next_to_its_profile_is_refused(function, tmp_path, monkeypatch):
    """Python's own functions would start programs, without a line of code that one could read before."""
    installed = tmp_path / "installed"
    installed.mkdir()
    (installed / "app_of_a_stranger.py").write_text("def ask(example):\n    return 'x'\n")
    monkeypatch.setattr(sys, "path", [str(installed), *sys.path])
    (tmp_path / "profile.yaml").write_text(f"kind: callable\nfunction: {function}\n")
    use = lambda: chat_format.prompt_of(example(), chat_format.load_profile(tmp_path / "profile.yaml"))  # noqa: E731
    refused(use, "is not next to it")
    (tmp_path / "subprocess.py").write_text("def getoutput(example):\n    return 'x'\n")  # Python would take its own
    refused(use, "of another name")


def test_function_of_a_package_next_to_its_profile_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "app_as_package").mkdir()
    (tmp_path / "app_as_package" / "__init__.py").touch()
    (tmp_path / "app_as_package" / "prompts.py").write_text("from . import texts\nask = lambda example: texts.TEXT\n")
    (tmp_path / "app_as_package" / "texts.py").write_text("TEXT = 'hello'\n")
    (tmp_path / "profile.yaml").write_text("kind: callable\nfunction: app_as_package.prompts:ask\n")
    (tmp_path / "link").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "link"):
        assert chat_format.prompt_of(example(), chat_format.load_profile(folder / "profile.yaml")) == "hello"


def test_chat_templates_are_called_only_in_chat_format():
    """Every prompt and every training row comes from chat_format, so that they cannot differ by accident."""
    package = Path(chat_format.__file__).parents[1]
    callers = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "apply_chat_template"
    }
    assert callers == {"chat_format"}


def test_importing_chat_format_imports_no_mlx():
    code = "import sys, ftstudy.chat_format; print([name for name in sys.modules if name.startswith('mlx')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
