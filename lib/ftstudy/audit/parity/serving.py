"""What an app does besides writing the prompt: where its server ends a reply, how long a prompt may be, and whose message
it answers.

A Modelfile and a GGUF file say what the server does, and any profile may name its `stop` texts.
"""

import re
from collections import Counter

from ...chat_format.messages import has_turns, last_speaker, text_of
from ...chat_format.replies import last_replies
from ..evidence import in_rows, listed
from ..findings import Check, Finding
from ..run_inputs import RunInputs

STOP_MISSING = Check(
    "parity.stop_missing",
    ("error", "warning"),
    "The app's server doesn't stop at the token that ends a reply in training; a warning if its GGUF isn't there to say "
    "which tokens end a reply by themselves.",
    cause="The model was taught to end its reply with {token}. A server that doesn't know this token goes on, and the "
    "model writes the next turns too.",
    fix='Add PARAMETER stop "{token}" to the Modelfile, or `stop: ["{token}"]` to the app\'s requests and its profile.',
    bad="TEMPLATE with <|im_end|>, and no PARAMETER stop",
    good='PARAMETER stop "<|im_end|>"',
)
STOP_CUTS = Check(
    "parity.stop_cuts_replies",
    ("error", "warning"),
    "The training replies contain one of the app's stop strings; a warning if in less than 5% of them.",
    cause="The model was taught to write this text within its replies, and the server ends a reply there.",
    fix="Stop only at the end-of-turn token, or train on replies without this text.",
    bad='PARAMETER stop "?"',
    good='PARAMETER stop "<|im_end|>"',
)
PROMPT_CUT = Check(
    "parity.prompt_cut",
    ("error",),
    "Prompts are longer than the app's context (num_ctx), so their first messages are dropped.",
    cause="Ollama drops the earliest messages until a prompt fits into num_ctx.",
    fix="Set PARAMETER num_ctx above the longest prompt plus a reply.",
    bad="PARAMETER num_ctx 256   # prompts of 400 tokens",
    good="PARAMETER num_ctx 4096",
)
SERVER = Check(
    "parity.server_settings",
    ("info",),
    "What a Modelfile, a GGUF or a recording says about the app, and what it leaves open.",
    cause="The prompt is only known as far as the file describes it.",
    fix="No action is needed; `ftstudy record` records what the app really sends.",
    bad="",
    good="",
)
OWN_LAST_MESSAGE = Check(
    "parity.own_last_message",
    ("info",),
    "The app's last message is the owner's own in some rows.",
    cause="In these rows the owner wrote again before anybody answered, so the last message of the user turn is theirs. "
    "An app that is asked only when a message comes in never sends such a prompt.",
    fix="No action is needed for a few rows; otherwise leave them out of the data.",
    bad='user turn "Ann: hey\\nSam: yo", reply by Sam   # {last_message} is "yo"',
    good='user turn "Sam: yo\\nAnn: hey", reply by Sam   # {last_message} is "hey"',
)
CHECKS = (STOP_MISSING, STOP_CUTS, PROMPT_CUT, SERVER, OWN_LAST_MESSAGE)
MANY = 0.05  # of the replies
NO_TEMPLATE = "The GGUF has no chat template, so llama.cpp's server uses ChatML."


def check(inputs: RunInputs) -> list[Finding]:
    """Findings on stop texts, context length, what the server's file leaves open, and whose message is answered."""
    profile, name = inputs.profile, next(iter(inputs.splits))
    served = profile.get("served")
    stops = list(dict.fromkeys([*profile.get("stop", []), *(served or {}).get("stop", [])]))
    found = _cut_replies(inputs, name, stops)
    if served:
        found += _missing_stop(inputs, name, profile, stops)
        found += _cut_prompts(inputs, served)
    if served or profile.get("notes"):
        found += _settings(profile, stops)
    return found + _own_last_messages(inputs, profile)


def _missing_stop(inputs: RunInputs, name: str, profile: dict, stops: list[str]) -> list[Finding]:
    tokenizer, rendering = inputs.tokenizer, inputs.conversations(name)
    _, ends, _ = last_replies(rendering, tokenizer)
    taught = Counter(int(ids[end]) for ids, end in zip(rendering.ids, ends) if end < len(ids))
    if not taught:
        return []  # no reply is ended in training, which the loss family reports
    ((token, _),) = taught.most_common(1)
    text = tokenizer.decode([token])
    base = profile["served"] if profile["kind"] == "gguf" else profile["served"]["gguf"]
    if any(stop and stop in text for stop in stops) or (base and text in base["ends"]):
        return []
    stopping = f"stops only at {', '.join(map(repr, stops))}" if stops else "has no stop string"
    evidence = [f"training ends replies with {text} ({taught[token]:,} of {len(rendering.ids):,} rows in {name})"]
    evidence += [f"end tokens of the GGUF: {', '.join(base['ends']) or 'none'}" if base else "the GGUF is not here"]
    return [
        STOP_MISSING.found(
            "error" if base else "warning",
            f"Replies may not end: {profile['name']} {stopping}, and training ends them with {text}",
            evidence=evidence,
            token=text,
        )
    ]


def _cut_replies(inputs: RunInputs, name: str, stops: list[str]) -> list[Finding]:
    rows = inputs.conversations(name)
    replies = [(number, text_of(row["messages"][-1])) for number, row in zip(rows.numbers, rows.rows)]
    cut = [(number, stop) for number, reply in replies for stop in stops if stop and stop in reply.strip()]
    if not cut:
        return []
    lines = len({number for number, _ in cut})
    evidence = [f"line {number} contains {stop!r}" for number, stop in cut]
    severity = "error" if lines >= MANY * len(replies) else "warning"
    title = f"Replies are cut short: {lines:,} of {len(replies):,} replies in {name} contain a stop string"
    return [STOP_CUTS.found(severity, title, evidence=listed(evidence), where=inputs.splits[name].where)]


def _cut_prompts(inputs: RunInputs, served: dict) -> list[Finding]:
    (limit,) = served.get("parameters", {}).get("num_ctx", ["0"])[-1:]
    if not limit.isdecimal() or not int(limit):
        return []
    lengths = [len(prompt) for name in inputs.splits for prompt in inputs.conversations(name).prompts]
    longer = sum(length > int(limit) for length in lengths)
    if not longer:
        return []
    title = f"Prompts are cut: {longer:,} of {len(lengths):,} have more than num_ctx = {limit} tokens"
    evidence = f"the longest prompt has {max(lengths):,} tokens"
    return [PROMPT_CUT.found("error", title, evidence=evidence)]


def _settings(profile: dict, stops: list[str]) -> list[Finding]:
    """What the file says, and a finding for each thing that it leaves open."""
    served = profile.get("served") or {}
    base = served if profile["kind"] == "gguf" else served.get("gguf")
    lines = [f"served from {served['from']}"] if "from" in served else []
    if base:
        start = f"puts {base['bos']} in front of a prompt" if base["add_bos"] else "adds no start token"
        lines.append(f"GGUF: {base['name'] or 'no name'}, {base['architecture']}, {base['tokens']:,} tokens; {start}")
    lines.append(f"stop strings: {', '.join(map(repr, stops)) or 'none'}")
    lines += [f"{name}: {', '.join(values)}" for name, values in served.get("parameters", {}).items() if name != "stop"]
    notes = [*served.get("notes", []), *profile.get("notes", [])]
    notes += [NO_TEMPLATE] if profile["kind"] == "gguf" and not base["template"] else []
    said = SERVER.found("info", f"{profile['name']} says: {'; '.join(lines)}")
    return [said, *(SERVER.found("info", note) for note in notes)]


def _own_last_messages(inputs: RunInputs, profile: dict) -> list[Finding]:
    """The finding on rows where a profile's {last_message} was written by the person who replies."""
    if not any("{last_message}" in str(profile.get(key, "")) for key in ("template", "user", "system")):
        return []
    hits = []
    for name in inputs.splits:
        rows = inputs.conversations(name)
        for line, row in zip(rows.numbers, rows.rows):
            if not has_turns(row, profile) and (speaker := last_speaker(row)) and _is_owner(speaker, row, inputs.owner):
                hits.append((name, line, f"the last message is by {speaker}"))
    return in_rows(inputs, OWN_LAST_MESSAGE, "info", hits, "where {last_message} is the owner's own")


def _is_owner(speaker: str, row: dict, owner: str) -> bool:
    """Whether this is the owner's name, or one that only the owner has."""
    if speaker.lower() in ("me", "i", owner.lower()):
        return True
    system = next((text_of(message) for message in row["messages"] if message["role"] == "system"), "")
    return bool(re.search(rf"\bYou are {re.escape(speaker)}\b", system))
