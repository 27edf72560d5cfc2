"""Which schema does each file have, and does each row fit it? Schemas: completion, chat and text.

mlx-lm decides the schema of a file by its first row: a prompt with a completion comes before messages, and messages
before text. A row without that schema's keys fails late.
"""

from dataclasses import dataclass

from ... import wording
from ...chat_format.prompts import is_text
from ...chat_format.rows import Split, is_conversation
from ..evidence import counted, listed, quoted
from ..findings import SEVERITIES, Check, Finding
from . import row_keys

FIX_LINES, AGAIN = "Fix these lines.", "Extract the variant again, or fix these lines."
BLANK_LINE = Check(
    "data.blank_line",
    ("error",),
    "A blank line where mlx-lm expects JSON.",
    cause="mlx-lm parses every line of all three files as JSON before it trains, and aborts at a blank one.",
    fix=FIX_LINES,
    fix_extracted=AGAIN,
    bad='{"messages": […]}\n\n{"messages": […]}',
    good='{"messages": […]}\n{"messages": […]}',
)
BAD_JSON = Check(
    "data.bad_json",
    ("error",),
    "A line that isn't JSON, or bytes that aren't text; a file whose rows are not one on each line; a damaged Parquet "
    "file of a dataset on a hub.",
    cause="mlx-lm parses every line of all three files as JSON before it trains, and aborts at the first bad one.",
    fix=FIX_LINES,
    fix_extracted=AGAIN,
    bad="{'messages': […]}",
    good='{"messages": […]}',
)
MIXED_SCHEMAS = Check(
    "data.mixed_schemas",
    ("error", "warning"),
    "Rows with a different schema than the file's first row; plain text with mask_prompt; files with different schemas.",
    cause="mlx-lm decides the schema of the whole file by its first row, and aborts at a row without its keys. It cannot "
    "mask the prompt of plain text.",
    fix=FIX_LINES,
    fix_extracted=AGAIN,
    bad='{"messages": […]}\n{"text": "Ann: hey Sam: yo"}',
    good='{"messages": […]}\n{"messages": […]}',
)
BAD_MESSAGES = Check(
    "data.bad_messages",
    ("error", "warning"),
    "A row that mlx-lm's own dataset class refuses, with this model's chat template: no list of messages, or a message "
    "whose content the template cannot write; a warning in test.jsonl if nothing is tested.",
    cause="mlx-lm hands every row to the chat template and the tokenizer, and aborts at one that they reject. The "
    "evidence is its error for these rows.",
    fix=FIX_LINES,
    fix_extracted=AGAIN,
    bad='{"messages": [{"role": "user", "content": null}]}',
    good='{"messages": [{"role": "user", "content": "hey"}, {"role": "assistant", "content": "yo"}]}',
)
SCHEMA = Check(
    "data.schema",
    ("info",),
    "Rows that the other checks cannot read, or that mlx-lm reads only in part.",
    cause="mlx-lm trains on all of a text, the questions and other people's messages included: it can't mask a prompt there. "
    "What depends on roles is not checked, unless the model's own chat template wrote the text.",
    fix="No action needed if that is intended; otherwise write rows of `messages`.",
    bad="",
    good="",
)
KINDS = {"completion": "a prompt and a completion", "chat": "messages", "text": "plain text"}


@dataclass(frozen=True)
class Lines:
    """Lines of one file that have the same fault; `what`: "…", after the number of lines in a title."""

    split: Split
    check: Check
    severity: str
    lines: list[str]
    what: str
    fix: str | None = None


def in_files(found: list[Lines], where: str) -> list[Finding]:
    """One finding for each fault, whichever files have it; `where`: the folder, for a fault in several."""
    faults = {}
    for one in found:
        faults.setdefault((one.check.id, one.what), []).append(one)
    return [_finding(same, where) for same in faults.values()]


def _finding(same: list[Lines], where: str) -> Finding:
    first, several = same[0], len(same) > 1
    number = counted(sum(len(one.lines) for one in same), "line")
    names = [one.split.path.name for one in same]
    subject = f"{wording.listed(names)} have" if several else f"{first.split.where} has"
    lines = [f"{one.split.path.name} {line}" if several else line for one in same for line in one.lines]
    severity = min((one.severity for one in same), key=SEVERITIES.index)
    where = where if several else first.split.where
    title = f"{subject} {number} {first.what}"
    return first.check.found(severity, title, evidence=listed(lines), where=where, fix=first.fix)


def check_lines(split: Split, test: bool, mask_prompt: bool, refusal=None) -> list[Lines]:
    """The lines without a row, and the rows that don't fit their file or that the trainer refuses.

    Unless they are plain, rows are handed to mlx-lm's dataset class: `refusal(row, schema, features)` gives the error
    with which it aborts, or None. Without it, for want of a tokenizer, the shape of the rows decides.
    """
    schema, (other, wrong) = split.schema, misfits(split, refusal)
    unread = [row for number, row in zip(split.numbers, split.rows) if number in wrong]
    other, wrong = ([f"line {number}: {problem}" for number, problem in found.items()] for found in (other, wrong))
    masked = schema == "text" and mask_prompt
    if masked:
        other.insert(0, f"line {split.numbers[0]}: plain text, and the config says mask_prompt: true")
    # mlx-lm decides the schema when it opens the file, and reads later rows only when it trains or tests on them.
    unused = split.name == "test" and not test
    opened = bool(split.rows) and schema is None
    severities = ["warning" if unused and not aborts else "error" for aborts in (masked, opened)]
    what, fix = "that the trainer cannot take", None
    if form := row_keys.conversion(split, unread):
        what, fix = f"{what}: {form[0]}", form[1]
    blank = [f"line {number} is blank" for number in split.blank]
    found = [
        Lines(split, BLANK_LINE, "error", blank, "left blank"),
        Lines(split, BAD_JSON, "error", split.broken, "without JSON"),
        Lines(split, MIXED_SCHEMAS, severities[0], other, "with a schema that this run can't use"),
        Lines(split, BAD_MESSAGES, severities[1], wrong, what, fix),
    ]
    return [one for one in found if one.lines]


def misfits(split: Split, refusal=None) -> tuple[dict[int, str], dict[int, str]]:
    """Line -> what is wrong: rows with another schema than the file's first, and rows that the trainer refuses."""
    other, wrong, schema = {}, {}, split.schema
    for number, row in zip(split.numbers, split.rows):
        kind = split.schema_of(row)
        if kind and schema and not _has_keys(split, schema, row):
            other[number] = f"{KINDS[kind]}, after a first row with {KINDS[schema]}"
        elif problem := _problem(split, schema or kind, row, refusal):
            wrong[number] = problem
    return other, wrong


def _has_keys(split: Split, schema: str, row: dict) -> bool:
    """Rows may have the keys of several schemas; the file's schema counts."""
    return all(split.features[key] in row for key in row_keys.KEYS[schema])


def _problem(split: Split, schema: str | None, row, refusal) -> str | None:
    """Why the trainer cannot take one row, or None."""
    shape = _shape(split, schema, row)
    if shape is None or refusal is None or not isinstance(row, dict) or not schema or not _has_keys(split, schema, row):
        return shape
    refused = refusal(row, schema, split.features)
    if refused is None and schema == "chat" and not is_conversation(row[split.features["chat"]]):
        return f"{shape}, and the chat template leaves a gap there"
    return f"{shape}; {refused}" if refused else None


def _shape(split: Split, schema: str | None, row) -> str | None:
    """What is unusual in the shape of a row, or None."""
    if not isinstance(row, dict):
        return "not a JSON object"
    if schema is None or not _has_keys(split, schema, row):
        return "none of " + ", ".join(f"`{split.features[key]}`" for key in ("prompt", "completion", "chat", "text"))
    if schema == "text":
        return (
            None
            if is_text(row[split.features["text"]]) and row[split.features["text"]]
            else "its text is missing or empty"
        )
    if schema == "completion":
        texts = [row[split.features[key]] for key in ("prompt", "completion")]
        return None if all(map(is_text, texts)) else "prompt or completion is not text"
    messages = row[split.features["chat"]]
    if not isinstance(messages, list) or not messages:
        return f"`{split.features['chat']}` is not a list of messages"
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict):
            return f"message {number} is a {type(message).__name__}, not an object"
        for key in ("role", "content"):
            if not isinstance(message.get(key), str):
                return f"message {number} has no text `{key}`"
            if not is_text(message[key]):
                return f"message {number} has half a character (a lone surrogate), which tokenizers reject"
    return None


def check_kinds(splits: dict[str, Split], where: str) -> list[Finding]:
    """Findings on the schemas of whole files: they differ, have several, or cannot be read by the other checks."""
    kinds = {name: split.schema for name, split in splits.items() if split.schema}
    findings = []
    if len(set(kinds.values())) > 1:
        findings.append(
            MIXED_SCHEMAS.found(
                "warning",
                "The files have different schemas",
                evidence=[f"{splits[name].path.name}: {KINDS[kind]}" for name, kind in kinds.items()],
                where=where,
                cause="Each schema is rendered in its own way, so validation measures something that is not trained.",
                fix="Write all three files with the same schema.",
            )
        )
    texts = []
    for name, kind in kinds.items():
        split, first = splits[name], splits[name].rows[0]
        evidence = f"line {split.numbers[0]} has the keys {quoted(', '.join(first))}"
        if kind == "text":
            texts.append(name)
        elif any(split.features[key] in first for key in ("chat", "text") if key != kind):
            title = f"In {split.where}, mlx-lm reads only {KINDS[kind]}"
            cause = "mlx-lm prefers prompt and completion to messages, and messages to text."
            findings.append(SCHEMA.found("info", title, evidence=evidence, where=split.where, cause=cause))
    if texts:
        evidence = [f"{splits[name].path.name}: {counted(len(splits[name].rows), 'row')}" for name in texts]
        findings.append(SCHEMA.found("info", "The rows are plain text", evidence=evidence, where=where))
    return findings
