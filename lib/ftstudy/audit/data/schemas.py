"""Of which kind are the rows, and does each fit its file? Kinds: completion, chat and text.

mlx-lm takes the kind of a file from its first row: a prompt with a completion goes before
messages, and messages before text. A row without the keys of that kind fails late.
"""

from ..evidence import counted, listed, quoted
from ..findings import finding
from ..run_inputs import Split, is_text

KINDS = {"completion": "a prompt and a completion", "chat": "messages", "text": "plain text"}
KEYS = {"completion": ("prompt", "completion"), "chat": ("chat",), "text": ("text",)}


def fault(split: Split, check: str, severity: str, lines: list[str], what: str, cause: str) -> list[dict]:
    """The finding on lines of one file that abort the run; none, no finding."""
    if not lines:
        return []
    return [
        finding(
            check,
            severity,
            f"{split.where} has {counted(len(lines), 'line')} {what}",
            evidence=listed(lines),
            where=split.where,
            cause=cause,
            fix="Extract the variant again, or mend these lines.",
        )
    ]


def check_rows(split: Split, test: bool, mask_prompt: bool) -> list[dict]:
    """Findings on rows that do not fit their file, or that no trainer can take."""
    other, wrong, schema = [], [], split.schema
    for number, row in zip(split.numbers, split.rows):
        kind = split.schema_of(row)
        if kind and schema and not _has_keys(split, schema, row):
            other.append(f"line {number}: {KINDS[kind]}, after a first row with {KINDS[schema]}")
        elif problem := _problem(split, schema or kind, row):
            wrong.append(f"line {number}: {problem}")
    masked = schema == "text" and mask_prompt
    if masked:
        other.insert(0, f"line {split.numbers[0]}: plain text, and the config says mask_prompt: true")
    # The kind of the file is settled when it is opened; a later row is read when it is trained on or tested.
    unused = split.name == "test" and not test
    opened = bool(split.rows) and schema is None
    return fault(
        split,
        "data.mixed_schemas",
        "warning" if unused and not masked else "error",
        other,
        "of a kind that this run does not take",
        "mlx-lm takes the kind of the whole file from its first row, and aborts at a row without its keys; "
        "it cannot mask the prompt of plain text.",
    ) + fault(
        split,
        "data.bad_messages",
        "warning" if unused and not opened else "error",
        wrong,
        "that the trainer cannot take",
        "mlx-lm hands every row to the chat template and the tokenizer, and aborts at one that they cannot take.",
    )


def _has_keys(split: Split, schema: str, row: dict) -> bool:
    """Rows may hold the keys of several kinds; what counts is the kind of the file."""
    return all(split.features[key] in row for key in KEYS[schema])


def _problem(split: Split, schema: str | None, row) -> str | None:
    """Why the trainer cannot take one row, or None."""
    if not isinstance(row, dict):
        return "no JSON object"
    if schema is None or not _has_keys(split, schema, row):
        return "none of " + ", ".join(f"`{split.features[key]}`" for key in ("prompt", "completion", "chat", "text"))
    if schema == "text":
        return None if is_text(row[split.features["text"]]) and row[split.features["text"]] else "no text in it"
    if schema == "completion":
        texts = [row[split.features[key]] for key in ("prompt", "completion")]
        return None if all(map(is_text, texts)) else "prompt or completion is no text"
    messages = row[split.features["chat"]]
    if not isinstance(messages, list) or not messages:
        return f"`{split.features['chat']}` is no list of messages"
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            return f"message {number} is no object, but a {type(message).__name__}"
        for key in ("role", "content"):
            if not isinstance(message.get(key), str):
                return f"message {number} has no text `{key}`"
            if not is_text(message[key]):
                return f"message {number} holds half a character (a lone surrogate), which no tokenizer takes"
    return None


def check_kinds(splits: dict[str, Split], where: str) -> list[dict]:
    """Findings on the kinds of whole files: they differ, or hold more than one, or cannot be looked into."""
    kinds = {name: split.schema for name, split in splits.items() if split.schema}
    findings = []
    if len(set(kinds.values())) > 1:
        findings.append(
            finding(
                "data.mixed_schemas",
                "warning",
                "The files hold rows of different kinds",
                evidence=[f"{name}.jsonl: {KINDS[kind]}" for name, kind in kinds.items()],
                where=where,
                cause="Each kind is rendered in its own way, so validation measures something that is not trained.",
                fix="Write all three files in the same form.",
            )
        )
    for name, kind in kinds.items():
        first = splits[name].rows[0]
        beside = [key for key in ("chat", "text") if key != kind and splits[name].features[key] in first]
        if kind == "text" or beside:
            findings.append(
                finding(
                    "data.schema",
                    "info",
                    f"{splits[name].where} holds plain text"
                    if kind == "text"
                    else f"Of each row of {splits[name].where}, mlx-lm reads {KINDS[kind]} only",
                    evidence=[f"line {splits[name].numbers[0]} has the keys {quoted(', '.join(first))}"],
                    where=splits[name].where,
                    cause="mlx-lm trains on it as it is, all of it; there are no roles, so what stands in it is not "
                    "checked."
                    if kind == "text"
                    else "A prompt with a completion goes before messages, and messages before text.",
                    fix="Nothing, if that is meant; else write rows of `messages`.",
                )
            )
    return findings
