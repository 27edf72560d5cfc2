"""What can be picked in the notebooks, and what is shown of it; `lab.pick` shows it."""

from collections.abc import Callable
from pathlib import Path

from .. import audit
from ..audit.run_inputs import RunInputs
from ..compare import playground
from ..extract import variant_folder
from ..files import yaml_files
from ..files.reading import SETTINGS, read_text
from ..paths import shown
from . import conclusions, prompt_diff, render


def audits(inputs: RunInputs, found: dict, own: list[dict], model: str = "", app: str = "") -> tuple[Callable, dict]:
    """What the audit says of another config, or of the other variants of the data; and what can be picked.

    `found`: findings.json, and `own`, this config's among them, which are shown first. `model` and `app`: as in
    notebook 02.
    """
    first = {"config": shown(inputs.where), "variant": inputs.folder.name}

    def look(**picked: str) -> list:
        shown_first, mine = found["findings"], own
        if picked != first:
            folder = inputs.folder.with_name(picked["variant"])
            other = audit.read(picked["config"], folder, model, inputs.profile, inputs.owner)
            shown_first = mine = audit.check(other, app)["findings"]
        return [render.show("findings", findings=shown_first), conclusions.audit(mine)]

    configs = [first["config"], *(shown(path) for path in _configs(Path(inputs.where)))]
    variants = [first["variant"], *_variants(inputs.folder)]
    return look, {"config": list(dict.fromkeys(configs)), "variant": list(dict.fromkeys(variants))}


def _configs(path: Path) -> list[Path]:
    """The mlx-lm configs next to this one."""
    return [one for one in sorted(path.parent.glob("*.y*ml")) if _is_config(one)]


def _is_config(path: Path) -> bool:
    try:
        return "model" in yaml_files.parse(read_text(path, SETTINGS))
    except Exception:  # whatever else is in the folder
        return False


def _variants(folder: Path) -> list[str]:
    """The data folders next to this one that have training rows."""
    return [one.name for one in sorted(folder.parent.iterdir()) if variant_folder.statistics(one).get("train")]


def rows(first: dict[str, list[dict]]) -> tuple[Callable, dict]:
    """A variant's first row, or that of all of them. `first`: variant -> its messages."""
    everything = "all of them"

    def look(variant: str) -> list:
        names = [variant] if variant != everything else list(first)
        found = [{"variant": name, **message} for name in names for message in first[name]]
        columns = {"variant": "Variant", "role": "Role", "content": "Content"}
        return [render.show_table(found, columns, "The first row of each train.jsonl")]

    return look, {"variant": [everything, *first]}


def prompts(ready: dict) -> Callable:
    """How a prompt you write compares with training's, and what it costs. `ready`: from `playground.prepare`."""

    def look(system: str, user: str) -> list:
        found = playground.ask(ready, system, user)
        sides = prompt_diff.diff(found["compared"], ready["tokenizer"])
        return [
            conclusions.key_differences(found["parity"], playground.NAME),
            conclusions.prompt_cost(found["difference"] | {"needed": None}, playground.NAME, ready["name"]),
            render.show("diff", sides=sides, name=playground.NAME, caption="The first of these prompts"),
        ]

    return look
