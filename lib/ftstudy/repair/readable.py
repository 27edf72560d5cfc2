"""Rows that mlx-lm can't take become rows of the form that most have: messages, prompts and completions, or texts."""

from collections import Counter

from ..audit.data import refusal_of, row_keys
from ..audit.data.schemas import misfits
from ..chat_format.conversions import HISTORY, LISTS, MEANT, converted, listed_pair
from ..chat_format.messages import text_of
from ..chat_format.read_back import read_back
from ..chat_format.rows import Split, has_texts, is_conversation
from ..chat_format.template import Template
from ..configs import study
from ..wording import count
from .chats import audited, conversations, written
from .contents import as_texts
from .turns import reordered


def readable(draft: dict, inputs) -> tuple[dict, list[str]]:
    """All rows in one form that mlx-lm takes; those that are no conversation are left out."""
    made = audited(draft, inputs)
    tokenizer, refusal = made.tokenizer_or_none, refusal_of(made)
    template = Template(tokenizer) if tokenizer is not None and made.has_template else None
    bad = {}  # split -> lines that don't fit
    for name, split in made.splits.items():
        other, wrong = misfits(split, refusal)
        bad[name] = {*other, *wrong, *(_refused(made, name, template) if template else ())}
    kinds = {split.schema for split in made.splits.values() if split.rows}
    masked = "text" in kinds and bool(made.config.get("mask_prompt"))
    if not any(bad.values()) and len(kinds) < 2 and not masked:
        return draft, []
    target = _target(made.splits, template)
    rows, changed, lost = dict(draft["rows"]), 0, 0
    for name, split in made.splits.items():
        rows[name] = []
        for line, row in zip(split.numbers, split.rows):
            fits = line not in bad[name] and split.schema == target
            new = row if fits else _as(target, row, split, template, refusal)
            if new is not None:
                rows[name].append(new)
                changed += new != row
            lost += new is None
    if rows == draft["rows"]:
        return draft, []
    form = {"chat": "messages", "completion": "a prompt and a completion", "text": "text"}[target]
    notes = [f"{count(changed, 'row')} written as {form}"] if changed else []
    if lost:
        notes.append(f"{count(lost, 'row')} left out: no conversation")
    return draft | {"rows": rows}, notes


def _refused(made, name: str, template: Template) -> set[int]:
    """The lines of a split's conversations that the chat template refuses."""
    rendered, prompts = set(made.rendering(name).numbers), bool(made.config.get("mask_prompt") or study(made.config))
    missing = [(line, row) for line, row in made.splits[name].chats() if line not in rendered]
    return {
        line
        for line, row in missing
        if prompts or template.render(row["messages"], row.get("tools"), prompt=False) is None
    }


def _target(splits: dict[str, Split], template: Template | None) -> str:
    """The form that all rows are to have: that of most rows, but messages wherever texts can be read as such."""
    rows = [(split, row, split.schema_of(row)) for split in splits.values() for row in split.rows]
    forms = Counter(form for _, _, form in rows)
    texts = [row.get(split.features["text"]) for split, row, form in rows if form == "text"]
    are_read = template is not None and all(isinstance(text, str) and read_back(text, template) for text in texts)
    if forms["text"] > forms["chat"] + forms["completion"] and not are_read:
        return "text"
    has_lists = any(listed_pair(row) for _, row, _ in rows)
    if forms["completion"] and not forms["chat"] and not forms["text"] and not has_lists:
        return "completion"
    return "chat"


def _as(target: str, row, split: Split, template: Template | None, refusal) -> dict | None:
    """A row in that form, or None if it can't have it."""
    if not isinstance(row, dict):
        return None
    if target == "text" and split.schema_of(row) == "text":
        return row if not _shapes(row, split, "text", refusal) else None
    messages = _messages(row, split, template)
    if not messages:
        return None
    if target == "text":
        text = template and template.render(messages, row.get("tools"), prompt=False)
        return {split.features["text"]: template.without_bos(text)[1]} if text else None
    new = as_chat(row, messages, split)
    if target == "completion":
        if [message["role"] for message in messages] != ["user", "assistant"] or not has_texts(messages):
            return None
        pair = zip((split.features["prompt"], split.features["completion"]), map(text_of, messages))
        new = {key: value for key, value in new.items() if key not in ("tools", split.features["chat"])} | dict(pair)
    return None if _shapes(new, split, target, refusal) else new


def _shapes(row: dict, split: Split, kind: str, refusal) -> bool:
    """Whether something is wrong with a row of this form."""
    one = Split(split.name, split.path, 1, [row], [1], features=split.features)
    return one.schema != kind or any(misfits(one, refusal))


def _messages(row: dict, split: Split, template: Template | None) -> list[dict] | None:
    """A row's conversation as the template takes it, whatever form it has."""
    kind = split.schema_of(row)
    if kind == "text":
        text = row[split.features["text"]]
        return read_back(text, template) if template and isinstance(text, str) else None
    chat = split.conversation(row, kind)
    given = converted(chat) if chat and isinstance(chat["messages"], list) and not listed_pair(row) else None
    made = (given or converted(row) or {}).get("messages")
    if not made or not all(isinstance(one, dict) and isinstance(one.get("role"), str) for one in made):
        return None
    made = [
        one | {"content": str(one["content"])} if isinstance(one.get("content"), int | float) else one for one in made
    ]
    texts, tools = as_texts(made), row.get("tools")
    tried = (made, texts, reordered(texts), _system_within(reordered(texts)))
    return next((one for one in tried if is_conversation(one) and _takes(template, one, tools)), None)


def _takes(template: Template | None, messages: list[dict], tools) -> bool:
    return has_texts(messages) if template is None else template.render(messages, tools, prompt=False) is not None


def _system_within(messages: list[dict]) -> list[dict]:
    """The system text in front of the first user turn, for a template without a system role."""
    system = "\n\n".join(text_of(one) for one in messages if one["role"] == "system")
    others = [one for one in messages if one["role"] != "system"]
    first = next((at for at, one in enumerate(others) if one["role"] == "user"), None)
    if first is None or not system:
        return others
    others[first] = others[first] | {"content": f"{system}\n\n{text_of(others[first])}"}
    return others


def as_chat(row: dict, messages: list[dict], split: Split) -> dict:
    """The row with these messages, and without the keys whose texts they contain."""
    said = [text_of(message) for message in messages]
    gone = {*LISTS, HISTORY, *split.features.values()}
    gone |= {"chosen"} if listed_pair(row) else set()
    gone |= {key for key in MEANT if isinstance(row.get(key), str) and any(row[key] in text for text in said)}
    kept = {key: value for key, value in row.items() if key not in gone}
    return kept | {split.features["chat"]: messages}


# --- keys that nothing reads ----------------------------------------------------------------


def with_all_keys(draft: dict, inputs) -> tuple[dict, list[str]]:
    """Texts beside the conversation, such as a system text, within it."""
    made = audited(draft, inputs)
    where = str(made.folder)
    if not row_keys.check(made.splits, made.tokenizer_or_none, where):
        return draft, []
    changes, keys = {}, set()
    for name, rows in conversations(draft, inputs).items():
        split = made.splits[name]
        known = [split.features[key] for key in row_keys.KEYS[split.schema]]
        for line, row in rows if split.schema in ("chat", "completion") else ():
            given = split.rows[line - 1]
            beside = [key for key in MEANT if key not in known and given.get(key) and key != "tools"]
            messages = (
                converted(given | {"messages": row["messages"]} if split.schema == "chat" else given) or {}
            ).get("messages")
            if not beside or not messages or not all(_is_said(given[key], messages) for key in beside):
                continue
            changes[name, line] = messages
            keys |= set(beside)
    if not changes:
        return draft, []
    made_draft = written(draft, inputs, changes)
    rows = {name: list(found) for name, found in made_draft["rows"].items()}
    for name, line in changes:
        rows[name][line - 1] = {key: value for key, value in rows[name][line - 1].items() if key not in keys}
    names = " and ".join(f"`{key}`" for key in sorted(keys))
    return draft | {"rows": rows}, [f"{names} became part of the conversation in {count(len(changes), 'row')}."]


def _is_said(value, messages: list[dict]) -> bool:
    texts = (
        [value] if isinstance(value, str) else [text for pair in value for text in pair] if _is_history(value) else None
    )
    return texts is not None and all(any(text in text_of(message) for message in messages) for text in texts)


def _is_history(value) -> bool:
    return isinstance(value, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair) for pair in value
    )
