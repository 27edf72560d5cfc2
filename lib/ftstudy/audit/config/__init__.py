"""Does the config do what its author thinks? Which keys apply, and what training they lead to.

`keys`: which keys mlx-lm reads (`trainer_keys` finds them in its source); `values`: types and ranges; `paths`: what
the config points to; `lora`: the adapter's settings; `schedule`: how fast and how long; `study_block`: `ftstudy:`.
"""

from ..findings import Finding
from . import keys, lora, paths, schedule, study_block, values
from .paths import place

__all__ = ["CHECKS", "check", "place"]
SUBJECTS = (keys, study_block, paths, values, lora, schedule)
CHECKS = tuple(check for subject in SUBJECTS for check in subject.CHECKS)


def check(inputs) -> list[Finding]:
    """Findings on the config itself. `inputs.given` may contain anything that YAML can."""
    return [finding for subject in SUBJECTS for finding in subject.check(inputs)]
