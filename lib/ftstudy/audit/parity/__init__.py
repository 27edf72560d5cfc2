"""Do training and inference see the same prompt? The report's issue 2, from token ids.

Every row's prompt is compared with what the inference profile would send; the first that differ
are looked into, each difference under an id of its own. `compare`, `key_differences` and
`termination` are what the notebook shows of it.
"""

from collections.abc import Iterable
from itertools import chain, islice

from ... import chat_format
from ...chat_format.rendering import encode, render
from ...chat_format.template import Template
from ...progress import bar
from ..evidence import counted, listed
from ..findings import finding
from ..run_inputs import RunInputs
from .alignment import compare, key_differences, termination
from .differences import differences
from .prompts import Row, Seen, begins, compare_all, rows_of
from .shown import OF_REGION, as_tokens, blocks, both, fingerprint, first_tokens, side_of

TOKENS = 100_000  # of the prompts that are looked into: a few, where they are long
CALLS = 2000  # of an app's function, spread evenly over the rows
__all__ = ["CHECKS", "check", "check_parity", "compare", "key_differences", "termination"]

CHECKS = {
    "parity.bos": ("error", "The start token is missing, or stands there twice, on one side."),
    "parity.system_text": ("error", "The app's system text is another than in training."),
    "parity.default_system": (
        "error",
        "One side has no system message (or an empty one), so a default text, or none, stands in its place.",
    ),
    "parity.user_wrapper": ("error", "The app puts the user's turn in another form than training has."),
    "parity.earlier_replies": ("error", "Earlier turns are missing in the app's prompt, or are other texts."),
    "parity.role_header": ("error", "The markup between the turns is not the chat template's."),
    "parity.whitespace": ("error", "Only white space differs, in the markup or at the edges of contents."),
    "parity.template_arguments": (
        "error or info",
        "The chat template is used with other arguments (a think block, tools); info where the prompt is still one "
        "that training has.",
    ),
    "parity.end_of_prompt": ("error", "The header of the reply is missing, or text was put behind it."),
    "parity.profile_fails": ("error", "The inference profile gives no prompt: its function or its file is faulty."),
    "parity.captured_rows": ("warning", "The captured prompts cover none or only some of the rows."),
    "parity.no_profile": ("info", "No inference profile was given, so nothing is known about the app's prompt."),
}
_OWN_STRING = "The app writes the prompt itself. The chat template that training uses writes it another way."
_SAME_MESSAGES = "Give the app the messages that training has (ftstudy.chat_format), or train on the app's."
_TEMPLATE = "Build the prompt with tokenizer.apply_chat_template(messages, add_generation_prompt=True)."
TOLD = {  # check -> title, cause, fix
    "parity.bos": (
        "Start of text (BOS)",
        "mlx_lm.generate puts a BOS before a string that lacks one, where the tokenizer adds it; a string that has "
        "one gets a second from a plain tokenizer.encode.",
        "Send the token ids of apply_chat_template, which writes what training has.",
    ),
    "parity.system_text": ("System prompt", "The app has a system text of its own.", _SAME_MESSAGES),
    "parity.default_system": (
        "System prompt, there on one side only",
        "Without a system message some templates put in a text of their own; with an empty one they do not.",
        "Send the system message of the training data, or none where it has none.",
    ),
    "parity.user_wrapper": ("User content format", "The app wraps or rewrites the user's turn.", _SAME_MESSAGES),
    "parity.earlier_replies": (
        "Earlier turns",
        "The app drops, adds or rewrites turns before the last one.",
        _SAME_MESSAGES,
    ),
    "parity.role_header": ("Role headers", _OWN_STRING, _TEMPLATE),
    "parity.whitespace": ("White space", _OWN_STRING + " A line break is a token as well.", _TEMPLATE),
    "parity.template_arguments": (
        "Arguments of the chat template",
        "enable_thinking and its like change what the template writes. mlx-lm sets enable_thinking to True where the "
        "tokenizer has think tokens, else to False; other runtimes leave it out.",
        "Call the template with the same arguments on both sides.",
    ),
    "parity.end_of_prompt": (
        "End of the prompt",
        "add_generation_prompt=True is missing, or a string goes on behind the header of the reply.",
        _TEMPLATE,
    ),
}


def check(inputs: RunInputs) -> list[dict]:
    """Findings on the prompts of all rows. StudyError where there is no model to render them with."""
    profile = inputs.profile
    if profile is None:
        return [
            finding(
                "parity.no_profile",
                "info",
                "No inference profile was given",
                evidence=[],
                where=inputs.where,
                cause="Without it, nobody can say whether the app asks in the form that training used.",
                fix="Describe your app's prompt in a YAML profile and pass it with INFERENCE=… or --inference.",
            )
        ]
    if not any(True for split in inputs.splits.values() for _ in split.chats()):
        return []  # nothing to render; the data's own findings say so
    names, step = list(inputs.splits), 1
    if profile["kind"] == "captured":
        recorded = {split for split, _ in profile["rows"]}
        names = [name for name in names if name in recorded]
    total = sum(len(inputs.rendering(name).numbers) for name in names)
    if profile["kind"] == "callable":
        step = -(-total // CALLS) or 1
    rows = chain.from_iterable(rows_of(name, inputs.rendering(name), inputs.splits[name].blank) for name in names)
    return _findings(
        bar(islice(rows, 0, None, step), total=-(-total // step), desc="comparing prompts", delay=1),
        Template(inputs.tokenizer),
        profile,
        {name: split.where for name, split in inputs.splits.items()},
        bool(inputs.config.get("mask_prompt")),
    )


def check_parity(
    examples: list[dict], tokenizer, profile: dict, where: str, split: str = "test", mask_prompt: bool = True
) -> list[dict]:
    """Findings on some examples; `where` is the file that they come from, `split` its split."""
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
    if not found:  # the same text in other tokens, or a tokenizer that does not give a text back
        for block in blocks(example, template, row.prompt.tolist(), ids):
            if not block["equal"]:
                sides = [tokenizer.decode(block[side]) for side in ("training", "inference")]
                if sides[0] == sides[1]:
                    sides = [as_tokens(block[side], tokenizer) for side in ("training", "inference")]
                found.setdefault(OF_REGION[block["aspect"]], (*sides, "other tokens, perhaps of the same text"))
    severities = {check: "error" for check in found}
    if set(found) == {"parity.template_arguments"} and begins(row.whole, ids):
        # The prompt goes a little further into, or less far into, what training has anyway. That is no
        # fault, unless the model would have to write what the loss mask left out.
        if len(ids) >= (len(row.prompt) if mask_prompt else 0):
            severities["parity.template_arguments"] = "info"
    return {(check, severities[check]): told for check, told in found.items()}


def _findings(rows: Iterable[Row], template: Template, profile: dict, files: dict, mask_prompt: bool) -> list[dict]:
    seen = compare_all(rows, template, profile)
    where = next(iter(files.values()))
    found = _about_profile(seen, profile, where)
    cases: dict[tuple[str, str], list] = {}
    looked_into = 0
    tokens = 0
    for row, ids, text in seen.differing:
        tokens += len(ids)
        if tokens > TOKENS and cases:
            break
        looked_into += 1
        for key, told in _differences_of(row, ids, text, template, mask_prompt).items():
            cases.setdefault(key, []).append((row, ids, told))
    for row in seen.cut_off:
        if told := _not_in_training(row, template):
            cases.setdefault(("parity.template_arguments", "error"), []).append((row, row.prompt.tolist(), told))
    name = profile.get("name", "the inference profile")
    for (check_id, severity), hits in cases.items():
        row, ids, (training, inference, note) = hits[0]
        training, inference = both(training, inference)
        aspect, cause, fix = TOLD[check_id]
        count = f"{len(hits)} of {seen.compared} prompts"
        if seen.different > looked_into:
            count = f"{len(hits)} of {looked_into} looked into ({seen.different} of {seen.compared} differ)"
        found.append(
            finding(
                check_id,
                severity,
                f"{aspect}: {name} differs from training in {count}",
                evidence=[
                    f"{row.split} line {row.line}: {first_tokens(check_id, row, ids, template)}",
                    f"training:  {training}",
                    f"inference: {inference}" + (f" ({note})" if note else ""),
                    f"tokenizer in training: {fingerprint(template.tokenizer)}; at inference: {side_of(profile)}",
                ],
                cause=cause,
                fix=fix,
                where=files.get(row.split, where),
            )
        )
    return found


def _not_in_training(row: Row, template: Template) -> tuple[str, str, str] | None:
    """The prompt of a template whose generation prompt holds what the whole conversation does not."""
    messages, tools = row.example["messages"], row.example.get("tools")
    prompt = template.render(messages[:-1], tools) or ""
    whole = template.render(messages, tools, prompt=False) or ""
    if whole.startswith(prompt):
        return None  # only the tokens at the border are others
    at = chat_format.common_prefix(whole, prompt)
    start = max(0, at - 20)
    return whole[start : at + 60], prompt[start:], "the trained conversation does not begin with its own prompt"


def _about_profile(seen: Seen, profile: dict, where: str) -> list[dict]:
    found, failures = [], [*profile.get("broken", []), *seen.failures]
    name = profile.get("name", "the inference profile")
    if failures:
        found.append(
            finding(
                "parity.profile_fails",
                "error",
                f"{name} gives no prompt in {counted(len(failures), 'case')}",
                evidence=listed([" ".join(text.split()) for text in failures]),
                cause="Its function raises or returns no prompt, its texts do not suit the chat template, or its file is damaged.",
                fix="Mend the function, the texts or the file; `ftstudy.capture` records what an app really sends.",
                where=where,
            )
        )
    if profile["kind"] == "captured":
        rows = seen.compared + seen.missing
        unknown = len(profile["rows"]) - seen.compared - len(seen.failures)
        if seen.missing or unknown > 0 or not seen.compared:
            found.append(
                finding(
                    "parity.captured_rows",
                    "warning",
                    f"The captured prompts cover {seen.compared} of {rows} rows",
                    evidence=[
                        f"{len(profile['rows'])} prompts in {profile['file']}, {max(unknown, 0)} of no row of the data",
                        *[f"{seen.missing} rows of the same splits without a prompt"] * bool(seen.missing),
                    ],
                    cause="The recording stopped early, or was made on other data.",
                    fix="Record the app again over all rows of one split.",
                    where=where,
                )
            )
    return found
