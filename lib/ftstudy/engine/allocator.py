"""Keep the memory that MLX's CPU backend frees for its next array, where the C library is glibc.

glibc returns large blocks to the system when they are freed. Every new array then costs a page fault for each
4 KB, which takes longer than the computation. With these settings the process keeps what it once used.
"""

import ctypes

# mallopt's numbers and our values: one pool of unlimited size for all threads, for blocks below 32 MB
# (glibc's maximum), which grows in steps of 64 MB.
SETTINGS = {
    "M_ARENA_MAX": (-8, 1),
    "M_MMAP_THRESHOLD": (-3, 32 << 20),
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 64 << 20),
}


def keep_memory() -> bool:
    """Call it before other threads start. Returns False if the C library doesn't know these settings."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all([mallopt(*setting) for setting in SETTINGS.values()])
