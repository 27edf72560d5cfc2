"""The original report's situation, reproduced, and its claims, tested."""

from .. import engine  # noqa: F401  before MLX is imported
# isort: split
