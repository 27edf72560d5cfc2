"""A run's results as tables, the same in the notebook and in the report.

Each function returns (rows, columns, caption) for `render.table`.
"""

from .comparison import archaeology, arms, attribution, claims, differences, left_out, quality, training_formats
from .data import frequent, funnel, key_differences, splits, staged, variants
from .made import contents, costs, durations
from .proof import proof
from .training import adapter, checkpoints, loss_shares, trained
from .writing import ability, generated, regurgitation, style

__all__ = [
    "ability",
    "adapter",
    "archaeology",
    "arms",
    "attribution",
    "checkpoints",
    "claims",
    "contents",
    "costs",
    "differences",
    "durations",
    "frequent",
    "funnel",
    "generated",
    "key_differences",
    "left_out",
    "loss_shares",
    "proof",
    "quality",
    "regurgitation",
    "splits",
    "staged",
    "style",
    "trained",
    "training_formats",
    "variants",
]
