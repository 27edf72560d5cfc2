"""Would this fine-tuning run be wasted? One module a family of checks; all return findings."""

from pathlib import Path

from .. import base_models, chat_format, configs
from ..paths import from_root, shown
from ..training_data import load_examples, origin_of
from . import data, parity
from .findings import finding, report

EXAMPLES = 50  # prompts compared: differences of format show in the first few


def audit(
    config: str | Path,
    data_folder: str | Path | None = None,
    model: str | None = None,
    inference: str | Path | None = None,
    owner: str | None = None,
) -> dict:
    """All findings on a config, its data and an inference profile: {"findings", "summary"}.

    `owner` is the name in the historical prompt; without it, the one the data was extracted
    for. Raises StudyError where the audit itself cannot run (no config, no model, no profile).
    Faults in the data are findings, and with data that cannot be read the checks that
    need it are left out.
    """
    loaded = configs.load(config, data=data_folder, model=model)
    folder = from_root(loaded["data"])
    findings = data.check_data(folder, loaded["batch_size"])
    readable = not any(item["severity"] == "error" for item in findings)
    # Without readable data there is nothing to render, so no model is fetched for it either.
    tokenizer = base_models.load_tokenizer(loaded["model"]) if readable else None
    if inference is None:
        findings.append(
            finding(
                "parity.no_profile",
                "info",
                "No inference profile was given",
                evidence=[],
                where=loaded["config"],
                cause="Without it, nobody can say whether the app asks in the form that training used.",
                fix="Describe your app's prompt in a YAML profile and pass it with INFERENCE=… or --inference.",
            )
        )
        return report(findings)
    profile = chat_format.load_profile(inference, owner or origin_of(folder).get("owner", "the owner"))
    if readable:
        split = next(name for name in ("test", "valid", "train") if (folder / f"{name}.jsonl").is_file())
        examples = load_examples(folder, split)[:EXAMPLES]
        findings += parity.check_parity(examples, tokenizer, profile, shown(folder / f"{split}.jsonl"), split)
    return report(findings)
