"""Everything that a run measured, in a sentence each."""

from . import conclusions as say

NOT_MEASURED = "No adapter was compared with its base model in this run."


def sentences(results: dict, trained: dict | None, findings: list[dict], between: dict, not_measured: str) -> list:
    """(label, sentence) pairs in the order of the report.

    `results`: the content of the run's JSON files by name, None for a missing one; `trained`: the run's entry of
    training.json; `between`: (left model, left format, right model, right format) -> difference.
    """
    extraction, audited, comparison = (results[name] for name in ("extraction", "format_audit", "comparison"))
    made = []
    if extraction and extraction.get("rows"):
        made.append(("Data", say.rows(extraction["rows"])))
    if audited:
        made.append(("Audit", say.audit(findings)))
        if audited.get("staged"):
            made.append(("The original's data", say.staged(audited["staged"])))
        made.append(("Prompt", " ".join(prompt(audited))))
    if trained and trained["curve"]:
        made.append(("Training", say.training(trained)))
    if trained and trained.get("adapts"):
        kept = say.checkpoints(trained["checkpoints"]) if trained.get("checkpoints") else ""
        made.append(("Adapter", f"{say.adapter(trained)} {kept}".strip()))
    return made + (_compared(comparison, between) if comparison else [("Not measured", not_measured or NOT_MEASURED)])


def prompt(audited: dict) -> list[str]:
    """What the audit says of the app's prompt; `audited`: format_audit.json."""
    if not audited.get("inference"):
        return [say.app_known(audited.get("asked_for") or None, 0)]
    parity = audited["parity"]
    said = [say.key_differences(parity["inference"], audited["inference"])]
    return said + ([say.key_differences(parity["aligned"], "aligned")] if parity["inference"]["rows"] else [])


def _compared(comparison: dict, between: dict) -> list:
    app, attributed = comparison["app"], comparison["attribution"].get("tuned")
    made = [
        ("Result", say.gain(between.get(("tuned", one, "base", one)), one)) for one in dict.fromkeys(("aligned", app))
    ]
    if comparison.get("fusing"):
        made.append(("Fusing", say.fusing(comparison["fusing"])))
    made += [
        (f"Cost of the mismatch, {model} model", say.prompt_cost(between[model, app, model, "aligned"], app, model))
        for model in ("base", "tuned")
        if (model, app, model, "aligned") in between
    ]
    if attributed:
        same = " The app's hard-coded template changes no token for this model."
        made.append(
            ("Which fault", say.attribution(attributed) + same * (comparison["same"].get("template") == "aligned"))
        )
    made += [
        ("Stopping", say.stopping(comparison["generated"], app)),
        ("Style", say.style(comparison["generated"], app)),
    ]
    if comparison.get("regurgitation"):
        made.append(("Private messages", say.regurgitation(comparison["regurgitation"])))
    if comparison.get("ability"):
        made.append(("Forgetting", say.ability(comparison["ability"])))
    made += [("Without training", one) for one in say.without_training(comparison["differences"])]
    if comparison["left_out"]:
        made.append(("Left out", say.left_out(comparison["left_out"])))
    return [*made, ("How far to trust this", say.trust(comparison))]
