"""A text that a chat template rendered becomes messages again: for rows that were rendered by hand."""

import re

from .rows import FEATURES
from .template import Template

MOST = 40  # turns


def read_back(text: str, template: Template) -> list[dict] | None:
    """The messages that the template renders as this text; None if there are none.

    A missing or second start token and white space at the end don't matter.
    """
    _, bare = template.without_bos(text)
    for system in ((), ("system",)):
        short = template.skeleton((*system, "user"))
        header = short.header.strip() if short else ""
        pairs = bare.count(header) if header else 1
        if not 0 < 2 * pairs <= MOST:
            continue
        roles = (*system, *("user", "assistant") * pairs)
        skeleton = template.skeleton(roles)
        if skeleton is None:
            continue
        pieces = [re.escape(piece) for piece in skeleton.markup[:-1]] + [re.escape(skeleton.markup[-1].rstrip())]
        found = re.fullmatch("(.*?)".join(pieces) + r"\s*", bare, re.DOTALL)
        if found is None:
            continue
        messages = [{"role": role, "content": content} for role, content in zip(roles, found.groups())]
        again = template.render(messages, prompt=False)
        if again is not None and template.without_bos(again)[1].rstrip() == bare.rstrip():
            return messages
    return None


def with_messages(rows: list[dict], tokenizer, config: dict | None = None) -> list[dict]:
    """The rows, with `messages` for those of plain text that the tokenizer's chat template rendered."""
    key = (config or {}).get("text_feature") or FEATURES["text"]
    template = Template(tokenizer)

    def read(row):
        text = row.get(key) if isinstance(row, dict) and "messages" not in row else None
        messages = read_back(text, template) if isinstance(text, str) else None
        return row | {"messages": messages} if messages else row

    return list(map(read, rows))
