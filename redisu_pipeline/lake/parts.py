"""Rows put aside on disk in parts, equal keys in one part: each row is read once, however many parts there are.

Whoever works part by part holds one part in memory instead of all rows. Which part a key falls into means nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Numbers = npt.NDArray[np.uint64]

WIDTH = 32
"""Bytes at a text's end that its number is made of: there ids differ most."""
FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x27D4EB2F165667C5], np.uint64)
"""Odd and without a pattern: they mix the four words of an end."""
PLACES_A_TEXT = 8
"""Places of a Sieve for each text: about one stranger in nine is taken for one of them."""


def numbers_of(texts: pa.ChunkedArray) -> Numbers:
    """Return a number for each text: equal for equal texts, spread evenly for others. Null counts as empty."""
    found = [_numbers(chunk) for chunk in texts.chunks]
    return np.concatenate(found) if found else np.empty(0, np.uint64)


def _numbers(texts: pa.Array) -> Numbers:
    # Arrow pads texts by their bytes but takes no bytes to pad, and cuts them only by characters.
    ends = pc.binary_slice(pc.fill_null(texts, "").cast(pa.binary()), -WIDTH, None).view(pa.string())
    padded = pc.ascii_lpad(ends, WIDTH)
    words = np.frombuffer(padded.buffers()[2] or b"", np.uint64, count=len(texts) * len(FACTORS))
    mixed: Numbers = (words.reshape(-1, len(FACTORS)) * FACTORS).sum(axis=1, dtype=np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * FACTORS[0]
    return mixed ^ (mixed >> np.uint64(32))


def parts_of(texts: pa.ChunkedArray, parts: int) -> npt.NDArray[np.int64]:
    """Return the part that each key falls into."""
    return (numbers_of(texts) % np.uint64(parts)).astype(np.int64)


class Sieve:
    """Remembers texts by their numbers, eight bytes each: some strangers pass, never is one held back that was added.

    ``expected`` is about how many will be added.
    """

    def __init__(self, expected: int) -> None:
        self._marked = np.zeros(PLACES_A_TEXT * max(expected, 1024), np.bool_)

    def add(self, texts: pa.ChunkedArray) -> None:
        """Let these texts pass from now on."""
        self._marked[self._places(texts)] = True

    def passing(self, texts: pa.ChunkedArray) -> pa.Array:
        """Tell for each text whether it passes."""
        return pa.array(self._marked[self._places(texts)])

    def _places(self, texts: pa.ChunkedArray) -> Numbers:
        return numbers_of(texts) % np.uint64(len(self._marked))


@dataclass(frozen=True)
class Parts:
    """Rows that ``put_aside`` wrote to ``path``; ``batches`` says which batches of the file are each part's."""

    path: Path
    schema: pa.Schema
    batches: tuple[tuple[int, ...], ...]

    def part(self, number: int) -> pa.Table:
        """Return the rows of one part, in the order in which they came."""
        with pa.OSFile(str(self.path)) as file:
            reader = pa.ipc.open_file(file)
            return pa.Table.from_batches([reader.get_batch(batch) for batch in self.batches[number]], self.schema)

    def __bool__(self) -> bool:
        """Whether there are any rows."""
        return any(self.batches)


def put_aside(path: Path, schema: pa.Schema, parts: int, rows: Iterable[tuple[pa.Table, pa.ChunkedArray]]) -> Parts:
    """Write tables of ``schema`` to ``path``, each row into the part that its key falls into."""
    batches: list[list[int]] = [[] for _ in range(parts)]
    written = 0
    with pa.ipc.new_file(str(path), schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        for table, keys in rows:
            for part, piece in _sorted_out(table, keys, parts):
                writer.write_batch(piece)
                batches[part].append(written)
                written += 1
    return Parts(path, schema, tuple(map(tuple, batches)))


def _sorted_out(table: pa.Table, keys: pa.ChunkedArray, parts: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    part_of = parts_of(keys, parts)
    order = np.argsort(part_of, kind="stable")
    ordered = table.take(pa.array(order)).combine_chunks()
    cuts = np.searchsorted(part_of[order], np.arange(parts + 1))
    for part, (low, high) in enumerate(pairwise(cuts)):
        for piece in ordered.slice(low, high - low).to_batches() if high > low else ():
            yield part, piece
