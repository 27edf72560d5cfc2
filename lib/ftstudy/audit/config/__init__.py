"""Does the config do what its author thinks? Which keys apply, and what training they lead to.

One module per subject. `values` also says which values mlx-lm can use, and `trainer_keys` which keys it reads.
"""

from ..findings import Finding
from . import keys, learning_rate, lora, paths, study_block, training, values
from .paths import place

__all__ = ["CHECKS", "check", "place"]
SUBJECTS = (keys, study_block, paths, values, lora, learning_rate, training)
CHECKS = tuple(check for subject in SUBJECTS for check in subject.CHECKS)


def check(inputs) -> list[Finding]:
    """Findings on the config itself. `inputs.given` may contain anything that YAML can."""
    return [finding for subject in SUBJECTS for finding in subject.check(inputs)]
