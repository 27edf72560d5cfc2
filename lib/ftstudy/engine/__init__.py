"""Makes MLX fast on a Linux CPU. Importing this room switches that on.

Rooms that use MLX import this one first: after MLX itself is imported, a tuned BLAS has no effect.
"""

from . import allocator, blas

allocator.keep_memory()
blas.activate()
