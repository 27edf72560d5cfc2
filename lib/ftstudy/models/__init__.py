"""From a model's name to its folder, and from the folder to a loaded model."""

from .. import engine  # noqa: F401  before MLX is imported
# isort: split
