"""A model's name becomes a folder, and the folder a model."""

from .. import engine  # noqa: F401  before MLX is imported
# isort: split

