"""A text that a chat template rendered becomes messages again: for rows that were rendered by hand."""

from .prompts import is_text
from .rows import FEATURES, is_conversation
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
        contents = _contents(bare, skeleton.markup)
        if contents is None:
            continue
        messages = [{"role": role, "content": content} for role, content in zip(roles, contents)]
        again = template.render(messages, prompt=False)
        if again is not None and template.without_bos(again)[1].rstrip() == bare.rstrip():
            return messages
    return None


def _contents(text: str, markup: tuple[str, ...]) -> list[str] | None:
    """What is between the pieces of markup, each taken where it first appears; None if one is missing."""
    first, *between, last = markup
    if not text.startswith(first):
        return None
    found, at = [], len(first)
    for piece in between:
        end = text.find(piece, at)
        if end < 0:
            return None
        found.append(text[at:end])
        at = end + len(piece)
    rest, last = text[at:].rstrip(), last.rstrip()
    return [*found, rest[: len(rest) - len(last)]] if rest.endswith(last) else None


def with_messages(rows: list[dict], tokenizer, config: dict | None = None) -> list[dict]:
    """The rows, with `messages` for those of plain text that the tokenizer's chat template rendered."""
    key = (config or {}).get("text_feature") or FEATURES["text"]
    template = Template(tokenizer)

    def read(row):
        text = row.get(key) if isinstance(row, dict) and not is_conversation(row.get("messages")) else None
        messages = read_back(text, template) if is_text(text) else None
        return row | {"messages": messages} if messages else row

    return list(map(read, rows))
