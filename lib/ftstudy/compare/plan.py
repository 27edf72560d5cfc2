"""What a comparison measures: the same for the notebook and for `ftstudy compare`."""

from pathlib import Path

from .. import chat_format, training
from ..audit.splits import leaking
from ..chat_format.read_back import with_messages
from ..errors import StudyError
from ..extract import variant_folder
from ..models import base_models
from ..paths import absolute, shown
from . import ability, arms, prompt_formats, regurgitation, repeats, retrieval
from .heldout import held_out


def plan(
    run: Path,
    config: str,
    owner: str,
    inference: str,
    *,
    replies: int,
    shots: int = 0,
    also: list[str] = (),
    every: bool = False,
    fused: str = "",
) -> dict:
    """The models, formats and replies to compare.

    `owner`: empty for the one that the data was extracted for. `inference`: the app's profile; empty if unknown.
    `replies`: the number of held-out replies. `shots`: the number of examples in the prompts of two more formats for
    base models, one with the same examples for every reply, one with the most similar. `also`: other configs of this
    run. `every`: every combination of faults, for every model. `fused`: the folder of the fused model, if there is
    one. Returns `trained` (the main run's entry), `heldout`, `app`, `formats` (with distinct tokens), `combinations`
    (all that can be rendered), `own_faults` (the app's), `same` (a format -> the one with the same tokens), `models`,
    `own` (the replies of the training split), `seen` and `unseen` (rows for `regurgitation`) and `left_out`. Raises
    StudyError if the main run or its data can't be used.
    """
    if fused:
        base_models.resolve(fused)  # a wrong path is reported now, not as one more arm left out
    trained, left_out = repeats.entries(run, config, list(also))
    main = trained[0]
    data = absolute(main["data"])
    inputs = training.read(main["config"], main["data"], main["model"], adapter=main["adapter"])
    owner = owner or inputs.owner
    app = chat_format.load_profile(inference or "aligned", owner)
    recorded = set(app["rows"]) if app["kind"] == "captured" else None
    tokenizer = base_models.load_tokenizer(main["model"])
    heldout = held_out(data, replies, tokenizer=tokenizer, config=inputs.config, recorded=recorded)
    leaked, leaks = leaking(inputs, heldout["split"])
    numbers = inputs.splits[heldout["split"]].numbers
    heldout["leaked"] = [numbers[row] in leaked for row in heldout["rows"]]
    rows = with_messages(_trained(data, inputs.config), tokenizer, inputs.config)
    train = [row for row in rows if chat_format.ends_with_reply(row)]
    try:
        made = prompt_formats.formats(app, heldout["examples"], tokenizer, heldout["places"], every)
    except StudyError as error:  # the app gives no prompt; the models are compared all the same
        left_out.append({"arm": f"every model, {app['name']}", "why": str(error)})
        app = chat_format.load_profile("aligned", owner)
        made = prompt_formats.formats(app, heldout["examples"], tokenizer, heldout["places"], every)
    if any(entry.get("option") == "A" for entry in trained) and app["name"] != "wrapped":
        made.append({"name": "wrapped", "faults": [], "profile": chat_format.named_profiles(owner)["wrapped"]})
    formats, same, refused = prompt_formats.distinct(made, app, heldout, tokenizer, owner)
    if "aligned" in refused:
        raise StudyError(
            f"The chat template of {main['model']} cannot render {shown(data / heldout['split'])}.jsonl: {refused['aligned']}. "
            "Run `ftstudy audit` for details, then use another model or extract the data in a form that it accepts."
        )
    left_out += [{"arm": f"every model, {name}", "why": why} for name, why in refused.items()]
    unread = sum(one.get("unread", 0) for one in made if one["name"] not in refused)
    if unread:
        why = "the app doesn't write turns as the chat template does, so only their whole cost is known"
        left_out.append({"arm": f"{app['name']} by aspect, {unread} of {len(heldout['rows'])} prompts", "why": why})
    if shots and len(train) >= shots:
        formats.append(prompt_formats.few_shot([train[len(train) * at // shots] for at in range(shots)]))
        lines = inputs.splits["train"].numbers
        apart = [row for row, line in zip(rows, lines) if chat_format.ends_with_reply(row) and line not in leaks]
        formats.append(retrieval.few_shot(heldout, apart, min(shots, retrieval.MOST)))
    if heldout["unusable"]:
        why = "they don't end with a reply"
        left_out.append({"arm": f"{heldout['unusable']} of {heldout['all']} {heldout['split']} rows", "why": why})
    return {
        "run": run,
        "owner": owner,
        "trained": main,
        "data": data,
        "heldout": heldout,
        "app": app,
        "formats": formats,
        "combinations": [one for one in made if one["name"] not in refused],
        "own_faults": next((one["faults"] for one in made if one["name"] == app["name"]), []),
        "same": same,
        "models": arms.models(
            trained, formats, *(same.get(name, name) for name in (app["name"], "wrapped")), every, fused
        ),
        "own": [row["messages"][-1]["content"] for row in train],
        "seen": regurgitation.seen(inputs, tokenizer, main, train),
        "unseen": regurgitation.unseen(heldout),
        "left_out": left_out,
    }


def _trained(data: Path, config: dict) -> list[dict]:
    """The training rows; none if the file is gone, as it may be for an adapter that somebody trained elsewhere."""
    return variant_folder.load_examples(data, "train", config) if (data / "train.jsonl").is_file() else []


def measure(plan: dict, **writing) -> dict:
    """Every arm of the plan, from `arms.measure`, and with them `ability` and `regurgitation`, from their modules;
    stored results are read, not measured again."""
    folder, given = plan["run"] / "arms", (plan["models"], plan["formats"], plan["heldout"], plan["app"], plan["owner"])
    found = arms.measure(folder, *given, **writing)
    more = {
        "ability": ability.measure(folder, plan["models"]),
        "regurgitation": regurgitation.measure(folder, plan["models"], plan["seen"], plan["unseen"]),
    }
    for one in more.values():
        found["costs"] |= one["costs"]
        found["left_out"] += one["left_out"]
    return found | {"ability": more["ability"]["scores"], "regurgitation": more["regurgitation"]["completed"]}
