"""Every way in which an app can ask otherwise than training did, on every kind of chat template."""

import json
from datetime import datetime

import pytest
from conftest import check_parity, example
from ftstudy import chat_format
from ftstudy.audit import parity, run_inputs
from ftstudy.audit.parity.checks import OF_PROMPTS
from ftstudy.errors import StudyError
from ftstudy.models import base_models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from templates import BLOCK, FAMILIES, INJECTED, TOKENIZERS, _loaded, tokenizer_folder

SYSTEM = "You are Sam. Reply to text messages the way Sam texts.\n\nBe short."
WITH_SYSTEM = [name for name in TOKENIZERS if name != "gemma"]
INJECTING = ["smollm2"]
IDS = {check.id for check in OF_PROMPTS}


def conversation(number=0, system=SYSTEM, name="chatml"):
    """Several turns; Gemma's template takes no system message."""
    turns = [
        ("user", f"Contact: hey 👩‍👩‍👧 {number}\nSam: yo"),
        ("assistant", "user"),
        ("user", "Contact: dinner? assistant: maybe\n\nContact: at 7"),
        ("assistant", f"yes pls {number}"),
    ]
    if system is not None and name != "gemma":
        turns.insert(0, ("system", system))
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def short(number=0, system=SYSTEM, name="chatml"):
    row = example(system, f"Contact: hey {number}\nSam: yo\nContact: dinner?", f"sure {number}")
    if system is None or name == "gemma":
        del row["messages"][0]
    return row


def asked(monkeypatch, function, name="chatml", rows=None, mask_prompt=True, exact=True):
    """Findings where the app's function makes the prompt: {(check, severity)}."""
    import sys
    import types

    monkeypatch.setitem(sys.modules, "my_app", types.SimpleNamespace(ask=function))
    rows = rows or [conversation(0, name=name), short(1, name=name)]
    profile = chat_format.load_profile({"kind": "callable", "function": "my_app:ask"})
    found = check_parity(rows, _loaded(name), profile, "here", mask_prompt=mask_prompt)
    assert all(len(item.evidence) <= 6 and all(len(line) <= 220 for line in item.evidence) for item in found)
    shown = [[line.partition(":")[2].strip() for line in item.evidence[1:3]] for item in found if item.evidence[2:]]
    assert all(training != inference for training, inference in shown)
    return {(item.check, item.severity) for item in found}


def errors(*ids):
    return {(f"parity.{name}", "error") for name in ids}


def text_of(row, name, **arguments):
    return _loaded(name).apply_chat_template(
        row["messages"][:-1], tokenize=False, **({"add_generation_prompt": True} | arguments)
    )


def plain(text, name):
    """Token ids of exactly this text."""
    return _loaded(name).encode(text, add_special_tokens=False)


def changed(row, role, change, which=-1):
    at = [index for index, turn in enumerate(row["messages"][:-1]) if turn["role"] == role]
    for index in [at[which]] if at else []:
        row["messages"][index]["content"] = change(row["messages"][index]["content"])
    return row["messages"][:-1]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_the_same_prompt_in_any_form_has_no_findings(monkeypatch, name):
    for form in (
        lambda row: row["messages"][:-1],
        lambda row: text_of(row, name),
        lambda row: plain(text_of(row, name), name),
    ):
        assert asked(monkeypatch, form, name) == set()


EVERYWHERE = {
    "wrapper": (lambda row, name: changed(row, "user", lambda text: f"Context:\n{text}\n\nLast Message: hey"), "user_wrapper"),
    "only_the_last_message": (lambda row, name: changed(row, "user", lambda text: text.splitlines()[-1]), "user_wrapper"),
    "space_after_content": (lambda row, name: text_of(row, name).replace(row["messages"][-2]["content"], row["messages"][-2]["content"] + " \n"), "whitespace"),
    "prefilled": (lambda row, name: text_of(row, name) + "Sam: ", "end_of_prompt"),
    "doubled_start": (lambda row, name: (_loaded(name).bos_token or "<|endoftext|>") + text_of(row, name), "bos"),
}  # fmt: skip


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("fault", EVERYWHERE)
def test_a_fault_that_any_template_can_have_is_found_under_its_id(monkeypatch, name, fault):
    make, check = EVERYWHERE[fault]
    if fault == "doubled_start" and name == "smollm2":
        check = "bos"  # its BOS is the marker of turns
    assert asked(monkeypatch, lambda row: make(row, name), name) == errors(check)


@pytest.mark.parametrize("name", WITH_SYSTEM)
@pytest.mark.parametrize("rows", [[conversation()], [short()]], ids=["long", "short"])
def test_system_messages_that_differ(monkeypatch, name, rows):
    ask = lambda make: asked(monkeypatch, make, name, rows)  # noqa: E731
    assert ask(lambda row: changed(row, "system", lambda _: "You are a founder.\n\nText.")) == errors("system_text")
    assert ask(lambda row: changed(row, "system", lambda text: text + " Be nice.")) == errors("system_text")
    assert ask(lambda row: row["messages"][1:-1]) == errors("default_system")
    assert ask(lambda row: changed(row, "system", lambda _: "")) == errors("default_system")


@pytest.mark.parametrize("name", WITH_SYSTEM)
def test_two_differences_are_found_as_two(monkeypatch, name):
    def ask(row):
        changed(row, "user", lambda text: f"Context:\n{text}\n\nLast Message: hey")
        return changed(row, "system", lambda text: "You are a founder.\n\n" + text)

    assert asked(monkeypatch, ask, name) == errors("system_text", "user_wrapper")


@pytest.mark.parametrize("name", WITH_SYSTEM)
def test_a_system_message_that_training_does_not_have(monkeypatch, name):
    rows = [conversation(system=None), short(system=None)]
    add = lambda text: lambda row: [{"role": "system", "content": text}, *row["messages"][:-1]]  # noqa: E731
    assert asked(monkeypatch, lambda row: row["messages"][:-1], name, rows) == set()
    assert asked(monkeypatch, add("You are Sam. Text."), name, rows) == errors("default_system")
    if name in INJECTING:
        assert asked(monkeypatch, add(""), name, rows) == errors("default_system")
        bare = lambda row: text_of(row, name).replace(f"<|im_start|>system\n{INJECTED}<|im_end|>\n", "")  # noqa: E731
        assert asked(monkeypatch, bare, name, rows) == errors("default_system")


def test_a_system_message_on_a_template_that_takes_none(monkeypatch):
    add = lambda row: [{"role": "system", "content": "Hi"}, *row["messages"][:-1]]  # noqa: E731
    assert asked(monkeypatch, add, "gemma") == errors("profile_fails")
    into_user = lambda row: changed(row, "user", lambda text: "You are Sam.\n\n" + text, 0)  # noqa: E731
    assert asked(monkeypatch, into_user, "gemma", [short(name="gemma")]) == errors("user_wrapper")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_earlier_turns_that_are_others_or_missing(monkeypatch, name):
    rows = [conversation(name=name)]
    ask = lambda make: asked(monkeypatch, make, name, rows)  # noqa: E731
    assert ask(lambda row: changed(row, "assistant", lambda _: "something else")) == errors("earlier_replies")
    last_only = lambda row: [turn for turn in row["messages"][:-1] if turn["role"] == "system"] + row["messages"][-2:-1]  # noqa: E731
    assert ask(last_only) == errors("earlier_replies")


def history(name="chatml"):
    """Four pairs of turns before the last one."""
    turns = []
    for number, (question, answer) in enumerate(
        [("dinner?", "yes pls"), ("when\n\nand where?", "at 7. user"), ("ok", "ok"), ("👩‍👩‍👧", "ha")]
    ):
        turns += [{"role": "user", "content": f"Contact: {question}"}, {"role": "assistant", "content": answer}]
    system = [{"role": "system", "content": SYSTEM}] if name != "gemma" else []
    return {"messages": system + turns + [{"role": "user", "content": "Contact: bye"}, {"role": "assistant", "content": "bye"}]}  # fmt: skip


def parted(row):
    """System turns, and the other turns of a prompt."""
    turns = row["messages"][:-1]
    return [turn for turn in turns if turn["role"] == "system"], [turn for turn in turns if turn["role"] != "system"]


def with_turns(change):
    """A prompt of the template's own, with other turns behind the system turn."""

    def prompt(row):
        system, turns = parted(row)
        return system + change(turns)

    return prompt


PAIR = [{"role": "user", "content": "Contact: u there?"}, {"role": "assistant", "content": "always.\n\nWhy"}]
OTHER_TURNS = {
    "first_pair_dropped": lambda turns: turns[2:],
    "middle_pair_dropped": lambda turns: turns[:2] + turns[4:],
    "two_pairs_dropped": lambda turns: turns[:2] + turns[4:6] + turns[8:],
    "reversed": lambda turns: [turn for at in (6, 4, 2, 0) for turn in turns[at : at + 2]] + turns[8:],
    "duplicated": lambda turns: turns[:8] + turns,
    "few_shot": lambda turns: PAIR + turns,
    "two_pairs_added": lambda turns: PAIR + turns[:4] + PAIR + turns[4:],
    "a_pair_for_another": lambda turns: turns[:4] + PAIR + turns[6:],
    "earlier_question_changed": lambda turns: [turns[0] | {"content": "Contact: lunch?"}, *turns[1:]],
    "a_reply_included": lambda turns: turns + [{"role": "assistant", "content": "bye bye"}, turns[0]] + turns[7:9],
}


@pytest.mark.parametrize("name", TOKENIZERS)
@pytest.mark.parametrize("fault", OTHER_TURNS)
def test_turns_that_are_missing_added_or_moved(monkeypatch, name, fault):
    ask = with_turns(OTHER_TURNS[fault])
    assert asked(monkeypatch, ask, name, [history(name)]) == errors("earlier_replies")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_turns_added_to_a_single_question(monkeypatch, name):
    few_shot = with_turns(lambda turns: PAIR + turns)
    assert asked(monkeypatch, few_shot, name, [short(name=name)]) == errors("earlier_replies")
    spelt = lambda row: text_of({"messages": [*few_shot(row), {}]}, name) + "Sam: "  # noqa: E731
    assert asked(monkeypatch, spelt, name, [short(name=name)]) == errors("earlier_replies", "end_of_prompt")


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if name != "gemma"])
def test_a_turn_more_behind_the_question_or_a_second_system_turn(monkeypatch, name):
    briefly = with_turns(lambda turns: [*turns, {"role": "user", "content": "Answer briefly."}])
    assert asked(monkeypatch, briefly, name, [short(name=name)]) == errors("earlier_replies")
    if name != "mistral":  # whose template refuses that
        twice = lambda row: row["messages"][:1] + row["messages"][:-1]  # noqa: E731
        assert asked(monkeypatch, twice, name, [short(name=name)]) == errors("system_text")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_added_turns_hide_no_other_difference(monkeypatch, name):
    wrapped = lambda turn: turn | {"content": f"Reply to: {turn['content']}"}  # noqa: E731
    ask = with_turns(lambda turns: [*PAIR, *turns[:-1], wrapped(turns[-1])])
    assert asked(monkeypatch, ask, name, [history(name)]) == errors("earlier_replies", "user_wrapper")
    if name != "gemma":
        other = lambda row: [{"role": "system", "content": "You are a founder."}, *PAIR, *parted(row)[1]]  # noqa: E731
        assert asked(monkeypatch, other, name, [history(name)]) == errors("earlier_replies", "system_text")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_form_that_every_user_turn_has_is_the_wrapper(monkeypatch, name):
    wrapped = lambda turn: turn | {"content": f"Reply to: {turn['content']}"}  # noqa: E731
    form = with_turns(lambda turns: [wrapped(turn) if turn["role"] == "user" else turn for turn in turns])
    assert asked(monkeypatch, form, name, [history(name)]) == errors("user_wrapper")
    two = with_turns(lambda turns: [wrapped(turn) if at in (4, 8) else turn for at, turn in enumerate(turns)])
    assert asked(monkeypatch, two, name, [history(name)]) == errors("user_wrapper", "earlier_replies")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_white_space_alone(monkeypatch, name):
    for change in (
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("\n", " "),
        lambda text: text.replace(" ", "  "),
        lambda text: text.replace("Contact: ", "Contact:\n", 1),
    ):
        assert asked(monkeypatch, lambda row: change(text_of(row, name)), name) == errors("whitespace")


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_line_break_before_the_first_header(monkeypatch, name):
    bos = ("bos",) if FAMILIES[name].get("adds_bos") else ()  # mlx-lm sees no BOS at the start, and puts one there
    assert asked(monkeypatch, lambda row: "\n" + text_of(row, name), name) == errors("whitespace", *bos)
    ids = lambda row: plain("\n" + text_of(row, name), name)  # noqa: E731
    assert asked(monkeypatch, ids, name) == errors("whitespace")
    wrapped = lambda row: changed(row, "user", lambda text: f"Reply to: {text}")  # noqa: E731
    both = lambda row: plain("\n" + text_of({"messages": [*wrapped(row), {}]}, name), name)  # noqa: E731
    assert asked(monkeypatch, both, name) == errors("whitespace", "user_wrapper")


def test_a_line_break_between_two_special_tokens(monkeypatch):
    def ask(row, change=lambda text: text):
        return text_of(row, "llama3").replace("<|eot_id|><|start", "<|eot_id|>\n<|start")

    assert asked(monkeypatch, ask, "llama3") == errors("whitespace")
    other = lambda row: ask({"messages": [*changed(row, "user", str.upper), {}]})  # noqa: E731
    assert asked(monkeypatch, other, "llama3") == errors("whitespace", "user_wrapper")


def test_line_ends_of_another_system_do_not_hide_a_wrapper(monkeypatch):
    def ask(row):
        changed(row, "user", lambda text: f"Reply to:\n{text}")
        return text_of(row, "mistral").replace("\n", "\r\n")

    assert asked(monkeypatch, ask, "mistral") == errors("whitespace", "user_wrapper")


IN_LINE = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'system' %}{{ m['content'] + ' ' }}"
    "{% elif m['role'] == 'user' %}{{ 'USER: ' + m['content'] + ' ' }}{% else %}{{ 'ASSISTANT: ' + m['content'] + eos_token }}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


@pytest.fixture
def in_line(monkeypatch):
    """A template with its headers in the middle of a line, as Vicuna has them."""
    family = {"special": ["<unk>", "<s>", "</s>"], "bos": "<s>", "eos": "</s>", "adds_bos": True, "template": IN_LINE}
    monkeypatch.setitem(FAMILIES, "in_line", family)
    return "in_line"


@pytest.mark.parametrize("rows", [short, history])
def test_headers_in_the_middle_of_a_line(monkeypatch, in_line, rows):
    rows = [rows(name=in_line)]
    assert asked(monkeypatch, lambda row: text_of(row, in_line), in_line, rows) == set()
    human = lambda row: text_of(row, in_line).replace("USER:", "Human:")  # noqa: E731
    assert asked(monkeypatch, human, in_line, rows) == errors("role_header")
    few_shot = with_turns(lambda turns: PAIR + turns)
    assert asked(monkeypatch, few_shot, in_line, rows) == errors("earlier_replies")
    crlf = lambda row: text_of(row, in_line).replace("\n", "\r\n")  # noqa: E731
    assert asked(monkeypatch, crlf, in_line, rows) == errors("whitespace")
    for name in ("chatml", "qwen3", "mistral"):
        other = lambda row: text_of(row, in_line).removeprefix("<s>")  # noqa: E731
        assert asked(monkeypatch, other, name, rows) == errors("role_header")


@pytest.mark.parametrize("name", ["chatml_bos", "gemma", "llama3", "mistral"])
def test_the_start_token(monkeypatch, name):
    bos = _loaded(name).bos_token
    without = lambda row: text_of(row, name).removeprefix(bos)  # noqa: E731
    assert asked(monkeypatch, without, name) == set()  # mlx-lm puts it before a string
    assert asked(monkeypatch, lambda row: plain(without(row), name), name) == errors("bos")
    assert asked(monkeypatch, lambda row: _loaded(name).encode(text_of(row, name)), name) == errors("bos")


def test_a_start_token_that_mlx_lm_adds_to_a_string(monkeypatch, tmp_path):
    # The template writes no BOS, so training has none; the tokenizer puts one before a string.
    from ftstudy.models import base_models

    folder = tokenizer_folder("chatml_bos", tmp_path / "model")
    settings_file = folder / "tokenizer_config.json"
    written = json.loads(settings_file.read_text())
    written["chat_template"] = FAMILIES["chatml"]["template"]
    settings_file.write_text(json.dumps(written))
    tokenizer = base_models.load_tokenizer(folder)
    profile = {"kind": "template", "template": chat_format.CHATML % "{context}"}
    found = check_parity([short()], tokenizer, profile, "here")
    assert [item.check for item in found] == ["parity.bos"]


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if name != "mistral"])
def test_the_header_of_the_reply(monkeypatch, name):
    ask = lambda make: asked(monkeypatch, make, name)  # noqa: E731
    assert ask(lambda row: text_of(row, name, add_generation_prompt=False)) == errors("end_of_prompt")
    header = {"gemma": "model", "llama3": "assistant"}.get(name, "assistant")
    assert ask(lambda row: text_of(row, name).rpartition(header)[0]) == errors("end_of_prompt")
    assert ask(lambda row: text_of(row, name).rstrip()) == errors("whitespace")


@pytest.mark.parametrize(
    "name, old, new",
    [
        ("chatml", "<|im_start|>user", "<|im_start|>human"),
        ("chatml_bos", "<|im_end|>\n", ""),
        ("gemma", "<start_of_turn>model", "<start_of_turn>assistant"),
        ("llama3", "<|eot_id|>", "<|end_of_text|>"),
        ("mistral", "[INST]", "[USER]"),
        ("qwen3", "<|im_start|>assistant", "<|im_start|>Sam"),
    ],
)
def test_other_markers_are_role_headers(monkeypatch, name, old, new):
    assert asked(monkeypatch, lambda row: text_of(row, name).replace(old, new), name) == errors("role_header")


@pytest.mark.parametrize("name", ["gemma", "llama3", "mistral"])
def test_the_markup_of_another_family(monkeypatch, name):
    other = lambda row: text_of(row, "chatml")  # noqa: E731
    assert asked(monkeypatch, other, name) == errors("role_header")


def test_markup_of_another_family_hides_no_other_difference(monkeypatch):
    profile = chat_format.load_profile("historical", "Sam")
    found = check_parity([short()], _loaded("llama3"), profile, "here")
    assert {item.check for item in found} == {"parity.role_header", "parity.system_text", "parity.user_wrapper"}
    no_system = lambda row: "".join(f"User: {turn['content']}\n" for turn in row["messages"][1:-1]) + "Assistant:"  # noqa: E731
    assert asked(monkeypatch, no_system, "llama3", [short()]) == errors("role_header", "default_system")


@pytest.mark.parametrize("name", ["chatml", "chatml_bos", "gemma", "llama3"])
def test_line_breaks_in_the_markup(monkeypatch, name):
    once = lambda row: text_of(row, name).replace("\n", "\n\n", 1)  # noqa: E731
    assert asked(monkeypatch, once, name, [short(name=name, system="Be Sam.")]) == errors("whitespace")
    mended = {"gemma": "<end_of_turn>\n", "llama3": "<|end_header_id|>\n\n"}.get(name, "<|im_end|>\n")
    none = lambda row: text_of(row, name).replace(mended, mended.strip())  # noqa: E731
    assert asked(monkeypatch, none, name) == errors("whitespace")


def test_markup_sent_as_plain_text_is_found(monkeypatch):
    spelt = lambda row: sum((plain(char, "chatml") for char in text_of(row, "chatml")), [])  # noqa: E731
    assert ("parity.role_header", "error") in asked(monkeypatch, spelt)


def test_think_blocks(monkeypatch):
    without = lambda name, on: lambda row: text_of(row, name, enable_thinking=on)  # noqa: E731
    # The trained conversation has the block, the prompt not: the mask leaves it out.
    assert asked(monkeypatch, without("think", True), "think") == errors("template_arguments")
    assert asked(monkeypatch, without("think", True), "think", mask_prompt=False) == {
        ("parity.template_arguments", "info")
    }
    # The prompt goes on a little further into what was trained.
    assert asked(monkeypatch, without("qwen3", False), "qwen3") == {("parity.template_arguments", "info")}
    # No trained conversation has the block that the prompt has.
    assert asked(monkeypatch, lambda row: row["messages"][:-1], "think_prompt") == errors("template_arguments")
    assert asked(monkeypatch, lambda row: text_of(row, "chatml") + BLOCK, "chatml") == errors("end_of_prompt")


def test_a_think_block_does_not_hide_another_system_text(monkeypatch):
    def ask(row):
        changed(row, "system", lambda _: "You are a founder.")
        return text_of(row, "think", enable_thinking=True)

    assert asked(monkeypatch, ask, "think") == errors("template_arguments", "system_text")


def test_tools_that_the_app_leaves_out(monkeypatch, tmp_path):
    from ftstudy.models import base_models

    folder = tokenizer_folder("chatml", tmp_path / "model")
    written = json.loads((folder / "tokenizer_config.json").read_text())
    written["chat_template"] = "{% if tools %}{{ 'Tools: ' ~ tools | tojson }}{% endif %}" + written["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(written))
    tokenizer = base_models.load_tokenizer(folder)
    row = short() | {"tools": [{"name": "call"}]}
    assert check_parity([row], tokenizer, {"kind": "messages"}, "here") == []
    profile = {"kind": "template", "template": chat_format.CHATML % "{context}"}
    assert [item.check for item in check_parity([row], tokenizer, profile, "here")] == ["parity.template_arguments"]


# --- the whole check, on a config and its data ------------------------------------------------


@pytest.fixture
def audited(tmp_path, write_split, models):
    """check(profile as YAML text or dict, rows a split, config's further lines) -> findings."""

    def check(profile, rows=None, more=""):
        for name in ("train", "valid", "test"):
            write_split(tmp_path / "data", name, rows or [conversation(number) for number in range(8)])
        config = tmp_path / "config.yaml"
        config.write_text(f"model: tiny\ndata: {tmp_path / 'data'}\n{more}")
        path = tmp_path / "app.yaml"
        path.write_text(profile if isinstance(profile, str) else json.dumps(profile))
        return parity.check(run_inputs.read(config, inference=path))

    return check


def ids_of(found):
    return {(item.check, item.severity) for item in found}


def test_without_a_profile_that_is_all_there_is_to_say(tmp_path, write_split):
    (tmp_path / "config.yaml").write_text(f"model: tiny\ndata: {write_split(tmp_path / 'data', 'train', [short()])}\n")
    assert ids_of(parity.check(run_inputs.read(tmp_path / "config.yaml"))) == {("parity.no_profile", "info")}


def test_rows_of_text_are_compared_like_the_conversations_they_were_rendered_from(audited, tokenizer):
    rows = [{"text": tokenizer.apply_chat_template(short(number)["messages"], tokenize=False)} for number in range(6)]
    assert audited({"kind": "messages"}, rows) == []
    (found,) = audited({"kind": "messages", "name": "my app", "system": "You are a founder."}, rows)
    assert (found.check, found.severity) == ("parity.system_text", "error") and "18 of 18 prompts" in found.title
    (found,) = audited({"kind": "messages", "system": "You are a founder."}, [{"text": "no template"}] * 6)
    assert (found.check, found.severity) == ("parity.role_header", "error") and "18 of 18 texts" in found.title


def test_prompts_recorded_on_another_day_differ_in_nothing_else(tmp_path):
    tokenizer = base_models.load_tokenizer(tokenizer_folder("dated", tmp_path / "model"))
    rows, today = [short(number) for number in range(4)], datetime.now().strftime("%d %B %Y")

    def recorded(change):
        texts = [change(tokenizer.decode(chat_format.prompt_ids(row, tokenizer))) for row in rows]
        ids = [tokenizer.encode(text, add_special_tokens=False) for text in texts]
        return {"kind": "captured", "file": "a.jsonl", "rows": {("test", at): one for at, one in enumerate(ids)}}

    assert (
        check_parity(rows, tokenizer, recorded(lambda text: text.replace(today, "04 March 2019")), "test.jsonl") == []
    )
    (found,) = check_parity(rows, tokenizer, recorded(lambda text: text.replace(today, "a fine day")), "test.jsonl")
    assert found.severity == "error"


def test_all_rows_of_all_splits_are_compared_and_the_first_that_differs_is_shown(audited):
    rows = [short(number) for number in range(70)]
    assert audited({"kind": "messages"}, rows) == []
    (found,) = audited({"kind": "messages", "name": "my app", "system": "You are a founder."}, rows)
    assert found.check == "parity.system_text" and found.where.endswith("train.jsonl")
    assert found.title == (
        "The prompt “my app” differs from training in the system text (all 210 prompts, 50 inspected)"
    )
    assert found.evidence[0].startswith("train line 1: token ")
    assert "'You are a founder.'" in found.evidence[2]
    assert "455 tokens, template " in found.evidence[3]


LOSSY = """
def ask(row):
    ascii_only = lambda text: text.encode("ascii", "ignore").decode()
    return [turn | {"content": ascii_only(turn["content"])} for turn in row["messages"][:-1]]
"""


def test_a_difference_in_a_few_rows_is_counted(audited, monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lossy_app.py").write_text(LOSSY)
    rows = [short(number) for number in range(5)] + [conversation()]
    (found,) = audited({"kind": "callable", "function": "lossy_app:ask", "name": "my app"}, rows)
    assert found.title.endswith(" differs from training in the earlier turns (3 of 18 prompts)")
    assert "train line 6" in found.evidence[0]


JUNK = {
    "raises": lambda row: 1 / 0,
    "exits": lambda row: exit(3),
    "nothing": lambda row: None,
    "number": lambda row: 5,
    "empty": lambda row: "",
    "other_ids": lambda row: [1, 2, 10**9],
    "negative_ids": lambda row: [-1],
    "floats": lambda row: [0.5],
    "nested": lambda row: [[1, 2]],
    "no_content": lambda row: [{"role": "user"}],
    "half_a_character": lambda row: "\ud800",
    "dict": lambda row: {"prompt": "hi"},
}


@pytest.mark.parametrize("junk", JUNK)
def test_a_function_that_gives_no_prompt_is_a_finding(monkeypatch, junk):
    assert asked(monkeypatch, JUNK[junk]) == errors("profile_fails")


@pytest.mark.parametrize(
    "function", ["nowhere_at_all:ask", "json", "json:nothing", "json:decoder", ":", "a b:c", "..x:y"]
)
def test_a_function_that_is_not_there_is_a_finding(audited, function):
    assert ids_of(audited({"kind": "callable", "function": function})) == errors("profile_fails")


def test_a_function_of_pythons_own_is_a_finding_and_not_called(audited):
    (found,) = audited({"kind": "callable", "function": "subprocess:getoutput"})
    assert (found.check, found.severity) == ("parity.profile_fails", "error")
    assert "is not next to it" in "".join(found.evidence) and "/bin/sh" not in "".join(found.evidence)


def test_what_a_function_does_to_its_example_does_not_change_the_data(monkeypatch):
    assert asked(monkeypatch, lambda row: [row["messages"].pop() and row["messages"][0]] and row["messages"]) == set()


def captured(tmp_path, rows):
    (tmp_path / "sent.jsonl").write_text(
        "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)
    )
    return {"kind": "captured", "file": "sent.jsonl"}


def test_captured_prompts_of_one_split_are_enough(audited, tmp_path, tokenizer):
    rows = [short(number) for number in range(4)]
    ids = [chat_format.prompt_ids(row, tokenizer) for row in rows]
    sent = [{"split": "test", "row": at, "ids": each} for at, each in enumerate(ids)]
    assert audited(captured(tmp_path, sent), rows) == []
    texts = [{"split": "test", "row": at, "prompt": tokenizer.decode(each)} for at, each in enumerate(ids)]
    assert audited(captured(tmp_path, texts), rows) == []
    assert ids_of(audited(captured(tmp_path, sent[1:]), rows)) == {("parity.captured_rows", "warning")}
    assert ids_of(audited(captured(tmp_path, []), rows)) == {("parity.captured_rows", "warning")}
    assert ids_of(audited(captured(tmp_path, [row | {"row": row["row"] + 2} for row in sent]), rows)) == {
        ("parity.captured_rows", "warning"),
        ("parity.user_wrapper", "error"),
    }


@pytest.mark.parametrize(
    "line", ["{\n", "[]\n", "5\n", '{"split": "test"}\n', '{"split": "test", "row": "0", "ids": [1]}\n', "[" * 9999 + "\n",
             '{"split": "test", "row": 0, "ids": "abc"}\n', '{"split": "test", "row": 0, "ids": {"a": 1}}\n',
             '{"split": "test", "row": 0, "ids": [0.5]}\n', '{"split": "test", "row": 0, "ids": []}\n',
             '{"split": "test", "row": 0, "prompt": 3}\n', '{"split": [], "row": 0, "prompt": "x"}\n',
             '{"split": "test", "row": 0, "ids": [1], "cached": 4}\n', '{"split": "test", "row": 0, "prompt": "\\ud800"}\n']
)  # fmt: skip
def test_a_captured_line_that_is_damaged_is_a_finding(audited, tmp_path, line):
    found = audited(captured(tmp_path, [line]))
    assert ("parity.profile_fails", "error") in ids_of(found)
    assert found[0].title.endswith(" gives no prompt in 1 case")
    assert "line 1" in found[0].evidence[0]


def test_captured_prompts_that_cannot_be_read_are_said_so(audited, tmp_path):
    for file in ("nowhere.jsonl", ".", "x" * 300, "a\0b"):
        with pytest.raises(StudyError):
            audited({"kind": "captured", "file": file})


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["{system}", "{x}"]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=4), values, max_size=3),
    max_leaves=6,
)
PROFILE = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["messages", "template", "callable", "captured"]) | JSON,
        "rows": JSON,
        **{key: JSON for key in ("system", "user", "template", "instruction", "name", "file", "function", "else")},
    },
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(profile=PROFILE | JSON)
def test_any_junk_as_a_profile_ends_in_a_finding_or_one_paragraph(tokenizer, tmp_path, profile):
    path = tmp_path / "junk.yaml"
    path.write_text(json.dumps(profile))
    try:
        loaded = chat_format.load_profile(path)
        found = check_parity([short()], tokenizer, loaded, "here")
    except StudyError:
        return
    assert all(item.check in IDS for item in found)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.binary(max_size=40) | st.sampled_from([b"a: !!bool x", b"&a [*a]", b"? [1]\n: 2", b"kind: 2020-99-99", b"- !!timestamp x"]))  # fmt: skip
def test_any_bytes_as_a_profile_end_in_one_paragraph(tmp_path, text):
    (tmp_path / "junk.yaml").write_bytes(text)
    with pytest.raises(StudyError):
        chat_format.load_profile(tmp_path / "junk.yaml")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["user", "<|im_end|>", "\n\n", "system", "assistant\n", "[INST]", "</s>"]
)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(list(TOKENIZERS)), contents=st.lists(TEXT, min_size=1, max_size=4), prompt=TEXT)
def test_any_texts_on_either_side_are_compared(name, contents, prompt):
    roles = ["user", "assistant"] * 2
    rows = [{"messages": [{"role": role, "content": content} for role, content in zip(roles, [*contents, "x"])]}]
    rows = [row for row in rows if row["messages"][-1]["role"] == "assistant"]
    profile = {"kind": "template", "template": prompt.replace("{", "") or "x"}
    found = check_parity(rows, _loaded(name), profile, "here")
    assert rows == [] or any(item.severity == "error" for item in found)
    assert check_parity(rows, _loaded(name), {"kind": "messages"}, "here") == []


@settings(max_examples=100, deadline=None)
@given(name=st.sampled_from(WITH_SYSTEM), system=TEXT, other=TEXT, user=TEXT.filter(str.strip))
def test_another_system_text_is_never_taken_for_something_else(name, system, other, user):
    special = [token for text in (system, other, user) for token in ("<", "[INST]", "</s>", "\n\n") if token in text]
    if special or other.strip() == "" or system.strip() == "" or system.strip() == other.strip():
        return
    found = check_parity(
        [example(system, user)], _loaded(name), {"kind": "messages", "system": other.replace("{", "")}, "here"
    )
    assert {item.check for item in found} <= {"parity.system_text", "parity.default_system"}
    assert found or other.replace("{", "").strip() == system.strip()


TURN = st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "tool"]), "content": TEXT})


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(list(TOKENIZERS)),
    trained=st.lists(TURN, min_size=1, max_size=6),
    sent=st.lists(TURN, min_size=1, max_size=8),
    change=st.sampled_from(
        [str, str.strip, str.upper, lambda text: text.replace("\n", "\r\n"), lambda text: text[:-9]]
    ),
)
def test_any_turns_on_either_side_are_compared(name, trained, sent, change):
    row = {"messages": [*trained, {"role": "assistant", "content": "x"}]}
    try:
        text_of(row, name)
        text = change(text_of({"messages": [*sent, {}]}, name)) or "x"
    except Exception:  # the template's own, of an order of roles that it refuses
        return
    profile = {"kind": "captured", "file": "x", "rows": {("test", 0): text}, "broken": []}
    found = check_parity([row], _loaded(name), profile, "here")
    assert {item.check for item in found} <= IDS
    shown = [[line.partition(":")[2].strip() for line in item.evidence[1:3]] for item in found if item.evidence[2:]]
    assert all(training != inference for training, inference in shown)


def test_long_conversations_that_differ_in_every_turn_are_read():
    turns = [{"role": ("user", "assistant")[at % 2], "content": f"word {at} and\n\nmore words"} for at in range(31)]
    row = {"messages": [{"role": "system", "content": SYSTEM}, *turns, {"role": "assistant", "content": "x"}]}
    sent = [turn | {"content": "so " + turn["content"]} for turn in row["messages"][:-1]]
    for name in WITH_SYSTEM:
        for text in (
            text_of({"messages": [*sent, *sent[2:], {}]}, name),
            text_of({"messages": [*sent, {}]}, name)[:-6],
        ):
            profile = {"kind": "captured", "file": "x", "rows": {("test", 0): text}, "broken": []}
            found = check_parity([row], _loaded(name), profile, "here")
            assert found and {item.check for item in found} <= IDS


@pytest.mark.parametrize("turns", [1, 40])
def test_difference_in_a_prompt_of_20000_tokens_is_as_small_as_it_is(turns):
    tokenizer = _loaded("chatml")
    lines = [f"Contact: message {at * at} about {at}" for at in range(1200)]
    texts = ["\n".join(lines[at::turns]) for at in range(turns)]
    messages = [turn for text in texts for turn in ({"role": "user", "content": text}, {"role": "assistant", "content": "ok"})]  # fmt: skip
    row = {"messages": messages}
    sent = [dict(turn) for turn in messages[:-1]]
    sent[-1]["content"] = "Context:\n" + sent[-1]["content"].replace("message", "note", 1)
    profile = {"kind": "captured", "file": "x", "rows": {("test", 0): text_of({"messages": [*sent, {}]}, "chatml")}}
    compared = parity.compare(row, tokenizer, profile, ("test", 0))
    assert len(compared["training"]) > 20_000
    assert set(compared["differing"]) == {"user"} and compared["differing"]["user"] < 20
    for side in ("training", "inference"):
        assert [token for block in compared["blocks"] for token in block[side]] == compared[side]
    (found,) = check_parity([row], tokenizer, profile | {"broken": []}, "here")
    assert found.check == "parity.user_wrapper"


@pytest.mark.parametrize("name", TOKENIZERS)
def test_added_and_missing_turns_are_earlier_turns_and_not_role_headers_in_the_table(name):
    for change in (lambda turns: PAIR + turns, lambda turns: turns[2:], lambda turns: turns[:2] + turns[4:]):
        text = text_of({"messages": [*with_turns(change)(history(name)), {}]}, name)
        profile = {"kind": "captured", "file": "x", "rows": {("test", 0): text}}
        differing = parity.compare(history(name), _loaded(name), profile, ("test", 0))["differing"]
        if name == "mistral":  # where the blank before a content is part of its first token
            assert differing.pop("user", 0) <= 4
        assert set(differing) == {"assistant"}


def test_missing_and_added_turns_are_counted_once():
    row, tokenizer = history(), _loaded("chatml")
    for change, note in (
        (lambda turns: turns[2:], "(2 turns missing)"),
        (lambda turns: PAIR + turns, "(2 turns added)"),
        (lambda turns: PAIR + turns[2:6] + turns[8:], "(2 turns missing)"),
        (OTHER_TURNS["reversed"], "(the same turns in another order)"),
    ):
        text = text_of({"messages": [*with_turns(change)(row), {}]}, "chatml")
        profile = {"kind": "captured", "file": "x", "rows": {("test", 0): text}, "broken": []}
        (found,) = check_parity([row], tokenizer, profile, "here")
        assert found.evidence[2].endswith(note), found.evidence


def test_same_text_in_different_tokens_is_found_in_its_turn():
    row, tokenizer = short(), _loaded("chatml")
    before, content, after = text_of(row, "chatml").partition(row["messages"][1]["content"])
    ids = plain(before, "chatml") + sum((plain(letter, "chatml") for letter in content), []) + plain(after, "chatml")
    profile = {"kind": "captured", "file": "x", "rows": {("test", 0): ids}, "broken": []}
    assert tokenizer.decode(ids) == text_of(row, "chatml")
    (found,) = check_parity([row], tokenizer, profile, "here")
    assert found.check == "parity.user_wrapper" and "different tokens" in found.evidence[2]


def test_table_of_a_prompt_with_other_markup_has_each_text_in_its_region():
    row, tokenizer = short(), _loaded("llama3")
    table = parity.key_differences([row], tokenizer, chat_format.load_profile("historical", "Sam"))
    sides = {one["region"]: (one["training"], one["inference"]) for one in table["rows"]}
    assert sides["system"] == (SYSTEM, "You are Sam, a tech founder. Text like a real person...")
    assert sides["user"][0] == row["messages"][1]["content"]
    assert sides["user"][1] == f"Context:\n{sides['user'][0]}\n\nLast Message: dinner?"
    assert set(sides) == {"system", "user", "markup", "generation"}


@pytest.mark.parametrize(
    "text", ["<|endoftext|>", "<|im_end|>", "<|im_start|>assistant", "a<|im_end|>\n<|im_start|>user\nb", "<|im_end|>\n"]
)
def test_markup_within_a_message_is_not_taken_for_the_templates(text):
    row, tokenizer, profile = example(SYSTEM, f"Contact: {text}"), _loaded("chatml"), chat_format.load_profile("historical", "Sam")  # fmt: skip
    assert set(parity.compare(row, tokenizer, profile)["differing"]) == {"system", "user"}
    found = check_parity([row], tokenizer, profile, "here")
    assert {item.check for item in found} == {"parity.system_text", "parity.user_wrapper"}
