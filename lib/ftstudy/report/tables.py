"""A run's results as tables, the same in the notebook and in the report.

Each function returns (rows, columns, caption) for `render.table`.
"""

from collections.abc import Callable
from operator import itemgetter

from ..compare.style_similarity import PARTS
from ..wording import arm_name, count, format_name, interval, more_likely, number, verdict

Table = tuple[list[dict], dict[str, str], str]
Column = str | tuple[str, Callable]


def _table(caption: str, found: list[dict], **columns: Column) -> Table:
    """A column is its header, or the header and how to read a row's value, which is otherwise under the column's key."""
    headers = {key: column if isinstance(column, str) else column[0] for key, column in columns.items()}
    read = {key: itemgetter(key) if isinstance(column, str) else column[1] for key, column in columns.items()}
    return [{key: read[key](one) for key in read} for one in found], headers, caption


def _difference(one: dict | None, measured: str) -> str:
    """A paired difference and its verdict, in one cell."""
    return f"{number(one[measured], signed=True)} {verdict(one)}" if one else "–"


def _with_interval(value: float | None, bounds: list[float] | None) -> str:
    return f"{number(value)} ({interval(bounds)})" if bounds else number(value)


def _meaning(one: dict) -> str:
    nats = one["nats_per_reply_token"]
    return "–" if nats is None else more_likely(nats)


ARM = {"model": "Model", "format": ("Prompt", lambda one: format_name(one["format"]))}
RANGE = ("95% interval", lambda one: interval(one["interval"]))
EFFECT = {
    "nats": ("Nats per reply token", lambda one: number(one["nats_per_reply_token"], signed=True)),
    "range": ("95% interval", lambda one: interval(one["interval"], signed=True)),
    "meaning": ("Reply tokens are", _meaning),
}


def _effect(nats: str) -> dict[str, Column]:
    return EFFECT | {"nats": (nats, EFFECT["nats"][1])}


def _needed(rows: list[dict]) -> dict[str, Column]:
    """What would tell differences apart, as a column where a row says so."""
    nats = [f"{one['nats']:g}" for row in rows for one in row.get("needed") or []][:3]
    header = f"Replies (conversations) that would tell {' / '.join(nats)} nats apart"
    return {"needed": (header, lambda row: _sizes(row.get("needed")))} if nats else {}


def _sizes(found: list[dict] | None) -> str:
    sizes = [
        f"{one['replies']:,} ({one['conversations']:,})" if one["conversations"] else "more seeds"
        for one in found or []
    ]
    return " / ".join(sizes) or "–"


def splits(described: dict) -> Table:
    """`described`: the rows of a folder, from `extract.description.describe`."""
    bad = any(one["blank"] + one["broken"] for one in described["splits"])
    return _table(
        f"The rows in {described['data']}",
        described["splits"],
        split="Split",
        rows="Rows",
        bytes="Bytes",
        schema="Schema",
        turns="Messages a row (median)",
        user="User text (median characters)",
        reply="Reply (median characters)",
        **({"blank": "Blank lines", "broken": "Lines that are not JSON"} if bad else {}),
    )


def frequent(described: dict) -> Table:
    """What comes back most often in the rows: the order of roles, system texts, speakers and replies."""
    labels = {"roles": "order of roles", "systems": "system text", "speakers": "speaker", "replies": "reply"}
    rows = [
        {"what": label, "text": text, "rows": times}
        for key, label in labels.items()
        for text, times in described[key][:5]
    ]
    return rows, {"what": "What", "text": "Text", "rows": "Rows"}, "What the rows say most often"


def arms(found: list[dict]) -> Table:
    return _table(
        "Negative log-likelihood of the true replies. Lower is better.",
        found,
        **ARM,
        nats_per_reply_token="Nats per reply token",
        range=RANGE,
        end=("Nats per end of turn", lambda arm: _with_interval(arm["nats_per_end_of_turn"], arm["end_interval"])),
        bits=("Bits per byte of the reply", lambda arm: _with_interval(arm["bits_per_byte"], arm["bits_interval"])),
    )


def differences(found: list[dict]) -> Table:
    return _table(
        "Paired differences on the same replies. Lower is better: below zero, A is better.",
        found,
        left=("A", lambda row: arm_name(*row["left"])),
        right=("B", lambda row: arm_name(*row["right"])),
        **_effect("A − B, nats per reply token"),
        verdict=("A is", verdict),
        **_needed(found),
        end=("A − B, nats per end of turn", lambda row: _difference(row["end_of_turn"], "nats")),
    )


def attribution(found: dict) -> Table:
    """`found`: a model's name -> `attribution.attribute`'s result, or None."""
    rows = []
    for model, result in found.items():
        if result is None:
            continue
        effects = [("all faults together", result["whole"])]
        effects += [(f"{format_name(one['fault'])}: main effect", one) for one in result["main"]]
        effects += [
            (f"{' × '.join(map(format_name, one['faults']))}: interaction", one) for one in result["interactions"]
        ]
        effects += [(f"{format_name(one['fault'])}: Shapley share", one) for one in result["shares"]]
        rows += [one | {"model": model, "fault": label} for label, one in effects]
    caption = "What each fault of the prompt costs. Above zero, the fault makes the true replies less likely."
    columns = {"verdict": ("Effect", verdict), **_needed(rows)}
    return _table(caption, rows, model="Model", fault="Fault", **EFFECT, **columns)


def checkpoints(found: dict) -> Table:
    """`found`: `checkpoints` of training.json."""
    return _table(
        "Every checkpoint on the same held-out replies, prompted as in training. Lower is better.",
        found["rows"],
        checkpoint=("Checkpoint", lambda row: _checkpoint(row["iteration"], found)),
        nats_per_reply_token="Nats per reply token",
        range=RANGE,
        base=("Against the base", lambda row: _with_bounds(row["to_base"])),
        lowest=("Against the lowest", lambda row: _with_bounds(row["to_lowest"])),
    )


def _with_bounds(row: dict | None) -> str:
    if row is None:
        return "–"
    bounds = f" ({interval(row['interval'], signed=True)})" if row["interval"] else ""
    return f"{number(row['nats_per_reply_token'], signed=True)}{bounds} {verdict(row)}"


def _checkpoint(iteration: int, found: dict) -> str:
    marks = [mark for mark, at in (("the adapter", found["own"]), ("keep this", found["keep"])) if at == iteration]
    if iteration == found["own"] and not found.get("known", True):
        return ", ".join(marks)
    name = f"iteration {iteration:,}" if iteration else "base model"
    return f"{name} ({', '.join(marks)})" if marks else name


def adapter(adapts: dict) -> Table:
    """What an adapter adapts; `adapts`: of an entry in training.json."""
    layers, progress = adapts["layers"], adapts["progress"]
    span = f"{layers[0]} to {layers[-1]} ({len(layers)})" if layers else "none"
    kinds = {"lora": "LoRA", "dora": "DoRA", "full": "all weights of these modules (no adapter)"}
    whole = f"{len(adapts['zero'])} of {adapts['tensors']} tensors are all zero" if adapts["zero"] else "yes"
    asked, last = progress["asked"], progress["last"]
    complete = "cannot be told: there are no numbered checkpoints" if last is None else "yes"
    if progress["stopped"]:
        complete = f"no: stopped at iteration {last:,} of {asked:,}"
    values = {
        "Kind": kinds.get(adapts["kind"], adapts["kind"]),
        "Modules": ", ".join(adapts["modules"]),
        "Layers": span,
        "Rank": ", ".join(map(str, adapts["rank"])) or "–",
        "Scale": ", ".join(f"{scale:g}" for scale in adapts["scale"]) or "–",
        "Whole": whole,
        "Complete": complete,
    }
    rows = [{"what": what, "value": value} for what, value in values.items()]
    return rows, {"what": "What", "value": "Value"}, "What the adapter adapts"


def training_formats(found: dict | None) -> Table:
    asked = {"own": "each in its own form", "app": "both with the app's prompt"}
    rows = [result | {"asked": asked[name]} for name, result in (found or {}).items()]
    return _table(
        "Option B (trained in the plain form) against option A (trained in the wrapped form)",
        rows,
        asked="Prompted",
        **_effect("B − A, nats per reply token"),
        verdict=("B is", verdict),
        **_needed(rows),
        each=("Each seed", lambda row: ", ".join(number(one, signed=True) for one in row["each_seed"])),
        covers="The interval covers",
    )


def archaeology(found: list[dict]) -> Table:
    return _table(
        "How much the adapter lowers the loss under each prompt format",
        found,
        format=ARM["format"],
        gain="Nats saved per reply token",
        range=RANGE,
        share=("Ranked first in", lambda row: f"{row['first']:.0%} of resamples"),
        gap=("Gap to first", lambda row: _gap(row["behind"])),
        loss="Nats with the adapter",
    )


def _gap(behind: dict | None) -> str:
    if behind is None:
        return "–"
    return f"{number(behind['nats_per_reply_token'])} ({interval(behind['interval'], signed=True)})"


SHARES = {
    "looping": "Repeats itself",
    "copied": "Copied from train",
    "assistant": "Sounds like an assistant",
    "other_speaker": "Writes the other's part",
    "empty": "Empty",
}


def generated(found: dict) -> Table:
    """`found`: what `compare.results.generated` returns."""
    rows = [
        {
            "model": arm["model"],
            "format": format_name(arm["format"]),
            "distance": number(arm["style_distance"]["total"]),
            "untrained": _difference(arm["to_floor"] if at else None, "distance"),
            "aligned": _difference(arm["to_aligned"], "distance"),
            **_shares(arm),
        }
        for at, arm in enumerate(found["arms"])
    ]
    if person := found["ceiling"]:
        distance = _with_interval(person["mean"], person["interval"])
        row = {"model": "the person", "format": "–", "distance": distance, "untrained": "–", "aligned": "–"}
        rows.append(row | _shares(person["measures"]))
    return _table(
        "Generated replies, next to as many of the person's own. A lower style distance is better.",
        rows,
        model="Model",
        format="Prompt",
        stops="Stops by itself",
        words="Words, median",
        ratio="Against the person's",
        distance="Style distance",
        untrained="Against the untrained model",
        aligned="Against the same model, as in training",
        **SHARES,
    )


def _shares(one: dict) -> dict:
    bounds = one.get("end_of_turn_interval")
    return {
        "stops": f"{one['end_of_turn_rate']:.0%}" + (f" ({bounds[0]:.0%} to {bounds[1]:.0%})" if bounds else ""),
        "words": number(float(one["words"]), 1),
        "ratio": f"{ratio:.1f} times" if (ratio := one.get("length_ratio")) is not None else "–",
        **{key: f"{one[key]:.0%}" if key in one else "–" for key in SHARES},
    }


def ability(found: dict) -> Table:
    """`found`: `ability` of comparison.json."""
    differences = {one["model"]: one for one in found["differences"]}
    rows = [
        one | {"count": round(one["right"] * found["questions"]), "difference": differences.get(one["model"])}
        for one in found["models"]
    ]
    return _table(
        f"{found['questions']} short questions in English with four answers each; guessing is right in 25%.",
        rows,
        model="Model",
        right=("Right", lambda one: f"{one['right']:.0%} ({one['count']})"),
        against=("Against the base", lambda one: _points(one["difference"])),
        nats=(
            "Right answers, nats per token against the base",
            lambda one: _against(one["difference"], "nats", "nats_interval"),
        ),
    )


def _points(one: dict | None) -> str:
    if one is None:
        return "–"
    low, high = one["interval"] or (None, None)
    bounds = "" if low is None else f" ({100 * low:+.0f} to {100 * high:+.0f})"
    return f"{100 * one['right']:+.0f} percentage points{bounds} {one['verdict']}".replace("-", "−")


def _against(one: dict | None, value: str, bounds: str) -> str:
    return f"{number(one[value], signed=True)} ({interval(one[bounds], signed=True)})" if one else "–"


def regurgitation(found: dict) -> Table:
    """`found`: `regurgitation` of comparison.json."""
    return _table(
        f"Replies of {found['words']} words or more, begun with their first third and completed word for word",
        found["models"],
        model="Model",
        seen=("Seen in training", lambda one: f"{one['seen']:.0%} ({one['seen_count']} of {found['rows']})"),
        unseen=("Not seen", lambda one: f"{one['unseen']:.0%} ({one['unseen_count']} of {found['other_rows']})"),
    )


def style(found: dict) -> Table:
    rows = [arm | arm["style_distance"] for arm in found["arms"]]
    parts = {part: part.capitalize() for part in PARTS}
    return _table("The parts of the style distance, each from 0 to 1", rows, **ARM, **parts)


def costs(found: dict) -> Table:
    """`found`: a step's name -> its cost."""
    return _table(
        "What each arm cost",
        [spent | {"step": _step(name)} for name, spent in found.items()],
        step="Step",
        seconds=("Seconds", lambda one: number(one["seconds"], 1)),
        speed=("Tokens per second", lambda one: number(one["tokens_per_second"], 0)),
        memory=("Peak memory, GB", lambda one: number(one["peak_memory_gigabytes"], 2)),
    )


def _step(name: str) -> str:
    """ "scoring base, aligned" -> "scoring base, as in training" """
    arm, _, asked = name.partition(", ")
    return f"{arm}, {format_name(asked)}" if asked else name


def quality(arms: list[dict], models: list[dict], costs: dict) -> Table:
    """Each model under the prompt it was trained with, next to what its training and its scoring cost."""
    found = {(arm["model"], arm["format"]): arm for arm in arms}
    rows = []
    for model in models:
        if arm := found.get((model["name"], model["own"])):
            trained = costs.get(f"training {model['config']}", {}) if model["base"] else {"seconds": 0.0}
            scored = costs.get("arms", {}).get(f"scoring {model['name']}, {model['own']}", {})
            rows.append(
                {
                    "model": model["name"],
                    "bits_per_byte": arm["bits_per_byte"],
                    "range": interval(arm["bits_interval"]),
                    "seconds": trained.get("seconds"),
                    "trained": number(trained.get("seconds") if model["base"] else None, 0),
                    "speed": number(scored.get("tokens_per_second"), 0),
                    "memory": number(scored.get("peak_memory_gigabytes"), 2),
                }
            )
    columns = {
        "model": "Model",
        "bits_per_byte": "Bits per byte of the reply",
        "range": "95% interval",
        "trained": "Training, seconds",
        "speed": "Tokens read per second",
        "memory": "Peak memory, GB",
    }
    caption = "Quality against cost, each model under the prompt it was trained with. Lower bits are better."
    return rows, columns, caption


def claims(found: list[dict]) -> Table:
    columns = {key: key.capitalize() for key in ("number", "statement", "test", "measurement", "verdict")}
    return found, columns | {"number": "#"}, "The statements of the original report"


def left_out(found: list[dict]) -> Table:
    return found, {"arm": "Left out", "why": "Why"}, "What could not be compared"


# --- what a run was made from and with ---------------------------------------------------------------------------------


def variants(extraction: dict) -> Table:
    rows = [
        {"variant": variant, "split": f"{split}.jsonl", **part}
        for variant, found in extraction["variants"].items()
        for split, part in found.items()
    ]
    return _table("What was written", rows, variant="Variant", split="Split", bytes="Bytes", examples="Examples")


def funnel(extraction: dict) -> Table:
    caption = "From messages to replies"
    return _table(caption, extraction["funnel"], step="Step", removed="Removed", left="Left", unit="Unit")


def key_differences(parity: dict) -> Table:
    """`parity`: one side of `parity` in format_audit.json."""
    return _table(
        "Where the prompts differ",
        parity["rows"],
        aspect="Aspect",
        training="Training",
        inference="Inference",
        impact=("Impact", lambda row: _impact(row, parity["examples"])),
    )


def _impact(row: dict, examples: int) -> str:
    tokens = f"{number(float(row['tokens']), 1)} {'token' if row['tokens'] == 1 else 'tokens'}"
    return f"{row['prompts']:,} of {count(examples, 'prompt')}, {tokens} each"


def trained(entry: dict) -> Table:
    """What was trained; `entry`: one of `configs` in training.json."""
    kept, values = entry["kept"], {}
    values["Parameters trained"] = f"{number(entry['parameters_trained'])} of {number(entry['parameters'])}"
    values["Examples, epochs"] = f"{number(entry['examples'])}, {number(float(entry['epochs']), 2)}"
    values["Tokens in the loss"] = number(entry["tokens_in_loss"])
    if kept and kept["validation_loss"] is not None:
        loss = f"the best on the validation rows: {number(kept['validation_loss'])} nats per trained token"
        values["Checkpoint kept"] = f"iteration {kept['iteration']:,} of {number(entry['iterations'])}, {loss}"
    if entry["stopped"]:
        values["Stopped"] = entry["stopped"]
    return [{"what": what, "value": value} for what, value in values.items()], {"what": "What", "value": "Value"}, ""


LOSS_PARTS = {
    "reply": "the reply",
    "end_of_turn": "its end-of-turn token",
    "prompt": "the prompt",
    "after_end": "text after the end of the turn",
    "padding": "padding",
}


def loss_shares(here: dict, stock: dict) -> Table:
    """`here`, `stock`: `loss_tokens` and `stock_loss_tokens` of an entry of training.json."""
    sides = {"here": here, "stock": stock}
    rows = [
        {"part": label} | {side: f"{found[part] / (found['total'] or 1):.1%}" for side, found in sides.items()}
        for part, label in LOSS_PARTS.items()
    ]
    rows.append(
        {"part": "tokens without loss, of all tokens"}
        | {side: f"{found['masked_share']:.1%}" for side, found in sides.items()}
    )
    return rows, {"part": "Share of the loss tokens", "here": "This run", "stock": "Stock mlx-lm"}, ""


def staged(found: dict) -> Table:
    """`found`: `staged` of format_audit.json."""
    rows = [row | {"when": when} for when in ("before", "after") for row in found[when]]
    return _table(
        "The configs of the original report, before and after the fix",
        rows,
        when=("Configs", lambda row: "historical" if row["when"] == "before" else "fixed"),
        config="Config",
        data=("Data folder", lambda row: row["data"].split("/")[-1]),
        bytes="Bytes",
        lines="Training rows",
        checks=("Errors and warnings", _checks),
    )


def _checks(row: dict) -> str:
    return ", ".join(one["check"] for one in row["findings"] if one["severity"] != "info") or "none"


def durations(rows: list[dict]) -> Table:
    return _table("", rows, step="Step", seconds="Seconds", memory="Peak memory, GB", finished="Finished (UTC)")


def contents(rows: list[dict]) -> Table:
    return _table("", rows, file="File or value", sha256="sha256")
