"""A whole study: what somebody can choose, whether it can run, and its stages, run in order.

choices = CHOICES | {"run": "personal", "config": "my.yaml", …}
check(choices)
run(choices)
"""

from collections.abc import Callable
from pathlib import Path

from .. import chat_format, report
from ..chat_format.owner import check_name
from ..demo import build
from ..errors import StudyError
from ..models import base_models
from ..paths import absolute, check_names, run_folder, shown
from ..proof import budget
from ..sources import check_owner
from ..wording import listed
from . import proving, stamps
from .graph import page, stages
from .reads import config_of

AUDIT = "02_format_audit"
CHOICES = {
    "run": "demo",
    "source": "",  # the chat history; without one, the config's rows are studied as they are
    "kind": "auto",
    "owner": "",
    "me": "",
    "contacts": "",
    "date_order": "",
    "time_zone": "",
    "mask": True,
    "region": "",
    "config": "",
    "data": "",
    "model": "",
    "inference": "",
    "app": "",
    "adapter": "",  # the adapter's folder
    "existing": False,  # take the adapter as it is, and train nothing
    "fused": "",
    "log": "",
    "iterations": 0,  # 0: the config's
    "stock": False,
    "force": False,
    "smoke": False,
    "full": False,  # train the repeats too, and combine all faults
    "also": [],  # more configs to train and compare
    "replies": 80,
    "shots": 4,  # examples in the base model's longest prompt
    "prove": False,  # train as it was, as fixed, and with each fault left in
    "budget": "",  # the time for that, like 10m
}


def check(choices: dict, dry: bool = False) -> None:
    """StudyError if an input of the study is not there or can't be read: asked before minutes are spent on it.

    `dry`: without building or downloading the model, and without the demo's chat history, which `make` builds first.
    """
    if not choices["config"]:
        raise StudyError(
            "There is nothing to study yet. Name your chat history with SOURCE=… and OWNER=…, or the config of a "
            "fine-tune that exists with CONFIG=…, and its adapter with ADAPTER=…."
        )
    check_name(choices["owner"])
    budget.seconds(choices["budget"])
    check_names(*choices.values(), *choices["also"], Path.cwd())
    if choices["source"]:
        check_owner(choices["source"], choices["owner"])
    is_built = dry and absolute(choices["source"]) == build.DEMO
    if choices["source"] and not is_built and not absolute(choices["source"]).exists():
        raise StudyError(
            f"No chat history at {shown(choices['source'])}. Correct SOURCE=…; on a Mac it is "
            "~/Library/Messages/chat.db."
        )
    if choices["inference"]:
        chat_format.load_profile(choices["inference"], choices["owner"])
    for name in ("contacts", "log"):
        if choices[name] and not absolute(choices[name]).is_file():
            file = shown(choices[name])
            there = absolute(choices[name]).exists()
            problem = f"{file} is not a regular file" if there else f"There is no file {file}"
            raise StudyError(f"{problem}. Correct {name.upper()}=… or --{name}.")
    if choices["fused"] and not absolute(choices["fused"]).is_dir():
        raise StudyError(
            f"There is no fused model at {shown(choices['fused'])}. Name the folder that mlx_lm.fuse saved to."
        )
    find = base_models.check if dry else base_models.resolve
    find(config_of(choices)["model"])  # without it nothing can be said


def run(choices: dict, tell: Callable[[str], None] = print) -> str:
    """Run the stages that must run, and build the report, after each of them too. Returns why no model was compared;
    "" if they were.

    Raises StudyError if nothing can be said of the data and the prompts. `check` the choices first.
    """
    folder, planned, failed = run_folder(choices["run"]), stages(choices), ""

    def after(stage: dict) -> None:
        proving.forget_another(choices, folder)
        left = [one["name"] for one in planned[planned.index(stage) + 1 :]]
        if left and report_so_far(folder, left) and stage["name"] == AUDIT:
            tell(f"The data and the prompts are in the report already: {shown(folder / 'index.html')}")

    try:
        stamps.run(folder, planned, tell, after)
    except StudyError as error:
        if not all(stamps.has_run(folder, stage) for stage in planned[:2]):
            raise
        failed = f"The models could not be compared. {error}"
    proving.forget_another(choices, folder)
    stamps.run(folder, [page(choices, failed)], tell)
    return failed


def report_so_far(folder: Path, left: list[str]) -> bool:
    """Write the report of a run that goes on; `left`: the stages to come. Returns whether there was enough for one."""
    try:
        report.write(folder, f"This run is not finished: {listed(left)} to come.", finished=False)
    except StudyError:  # the report at the end says why
        return False
    return True
