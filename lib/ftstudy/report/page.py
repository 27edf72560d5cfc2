"""The debug report: one self-contained HTML file, built from a run's JSON results."""

import base64
import hashlib
from collections import defaultdict
from pathlib import Path

import jinja2

from .. import diagnosis, wording
from ..compare import preference, written_replies
from ..diagnosis import evidence
from ..errors import StudyError
from ..files import write_text
from ..original_report import history
from ..paths import shown
from . import all_numbers, blind_test, charts, conclusions, headline, provenance, reading_guide, render, sharing, tables

RESULTS = ("extraction", "findings", "format_audit", "training", "comparison", "proof", "cost")
SCRIPTS = ("report.js", "blind_test.js")  # of templates/, in the page's one script

# What results of another version, or of somebody else, can end in.
UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, jinja2.TemplateError)

# What notebook 03 adds to an entry of training.json, and `ftstudy train` does not measure.
BY_NOTEBOOK = {"loss_tokens": None, "stock_loss_tokens": None, "stock": []}


def build(run: Path, not_measured: str = "", share: bool = False) -> Path:
    """Write `index.html` and `diagnosis.json` into the run's folder and return the page's path. What was not measured,
    the report leaves out.

    `not_measured`: why no model was compared, if none was. `share`: write `share.html` instead, without anybody's
    words.

    Raises StudyError if nothing was: the run has no extraction.json and no format_audit.json; if its results are not
    ones that this version writes; and for `share`, if a text of the data got into the page all the same.
    """
    results = evidence.read(run, RESULTS)
    if not results["extraction"] and not results["format_audit"]:
        raise StudyError(
            f"{shown(run)} has no results to report on. Run `ftstudy diagnose` on your config, or `make report`, or "
            "correct the run's name."
        )
    try:
        page = _page(run, results, not_measured, share)
    except UNREADABLE as error:
        raise StudyError(
            f"The results in {shown(run)} could not be made into a page, because they are not what this version of "
            f"ftstudy writes ({type(error).__name__}: {str(error)[:200]}). If another version wrote them, or they were "
            "edited, run `ftstudy diagnose` or `make report` again; otherwise please report it as a bug."
        ) from error
    path = run / ("share.html" if share else "index.html")
    write_text(path, page)
    return path


def _page(run: Path, results: dict, not_measured: str, share: bool) -> str:
    diagnosed = diagnosis.write(run, not_measured)
    if not share:
        return str(render.fragment("page", **_values(run, results, diagnosed, not_measured, share)))
    texts = sharing.texts_of(results)
    results, not_measured = sharing.without_words(results), not_measured and "The models could not be compared."
    diagnosed = sharing.without_commands(diagnosis.diagnose(results, not_measured=not_measured))
    page = str(render.fragment("page", **_values(run, results, diagnosed, not_measured, share)))
    sharing.check(page, texts)
    return page


def _values(run: Path, results: dict, diagnosed: dict, not_measured: str, share: bool) -> dict:
    """All that the templates show, by name."""
    comparison, audited, cost = (results[name] for name in ("comparison", "format_audit", "cost"))
    found = evidence.gather(results, "" if share else run.name, not_measured)
    trained = found["trained"] and BY_NOTEBOOK | found["trained"]
    parity = audited["parity"].get("inference") if audited and audited.get("inference") else None
    findings = (audited or {"own_findings": []})["own_findings"]
    pairs = (comparison or {}).get("preference_pairs", [])
    judged = preference.result(pairs, preference.choices(run)) if pairs else None
    made, pictures = _comparison(comparison, cost or {}, diagnosed) if comparison else ({}, {})
    _add_training(trained, made, pictures)
    _add_data(results["extraction"], made, pictures)
    if results["proof"] and results["proof"]["faults"]:
        made["proof"] = tables.proof(results["proof"])
        if any(one["cost"] for one in results["proof"]["faults"]):
            pictures["proof"] = (charts.proof(results["proof"]), "What each fault costs when it alone is left in")
    if parity:
        made["key_differences"] = tables.key_differences(parity)
    if audited and audited.get("staged"):
        made["staged"] = tables.staged(audited["staged"])
    made["durations"] = tables.durations(provenance.durations(cost))
    made["contents"] = tables.contents([] if share else provenance.contents(run))
    causes = diagnosis.worst(diagnosed)
    existing = (audited or {}).get("given", {}).get("existing")
    blind = f"ftstudy blind {run.name}" if existing else f"make blind RUN={run.name}"
    script = "\n".join((render.TEMPLATES / name).read_text(encoding="utf-8") for name in SCRIPTS)
    values = {
        "run": "" if share else run.name,
        "share": share,
        "not_measured": not_measured,
        "diagnosis": diagnosed,
        **results,
        "trained": trained,
        "say": conclusions,
        "notes": reading_guide,
        "masked": wording.masked,
        "sign": headline.sign(found, diagnosed["verdict"]),
        "lead": headline.lead(found, diagnosed["verdict"], diagnosed["causes"]),
        "tiles": headline.tiles(found, parity),
        "next_steps": headline.steps(diagnosed, blind, len(pairs), bool(judged), results["proof"]),
        "more": conclusions.more(diagnosed["advice"], (cost or {}).get(f"training {(trained or {}).get('name')}")),
        "blind": None if share else blind_test.in_page(run, pairs, blind),
        "summary": all_numbers.sentences(results, trained, findings, found["between"], not_measured),
        "parity": parity,
        "findings": findings,
        "between": found["between"],
        "app": found["app"],
        "copied_words": written_replies.COPIED_WORDS,
        "preference": judged and preference.in_words(judged),
        "samples": (comparison or {}).get("samples", []),
        "tables": defaultdict(str, {name: render.table(*table) for name, table in made.items() if table[0]}),
        "pictures": {name: render.picture(*picture) for name, picture in pictures.items()},
        "provenance": [] if share else provenance.rows(run, results, trained, diagnosed["again"]),
        "measured": provenance.last(cost),
        "failing": None if share else _failing(run, audited),
        "script": render.Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii"),
    }
    return values | {"sections": _sections(values, len(causes))}


def _sections(values: dict, causes: int) -> list[dict]:
    """The sections of the page that this run has, for its contents: {"id", "title", "count", "tone"}."""
    errors = sum(one["severity"] == "error" for one in values["findings"])
    warnings = sum(one["severity"] == "warning" for one in values["findings"])
    audited = f"{errors} ✗ {warnings} !" if errors or warnings else "✓"
    comparison, trained = values["comparison"], values["trained"]
    replies, claims = values["samples"], (comparison or {}).get("claims")
    there = {
        "verdict": ("Verdict", "", "", True),
        "next": ("Do this next", "", "", values["next_steps"]),
        "wrong": ("What went wrong", str(causes), "bad" if causes else "good", True),
        "proof": ("The fix, proved", *headline.proof_mark(values["proof"]), values["proof"]),
        "replies": ("Replies side by side", str(len(replies)), "", replies),
        "prompt": ("Prompt, token by token", "", "", values["format_audit"]),
        "training": ("Training", "", "", trained and (trained["curve"] or trained.get("adapts"))),
        "more": ("Would more help?", "", "", values["more"]),
        "numbers": ("All numbers", "", "", True),
        "data": ("Data", "", "", values["extraction"]),
        "audit": ("Audit", audited, "bad" if errors else "warn" if warnings else "good", values["format_audit"]),
        "original": ("The original report", "", "", claims or (values["format_audit"] or {}).get("staged")),
        "provenance": ("Where this is from", "", "", True),
    }
    return [
        {"id": name, "title": title, "count": number, "tone": tone}
        for name, (title, number, tone, shown) in there.items()
        if shown
    ]


def _failing(run: Path, audited: dict | None) -> dict | None:
    """The proof of the demo that fails, for the report of the one that works, where both were made."""
    if not (audited and audited.get("staged")) or run.name == history.FAILING:
        return None
    return evidence.read(run.parent / history.FAILING, ["proof"])["proof"]


def _add_data(extraction: dict | None, made: dict, pictures: dict) -> None:
    described = (extraction or {}).get("rows")
    if described:
        made |= {"splits": tables.splits(described), "frequent": tables.frequent(described)}
    if described and described["lengths"]:
        drawn = charts.rows(described)
        pictures["rows"] = (drawn, "How long the replies are, and how many messages the rows have")
    if extraction and extraction.get("source"):
        made |= {"variants": tables.variants(extraction), "funnel": tables.funnel(extraction)}
        pictures["funnel"] = (charts.funnel(extraction["funnel"]), "What was left of the messages after each step")


def _add_training(trained: dict | None, made: dict, pictures: dict) -> None:
    if trained and trained["curve"]:
        curve = charts.loss_curve(trained["curve"], trained["kept"])
        pictures["loss"] = (curve, "Training and validation loss over iterations")
        made["trained"] = tables.trained(trained)
    if trained and trained["loss_tokens"]:
        made["loss_shares"] = tables.loss_shares(trained["loss_tokens"], trained["stock_loss_tokens"])
    if trained and trained.get("adapts"):
        made["adapter"] = tables.adapter(trained["adapts"])
        if trained["adapts"]["by_layer"]:
            moved = charts.updates(trained["adapts"]["by_layer"])
            pictures["updates"] = (moved, "How far the adapter moves each layer, in percent of its weights")
    if trained and trained.get("checkpoints"):
        made["checkpoints"] = tables.checkpoints(trained["checkpoints"])
        drawn = charts.checkpoints(trained["checkpoints"])
        pictures["checkpoints"] = (drawn, "Nats per reply token of each checkpoint")


def _comparison(comparison: dict, cost: dict, diagnosed: dict) -> tuple[dict, dict]:
    """The tables and the pictures of a comparison, by name."""
    arms, other_arms = _main_and_others(comparison, "arms", lambda arm: (arm["model"], arm["format"]))
    differences, other_differences = _main_and_others(comparison, "differences", lambda row: row["left"])
    quality = tables.quality(comparison["arms"], comparison["models"], cost)
    made = {
        "arms": tables.arms(arms),
        "differences": tables.differences(differences),
        "other_arms": tables.arms(other_arms),
        "other_differences": tables.differences(other_differences),
        "attribution": tables.attribution(comparison["attribution"]),
        "attribution_every": tables.attribution(comparison["attribution_every"]),
        "training_formats": tables.training_formats(comparison["training_formats"]),
        "archaeology": tables.archaeology(comparison["archaeology"]["ranked"]),
        "generated": tables.generated(comparison["generated"]),
        **{
            name: getattr(tables, name)(comparison[name])
            for name in ("ability", "regurgitation")
            if comparison.get(name)
        },
        "style": tables.style(comparison["generated"]),
        "quality": quality,
        "costs": tables.costs(cost.get("arms", {})),
        "left_out": tables.left_out(comparison["left_out"]),
        "claims": tables.claims(comparison["claims"]),
    }
    pictures = {
        "arms": (charts.arms(arms), "Nats per reply token of each arm with its interval"),
        "quality": (charts.quality(quality[0]), "Bits per byte over seconds of training"),
    }
    if made["attribution"][0]:
        drawn = charts.attribution(comparison["attribution"])
        pictures["attribution"] = (drawn, "Each fault's Shapley share with its interval")
    if slopes := _slopes(comparison):
        pictures["slopes"] = (charts.slopes(slopes), "From the base model to the fine-tuned one, for each prompt")
    if costly := [one for one in diagnosed["causes"] if one["cost"]]:
        pictures["cause_costs"] = (charts.costs(costly), "What each cause costs, with its interval")
    return made, pictures


def _slopes(comparison: dict) -> list[dict]:
    """Base and tuned under each prompt that both were asked with, and the base with examples."""
    nats = {(arm["model"], arm["format"]): arm["nats_per_reply_token"] for arm in comparison["arms"]}
    shots = {one["name"] for one in comparison["formats"] if one.get("shots")}
    asked = [name for name in dict.fromkeys(("aligned", comparison["app"])) if ("tuned", name) in nats]
    rows = [
        {"name": wording.format_name(name), "base": nats["base", name], "tuned": nats["tuned", name]} for name in asked
    ]
    examples = [name for model, name in nats if model == "base" and name in shots]
    return rows and rows + [
        {"name": f"base, {name.removeprefix('aligned, ')}", "base": nats["base", name], "tuned": None}
        for name in examples
    ]


def _main_and_others(comparison: dict, key: str, arm_of) -> tuple[list[dict], list[dict]]:
    """Rows about the main models, and about others as they were trained or as the app asks; then all other rows."""
    own = {model["name"]: model["own"] for model in comparison["models"]}
    split = ([], [])
    for row in comparison[key]:
        model, name = arm_of(row)
        split[not (model in ("base", "tuned") or name in (own[model], "aligned", comparison["app"]))].append(row)
    return split
