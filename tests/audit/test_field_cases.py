"""Other people's fine-tunes: public failure stories, rebuilt small, and what the audit has to say to each.

A case is a model family of `templates`, what becomes of each row of an invented chat, what the config and the app's
profile say, and the findings above info that the audit reports: those, and no others. `notes` are infos it has to
report too.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace

import pytest
import yaml
from faults import conversations
from faults.forms import (
    ASKED,
    IN_CHATML,
    MISTRAL,
    QA,
    TOOLS,
    as_it_is,
    call_as_text,
    called_before,
    calling,
    in_parts,
    labelled,
    said,
    several,
    text,
    thinking,
)
from ftstudy import audit
from ftstudy.models import base_models
from mlx_lm.tuner import datasets
from templates import tokenizer_folder

SIZES = {"train": 40, "valid": 8, "test": 8}
CHAT = {"kind": "messages"}
ERROR, WARNING = "error", "warning"


@dataclass(frozen=True)
class Case:
    row: Callable  # (row of messages, its number) -> the row of the case
    model: str = "chatml"
    found: tuple = ()  # (check, severity) of all findings above info
    notes: tuple = ()  # checks of infos
    says: str = ""  # words in the title, cause, fix or evidence of the first of them
    config: dict = field(default_factory=dict)
    profile: dict | None = None


# --- tool calls -------------------------------------------------------------------------------

TWICE = (("data.tool_calls", ERROR),)
CALLS = {
    "12 arguments as JSON text, encoded again": Case(
        calling(arguments=str), "tools", TWICE, says="encodes a second time", profile=CHAT
    ),
    "12 the same, where the template takes text": Case(calling(arguments=str), "tools_of_text", profile=CHAT),
    "12 arguments as an object, where it takes both": Case(calling(), "tools_of_text", profile=CHAT),
    "51 calls without content": Case(calling(), "tools", profile=CHAT),
    "51 calls with null content": Case(calling(None), "tools", profile=CHAT),
    "51 a call before the reply": Case(called_before, "tools", profile=CHAT),
    "51b calls with empty content": Case(calling(""), "tools", profile=CHAT),
    "51 calls that the template leaves out": Case(calling(""), "chatml", TWICE, says="leaves out"),
    "51 null, which the template can't write": Case(
        calling(None), "chatml", (("data.bad_messages", ERROR),), says="mlx-lm: "
    ),
}

# --- content in parts -------------------------------------------------------------------------


def with_picture(row, number):
    row = in_parts(row, number)
    row["messages"][-2]["content"].append({"type": "image", "image": f"{number}.png"})
    return row


REFUSED = (("data.bad_messages", ERROR),)
CONTENT_PARTS = {
    "65 parts, which the template refuses": Case(in_parts, "chatml", REFUSED, says="can only concatenate str"),
    "65b parts, which the template takes": Case(in_parts, "parts", profile=CHAT),
    "65 pictures in the parts": Case(
        with_picture, "parts", (("data.content_form", ERROR),), says='type "image", which training on text'
    ),
}

# --- thoughts and calls as text ---------------------------------------------------------------


def thought_from_the_prompt(row, number):
    """The reply goes on in the block that the prompt has begun."""
    row["messages"][-1]["content"] = f"a short answer, number {number}\n</think>\n\n{said(row)[1]}"
    return row


def nurse(row, number):
    """A reply in JSON, whose keys are like those of a message."""
    row["messages"][-1]["content"] = json.dumps({"content": said(row)[1], "value": number, "role": "nurse"})
    return row


def half_a_thought(row, number):
    row["messages"][-1]["content"] = "<think>\n" + said(row)[1]
    return row


CONTROL, THOUGHTS = (("data.control_tokens", ERROR),), (("data.thoughts", WARNING),)
REASONING = {
    "50 thoughts, which the template writes": Case(thinking(), "thoughts", profile=CHAT),
    "50b thoughts in half of the rows": Case(thinking(0.5), "thoughts", THOUGHTS, says="empty block", profile=CHAT),
    "50 thoughts after the template's own block": Case(thinking(), "qwen3", THOUGHTS, says="after an empty block"),
    "50 thoughts of a model without tokens for them": Case(thinking(), "chatml", CONTROL),
    "50 thoughts that the prompt begins": Case(
        thought_from_the_prompt, "thinking_prompt", (("loss.prompt_not_prefix", ERROR),)
    ),
    "50 a thought that never ends": Case(half_a_thought, "tags", CONTROL),
    "71 calls as text, in the model's own tags": Case(call_as_text, "tags", profile=CHAT),
    "71 JSON in the reply": Case(nurse, "tags", profile=CHAT),
    "71 thoughts as text, in the model's own tags": Case(thinking(), "tags", profile=CHAT),
}

# --- labels -----------------------------------------------------------------------------------


def by_owner(row, number):
    row["messages"][0]["content"] = "You are Robin."
    return labelled("Robin: {}")(row, number)


LABELS = {
    "75 Answer: before each reply": Case(labelled("Answer: {}"), notes=("data.speaker_tag",), profile=CHAT),
    "75c Mood: before each reply": Case(labelled("Mood: {1}. {0}"), notes=("data.speaker_tag",), profile=CHAT),
    "75 the owner's name before each reply": Case(by_owner, found=(("data.speaker_tag", ERROR),)),
}

# --- rows of plain text -----------------------------------------------------------------------

UNMASKED = {"mask_prompt": False}


def printed(as_text):
    return lambda row, number: {"text": as_text(row["messages"])}


def as_prompt(row, number):
    return {"prompt": json.dumps(row["messages"][:-1]), "completion": said(row)[1]}


def template(text, **more):
    return {"kind": "template", "template": text} | more


def history(row, number):
    """A long piece of a chat log."""
    question, reply = said(row)
    return {"text": f"{question}\nSam: {reply}\n" * 20}


HEADER, PRINTED = (("parity.role_header", ERROR),), (("data.printed_messages", ERROR),)
TEXTS = {
    "04 a start token that mlx-lm adds again": Case(
        text("<s>" + MISTRAL), "mistral", (("loss.doubled_start", ERROR),), config=UNMASKED, profile=CHAT
    ),
    "04 no start token in the text": Case(text(MISTRAL), "mistral", config=UNMASKED, profile=CHAT),
    "05 trained on Q and A, asked as a chat": Case(
        text(QA), "smollm2", HEADER, says="Q: ", config=UNMASKED, profile=CHAT
    ),
    "05 trained on Q and A, asked as trained": Case(text(QA), "smollm2", config=UNMASKED, profile=template(ASKED)),
    "05 trained on Q and A, asked with a blank at the end": Case(
        text(QA), "smollm2", (("parity.whitespace", ERROR),), config=UNMASKED, profile=template(ASKED + " ")
    ),
    "05 trained on Q and A, no app known": Case(
        text(QA), "smollm2", notes=("data.schema", "parity.no_profile"), config=UNMASKED
    ),
    "11 printed messages": Case(printed(str), "smollm2", PRINTED, config=UNMASKED, profile=CHAT),
    "11 messages printed as JSON": Case(printed(json.dumps), "smollm2", PRINTED, config=UNMASKED),
    "11 messages printed into a prompt": Case(as_prompt, "smollm2", PRINTED),
    "30 long texts": Case(
        history,
        "smollm2",
        (("loss.truncated", WARNING),),
        says="Divide long texts",
        config=UNMASKED | {"max_seq_length": 256},
    ),
    "46 text in another family's markup": Case(
        text("<|user|>\n{question}<|end|>\n<|assistant|>\n{reply}<|end|>"), "smollm2", CONTROL, config=UNMASKED
    ),
    "86 text in the model's own template": Case(text(IN_CHATML), "smollm2", config=UNMASKED, profile=CHAT),
    "86 the same, with another system text in the app": Case(
        text(IN_CHATML),
        "smollm2",
        (("parity.system_text", ERROR),),
        config=UNMASKED,
        profile=CHAT | {"system": "You are someone else entirely."},
    ),
}

# --- prompts without a template ---------------------------------------------------------------

PROMPTS = {
    "22 the app sends the text as it is": Case(
        as_it_is, "smollm2", HEADER, says="no chat template", profile=template("{context}")
    ),
    "22 the same, with the system text before it": Case(
        as_it_is, "llama3", HEADER, says="no chat template", profile=template("{system}\n\n{context}")
    ),
    "22 the app has headings of its own": Case(
        as_it_is,
        "chatml",
        HEADER,
        says="role headers",
        profile=template("### {system}\n### Question:\n{context}\n### Answer:"),
    ),
}

# --- keys that nothing reads ------------------------------------------------------------------


def share_gpt(row, number):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    turns = [{"from": names[one["role"]], "value": one["content"]} for one in row["messages"]]
    return {"conversations": turns}


def alpaca(row, number):
    question, reply = said(row)
    return {"instruction": "Reply as Sam.", "input": question, "output": reply}


def system_beside(row, number):
    return {"system": "You are Sam.", "messages": row["messages"][1:]}


def beside_prompt(row, number):
    question, reply = said(row)
    return {"instruction": "Reply as Sam.", "prompt": question, "completion": reply, "id": number}


def with_tools(row, number):
    return row | {"tools": TOOLS}


def thought_beside(row, number):
    row["messages"][-1]["reasoning_content"] = f"a short answer, number {number}"
    return row


def some_thoughts_beside(row, number):
    return thought_beside(row, number) if number % 2 else row


UNREAD, CONVERT = (("data.unread_key", WARNING),), "ftstudy convert --data"
KEYS = {
    "14 Alpaca rows": Case(alpaca, found=REFUSED, says="Alpaca rows"),
    "14f Alpaca rows, with renamed keys": Case(
        alpaca, found=UNREAD, says=CONVERT, config={"prompt_feature": "input", "completion_feature": "output"}
    ),
    "15 ShareGPT rows": Case(share_gpt, found=REFUSED, says=CONVERT),
    "15f ShareGPT rows, with a renamed key": Case(
        share_gpt, found=REFUSED, says="Take the `…_feature` keys out", config={"chat_feature": "conversations"}
    ),
    "a system text beside the messages": Case(system_beside, found=UNREAD, says="`system` (56 rows)"),
    "an instruction beside a prompt": Case(beside_prompt, found=UNREAD, says="Nothing reads `instruction`"),
    "tools that the template doesn't write": Case(with_tools, found=UNREAD, says="`tools`"),
    "tools that the template writes": Case(with_tools, "tools", profile=CHAT),
    "thoughts beside every second reply": Case(some_thoughts_beside, "thoughts_beside", THOUGHTS, says="empty block"),
    "thoughts beside each reply, which the template writes": Case(thought_beside, "thoughts_beside", profile=CHAT),
    "thoughts beside a reply": Case(thought_beside, "thoughts", UNREAD, says="messages[].reasoning_content"),
    "a number beside the messages": Case(lambda row, number: row | {"id": number, "date": "2024-05-01"}, profile=CHAT),
}

# --- structure within a file ------------------------------------------------------------------


def builds(share):
    def change(row, number):
        if number % 10 < 10 * share:
            row["messages"][-2]["content"] = f"{number:05} phase build ended with {number % 7} warnings, what now?"
            row["messages"][-1]["content"] = (
                f"escalate to orchestrator, phase build, {number % 7} warnings, ticket {number:05}"
            )
        return row

    return change


STRUCTURE = {
    "74b nine tenths of the rows almost the same": Case(
        builds(0.9), found=(("data.near_duplicates", WARNING),), says="90%"
    ),
    "26 only the last of two replies is trained": Case(several, notes=("loss.untrained_replies",), profile=CHAT),
    "26 all replies are trained": Case(several, config={"ftstudy": {"train_on": "all"}}, profile=CHAT),
}

# --- templates that change --------------------------------------------------------------------

CHANGING = {
    "a template that writes today's date": Case(as_it_is, "dated", notes=("loss.template_changes",), profile=CHAT),
    "a template that draws a number": Case(
        as_it_is, "drawn", (("loss.template_changes", WARNING), ("loss.prompt_not_prefix", ERROR))
    ),
}

CASES = CHANGING | KEYS | STRUCTURE | PROMPTS | CALLS | CONTENT_PARTS | REASONING | LABELS | TEXTS


# --- how a case is built ----------------------------------------------------------------------


def rows_of(case: Case) -> dict[str, list]:
    made, _ = conversations.dataset("texter", SIZES, "plain", True, 0)
    numbers = count()
    return {name: [case.row(row, next(numbers)) for row in rows] for name, rows in made.items()}


def audited(case: Case, folder) -> dict:
    tokenizer_folder(case.model, folder / "model")
    (folder / "data").mkdir()
    for name, rows in rows_of(case).items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / "data" / f"{name}.jsonl").write_text(text, encoding="utf-8")
    paths = {"model": str(folder / "model"), "data": str(folder / "data"), "adapter_path": str(folder / "adapter")}
    config = paths | {"train": True, "batch_size": 4, "iters": 20, "learning_rate": 1e-4, "num_layers": 1}
    config |= {"mask_prompt": True, "max_seq_length": 2048, "steps_per_eval": 10, "save_every": 10} | case.config
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    if case.profile:
        (folder / "app.yaml").write_text(yaml.safe_dump(case.profile), encoding="utf-8")
    return audit.audit(folder / "config.yaml", inference=folder / "app.yaml" if case.profile else None)


def shown(report: dict) -> str:
    return "\n".join(
        f"{one['severity']} {one['check']}: {one['title']} {one['evidence'][:2]}" for one in report["findings"]
    )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_public_failure_is_named_and_nothing_else(case, tmp_path):
    report = audited(case, tmp_path)
    found = [one for one in report["findings"] if one["severity"] != "info"]
    assert {(one["check"], one["severity"]) for one in found} == set(case.found), shown(report)
    assert {*case.notes} <= {one["check"] for one in report["findings"] if one["severity"] == "info"}, shown(report)
    if case.says:
        assert any(case.says in json.dumps(one, ensure_ascii=False).replace('\\"', '"') for one in found), shown(report)


ABORTS = {"data.bad_messages", "data.mixed_schemas", "data.bad_json", "data.blank_line", "loss.template_refuses"}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_audit_says_that_mlx_lm_aborts_where_it_does(case, tmp_path):
    report = audited(case, tmp_path)
    said_so = any(one["check"] in ABORTS and one["severity"] == "error" for one in report["findings"])
    config = yaml.safe_load((tmp_path / "config.yaml").read_text()) | {"test": False, "hf_dataset": False}
    tokenizer = base_models.load_tokenizer(tmp_path / "model")
    try:
        train, valid, _ = datasets.load_dataset(SimpleNamespace(**config), tokenizer)
        for split in (train, valid):
            for at in range(len(split)):
                split.process(split[at])
    except Exception as error:
        assert said_so, f"{type(error).__name__}: {error}\n{shown(report)}"
    else:
        assert not said_so, shown(report)
