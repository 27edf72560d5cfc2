"""What mlx-lm's own dataset classes say to a row, so that nobody has to guess whether training would abort."""

from ..machine_failures import pass_on
from .rendering import described
from .tokens import guarded


def refusal(row: dict, schema: str, features: dict[str, str], tokenizer, mask_prompt: bool) -> str | None:
    """The error with which mlx-lm would abort at a row, or None if it trains on it.

    `schema`: "completion", "chat" or "text"; `features`: the keys of the file's rows, as in `rows.Split`. With
    `mask_prompt` the prompt alone is rendered too. Raises StudyError for a template that never ends.
    """
    from mlx_lm.tuner import datasets

    dataset = {
        "completion": lambda: datasets.CompletionsDataset(
            [], tokenizer, features["prompt"], features["completion"], mask_prompt
        ),
        "chat": lambda: datasets.ChatDataset([], tokenizer, features["chat"], mask_prompt),
        "text": lambda: datasets.TextDataset([], tokenizer, features["text"]),
    }[schema]()
    with guarded(tokenizer):
        try:
            dataset.process(row)
        except Exception as error:  # whatever a template or a tokenizer raises
            pass_on(error)
            return f"mlx-lm: {described(error)}"
    return None
