# ruff: noqa: F401  templates and notebooks take them from here
"""A run's results as tables, the same in the notebook and in the report.

Each function returns (rows, columns, caption) for `render.table`.
"""

from .comparison import archaeology, arms, attribution, claims, differences, left_out, quality, training_formats
from .data import frequent, funnel, key_differences, splits, staged, variants
from .made import contents, costs, durations
from .proof import proof
from .training import adapter, checkpoints, loss_shares, trained
from .writing import ability, generated, regurgitation, style
