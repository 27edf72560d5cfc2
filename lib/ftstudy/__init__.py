"""What the study's notebooks import. Each module does the one thing its name says."""

from . import allocator, blas

# Before anything here imports MLX; afterwards it would have no effect.
allocator.keep_memory()
blas.activate()
