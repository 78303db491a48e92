"""JSON decoders for our shapes, made so that threads cannot harm each other.

msgspec looks at a Struct once, when the first decoder for it is made, and lets other threads see what it has found
before it is done: two threads that meet a Struct for the first time together crash the process (msgspec 0.22; the test
of this module shows it). So decoders are made here only, one at a time; using them needs no lock.
"""

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")
_making = threading.Lock()
_made: dict[Any, msgspec.json.Decoder[Any]] = {}


def decoder_of(shape: type[T]) -> msgspec.json.Decoder[T]:
    """Return the decoder of ``shape`` (a Struct, or a list of them …); the same one at every call."""
    known = _made.get(shape)
    if known is None:
        with _making:
            known = _made.setdefault(shape, msgspec.json.Decoder(shape))
    return known


def decode(data: bytes | str, shape: type[T]) -> T:
    """Return ``data`` as ``shape``. Raises msgspec's DecodeError or ValidationError."""
    return decoder_of(shape).decode(data)
