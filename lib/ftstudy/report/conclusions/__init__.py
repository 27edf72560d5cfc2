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

__all__ = [
    "ability",
    "adapter",
    "against_examples",
    "app_known",
    "attribution",
    "audit",
    "checkpoints",
    "claims",
    "comparison",
    "extraction",
    "forced",
    "fusing",
    "gain",
    "heldout",
    "key_differences",
    "left_out",
    "loss_tokens",
    "more",
    "options",
    "prompt_cost",
    "proof",
    "regurgitation",
    "root_cause",
    "rows",
    "staged",
    "stock",
    "stopping",
    "style",
    "termination",
    "training",
    "training_formats",
    "trust",
    "without_training",
]
