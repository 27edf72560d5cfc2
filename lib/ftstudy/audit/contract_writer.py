"""Writes the prompt contract (see `chat_format.contract`): after training, or once an audit that compared an app's prompt
finds no error."""

import json
from datetime import datetime
from pathlib import Path

import mlx_lm

from ..chat_format import contract, text_of, user_form
from ..chat_format.contract import NAME, VERSION, problems
from ..chat_format.template import Template, date_formats
from ..errors import StudyError
from ..files import write_json
from ..files.folders import ignore, make_folder
from ..files.foreign import refuse_link
from ..models import adapters
from ..paths import absolute, shown
from .run_inputs import RunInputs

GOLDEN = 5
MOST_SYSTEM_TEXTS = 50


def write(inputs: RunInputs, findings: list[dict], folder: str | Path) -> Path:
    """Write the contract of an audited run into its adapter's folder and return its path.

    Raises StudyError if the audit found an error, if there is no conversation, or if the config trains on data that
    was not audited.
    """
    errors = sorted({item["check"] for item in findings if item["severity"] == "error"})
    if errors:
        raise StudyError(
            f"the audit of {inputs.where} has errors ({', '.join(errors)}), and a contract promises that training "
            "and app agree. Fix them and audit again."
        )
    if inputs.config.get("hf_dataset"):
        raise StudyError(f"{inputs.where} trains on unaudited `hf_dataset`. Use `data` instead.")
    if not str(folder).strip():
        raise StudyError(f"{inputs.where} has no adapter_path to write to. Set one.")
    agreed = build(inputs)
    path = absolute(folder) / NAME
    refuse_link(path.parent, adapters.read_config)
    make_folder(path.parent.parent)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    ignore(path.parent, NAME)  # first, because the golden texts are somebody's messages
    write_json(path, agreed)
    return path


def offer(inputs: RunInputs, findings: list[dict], folder: Path | None = None) -> str:
    """Write the contract of an audit into the folder, by default the adapter's. Returns a sentence: where it is, or why
    it was not written."""
    folder = folder or inputs.config["adapter_path"]
    if inputs.profile is None:
        return (
            f"No {NAME} was written: it promises that app and training agree, and no app was compared. Training writes "
            "one, and so does an audit with --inference (INFERENCE=…) that finds no error."
        )
    try:
        return f"The prompt contract is in {shown(write(inputs, findings, folder))}"
    except StudyError as reason:
        return f"No {NAME} was written: {reason}"
    except OSError as error:
        return (
            f"No {NAME} was written: {shown(error.filename or folder)} cannot be written ({error.strerror or error})."
        )


def build(inputs: RunInputs) -> dict:
    """The contract as plain data. Raises StudyError if there is no conversation."""
    tokenizer = inputs.tokenizer
    rows = [
        (row, whole, prompt)
        for name in inputs.splits
        for rendering in [inputs.conversations(name)]
        for row, whole, prompt in zip(rendering.rows, rendering.ids, rendering.prompts)
        if row["messages"][-1]["role"] == "assistant"
    ]
    if not rows:
        raise StudyError(f"{shown(inputs.folder)} has no conversations to write a contract from.")
    template = Template(tokenizer)
    system = _system_texts([row for row, _, _ in rows], template)
    rendered = template.render(rows[0][0]["messages"][:-1], rows[0][0].get("tools")) or ""
    turns = [text_of(message) for row, _, _ in rows for message in _last_user(row)]
    agreed = {
        "version": VERSION,
        "note": "Contains messages from the training data: protect it as you protect the data.",
        "config": inputs.where,
        "mlx_lm": mlx_lm.__version__,
        "tokenizer": contract.tokenizer_identity(tokenizer),
        "chat_template": contract.template_identity(tokenizer),
        "model": contract.model_identity(inputs.model),
        "bos": tokenizer.bos_token if template.bos_stands_alone else None,
        "starts": template.without_bos(rendered)[0],
        "system": system if len(system) <= MOST_SYSTEM_TEXTS else None,
        "markup": _markup([row for row, _, _ in rows], template),
        "date": _date(tokenizer),
        "user": user_form.learned(turns),
        "golden": [_golden(*rows[at]) for at in _chosen([row for row, _, _ in rows])],
    }
    if any(problems(agreed, item["prompt_ids"], tokenizer) for item in agreed["golden"]):
        agreed["markup"] = {}  # the template or the decoder does not reproduce the texts
    return agreed


def _date(tokenizer) -> dict | None:
    """Today, and the forms in which the template writes it: tomorrow's prompts have another date."""
    formats = date_formats(tokenizer)
    return {"day": datetime.now().isoformat(), "formats": formats} if formats else None


def _last_user(row: dict) -> list[dict]:
    return [message for message in row["messages"] if message["role"] == "user"][-1:]


def _system_texts(rows: list[dict], template: Template) -> list[str]:
    """The system texts as the template writes them, since some strip them: at most one more than a contract takes."""
    by_text = {text_of(row["messages"][0]): row for row in rows if row["messages"][0]["role"] == "system"}
    found = {}
    for row in list(by_text.values())[: MOST_SYSTEM_TEXTS + 1]:
        messages = row["messages"][:-1]
        text = template.render(messages, row.get("tools")) or ""
        spans = template.spans(messages, text, row.get("tools"))
        found |= {text[start:end]: None for start, end, role in spans[:1] if role == "system"}
    return list(found)


def _markup(rows: list[dict], template: Template) -> dict[str, list[str]]:
    """ "role|next role" -> everything that the template writes between the two; {} if it cannot be split that way."""
    found: dict[str, dict[str, None]] = {}
    tools = {json.dumps(row.get("tools")): row.get("tools") for row in rows}
    for roles in {tuple(message["role"] for message in row["messages"][:-1]) for row in rows}:
        for with_tools in tools.values():
            skeleton = template.skeleton(roles, with_tools)
            if skeleton is None:
                return {}
            pieces = [*skeleton.markup[:-1], skeleton.end]
            for before, after, piece in zip(["", *roles], [*roles, ""], pieces):
                found.setdefault(f"{before}|{after}", {})[piece] = None
    return {key: list(pieces) for key, pieces in sorted(found.items())}


def _chosen(rows: list[dict]) -> list[int]:
    """The longest conversation, one with an emoji, and others evenly spread."""
    longest = max(range(len(rows)), key=lambda at: len(rows[at]["messages"]))
    emoji = [at for at, row in enumerate(rows) if any(_has_emoji(text_of(message)) for message in row["messages"])]
    spread = [round(at * (len(rows) - 1) / (GOLDEN - 1)) for at in range(GOLDEN)]
    return list(dict.fromkeys([longest, *emoji[:1], *spread]))[:GOLDEN]


def _has_emoji(text: str) -> bool:
    return any(letter >= "\U0001f000" for letter in text)


def _golden(row: dict, whole, prompt) -> dict:
    kept = {key: row[key] for key in ("messages", "tools") if row.get(key) is not None}
    return kept | {"prompt_ids": prompt.tolist(), "training_ids": whole.tolist()}
