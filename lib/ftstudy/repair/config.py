"""The config's settings with which nothing, too little or the wrong thing is learned.

The audit's own checks decide what is repaired, so that a repaired config has nothing to repair. The new values are the
recipe's: those of `config_matrix` and of mlx-lm's defaults.
"""

from mlx_lm.lora import CONFIG_DEFAULTS

from ..audit.config import learning_rate, lora, run_length
from ..audit.config.ignored_keys import TRAIN_OFF
from ..audit.config.values import fits
from ..audit.run_inputs import RunInputs
from ..configs import study
from .draft import audited
from .kinds import Repair
from .settings import found, rate_of, rows_in, settings_of, updates, with_key

EPOCHS = 3  # in the place of far too many
BEST_OF = 5  # checkpoints that a run is to have, to choose from
DEFAULTS = CONFIG_DEFAULTS["lora_parameters"]


# --- what is trained, and how fast ------------------------------------------------------------


def _train(draft: dict, inputs: RunInputs):
    if audited(draft, inputs).config.get("train"):
        return draft, []
    return with_key(draft, "train", True, TRAIN_OFF.cause), ["`train: true`: without it, mlx-lm trains nothing"]


def _mask_prompt(draft: dict, inputs: RunInputs):
    now = audited(draft, inputs)
    split = now.splits.get("train")
    if now.config.get("mask_prompt") or study(now.config) or not split or split.schema not in ("chat", "completion"):
        return draft, []
    made = with_key(draft, "mask_prompt", True, "the loss is on the reply only")
    if _errors(made, inputs) - _errors(draft, inputs):
        return draft, []  # the template's prompt isn't where a reply begins
    return made, ["`mask_prompt: true`: the loss is on the reply, and no longer on the prompt too"]


def _errors(draft: dict, inputs: RunInputs) -> set[str]:
    from ..audit import loss

    now = audited(draft, inputs)
    if now.model is None or now.problem or not now.has_template:
        return set()
    return {one.check for one in loss.check(now) if one.severity == "error"}


def _scale(draft: dict, inputs: RunInputs):
    if not found(lora, draft, inputs, lora.SCALE.id):
        return draft, []
    was = audited(draft, inputs).config["lora_parameters"]["scale"]
    scale = DEFAULTS["scale"]
    return with_key(draft, "lora_parameters.scale", scale, f"mlx-lm's default; was {was:g}"), [
        f"`lora_parameters.scale: {scale:g}`, mlx-lm's default, instead of {was:g}"
    ]


def _learning_rate(draft: dict, inputs: RunInputs):
    """A rate outside the recipe's bounds, or measured to do harm; with a schedule, its first argument."""
    values = settings_of(draft, inputs)
    schedule = values["lr_schedule"] if isinstance(values["lr_schedule"], dict) else None
    rate = schedule["arguments"][0] if schedule else values["learning_rate"]
    low, high = learning_rate.usual(values["optimizer"], values["fine_tune_type"])
    does_harm = draft["measured"].get("learning_rate") == rate
    is_usual = low <= rate <= high and not does_harm
    if learning_rate.chooses_own_steps(audited(draft, inputs), values["optimizer"]) or is_usual:
        return draft, []
    recipe = rate_of(draft["config"])
    new = recipe if low <= recipe <= high else (low * high) ** 0.5
    new = rate / 10 if does_harm and new >= rate else new
    why = f"the recipe's; was {rate:g}" + (", which did harm" if does_harm else "")
    note = f"{new:g} instead of {rate:g}{', which did harm' if does_harm else ''}: the recipe's learning rate"
    if schedule:
        arguments = [new, *schedule["arguments"][1:]]
        return with_key(draft, "lr_schedule", schedule | {"arguments": arguments}, why), [f"`lr_schedule`: {note}"]
    return with_key(draft, "learning_rate", new, why), [f"`learning_rate`: {note}"]


def _schedule(draft: dict, inputs: RunInputs):
    if not found(learning_rate, draft, inputs, learning_rate.SCHEDULE.id):
        return draft, []
    values = settings_of(draft, inputs)
    schedule, total = dict(values["lr_schedule"]), updates(values)
    notes, first = [], schedule["arguments"][0]
    rate = draft["config"].get("learning_rate")
    if rate is not None and fits(rate, float) and rate != first:
        draft = with_key(draft, "learning_rate", None, "")
        notes.append(f"`learning_rate: {rate:g}` was removed: mlx-lm uses `lr_schedule`, which begins at {first:g}")
    if "warmup_init" in schedule and not schedule.get("warmup"):
        del schedule["warmup_init"]
    if (schedule.get("warmup") or 0) >= total:
        schedule["warmup"] = total // 10
        if not schedule["warmup"]:
            del schedule["warmup"]
    arguments = list(schedule["arguments"])
    for at, name in enumerate(learning_rate.argument_names(schedule)):
        if "step" in name and at < len(arguments):
            left = total - (schedule.get("warmup") or 0)
            arguments[at] = max(1, left if schedule["name"] != "step_decay" else min(arguments[at], left // 3))
    schedule["arguments"] = arguments
    if schedule != values["lr_schedule"]:
        draft = with_key(draft, "lr_schedule", schedule, f"as long as the run, {total:,} updates")
        notes.append(f"`lr_schedule` is now as long as the run, {total:,} optimizer updates")
    return draft, notes


# --- how long --------------------------------------------------------------------------------


def _batch_size(draft: dict, inputs: RunInputs):
    values = settings_of(draft, inputs)
    least = min((rows_in(draft, name) for name in draft["rows"] if name != "test" or values["test"]), default=0)
    if study(values) or not 0 < least < values["batch_size"]:
        return draft, []
    note = f"`batch_size: {least}` instead of {values['batch_size']}, as many rows as the smallest split has"
    return with_key(draft, "batch_size", least, "as many rows as the smallest split has"), [note]


def _one_epoch(draft: dict, inputs: RunInputs):
    values, rows = settings_of(draft, inputs), rows_in(draft)
    if values["iters"] * values["batch_size"] >= rows:
        return draft, []
    return _with_epochs(draft, values, 1, f"one epoch of {rows:,} rows")


def _few_epochs(draft: dict, inputs: RunInputs):
    values, rows = settings_of(draft, inputs), rows_in(draft)
    if not rows or values["iters"] * values["batch_size"] <= run_length.MANY_EPOCHS * rows:
        return draft, []
    return _with_epochs(draft, values, EPOCHS, f"{EPOCHS} epochs of {rows:,} rows")


def _with_epochs(draft: dict, values: dict, epochs: int, why: str):
    """The draft with another length of the run; a warm-up stays the same part of it."""
    iters = -(-epochs * rows_in(draft) // values["batch_size"])
    schedule = values["lr_schedule"] if isinstance(values["lr_schedule"], dict) else {}
    if type(warmup := schedule.get("warmup")) is int and warmup > 0:
        part = schedule | {"warmup": max(1, round(warmup * iters / values["iters"]))}
        draft = with_key(draft, "lr_schedule", part, why)
    return with_key(draft, "iters", iters, why), [f"`iters: {iters:,}` instead of {values['iters']:,}: {why}"]


def _accumulation(draft: dict, inputs: RunInputs):
    if not found(run_length, draft, inputs, run_length.ACCUMULATION.id):
        return draft, []
    values = settings_of(draft, inputs)
    why = f"was {values['grad_accumulation_steps']}, more than the {values['iters']} iterations"
    return with_key(draft, "grad_accumulation_steps", 1, why), [f"`grad_accumulation_steps: 1`: it {why}"]


def _checkpoints(draft: dict, inputs: RunInputs):
    """Checkpoints and validations at the same iterations, so that a best one can be chosen."""
    values, notes = settings_of(draft, inputs), []
    if found(run_length, draft, inputs, run_length.BATCHES.id):
        for key in ("val_batches", "test_batches"):
            if values[key] < 1 and values[key] != -1:
                draft = with_key(draft, key, -1, "all rows")
                notes.append(f"`{key}: -1`: all rows are evaluated, instead of none")
    if study(values):
        return draft, notes  # keeps the best adapter itself
    every = max(1, values["iters"] // BEST_OF)
    for key in ("save_every", "steps_per_eval"):
        if values[key] > values["iters"] and (key == "save_every" or rows_in(draft, "valid")):
            draft = with_key(draft, key, every, f"was {values[key]:,}, more than the run's iterations")
            notes.append(f"`{key}: {every:,}` instead of {values[key]:,}, so that the best checkpoint can be chosen")
    return draft, notes


REPAIRS = (
    Repair("nothing_trained", "config", "training that was off", _train, (TRAIN_OFF.id,), aborts=True),
    Repair("prompt_trained", "config", "the loss on the prompt", _mask_prompt, ("loss.on_prompt",)),
    Repair("config.lora_scale", "config", "the LoRA scale", _scale, (lora.SCALE.id,)),
    Repair("no_rows", "config", "a batch larger than the data", _batch_size, ("data.fewer_than_batch",), aborts=True),
    Repair("under_trained", "config", "too short a run", _one_epoch),
    Repair("too_many_epochs", "config", "too many epochs", _few_epochs, (run_length.EPOCHS.id,)),
    Repair("nothing_trained", "config", "updates that never came", _accumulation, (run_length.ACCUMULATION.id,)),
    Repair("config.val_batches", "config", "checkpoints", _checkpoints, (run_length.BATCHES.id,), measured=False),
)
RATES = (
    Repair("learning_rate", "config", "the learning rate", _learning_rate, (learning_rate.RATE.id,)),
    Repair("learning_rate", "config", "the schedule", _schedule, (learning_rate.SCHEDULE.id,)),
)
"""After those on the length of the run."""
