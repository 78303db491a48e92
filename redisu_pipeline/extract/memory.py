"""Keeping a long sync small: pages live for milliseconds, and the allocators would keep what they needed for them.

Measured on 250,000 rows: see docs/decisions/0003. Where the C library is another one, nothing happens and nothing
breaks; the sync then only takes more memory.
"""

import contextlib
import ctypes
import gc

import pyarrow as pa

_M_ARENA_MAX = -8  # <malloc.h>
_ARENAS = 2
_COLLECT_AFTER = 20_000  # new containers: a page has thousands, and hardly any of them is garbage that needs finding


def modest() -> None:
    """Let Arrow use the system's allocator (its own kept a third more), and that one keep few arenas for threads."""
    gc.set_threshold(_COLLECT_AFTER)
    pa.array([])  # Arrow looks for pandas at its first array: a quarter of a second that the first pages would wait for
    pa.set_memory_pool(pa.system_memory_pool())
    gc.freeze()  # what was imported stays: no collection need look at it again
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def give_back() -> None:
    """Return freed memory to the system: after a landing most of what it took is free, but not given back."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
