"""Do training and inference see the same prompt? The original report's second issue, from token ids.

Every row's prompt is compared with what the inference profile would send (`prompts`). The first ones that differ
are read as turns (`reading`) that are paired (`turns`), and each kind of difference is a check (`differences`, `checks`),
shown on the first row that has it. Within these turns the tokens are aligned (`alignment`), which the notebook shows with
`compare`, `key_differences` and `termination`. Rows of plain text have no turns (`text_rows`), and an app does more than
write a prompt (`serving`).
"""

import hashlib
from itertools import chain, islice

from ... import chat_format
from ...chat_format.rendering import encode
from ...chat_format.template import Template
from ...chat_format.tokens import unwrapped
from ...paths import shown
from ...progress import bar
from ..evidence import counted, listed
from ..findings import Check, Finding
from ..run_inputs import RunInputs
from . import serving, text_rows
from .alignment import aligned, compare, key_differences, termination
from .checks import (
    ASPECTS,
    CAPTURED_ROWS,
    DEFAULT_SYSTEM,
    END_OF_PROMPT,
    NO_PROFILE,
    OF_PROMPTS,
    OF_REGION,
    PROFILE_FAILS,
    ROLE_HEADER,
    SYSTEM_TEXT,
    TEMPLATE_ARGUMENTS,
)
from .differences import Differences, cut, differences
from .prompts import Compared, Row, begins, compare_all, rows_of
from .turns import Prompts, marker_of, read_prompts

CALLS = 2000  # at most, of an app's function, spread evenly over the rows
NO_TEMPLATE = "no chat template"
WITHOUT_TEMPLATE = (
    "The app sends its text as it is, without the turns of the chat template: the model sees a text to continue, where "
    "training showed it a question to answer."
)
TOKENS = 100_000  # in the prompts that are inspected: a few if they are long
CHECKS = (*OF_PROMPTS, *text_rows.CHECKS, *serving.CHECKS)
__all__ = ["CHECKS", "check", "compare", "key_differences", "termination"]


def check(inputs: RunInputs) -> list[Finding]:
    """Findings on the prompts of all rows. Raises StudyError if there is no model to render them with."""
    profile = inputs.profile
    if profile is None:
        return [NO_PROFILE.found("info", "No inference profile was given")]
    of_texts = text_rows.check(inputs)
    if not any(_has_conversations(inputs, name) for name in inputs.splits) or not inputs.has_template:
        return of_texts  # nothing to render, which the data family or the model's reports
    names, step = list(inputs.splits), 1
    if profile["kind"] == "captured":
        recorded = {split for split, _ in profile["rows"]}
        names = [name for name in names if name in recorded]
    total = sum(len(inputs.conversations(name).numbers) for name in names)
    if profile["kind"] == "callable":
        step = -(-total // CALLS) or 1
    rows = chain.from_iterable(rows_of(name, inputs.conversations(name), inputs.splits[name].blank) for name in names)
    asked = bar(islice(rows, 0, None, step), total=-(-total // step), desc="comparing prompts", delay=1)
    template = Template(inputs.tokenizer)
    inputs.measured |= {"prompts": compare_all(asked, template, profile), "step": step}
    found = findings_of(
        inputs.measured["prompts"],
        template,
        profile,
        {name: split.where for name, split in inputs.splits.items()},
        bool(inputs.config.get("mask_prompt")),
    )
    return [*found, *of_texts, *serving.check(inputs)]


def _has_conversations(inputs: RunInputs, name: str) -> bool:
    split = inputs.splits[name]
    if split.schema == "text":
        return bool(inputs.conversations(name).numbers)
    return any(True for _ in split.chats())


def findings_of(compared: Compared, template: Template, profile: dict, files: dict, mask_prompt: bool) -> list[Finding]:
    """One finding for each check that fails, with the first row as evidence. `files`: each split's file."""
    where = next(iter(files.values()))
    found = _about_profile(compared, profile, where)
    cases: dict[tuple[Check, str], list] = {}  # check and severity -> the rows
    inspected = tokens = 0
    for row, ids, text in compared.differing:
        tokens += len(ids)
        if tokens > TOKENS and cases:
            break
        inspected += 1
        prompts, different = _differences_of(row, ids, text, template)
        for check, sides in different.items():
            severity = _severity(different, row, ids, mask_prompt)
            cases.setdefault((check, severity), []).append((row, ids, prompts, sides))
    for row in compared.not_prefixes:
        if sides := _not_in_training(row, template):
            case = (row, row.prompt.tolist(), None, sides)
            cases.setdefault((TEMPLATE_ARGUMENTS, "error"), []).append(case)
    for (check, severity), hits in cases.items():
        row, ids, prompts, (training, inference, note) = hits[0]
        training, inference = _quoted_sides(training, inference)
        first = _first_tokens(check, row, ids, prompts, template)
        count = f"{len(hits):,} of {compared.rows:,} prompts"
        if compared.different > inspected:
            count = f"{len(hits)} of {inspected} prompts inspected; {compared.different:,} of {compared.rows:,} differ"
            if len(hits) == inspected and compared.different == compared.rows:
                count = f"all {compared.rows:,} prompts, {inspected} inspected"
        more, cause = [], None
        title = f"{_subject(profile)} differs from training in {ASPECTS[check]}"
        if note.startswith(NO_TEMPLATE):
            title, cause = f"{_subject(profile)} has no chat template", WITHOUT_TEMPLATE
            note, more = "", [note] * (note != NO_TEMPLATE)
        if prompts is None:
            title = "Trained conversations do not begin with their own prompt"
        found.append(
            check.found(
                severity,
                f"{title} ({count})",
                evidence=[
                    f"{row.split} line {row.line}: {first}",
                    f"training:  {training}",
                    f"inference: {inference}" + (f" ({note})" if note else ""),
                    *more,
                    f"tokenizer in training: {_fingerprint(template.tokenizer)}; at inference: {_tokenizer_of(profile)}",
                ],
                where=files.get(row.split, where),
                cause=cause,
            )
        )
    return found


def _about_profile(compared: Compared, profile: dict, where: str) -> list[Finding]:
    found, failures = [], [*profile.get("broken", []), *compared.failures]
    if failures:
        name = f"The inference profile “{profile['name']}”" if profile.get("name") else "The inference profile"
        title = f"{name} gives no prompt in {counted(len(failures), 'case')}"
        evidence = listed([" ".join(text.split()) for text in failures])
        found.append(PROFILE_FAILS.found("error", title, evidence=evidence, where=where))
    if profile["kind"] == "captured":
        unknown = len(profile["rows"]) - compared.rows - len(compared.failures)
        if compared.missing or unknown > 0 or not compared.rows:
            title = f"The captured prompts cover {compared.rows} of {compared.rows + compared.missing} rows"
            evidence = [
                f"{len(profile['rows'])} prompts in {profile['file']}, {max(unknown, 0)} match no row of the data"
            ]
            evidence += [f"{compared.missing} rows of the same splits without a prompt"] * bool(compared.missing)
            found.append(CAPTURED_ROWS.found("warning", title, evidence=evidence, where=where))
    return found


# --- one row --------------------------------------------------------------------------------------


def _differences_of(row: Row, ids: list[int], text: str | None, template: Template) -> tuple[Prompts, Differences]:
    """Both prompts of a row as turns, and what differs. `text`: None where the app sends token ids."""
    example, tokenizer, trained = row.example, template.tokenizer, row.prompt.tolist()
    training = template.render(example["messages"][:-1], example.get("tools")) or ""
    inference = tokenizer.decode(ids) if text is None else text
    prompts = read_prompts(example, template, training, inference)
    found = {}
    if text is not None or tokenizer.decode(trained) == training:
        found = differences(prompts, template)
        special = set(tokenizer.convert_tokens_to_ids(list(template.special)))
        (again,) = encode([inference], tokenizer)
        if text is None and sum(token in special for token in ids) < sum(token in special for token in again.tolist()):
            at = chat_format.common_prefix(trained, ids)
            sides = [_as_tokens(side[at:], tokenizer) for side in (trained, ids)]
            found.setdefault(ROLE_HEADER, (*sides, "markup is sent as plain text"))
    if not found:  # the same text in different tokens, or a tokenizer that doesn't round-trip
        for block in aligned(prompts, template, trained, ids):
            if not block["equal"]:
                sides = [tokenizer.decode(block[side]) for side in ("training", "inference")]
                if sides[0] == sides[1]:
                    sides = [_as_tokens(block[side], tokenizer) for side in ("training", "inference")]
                found.setdefault(OF_REGION[block["aspect"]], (*sides, "different tokens, perhaps of the same text"))
    if prompts.inference.is_bare(marker_of(prompts.training.turns, template)):
        others = [ASPECTS[check] for check in found if check not in (ROLE_HEADER, END_OF_PROMPT)]
        note = f"{NO_TEMPLATE}; it also differs in {' and '.join(others)}" if others else NO_TEMPLATE
        found = {ROLE_HEADER: (training, inference, note)}
    return prompts, found


def _severity(found: Differences, row: Row, ids: list[int], mask_prompt: bool) -> str:
    if set(found) == {TEMPLATE_ARGUMENTS} and begins(row.whole, ids):
        # The prompt only stops earlier or later in the trained text, which is fine unless the model would have to
        # write what the loss mask left out.
        if len(ids) >= (len(row.prompt) if mask_prompt else 0):
            return "info"
    return "error"


def _not_in_training(row: Row, template: Template) -> tuple[str, str, str] | None:
    """The two texts, if the template's generation prompt has something that the whole conversation lacks."""
    messages, tools = row.example["messages"], row.example.get("tools")
    prompt = template.render(messages[:-1], tools) or ""
    whole = template.render(messages, tools, prompt=False) or ""
    if whole.startswith(prompt):
        return None  # only the tokens at the border differ
    at = chat_format.common_prefix(whole, prompt)
    start = max(0, at - 20)
    return whole[start : at + 60], prompt[start:], "the trained conversation does not begin with its own prompt"


# --- as evidence ----------------------------------------------------------------------------------


def _subject(profile: dict) -> str:
    name = profile.get("name")
    known = {"historical": "The original app's prompt (historical)", "aligned": "The prompt as in training (aligned)"}
    return known.get(name) or (f"The prompt “{name}”" if name else "The app's prompt")


def _first_tokens(check: Check, row: Row, ids: list[int], prompts: Prompts | None, template: Template) -> str:
    """Where the two prompts part, in the region of the prompt that a check is about. Without `prompts`: where the
    trained conversation and its own prompt do."""
    training, at = (row.prompt if prompts else row.whole).tolist(), [0, 0]
    start = chat_format.common_prefix(training, ids)
    places = [start, start]
    of_region = SYSTEM_TEXT if check is DEFAULT_SYSTEM else check
    for block in aligned(prompts, template, training, ids) if prompts else []:
        if not block["equal"] and OF_REGION[block["aspect"]] is of_region:
            same = chat_format.common_prefix(training[at[0] :], ids[at[1] :])
            places = [at[0] + same, at[1] + same]
            break
        at = [at[0] + len(block["training"]), at[1] + len(block["inference"])]
    decode = template.tokenizer.decode
    first = [
        f"{decode([side[place]])!r} ({side[place]})" if place < len(side) else "nothing"
        for side, place in zip((training, ids), places)
    ]
    if places[0] == places[1]:
        parted = f"token {places[0]} is {first[0]} in training, {first[1]} at inference"
    else:
        parted = f"token {places[0]} in training is {first[0]}, token {places[1]} at inference {first[1]}"
    return f"{parted} ({len(training)} and {len(ids)} tokens)"


def _as_tokens(ids: list[int], tokenizer) -> str:
    """The first few tokens with their ids: the same text may be written in different tokens."""
    return " ".join(f"{tokenizer.decode([token])}={token}" for token in ids[:8])


def _quoted_sides(training: str | None, inference: str | None) -> list[str]:
    """The two texts as evidence, so short that the difference shows."""
    sides = [_quoted(training), _quoted(inference)]
    return sides if sides[0] != sides[1] else [_quoted(text) for text in cut(training, inference)]


def _quoted(text: str | None) -> str:
    if text is None:
        return "nothing"
    return repr(text if len(text) <= 150 else f"{text[:70]} … {text[-70:]}")[:190]


def _fingerprint(tokenizer) -> str:
    """Class and size of a tokenizer, and the beginning of its template's hash."""
    template = tokenizer.chat_template
    text = template if isinstance(template, str) else repr(template)
    kind = type(unwrapped(tokenizer)).__name__
    return f"{kind}, {len(tokenizer)} tokens, template {hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _tokenizer_of(profile: dict) -> str:
    """What the app tokenizes with."""
    return {
        "messages": "the same, and its template",
        "template": "the same, a string without its template",
        "callable": f"whatever {profile.get('function')} uses",
        "captured": f"unknown, recorded in {profile.get('file')}",
        "ollama": f"assumed the same, with the template of {shown(profile.get('file', ''))}",
        "gguf": f"assumed the same, with the template of {shown(profile.get('file', ''))}",
    }[profile["kind"]]
