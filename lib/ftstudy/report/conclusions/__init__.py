# ruff: noqa: F401  templates and notebooks take them from here
"""What each result means, in a sentence or two: for the notebooks and the report's summary.

Every function takes results as they are in the run's JSON files and returns plain text.
"""

from .comparison import (
    against_examples,
    claims,
    comparison,
    fusing,
    gain,
    heldout,
    left_out,
    training_formats,
    trust,
    without_training,
)
from .data import audit, extraction, rows, staged
from .prompts import app_known, attribution, key_differences, options, prompt_cost, root_cause, termination
from .proof import proof
from .training import adapter, checkpoints, forced, loss_tokens, more, stock, training
from .writing import ability, regurgitation, stopping, style
