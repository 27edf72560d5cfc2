"""A chat template that writes the same row differently: on another day, or each time."""

from datetime import datetime

from ...chat_format.template import Template, date_formats
from ..evidence import quoted
from ..findings import Check, Finding
from ..run_inputs import RunInputs

TEMPLATE_CHANGES = Check(
    "loss.template_changes",
    ("info", "warning"),
    "The chat template writes today's date into each prompt; a warning if it writes a row differently each time.",
    cause="An adapter trained today has seen today's date alone, and the app's prompts have another one tomorrow.",
    fix="No action needed for a date: the prompt contract allows for it. To train without one, give the template a fixed "
    "text in its place.",
    bad="{{ strftime_now('%d %b %Y') }}   in the template",
    good="no date in the template",
)
CHECKS = (TEMPLATE_CHANGES,)
AROUND = 30  # characters before what differs


def check(inputs: RunInputs) -> list[Finding]:
    """The finding on the template, from the first row of train."""
    rows = inputs.rendering("train").rows if "train" in inputs.splits else []
    if not rows:
        return []
    template, row = Template(inputs.tokenizer), rows[0]
    texts = [template.render(row["messages"], row.get("tools"), prompt=False) for _ in range(3)]
    if len(set(texts)) > 1:
        return [
            TEMPLATE_CHANGES.found(
                "warning",
                "The chat template writes the same row differently each time",
                evidence=_differing(texts[0], next(text for text in texts if text != texts[0])),
                cause="Training sees one text, and the app's prompts have others.",
                fix="Remove whatever is random or depends on the time of day from the template.",
            )
        ]
    written = [(form, datetime.now().strftime(form)) for form in date_formats(inputs.tokenizer)]
    evidence = [f"{form} became {quoted(day)}" for form, day in written if day and day in (texts[0] or "")]
    if not evidence:
        return []
    return [TEMPLATE_CHANGES.found("info", "The chat template writes today's date", evidence=evidence)]


def _differing(one: str | None, other: str | None) -> list[str]:
    """The places at which two renderings part."""
    texts = [one or "", other or ""]
    at = next((at for at, (a, b) in enumerate(zip(*texts)) if a != b), min(map(len, texts)))
    start = max(0, at - AROUND)
    return [f"{when}: {quoted(text[start : at + AROUND])}" for when, text in zip(("once", "again"), texts)]
