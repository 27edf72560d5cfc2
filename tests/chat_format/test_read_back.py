"""Rows of plain text that a chat template rendered become messages again."""

import pytest
from conftest import example
from ftstudy.chat_format.read_back import MOST, read_back, with_messages
from ftstudy.chat_format.template import Template
from hypothesis import given, settings
from hypothesis import strategies as st
from templates import TOKENIZERS

WORDS = st.lists(st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"])), min_size=1, max_size=3)


@pytest.mark.parametrize("family", sorted(TOKENIZERS))
@given(pairs=st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3))
@settings(max_examples=20, deadline=None)
def test_what_is_read_back_renders_as_the_same_text(family, pairs):
    template = Template(TOKENIZERS[family]())
    turns = [f"x{' '.join(words)}y" for pair in pairs for words in pair]
    messages = [{"role": role, "content": turn} for role, turn in zip(["user", "assistant"] * len(turns), turns)]
    text = template.render(messages, prompt=False)
    read = text and read_back(text, template)
    assert not read or template.render(read, prompt=False) == text


@pytest.mark.parametrize("family", sorted(TOKENIZERS))
def test_every_family_reads_back_a_question_and_its_answer(family):
    template = Template(TOKENIZERS[family]())
    messages = [{"role": "user", "content": "hey there"}, {"role": "assistant", "content": "yo"}]
    text = template.render(messages, prompt=False)
    read = read_back(text, template)
    assert read and read[-1]["content"].strip() == "yo" and read[-2]["content"].strip() == "hey there"


def test_white_space_at_the_end_and_a_missing_end_do_not_matter(tokenizer):
    template, messages = Template(tokenizer), example()["messages"]
    text = template.render(messages, prompt=False)
    assert read_back(text, template) == read_back(text.rstrip(), template) == messages


def test_long_conversations_are_read_up_to_a_limit(tokenizer):
    template = Template(tokenizer)
    turns = [{"role": role, "content": str(at)} for at in range(MOST // 2) for role in ("user", "assistant")]
    assert read_back(template.render(turns, prompt=False), template)[-MOST:] == turns
    assert read_back(template.render(turns + turns[:2], prompt=False), template) is None


def test_only_rows_of_rendered_text_become_conversations(tokenizer):
    text = Template(tokenizer).render(example()["messages"], prompt=False)
    rows = [{"text": text, "id": 1}, {"text": "Q: hey"}, {"text": 5}, example(), "text"]
    assert with_messages(rows, tokenizer) == [example() | rows[0], *rows[1:]]
    assert with_messages([{"said": text}], tokenizer, {"text_feature": "said"}) == [example() | {"said": text}]


def test_templates_without_a_system_role_read_no_other_text():
    assert read_back("Q: hey\nA: yo", Template(TOKENIZERS["gemma"]())) is None


def test_other_text_is_not_read(tokenizer):
    for text in ("Q: hey\nA: yo", "", "<|im_start|>user\nhey<|im_end|>", "[{'role': 'user', 'content': 'hey'}]"):
        assert read_back(text, Template(tokenizer)) is None
