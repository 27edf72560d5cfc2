"""The situation of the original report, staged again, and its claims tested."""

from .. import engine  # noqa: F401  before MLX is imported
# isort: split
