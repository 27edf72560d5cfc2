"""`hf_dataset`: then the run trains on data from a hub, and the folder in `data:` is not read."""

from importlib.util import find_spec

from .values import say, shown_value

CHECKS = {
    "config.hf_dataset": (
        "error or warning",
        "The run trains on `hf_dataset`, which the audit cannot look into, and not on the folder in `data:`.",
    ),
}
WRITE = "Write a block with `path`, or a list of such blocks."


def check(inputs) -> list[dict]:
    asked = inputs.config.get("hf_dataset")
    if not asked:  # mlx-lm asks no more than this
        return []
    blocks = asked if isinstance(asked, list) else [asked]

    def told(check, severity, title, cause, fix):
        return say(inputs, check, severity, title, f"hf_dataset: {shown_value(asked)}", cause, fix)

    if not all(isinstance(block, dict) for block in blocks):
        return [
            told(
                "config.type",
                "error",
                f"`hf_dataset: {shown_value(asked)}` is no block of keys, nor a list of blocks",
                "mlx-lm looks for `path` in each of them, and aborts.",
                WRITE,
            )
        ]
    if not all(isinstance(block.get("path"), str) for block in blocks):
        return [
            told(
                "config.type",
                "error",
                "`hf_dataset` does not say which dataset: it has no `path`, or one that is no text",
                "mlx-lm reads `path` in each block, and aborts.",
                WRITE,
            )
        ]
    there = find_spec("datasets") is not None
    names = ", ".join(shown_value(block["path"]) for block in blocks[:3])
    return [
        told(
            "config.hf_dataset",
            "warning" if there else "error",
            f"The run trains on {names} from a hub, not on the folder in `data:`"
            + ("" if there else "; and the package datasets, which loads it, is not installed"),
            "The audit cannot look into a dataset on a hub: what else it says of rows, loss, splits and prompts is about "
            "the folder in `data:`, which mlx-lm does not read then."
            + ("" if there else " Without the package, mlx-lm aborts after it has loaded the model."),
            "Take hf_dataset out, or save that dataset as train.jsonl, valid.jsonl and test.jsonl, and name their folder "
            "in `data:`." + ("" if there else " To train on it as it is, install datasets."),
        )
    ]
