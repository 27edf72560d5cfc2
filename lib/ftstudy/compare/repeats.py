"""The configs of a full comparison: options A and B, each with several seeds.

Option B is the config itself; option A trains on the variant `wrapped`, the form in which the original
report's app asks. A verdict on two ways of training needs several seeds of each.
"""

from pathlib import Path

import yaml

from .. import configs, training
from ..errors import StudyError
from ..extract.variant_folder import DEFAULT
from ..files import write_text
from ..paths import absolute, shown

SEEDS = 3
OPTION_B, OPTION_A = DEFAULT, "wrapped"
MAY_DIFFER = ("seed", "data", "adapter_path", "model", "iters")  # between the config of a repeat and the main one


def write(config: str, data: str, model: str, run: Path, adapters: Path, iterations: int = 0) -> list[Path]:
    """Write the configs that a full comparison trains in addition to the main one into the run's folder.

    `data` (the folder of variants) and `model` replace those of the config unless empty; so do `iterations`
    unless 0. `adapters`: the folder in which each gets an adapter folder. Raises StudyError if the config
    doesn't train on option B's variant.
    """
    own = configs.given(config)
    settings = configs.load(config, data=data, model=model)
    trained = absolute(settings["data"])
    if trained.name != OPTION_B:
        raise StudyError(
            f"FULL=1 needs a config that trains on {OPTION_B}; {shown(config)} trains on {trained.name}. It compares "
            f"option B, trained on {OPTION_B}, with option A, trained on {OPTION_A}."
        )
    written = []
    for option, folder in (("B", trained), ("A", trained.parent / OPTION_A)):
        for repeat in range(SEEDS):
            if (option, repeat) == ("B", 0):
                continue  # the main run itself
            path = run / "configs" / f"{name_of(Path(config).stem, option, repeat)}.yaml"
            changes = {"model": settings["model"], "data": shown(folder), "seed": settings["seed"] + repeat}
            changes["adapter_path"] = shown(adapters / path.stem)
            changes |= {"iters": iterations} if iterations else {}
            body = yaml.safe_dump(own | changes, sort_keys=False, allow_unicode=True)
            write_text(path, f"# {shown(config)} as option {option}, seed {changes['seed']}\n{body}")
            written.append(path)
    return written


def name_of(stem: str, option: str, repeat: int) -> str:
    return stem + ("_option_a" if option == "A" else "") + (f"_seed{repeat + 1}" if repeat else "")


def entries(run: Path, config: str, also: list[str]) -> tuple[list[dict], list[dict]]:
    """The main run's entry of training.json, then those of its repeats and of the configs in `also`.

    Repeats have `option`, `repeat` (0 for the config's own seed) and `label`. Also returns those that can't be
    used, [{"arm", "why"}]. Raises StudyError if the main config was not trained.
    """
    stem = Path(config).stem
    main = training.load_result(run, stem)
    variant = Path(main["data"]).name
    option = "B" if variant == OPTION_B else None
    found, left_out = [main | {"option": option, "repeat": 0, "label": "tuned"}], []
    wanted = [(Path(other).stem, {"label": Path(other).stem}) for other in also]
    for option in ("B", "A") if option else ():
        for repeat in range(SEEDS):
            name = name_of(stem, option, repeat)
            label = ("option A" if option == "A" else "tuned") + (f", seed {repeat + 1}" if repeat else "")
            if name != stem and training.find_result(run, name):
                wanted.append((name, {"option": option, "repeat": repeat, "label": label}))
    for name, more in wanted:
        try:
            entry = training.load_result(run, name)
            if "option" in more and not _repeats(entry, main):
                raise StudyError(
                    "It was trained on different data or with different settings. `make report FULL=1` trains it again."
                )
            if "option" not in more and Path(entry["data"]).name != variant:
                raise StudyError(
                    f"It was trained on {Path(entry['data']).name}, whose prompt differs from that of {variant}. "
                    f"Compare it in its own run, with CONFIG={entry['config']}."
                )
            found.append(entry | more)
        except StudyError as error:
            left_out.append({"arm": more["label"], "why": str(error)})
    return found, left_out


def _repeats(entry: dict, main: dict) -> bool:
    """True if it is the main training with only another seed or option, on the current data."""
    ours, theirs = (
        {key: value for key, value in configs.given(one["config"]).items() if key not in MAY_DIFFER}
        for one in (main, entry)
    )
    length = configs.load(entry["config"])["iters"]
    as_long = length == main["iterations"] or bool(main["stopped"]) and length >= main["iterations"]
    same = ours == theirs and entry["model"] == main["model"] and as_long
    return same and training.run_id(training.read(entry["config"])) == entry["run_id"]
