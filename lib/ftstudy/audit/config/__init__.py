"""Does the config do what its author thinks? Which keys apply, and what training they lead to.

`ignored_keys`: which keys mlx-lm reads (`mlx_lm_keys` finds them in its source) and which one is meant (`key_aliases`);
`values`: types and ranges; `paths`: what the config points to; `lora`: the adapter's settings; `learning_rate` and
`run_length`: how fast and how long; `memory`: whether it fits this machine; `study_block`: `ftstudy:`.
"""

from ..findings import Finding
from . import ignored_keys, learning_rate, lora, memory, paths, run_length, study_block, values
from .paths import place

__all__ = ["CHECKS", "check", "place"]
SUBJECTS = (ignored_keys, study_block, paths, values, lora, learning_rate, run_length, memory)
CHECKS = tuple(check for subject in SUBJECTS for check in subject.CHECKS)


def check(inputs) -> list[Finding]:
    """Findings on the config itself. `inputs.given` may contain anything that YAML can."""
    return [finding for subject in SUBJECTS for finding in subject.check(inputs)]
