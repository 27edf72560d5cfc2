"""What a comparison consists of: the same for the notebook, and for the terminal that measures it before."""

from pathlib import Path

from .. import chat_format
from ..errors import StudyError
from ..extract import variant_folder
from ..models import base_models
from ..paths import from_root, shown
from . import arms, faults, repeats
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
) -> dict:
    """Which models, formats and replies are compared.

    `inference`: the app's profile; `replies`: how many held-out replies; `shots`: examples in the
    prompt of one more format of the base models; `also`: other configs of this run; `every`: every
    combination of faults, in every model. Returns `trained` (the main run), `heldout`, `app`,
    `formats` (that differ in a token), `combinations` (all that can be rendered), `own_faults` (the app's),
    `same` (a format without a difference -> its equal), `models`, `own` (the replies of the
    training split) and `left_out`.
    """
    trained, left_out = repeats.entries(run, config, list(also))
    main = trained[0]
    data = from_root(main["data"])
    test = variant_folder.load_examples(data, "test")
    app = chat_format.load_profile(inference, owner)
    named = chat_format.named_profiles(owner).get(app["name"])
    if app["name"] in faults.FAULTS or named is not None and app != {"name": app["name"], **named}:
        app["name"] = f"app {app['name']}"  # a file's name, which is taken
    recorded = {row for split, row in app["rows"] if split == "test"} if app["kind"] == "captured" else None
    heldout = held_out(test, variant_folder.conversations_of(data, "test", len(test)), replies, recorded)
    train = [row for row in variant_folder.load_examples(data, "train") if chat_format.ends_with_reply(row)]
    tokenizer = base_models.load_tokenizer(main["model"])
    made = faults.formats(app, heldout["examples"], tokenizer, heldout["rows"], owner, every)
    if any(entry.get("option") == "A" for entry in trained) and app["name"] != "wrapped":
        made.append({"name": "wrapped", "faults": [], "profile": chat_format.named_profiles(owner)["wrapped"]})
    formats, same, refused = faults.distinct(made, app, heldout, tokenizer, owner)
    if "aligned" in refused:
        raise StudyError(
            f"The chat template of {main['model']} cannot render {shown(data / 'test.jsonl')}: {refused['aligned']}. "
            "`make audit` says what is wrong; take another model, or extract the data in a form that it takes."
        )
    left_out += [{"arm": f"every model, {name}", "why": why} for name, why in refused.items()]
    if shots and len(train) >= shots:
        formats.append(faults.few_shot([train[len(train) * at // shots] for at in range(shots)]))
    if heldout["unusable"]:
        why = "they end with no reply, or with an empty one"
        left_out.append({"arm": f"{heldout['unusable']} of {len(test)} test rows", "why": why})
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
        "models": arms.models(trained, formats, *(same.get(name, name) for name in (app["name"], "wrapped")), every),
        "own": [row["messages"][-1]["content"] for row in train],
        "left_out": left_out,
    }


def measure(plan: dict, **writing) -> dict:
    """Every arm of the plan, as `arms.measure` gives them; what was measured before is read."""
    given = (plan["models"], plan["formats"], plan["heldout"], plan["app"], plan["owner"])
    return arms.measure(plan["run"] / "arms", *given, **writing)
