"""Train one run from a config: audited first, evaluated and saved as it goes, its best checkpoint kept.

    inputs = read("ft_configs/….yaml")
    forced = check_audit(inputs)            # raises if the audit finds errors
    result = train(inputs, metrics_file)    # resumes where a killed run stopped
    save_result(run, result)

    result = take(inputs)                   # instead of the last two: an adapter that exists already

With an `ftstudy:` block in the config the loss covers replies and their end-of-turn tokens only, in every
row; without one, whatever mlx-lm trains. Either way the adapter has mlx-lm's own form.
"""

from .. import engine  # noqa: F401  before MLX is imported

# isort: split

from .existing import counts_tokens, take
from .methods import layers_to_share
from .results import find_result, load_result, remove_result, save_result
from .run import check_audit, is_main_process, read, run_id, summary, train

__all__ = [
    "check_audit",
    "counts_tokens",
    "find_result",
    "is_main_process",
    "layers_to_share",
    "load_result",
    "read",
    "remove_result",
    "run_id",
    "save_result",
    "summary",
    "take",
    "train",
]
