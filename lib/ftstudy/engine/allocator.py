"""Memory that MLX's CPU backend frees is kept for its next array, where the C library is glibc.

glibc gives large blocks back to the system as they are freed, and every new array then costs a
page fault for each 4 KB: more time than what is computed in it. What a process once used, it keeps.
"""

import ctypes

# mallopt's numbers and our values: one pool for all threads, which may be as large as it gets;
# blocks below 32 MB (the most that glibc takes) come from it; it grows in steps of 64 MB.
SETTINGS = {
    "M_ARENA_MAX": (-8, 1),
    "M_MMAP_THRESHOLD": (-3, 32 << 20),
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),
    "M_TOP_PAD": (-2, 64 << 20),
}


def keep_memory() -> bool:
    """To be called before other threads begin. False where the C library does not know these settings."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all([mallopt(*setting) for setting in SETTINGS.values()])
