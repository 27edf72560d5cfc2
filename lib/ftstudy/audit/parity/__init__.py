"""Do training and inference see the same prompt? The original report's second issue, from token ids.

Every row's prompt is compared with what the inference profile would send. The first ones that differ are inspected,
and each kind of difference is a check of its own (`checks`). The notebook shows `compare`, `key_differences` and
`termination`.
"""

from collections.abc import Iterable
from itertools import chain, islice

from ... import chat_format
from ...chat_format.rendering import encode, render
from ...chat_format.template import Template
from ...progress import bar
from ..evidence import counted, listed
from ..findings import Finding
from ..run_inputs import RunInputs
from . import last_messages, serving
from .alignment import compare, key_differences, termination
from .checks import ASPECTS, BY_ID, CAPTURED_ROWS, NO_PROFILE, OF_PROMPTS, PROFILE_FAILS
from .differences import differences
from .prompts import Row, Seen, begins, compare_all, rows_of
from .shown import OF_REGION, as_tokens, blocks, both, fingerprint, first_tokens, side_of

TOKENS = 100_000  # in the prompts that are inspected: a few if they are long
CALLS = 2000  # at most, of an app's function, spread evenly over the rows
CHECKS = (*OF_PROMPTS, *serving.CHECKS, *last_messages.CHECKS)
__all__ = ["CHECKS", "check", "check_parity", "compare", "key_differences", "termination"]


def check(inputs: RunInputs) -> list[Finding]:
    """Findings on the prompts of all rows. Raises StudyError if there is no model to render them with."""
    profile = inputs.profile
    if profile is None:
        return [NO_PROFILE.found("info", "No inference profile was given", where=inputs.where)]
    if not any(True for split in inputs.splits.values() for _ in split.chats()):
        return []  # nothing to render, which the data family reports
    names, step = list(inputs.splits), 1
    if profile["kind"] == "captured":
        recorded = {split for split, _ in profile["rows"]}
        names = [name for name in names if name in recorded]
    total = sum(len(inputs.rendering(name).numbers) for name in names)
    if profile["kind"] == "callable":
        step = -(-total // CALLS) or 1
    rows = chain.from_iterable(rows_of(name, inputs.rendering(name), inputs.splits[name].blank) for name in names)
    found = _findings(
        bar(islice(rows, 0, None, step), total=-(-total // step), desc="comparing prompts", delay=1),
        Template(inputs.tokenizer),
        profile,
        {name: split.where for name, split in inputs.splits.items()},
        bool(inputs.config.get("mask_prompt")),
    )
    return found + serving.check(inputs) + last_messages.check(inputs)


def check_parity(
    examples: list[dict], tokenizer, profile: dict, where: str, split: str = "test", mask_prompt: bool = True
) -> list[Finding]:
    """Findings on some examples from the file `where`, which is the split `split`."""
    rows = rows_of(split, render(list(enumerate(examples, 1)), tokenizer))
    return _findings(rows, Template(tokenizer), profile, {split: where}, mask_prompt)


def _differences_of(row: Row, ids: list[int], text: str | None, template: Template, mask_prompt: bool) -> dict:
    """(check, severity) -> (text in training, text at inference, note)."""
    example, tokenizer = row.example, template.tokenizer
    training = template.render(example["messages"][:-1], example.get("tools")) or ""
    given_as_ids = text is None
    if given_as_ids and tokenizer.decode(row.prompt.tolist()) == training:
        text = tokenizer.decode(ids)
    found = {} if text is None else differences(example, template, training, text)
    if given_as_ids and text is not None:
        special = set(tokenizer.convert_tokens_to_ids(list(template.special)))
        (again,) = encode([text], tokenizer)
        if sum(token in special for token in ids) < sum(token in special for token in again.tolist()):
            at = chat_format.common_prefix(row.prompt.tolist(), ids)
            sides = [as_tokens(side[at:], tokenizer) for side in (row.prompt.tolist(), ids)]
            found.setdefault("parity.role_header", (*sides, "markup is sent as plain text"))
    if not found:  # the same text in different tokens, or a tokenizer that doesn't round-trip
        for block in blocks(example, template, row.prompt.tolist(), ids):
            if not block["equal"]:
                sides = [tokenizer.decode(block[side]) for side in ("training", "inference")]
                if sides[0] == sides[1]:
                    sides = [as_tokens(block[side], tokenizer) for side in ("training", "inference")]
                found.setdefault(OF_REGION[block["aspect"]], (*sides, "different tokens, perhaps of the same text"))
    severities = {check: "error" for check in found}
    if set(found) == {"parity.template_arguments"} and begins(row.whole, ids):
        # The prompt only stops earlier or later in the trained text, which is fine unless the model would have to
        # write what the loss mask left out.
        if len(ids) >= (len(row.prompt) if mask_prompt else 0):
            severities["parity.template_arguments"] = "info"
    return {(check, severities[check]): told for check, told in found.items()}


def _findings(rows: Iterable[Row], template: Template, profile: dict, files: dict, mask_prompt: bool) -> list[Finding]:
    seen = compare_all(rows, template, profile)
    where = next(iter(files.values()))
    found = _about_profile(seen, profile, where)
    cases: dict[tuple[str, str], list] = {}
    inspected = 0
    tokens = 0
    for row, ids, text in seen.differing:
        tokens += len(ids)
        if tokens > TOKENS and cases:
            break
        inspected += 1
        for key, told in _differences_of(row, ids, text, template, mask_prompt).items():
            cases.setdefault(key, []).append((row, ids, told))
    for row in seen.cut_off:
        if told := _not_in_training(row, template):
            cases.setdefault(("parity.template_arguments", "error"), []).append((row, row.prompt.tolist(), told))
    name = profile.get("name", "the inference profile")
    for (check_id, severity), hits in cases.items():
        row, ids, (training, inference, note) = hits[0]
        training, inference = both(training, inference)
        count = f"{len(hits):,} of {seen.compared:,} prompts"
        if seen.different > inspected:
            count = f"{len(hits)} of the {inspected} prompts inspected ({seen.different:,} of {seen.compared:,} differ)"
        found.append(
            BY_ID[check_id].found(
                severity,
                f"{ASPECTS[BY_ID[check_id]]}: {name} differs from training in {count}",
                evidence=[
                    f"{row.split} line {row.line}: {first_tokens(check_id, row, ids, template)}",
                    f"training:  {training}",
                    f"inference: {inference}" + (f" ({note})" if note else ""),
                    f"tokenizer in training: {fingerprint(template.tokenizer)}; at inference: {side_of(profile)}",
                ],
                where=files.get(row.split, where),
            )
        )
    return found


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


def _about_profile(seen: Seen, profile: dict, where: str) -> list[Finding]:
    found, failures = [], [*profile.get("broken", []), *seen.failures]
    name = profile.get("name", "the inference profile")
    if failures:
        title = f"{name} gives no prompt in {counted(len(failures), 'case')}"
        evidence = listed([" ".join(text.split()) for text in failures])
        found.append(PROFILE_FAILS.found("error", title, evidence=evidence, where=where))
    if profile["kind"] == "captured":
        unknown = len(profile["rows"]) - seen.compared - len(seen.failures)
        if seen.missing or unknown > 0 or not seen.compared:
            title = f"The captured prompts cover {seen.compared} of {seen.compared + seen.missing} rows"
            evidence = [
                f"{len(profile['rows'])} prompts in {profile['file']}, {max(unknown, 0)} match no row of the data"
            ]
            evidence += [f"{seen.missing} rows of the same splits without a prompt"] * bool(seen.missing)
            found.append(CAPTURED_ROWS.found("warning", title, evidence=evidence, where=where))
    return found
