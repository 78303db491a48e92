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
_M_MMAP_THRESHOLD = -3
_M_TRIM_THRESHOLD = -1
_LARGE = 128 * 1024
"""Bytes from which a block is the system's own and goes back when freed. The C library starts with as many, but takes
as its measure the largest block ever freed: pages of half a megabyte then stay and leave holes (610 MB, so 572)."""
_COLLECT_AFTER = 20_000  # new containers: a page has thousands, and hardly any of them is garbage that needs finding


def modest() -> None:
    """Let Arrow use the system's allocator (its own kept a third more), and that one keep few arenas for threads."""
    gc.set_threshold(_COLLECT_AFTER)
    pa.array([])  # Arrow looks for pandas at its first array: a quarter of a second that the first pages would wait for
    pa.set_memory_pool(pa.system_memory_pool())
    gc.freeze()  # what was imported stays: no collection need look at it again
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(_M_ARENA_MAX, _ARENAS)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE)
        library.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE)


def give_back() -> None:
    """Return freed memory to the system: after a landing most of what it took is free, but not given back."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
