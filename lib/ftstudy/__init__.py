"""What the study's notebooks import. Each module does the one thing its name says."""

from . import blas

# Before anything here imports MLX; afterwards it would have no effect.
blas.activate()
