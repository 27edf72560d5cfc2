"""Rows of plain text: printed messages, and markup of another model."""

import re

from ...chat_format.tokens import unwrapped
from ..evidence import around, in_rows, quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from .control_tokens import CONTROL_TOKENS, MANY, OTHER_MODELS, WELL_KNOWN

PRINTED_MESSAGES = Check(
    "data.printed_messages",
    ("error",),
    "A text that is a printed list of messages: `[{'role': 'user', 'content': …`.",
    cause="A script printed the messages where it should have passed them on: the model learns to write brackets, quotes "
    "and keys.",
    fix="Write these rows as `messages`, and leave the markup to the chat template.",
    bad="""{"text": "[{'role': 'user', 'content': 'hey'}, {'role': 'assistant', 'content': 'yo'}]"}""",
    good='{"messages": [{"role": "user", "content": "hey"}, {"role": "assistant", "content": "yo"}]}',
)
CHECKS = (PRINTED_MESSAGES,)
# A list or an object whose first key is that of a message, in JSON or as Python prints them; or a class's fields.
PRINTED = re.compile(
    r"""\s*(?:\{\s*["'](?:messages|conversations?)["']\s*:\s*)?\[?\s*\{\s*["'](?:role|content|from|value)["']\s*:"""
    r"""|\s*\[?\s*\w{0,40}Message\("""
)
SPEAKS = re.compile(
    r"""["']?(?:role|from|type)["']?\s*[:=]\s*["'](?:system|user|assistant|human|gpt|ai)["']|\b(?:Human|AI)Message\("""
)
SAYS = re.compile(r"""["']?(?:content|value)["']?\s*[:=]""")


def is_printed(text: str) -> bool:
    """Whether a text begins as a printed list of messages does."""
    return bool(PRINTED.match(text) and SPEAKS.search(text[:2000]) and SAYS.search(text[:2000]))


def check(inputs: RunInputs, texts: dict, chats: dict, tokenizer) -> list[Finding]:
    """Findings on the forms of texts. `texts`: split -> (line, text) of rows of plain text; `chats`: conversations."""
    printed = [
        (name, number, quoted(text, 80)) for name, rows in texts.items() for number, text in rows if is_printed(text)
    ]
    foreign = foreign_markup(texts, tokenizer)
    for name, rows in chats.items():
        for number, row in rows:
            said = next((one for one in row["messages"] if is_printed(one["content"])), None)
            if said:
                printed.append((name, number, f"{said['role']}: {quoted(said['content'], 80)}"))
    return [
        *in_rows(inputs, PRINTED_MESSAGES, "error", printed, "whose text is a printed list of messages"),
        *in_rows(
            inputs,
            CONTROL_TOKENS,
            "error",
            foreign,
            "of text with another model's markup",
            cause="This tokenizer doesn't have these tokens and encodes them as plain text: the model learns to write them, "
            "and no server stops at them.",
            fix="Write the rows as `messages`, so that mlx-lm applies this model's own chat template, or render them with "
            "it.",
        ),
    ]


def foreign_markup(texts: dict, tokenizer) -> list[tuple[str, int, str]]:
    """(split, line, what is there) of the texts with markup that the tokenizer doesn't know."""
    foreign = []
    vocabulary = unwrapped(tokenizer).get_vocab() if tokenizer and any(texts.values()) else {}
    for name, rows in texts.items():
        found = {}  # markup -> line -> what is there
        for number, text in rows:
            for match in (WELL_KNOWN.search(text), OTHER_MODELS.search(text)) if vocabulary else ():
                if match and match[0] not in vocabulary:
                    often = OTHER_MODELS.fullmatch(match[0])
                    found.setdefault(match[0] if often else "", {}).setdefault(number, around(text, *match.span()))
        lines = {}
        for token, hits in found.items():
            if not token or len(hits) >= 3 and len(hits) > MANY * len(rows):
                lines = hits | lines
        foreign += [(name, number, shown) for number, shown in sorted(lines.items())]
    return foreign
