"""How much a config trains: how often each row is seen, what is validated, saved and updated."""

from ...chat_format.rendering import render
from ...configs import study
from .values import say, sound

CHECKS = {
    "config.epochs": ("warning or info", "How often each row is seen, and how many tokens that is."),
    "config.save_every": ("info", "No checkpoint is written before the end."),
    "config.grad_accumulation": ("error or info", "The last iterations end in no update, or none does."),
    "config.val_batches": (
        "warning or info",
        "Each validation sees another part of the rows, or none; or the test at the end sees none.",
    ),
    "config.kept_adapter": ("info", "The adapter that is kept is the last one, which no validation has seen."),
}
MANY_EPOCHS = 20
SAMPLE = 200  # rows whose tokens are counted


def check(inputs) -> list[dict]:
    values = sound(inputs.config)
    if any(values[key] != inputs.config[key] for key in ("iters", "batch_size", "grad_accumulation_steps")):
        return _tested(inputs, values)  # nobody knows what is meant; the value has its own finding
    found = [*_updates(inputs, values), *_saved(inputs, values), *_tested(inputs, values)]
    if inputs.config.get("hf_dataset"):
        return found  # the rows in the folder are then not those of the run
    return [*found, *_validation(inputs, values), *_epochs(inputs, values)]


def _updates(inputs, values) -> list[dict]:
    iters, accumulated = values["iters"], values["grad_accumulation_steps"]
    lost = iters % accumulated
    if not lost:
        return []
    none = iters < accumulated
    return [
        say(
            inputs,
            "config.grad_accumulation",
            "error" if none else "info",
            f"{iters} iterations are fewer than grad_accumulation_steps, {accumulated}: nothing is ever updated"
            if none
            else f"The last {lost} of {iters:,} iterations end in no update",
            [f"iters: {iters}", f"grad_accumulation_steps: {accumulated}"],
            "mlx-lm updates the adapter after every grad_accumulation_steps iterations, and not at the end.",
            f"Make iters a multiple of {accumulated}.",
        )
    ]


def _saved(inputs, values) -> list[dict]:
    if values["save_every"] <= values["iters"]:
        return []
    return [
        say(
            inputs,
            "config.save_every",
            "info",
            f"No checkpoint is written: save_every is {values['save_every']:,}, and there are {values['iters']:,} iterations",
            f"save_every: {values['save_every']}",
            "mlx-lm writes the adapter at the end in any case; a run that stops earlier leaves none.",
            "Lower save_every, if the run is long.",
        )
    ]


def _tested(inputs, values) -> list[dict]:
    asked = values["test_batches"]
    if not inputs.config.get("test") or asked == -1 or asked >= 1:
        return []
    return [
        say(
            inputs,
            "config.val_batches",
            "warning",
            f"With `test_batches: {asked}` nothing is tested, and the loss that is shown is not a number",
            f"test_batches: {asked}",
            "mlx-lm divides by the number of tokens seen, which is 0.",
            "Set test_batches to -1 for all rows, or to a number above 0.",
        )
    ]


def _validation(inputs, values) -> list[dict]:
    asked, batch = values["val_batches"], values["batch_size"]
    rows = len(inputs.splits["valid"].rows) if "valid" in inputs.splits else 0
    if not rows:
        return []
    if asked == -1:
        return _kept(inputs, values)
    if asked < 1:
        return [
            say(
                inputs,
                "config.val_batches",
                "warning",
                f"With `val_batches: {asked}` nothing is validated, and the loss that is shown is not a number",
                f"val_batches: {asked}",
                "mlx-lm divides by the number of tokens seen, which is 0.",
                "Set val_batches to -1 for all rows, or to a number above 0.",
            )
        ]
    return [*_kept(inputs, values), *_drawn(inputs, asked, batch, rows)]


def _kept(inputs, values) -> list[dict]:
    if study(inputs.config):  # keeps the best
        return []
    every = values["steps_per_eval"]
    return [
        say(
            inputs,
            "config.kept_adapter",
            "info",
            f"The adapter of iteration {values['iters']:,} is kept, whichever one was the best",
            [f"iters: {values['iters']}", f"steps_per_eval: {every}", f"save_every: {values['save_every']}"],
            "mlx-lm validates before an iteration's update, and keeps the last adapter: no validation has seen it.",
            "To go back to an earlier one, look at the curve, and take the checkpoint of that iteration."
            if values["save_every"] == every
            else f"To go back to an earlier one, set save_every as steps_per_eval, {every:,}, and look at the curve.",
        )
    ]


def _drawn(inputs, asked: int, batch: int, rows: int) -> list[dict]:
    if asked * batch >= rows // batch * batch or study(inputs.config):  # whose rows are the same every time
        return []
    return [
        say(
            inputs,
            "config.val_batches",
            "info",
            f"Each validation sees {asked * batch:,} of {rows:,} rows, drawn anew every time",
            [f"val_batches: {asked}", f"batch_size: {batch}"],
            "mlx-lm shuffles before each validation, so that two of them are not on the same rows.",
            "Compare only large differences, or set `val_batches: -1` for all rows.",
        )
    ]


def _epochs(inputs, values) -> list[dict]:
    iters, batch = values["iters"], values["batch_size"]
    split = inputs.splits.get("train")
    rows = len(split.rows) if split else 0
    if not rows or rows < batch and not study(inputs.config):  # then mlx-lm can make no batch, and aborts
        return []
    seen, epochs = iters * batch, iters * batch / rows
    tokens = _tokens_a_row(inputs, values["max_seq_length"])
    many = epochs > MANY_EPOCHS
    return [
        say(
            inputs,
            "config.epochs",
            "warning" if many else "info",
            f"Training sees {seen:,} rows, {epochs:,.2f} epochs of {rows:,} rows"
            + (f", about {seen * tokens:,.0f} tokens" if tokens else ""),
            f"{iters:,} iterations × batch_size {batch:,} / {rows:,} rows = {epochs:,.2f} epochs",
            f"A row that is seen more than {MANY_EPOCHS} times is learned by heart."
            if many
            else "mlx-lm counts iterations of one batch each, and knows no epochs.",
            f"For 3 epochs set `iters: {-(-3 * rows // batch)}`, or extract more history."
            if many
            else f"One epoch is {-(-rows // batch):,} iterations.",
        )
    ]


def _tokens_a_row(inputs, longest: int) -> float | None:
    """The mean number of tokens that a row has in training, from rows all over the file; None
    where they cannot be counted."""
    if inputs.model is None:
        return None
    chats = list(inputs.splits["train"].chats())
    try:
        ids = render(chats[:: max(1, len(chats) // SAMPLE)], inputs.tokenizer).ids
    except Exception:  # a tokenizer raises what it likes at odd text, and its faults have their own findings
        return None
    return sum(min(len(row), longest) for row in ids) / len(ids) if ids else None
