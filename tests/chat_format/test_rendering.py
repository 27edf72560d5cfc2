"""Rows rendered in batches have exactly the tokens that mlx-lm gives each row."""

import copy
import json

import pytest
from ftstudy.chat_format import rendering, replies, tokens
from ftstudy.chat_format.template import Template
from ftstudy.models import base_models
from hypothesis import given, settings
from hypothesis import strategies as st
from mlx_lm.tokenizer_utils import TokenizerWrapper
from mlx_lm.tuner.datasets import ChatDataset
from templates import FAMILIES, INJECTED, TOKENIZERS, TURNS, tokenizer_folder
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]


def chat(*turns, **keys):
    """A row of (role, content) pairs; the roles' first letters will do."""
    roles = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    return {"messages": [{"role": roles[role], "content": content} for role, content in turns]} | keys


ROWS = [
    chat(("s", "You are Sam."), ("u", "Contact: hey\nSam: yo\nContact: dinner?"), ("a", "yes pls")),
    chat(("u", "hey"), ("a", "yo"), ("u", "dinner?"), ("a", "at 7")),
    chat(("u", "它是中文 👩‍👩‍👧 नमस्ते"), ("a", "e\u0301 é ﷺ 😀")),
    chat(("u", "hey"), ("a", "")),
    chat(("u", "hey"), ("a", "\n\n  yo\n")),
    chat(("u", "hey <|im_end|>\n<|im_start|>assistant\nyo"), ("a", "<|im_start|>[/INST]<end_of_turn> yo<|im_start|>")),
    chat(("u", "I end with <|im_"), ("a", "start|> and so on")),
    chat(("u", "hey"), ("a", "yo"), ("u", "the other person's turn is last")),
    chat(("u", "weather?"), ("t", "sunny"), ("a", "sunny"), tools=TOOLS),
    chat(("u", "weather?"), ("a", "sunny"), tools=TOOLS, more=1),
    chat(("a", "nobody asked")),
    chat(("u", "hey"), ("a", "\ud800 half a character")),
    chat(("a", "still there?"), ("u", "yes"), ("a", "ok")),
]


def theirs(row, tokenizer):
    """mlx-lm's token ids and offset, or None where it raises."""
    try:
        ids, offset = ChatDataset([row], tokenizer, mask_prompt=True).process(row)
        return list(ids), offset
    except Exception:
        return None


def assert_like_theirs(rows, tokenizer):
    found = rendering.render(list(enumerate(rows, 1)), tokenizer)
    ours = {number: (ids.tolist(), offset) for number, ids, offset in zip(found.numbers, found.ids, found.offsets())}
    assert ours == {number: pair for number, row in enumerate(rows, 1) if (pair := theirs(row, tokenizer))}
    assert len(found.refused) == len(rows) - len(ours)
    for prompt, row in zip(found.prompts, found.rows):
        asked = row["messages"][-1]["role"] == "assistant"
        assert prompt.tolist() == tokenizer.apply_chat_template(
            row["messages"][:-1], tools=row.get("tools"), add_generation_prompt=asked
        )


@pytest.mark.parametrize("name", [*TOKENIZERS])
def test_rows_render_as_in_mlx_lm(name):
    assert_like_theirs(ROWS, TOKENIZERS[name]())
    assert_like_theirs(ROWS[:3] * 2, TOKENIZERS[name]())  # no row among them needs a call of its own


@settings(max_examples=60)
@given(name=st.sampled_from([*TOKENIZERS]), data=st.data())
def test_any_message_texts_render_as_in_mlx_lm(name, data):
    piece = st.sampled_from(["\n", " ", "\n\n", "[/INST]", "[INST]", "</think>", "\u200d", *FAMILIES[name]["special"]])
    text = st.lists(piece | st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=5).map("".join)
    rows = data.draw(st.lists(st.builds(lambda u, a: chat(("u", u), ("a", a)), text, text), min_size=1, max_size=4))
    assert_like_theirs(rows, TOKENIZERS[name]())


# --- tokenizers on which the prompt's ids are not a part of the whole's ---------------------------

PROMPT = "{% if add_generation_prompt %}{{ '<|im_start|>assistant' + gap }}{% endif %}"


def wrapped(backend, template):
    fast = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|im_end|>", chat_template=template)
    return TokenizerWrapper(fast)


def byte_level(merges):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = letters + ["".join(pair) for pair in merges]
    backend = Tokenizer(models.BPE({word: index for index, word in enumerate(words)}, merges))
    backend.decoder = decoders.ByteLevel()
    return backend


MARKS = {
    "plain": {"normalized": False},
    "takes the space after it": {"normalized": False, "rstrip": True},
    "takes the space before it": {"normalized": False, "lstrip": True},
    "is normalized": {"normalized": True},
    "is a word": {"normalized": False, "single_word": True},
}


@pytest.mark.parametrize("mark", MARKS.values(), ids=MARKS)
@pytest.mark.parametrize("kind", ["splitting", "unsplit", "metaspace", "prepended"])
def test_tokens_that_merge_across_prompt_and_reply(kind, mark):
    if kind in ("metaspace", "prepended"):
        words = ["▁", "▁a", "\n", "<unk>", *"abcdefghijklmnopqrstuvwxyz ,.?"]
        backend = Tokenizer(models.BPE({w: n for n, w in enumerate(words)}, [("▁", "a")], unk_token="<unk>"))
        steps = [normalizers.NFC(), normalizers.Lowercase()]
        if kind == "metaspace":
            backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        else:
            steps += [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        backend.normalizer = normalizers.Sequence(steps)
    else:
        newline, space = "Ċ", "Ġ"  # how byte-level tokens write them
        backend = byte_level([(newline, newline), (newline, "y"), (space, "y"), (newline, space)])
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=kind == "splitting")
    backend.add_special_tokens([AddedToken(token, **mark) for token in ("<|im_start|>", "<|im_end|>")])
    # One begins in the prompt and ends in a reply.
    backend.add_tokens([AddedToken(token, normalized=False) for token in ("  ", "<|im_start|>assistant\ny")])
    rows = [
        chat(("u", user), ("a", reply))
        for user in ("hey", " a ", "<|im_start|>y")
        for reply in ("yo", "\nyo", " yo", "  yo", "")
    ]
    for gap in ("\\n", "\\n\\n", ": ", "", " "):
        turns = TURNS.replace("'\n' + message", f"'{gap}' + message")
        assert turns != TURNS
        assert_like_theirs(rows, wrapped(backend, turns + PROMPT.replace("gap", f"'{gap}'")))


# --- where the contents are --------------------------------------------------------------------


def spans(name, row, text):
    """The texts and roles of the contents in a rendered prompt."""
    return [(text[start:end], role) for start, end, role in Template(TOKENIZERS[name]()).spans(row["messages"], text)]


def test_contents_are_found_between_the_templates_markup():
    row = chat(("s", "user"), ("u", "hey"))
    text = "<|im_start|>system\nuser<|im_end|>\n<|im_start|>user\nhey<|im_end|>\n<|im_start|>assistant\n"
    assert Template(TOKENIZERS["chatml"]()).contents(row["messages"], text) == [(19, 23), (51, 54)]
    assert spans("chatml", row, text) == [("user", "system"), ("hey", "user")]
    for other in (text.replace("system\n", "system "), text + "\n", text.replace("hey", "hi"), "hey"):
        assert Template(TOKENIZERS["chatml"]()).contents(row["messages"], other) is None
    assert spans("chatml", row, "user: hey") == [("user", "system"), ("hey", "user")]  # searched for in their order


def test_contents_are_found_after_a_start_token_and_without_their_outer_white_space():
    text = "<bos><start_of_turn>user\nhey<end_of_turn>\n<start_of_turn>model\n"
    assert spans("gemma", chat(("u", " hey\n")), text) == [("hey", "user")]
    assert Template(TOKENIZERS["gemma"]()).contents(chat(("u", " hey\n"))["messages"], text) == [(25, 28)]
    assert Template(TOKENIZERS["gemma"]()).without_bos("<bos><bos>hey") == (2, "hey")


def test_special_tokens_start_tokens_and_arguments_of_a_template():
    gemma, smollm2 = Template(TOKENIZERS["gemma"]()), Template(TOKENIZERS["smollm2"]())
    assert set(gemma.special) == set(FAMILIES["gemma"]["special"])
    assert gemma.bos_stands_alone and gemma.without_bos("hey <bos>") == (0, "hey <bos>")
    turn = "<|im_start|>user\nhey"  # its start token begins every turn
    assert not smollm2.bos_stands_alone and smollm2.without_bos(turn) == (0, turn)
    assert smollm2.arguments == [{"enable_thinking": True}, {"enable_thinking": False}]


def test_system_text_that_a_template_adds():
    added, none = Template(TOKENIZERS["smollm2"]()), Template(TOKENIZERS["chatml"]())
    assert added.default_system == INJECTED and none.default_system == ""
    assert added.first_user == none.first_user == "<|im_start|>user\n"
    text = f"<|im_start|>system\n{INJECTED}<|im_end|>\n<|im_start|>user\nhey<|im_end|>\n<|im_start|>assistant\n"
    assert spans("smollm2", chat(("u", "hey")), text) == [(INJECTED, "system"), ("hey", "user")]
    own = text.replace(INJECTED, "Be Sam.")
    assert spans("smollm2", chat(("s", "Be Sam."), ("u", "hey")), own) == [("Be Sam.", "system"), ("hey", "user")]


# --- rows that are refused --------------------------------------------------------------------


def test_refused_row_is_named_and_the_others_are_rendered():
    rows = [chat(("u", f"hey {number}"), ("a", "yo")) for number in range(2500)]
    rows[1700] = chat(("s", "You are Sam."), ("u", "hey"), ("a", "yo"))
    found = rendering.render(list(enumerate(rows, 1)), TOKENIZERS["gemma"]())
    assert found.numbers == [number for number in range(1, 2501) if number != 1701]
    assert found.rows == [rows[number - 1] for number in found.numbers]
    assert [line.split(":")[0] for line in found.refused] == ["line 1701"]
    assert "System role not supported" in found.refused[0] and found.prompts_refused == []


def test_refused_prompt_of_an_accepted_conversation_is_reported():
    found = rendering.render([(1, ROWS[0]), (2, chat(("a", "nobody asked")))], TOKENIZERS["chatml"]())
    assert found.numbers == [1]
    assert found.prompts_refused == found.refused and found.refused[0].startswith("line 2: ")


def test_without_chat_template_every_row_is_refused(tmp_path):
    folder = tokenizer_folder("chatml", tmp_path)
    settings_of = json.loads((folder / "tokenizer_config.json").read_text())
    del settings_of["chat_template"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings_of))
    found = rendering.render([(1, ROWS[0]), (2, ROWS[1])], base_models.load_tokenizer(folder))
    assert found.numbers == [] and len(found.refused) == 2


def test_no_rows_give_an_empty_rendering():
    assert rendering.render([], TOKENIZERS["chatml"]()).ids == []


# --- where replies begin and end, and the smallest pieces -----------------------------------------

LONG = chat(("u", "hey"), ("a", "yo"), ("u", "dinner?"), ("a", "at 7"), ("u", "where?"), ("a", "at home"))


def replies_of(template, row=LONG, name="chatml"):
    """(the earlier replies' texts, the rows they are lost in, the last reply's text), each with its end of turn."""
    tokenizer = copy.deepcopy(TOKENIZERS[name]())
    tokenizer.chat_template = template or tokenizer.chat_template
    found = rendering.render([(1, row)], tokenizer)
    (starts, ends, _), (earlier, lost) = (
        each(found, tokenizer) for each in (replies.last_replies, replies.earlier_replies)
    )
    text = lambda start, end: tokenizer.decode(found.ids[0][start : end + 1].tolist())  # noqa: E731
    return [text(*span) for span in earlier.get(0, [])], lost, text(starts[0], ends[0])


@pytest.mark.parametrize("name", ["chatml", "chatml_bos", "smollm2", "gemma", "llama3", "mistral"])
def test_replies_lie_between_the_header_and_the_end_of_their_turn(name):
    end = FAMILIES[name]["eos"]
    earlier, lost, last = replies_of(None, name=name)
    assert ([text.strip() for text in earlier], lost, last.strip()) == ([f"yo{end}", f"at 7{end}"], [], f"at home{end}")


def test_a_template_that_rejects_a_short_conversation_loses_only_that_reply():
    refusal = "{% if messages | length < 3 %}{{ raise_exception('too short') }}{% endif %}"
    prompt = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    assert replies_of(refusal + TURNS + prompt) == (["at 7<|im_end|>"], [0], "at home<|im_end|>")


def test_a_reply_that_the_template_rewrites_begins_where_prompt_and_whole_part():
    shouted = TURNS.replace("message['content']", "message['content'] | upper")
    header = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>' }}{% endif %}"
    assert replies_of(shouted + header, chat(("u", "hey"), ("a", "at home then")))[2] == "AT HOME THEN<|im_end|>"


def test_a_reply_after_another_header_than_the_prompts_begins_with_its_own_text():
    said = TURNS.replace("message['role']", "message['role'] + (', said' if message['role'] == 'assistant' else '')")
    header = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    assert replies_of(said + header, chat(("u", "hey"), ("a", "at home then")))[2] == "at home then<|im_end|>"


def test_common_prefix_counts_the_leading_items_that_are_equal():
    assert [tokens.common_prefix(*pair) for pair in (("abc", "abd"), ("a", "ab"), ("ab", "ab"), ("", "a"), ("b", "a"))] == [
        2, 1, 2, 0, 0,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name, start", [("chatml", ""), ("chatml_bos", "<|startoftext|>"), ("llama3", "<|begin_of_text|>")]
)
def test_a_prompt_text_begins_with_one_start_token(name, start):
    tokenizer = TOKENIZERS[name]()
    expected = tokenizer.encode(start + "hey", add_special_tokens=False)
    assert tokens.encode_prompt("hey", tokenizer) == tokens.encode_prompt(start + "hey", tokenizer) == expected
