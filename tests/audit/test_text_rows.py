"""Rows of plain text: the token ids that mlx-lm trains on, and what of them is compared with the app's prompt."""

import numpy
import pytest
from ftstudy.audit.content.text_rows import is_printed
from ftstudy.audit.parity.text_rows import _between
from ftstudy.chat_format.tokens import text_ids
from mlx_lm.tuner.datasets import TextDataset
from templates import TOKENIZERS

TEXTS = [
    "hey",
    "Q: hey\nA: yo",
    "<s>[INST] hey [/INST] yo</s>",
    "<|im_start|>user\nhey<|im_end|>",
    "yo<|im_end|>",
    "é 🙂",
]


@pytest.mark.parametrize("family", sorted(TOKENIZERS))
def test_texts_become_the_ids_that_mlx_lm_trains_on(family):
    tokenizer = TOKENIZERS[family]()
    dataset = TextDataset([], tokenizer)
    wanted = [dataset.process({"text": text})[0] for text in TEXTS]
    assert [ids.tolist() for ids in text_ids(TEXTS, tokenizer)] == wanted
    assert text_ids([], tokenizer) == [] and text_ids(TEXTS, tokenizer)[0].dtype == numpy.int32


@pytest.mark.parametrize(
    "text, printed",
    [
        ("[{'role': 'user', 'content': 'hey'}]", True),
        ('{"messages": [{"role": "user", "content": "hey"}]}', True),
        ('  [ {"content": "hey", "role": "assistant"}', True),
        ("[{'from': 'human', 'value': 'hey'}]", True),
        ("[HumanMessage(content='hey')]", True),
        ("[Message(role='user', content='hey')]", True),
        ('{"role": "nurse", "content": "plan"}', False),
        ('{"value": 3}', False),
        ("she said: [{'role': 'user', 'content': 'hey'}]", False),
        ("hey", False),
    ],
)
def test_printed_messages_are_told_from_other_texts(text, printed):
    assert is_printed(text) is printed


@pytest.mark.parametrize(
    "text, before, after, found",
    [
        ("Q: hey\nA: yo", "Q: ", "\nA:", (0, "hey")),
        ("Ann: hi\nQ: hey\nA: yo", "Q: ", "\nA:", (8, "hey")),
        ("hey\nSam: yo", "", "\nSam:", (0, "hey")),
        ("Q: hey", "Q: ", "\nA:", (0, None)),
        ("hey", "Q: ", "\nA:", (0, None)),
        ("Q: hey", "Q: ", "", (0, "hey")),
    ],
)
def test_the_question_is_between_what_the_app_writes(text, before, after, found):
    assert _between(text, before, after) == found
