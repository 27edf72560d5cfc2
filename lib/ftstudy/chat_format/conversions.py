"""Rows in the forms of other trainers become rows of messages: ShareGPT, Alpaca, pairs, and a `system` beside the messages."""

LISTS = ("messages", "conversations", "conversation", "dialog", "turns")
ROLES = {"system": "system", "tool": "tool", "observation": "tool", "function_response": "tool"}
ROLES |= dict.fromkeys(("human", "user", "prompter", "customer"), "user")
ROLES |= dict.fromkeys(("gpt", "chatgpt", "assistant", "model", "bot", "ai", "function_call"), "assistant")
SYSTEM = ("system", "system_prompt", "system_message")
ASKED = ("prompt", "query", "question", "input", "user")
ANSWERED = ("completion", "output", "response", "answer", "assistant", "chosen")
INSTRUCTION, HISTORY = "instruction", "history"
MEANT = (*SYSTEM, INSTRUCTION, HISTORY, *ASKED, *ANSWERED, "context", "persona", "documents", "functions", "tools")
"""Keys that people write for the model to read."""


def form_of(row) -> str | None:
    """The name of a row's form, if it is one of another trainer's."""
    if not isinstance(row, dict):
        return None
    turns = _list(row)
    if turns and all("from" in turn and "value" in turn for turn in turns):
        return "ShareGPT rows (`from` and `value`)"
    if _text(row, (INSTRUCTION,)) and _text(row, ANSWERED):
        return "Alpaca rows (`instruction`, `input` and `output`)"
    if not turns and _text(row, ASKED) and _text(row, ANSWERED):
        return f"pairs (`{_key(row, ASKED)}` and `{_key(row, ANSWERED)}`)"
    return None


def converted(row) -> dict | None:
    """A row as `messages`, with the tools that it names; None if it has no conversation in a known form."""
    if not isinstance(row, dict):
        return None
    turns = _list(row) or listed_pair(row)
    messages = [_message(turn) for turn in turns] if turns else _pair(row)
    if not messages or None in messages:
        return None
    system = _text(row, SYSTEM)
    if system and messages[0]["role"] != "system":
        messages.insert(0, {"role": "system", "content": system})
    return {"messages": messages} | ({"tools": row["tools"]} if isinstance(row.get("tools"), list) else {})


def _list(row: dict) -> list[dict]:
    found = next((row[key] for key in LISTS if isinstance(row.get(key), list) and row[key]), [])
    return found if all(isinstance(turn, dict) for turn in found) else []


def listed_pair(row) -> list[dict]:
    """The messages of a row whose `prompt` and `completion` (or `chosen`) are lists of messages, as TRL takes them; [] if
    they aren't."""
    parts = [row.get("prompt"), row.get("completion", row.get("chosen"))] if isinstance(row, dict) else [None]
    are_lists = all(isinstance(part, list) and part and all(isinstance(turn, dict) for turn in part) for part in parts)
    return [turn for part in parts for turn in part] if are_lists else []


def _message(turn: dict) -> dict | None:
    role = turn.get("role", turn.get("from"))
    if "role" in turn and "content" in turn:
        return turn
    content = turn.get("content", turn.get("value"))
    named = ROLES.get(role.lower()) if isinstance(role, str) else None
    return {"role": named, "content": content} if named and isinstance(content, str) else None


def _pair(row: dict) -> list[dict]:
    """Question and answer, with the turns before them. An instruction comes before the question that it is about."""
    asked = [text for text in (_text(row, (INSTRUCTION,)), _text(row, ASKED)) if text]
    answer = _text(row, ANSWERED)
    if not asked or answer is None:
        return []
    before = row.get(HISTORY) if isinstance(row.get(HISTORY), list) else []
    pairs = [pair for pair in before if isinstance(pair, list) and len(pair) == 2] + [["\n\n".join(asked), answer]]
    return [{"role": role, "content": text} for pair in pairs for role, text in zip(("user", "assistant"), pair)]


def _key(row: dict, keys: tuple) -> str | None:
    return next((key for key in keys if isinstance(row.get(key), str) and row[key].strip()), None)


def _text(row: dict, keys: tuple) -> str | None:
    key = _key(row, keys)
    return row[key] if key else None
