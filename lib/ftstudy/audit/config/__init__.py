"""Does the config say what its writer thinks it says? Which keys apply, and what training they make.

A module a subject; `values` and `trainer_keys` are what they share: how a value is shown, which
values mlx-lm can use, and which keys it reads.
"""

from . import duplicates, hub_data, keys, learning_rate, lora, places, study_block, training, value_types
from .places import place

__all__ = ["CHECKS", "check", "place"]
SUBJECTS = (keys, study_block, duplicates, places, hub_data, value_types, lora, learning_rate, training)
CHECKS = {name: told for inputs in SUBJECTS for name, told in inputs.CHECKS.items()}


def check(inputs) -> list[dict]:
    """Findings on a config's own content. `subject.given` may hold anything."""
    return [item for about in SUBJECTS for item in about.check(inputs)]
