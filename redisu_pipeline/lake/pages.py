"""Page checkpoints: every page read from Stripe is kept under ``.staging/`` until its rows have landed.

A file's name tells what it covers, so that a run cut off at any moment knows what is missing by listing a folder.
A damaged page (power cut) is dropped and read again: a crash costs requests, never rows.
"""

import errno
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa

from redisu_pipeline.common.decoders import decode
from redisu_pipeline.lake.storage import ANY, Storage

OPEN = "open"
NOTE = ""  # no table is called so
_FAST = pa.ipc.IpcWriteOptions(compression="lz4")


@dataclass(frozen=True)
class PageName:
    """What a page holds: unix seconds it covers ``[lo, hi)`` (hi None: to the future), and of its rows' `created`.

    ``number`` grows with the time of reading: of two readings of one object the higher is the newer. ``place`` counts
    the pages of a ``chain`` from 0: each goes on where the one before it ended, in the middle of a second if need be.
    Objects read one by one have no chain (0).
    """

    number: int
    lo: int
    hi: int | None
    oldest: int
    newest: int
    rows: int
    chain: int = 0
    place: int = 0

    def encode(self) -> str:
        hi = OPEN if self.hi is None else self.hi
        rest = f"{self.oldest}_{self.newest}_{self.rows}_{self.chain}_{self.place}"
        return f"{self.number:08d}_{self.lo}_{hi}_{rest}.page"

    @classmethod
    def decode(cls, name: str) -> "PageName":
        """Return the page a file name describes; ValueError for any other file."""
        number, lo, hi, oldest, newest, rows, *place = name.removesuffix(".page").split("_")
        # Written before pages had a place: as if the page before it were lost.
        chain, at = place or ("0", "1")
        ends = int(lo), None if hi == OPEN else int(hi)
        return cls(int(number), *ends, int(oldest), int(newest), int(rows), int(chain), int(at))


class ListingHeader(msgspec.Struct, frozen=True):
    """What a listing set out to do.

    ``events_seq`` and ``events_from`` (unix seconds) are the place in the change feed before its first page was read:
    an event with a higher number, made at or after that second, may tell of a change that the pages do not show.
    """

    listed_from: int
    events_seq: int
    events_from: int
    started: str
    schema: str


class PageStore:
    """The checkpoints of one resource of one account; threads may save at the same time."""

    def __init__(self, storage: Storage, account: str, resource: str) -> None:
        self._storage = storage
        self._folder = f".staging/pages/{account}/{resource}"
        self._lock = threading.Lock()
        self._number = self._chain = 0
        self._pages: list[PageName] = []

    def resume(self, schema: str) -> ListingHeader | None:
        """Return the header of an unfinished listing and take over its pages; drop what can't be used."""
        blob = self._storage.read(f"{self._folder}/listing.json")
        header = None if blob is None else _header(blob.data)
        if header is None or header.schema != schema:
            self.clear()
            return None
        for entry in self._storage.list(self._folder):
            name = entry.path.rsplit("/", 1)[-1]
            if not name.endswith(".page"):
                continue
            page = PageName.decode(name)
            self._number, self._chain = max(self._number, page.number), max(self._chain, page.chain)
            if self._body(page) is not None:
                self._pages.append(page)
        return header

    def begin(self, header: ListingHeader) -> None:
        """Record what is about to be listed, before its first page."""
        self._storage.write(f"{self._folder}/listing.json", msgspec.json.encode(header), expect=ANY)

    def new_chain(self) -> int:
        """Return a number that no chain of pages has yet."""
        with self._lock:
            self._chain += 1
            return self._chain

    @property
    def pages(self) -> list[PageName]:
        with self._lock:
            return sorted(self._pages, key=lambda page: (page.oldest, page.number))

    def save(
        self,
        batches: Mapping[str, pa.RecordBatch],
        lo: int,
        hi: int | None,
        oldest: int,
        newest: int,
        note: bytes = b"",
        place: tuple[int, int] = (0, 0),
    ) -> None:
        """Keep one page; ``lo`` to ``hi`` is the span it covers (equal for objects read one by one).

        ``note`` is what else a later run must know of it; ``notes`` gives it back. ``place`` is its chain, and where
        it stands there.
        """
        rows = next(iter(batches.values())).num_rows
        with self._lock:
            self._number += 1
            page = PageName(self._number, lo, hi, oldest, newest, rows, *place)
        rows_of = {table: _ipc(batch) for table, batch in batches.items() if batch.num_rows}
        body = msgspec.msgpack.encode(rows_of | ({NOTE: note} if note else {}))
        self._storage.write_scratch(f"{self._folder}/{page.encode()}", zlib.crc32(body).to_bytes(4, "big") + body)
        with self._lock:
            self._pages.append(page)

    def load(self, page: PageName) -> dict[str, bytes]:
        """Return each table's rows of ``page`` as an Arrow stream; a table without rows is absent."""
        body = self._body(page)
        if body is None:
            raise OSError(errno.EIO, f"checkpoint {page.encode()} is damaged")
        return body

    def rows(self, pages: Iterable[PageName], table: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yield ``columns`` of the rows of ``table`` in each of ``pages``."""
        for page in pages:
            if stream := self.load(page).get(table):
                yield pa.ipc.open_stream(stream).read_all().select(list(columns))

    def notes(self, pages: Iterable[PageName]) -> Iterator[bytes]:
        """Yield the note of each of ``pages`` that has one."""
        for page in pages:
            if note := self.load(page).get(NOTE):
                yield note

    def holds(self, wanted: Callable[[str, pa.Table], bool]) -> bool:
        """Tell whether any checkpoint has rows that are ``wanted`` (asked with the table's name)."""
        names = [entry.path.rsplit("/", 1)[-1] for entry in self._storage.list(self._folder)]
        for page in (PageName.decode(name) for name in names if name.endswith(".page")):
            for table, stream in (self._body(page) or {}).items():
                if table != NOTE and wanted(table, pa.ipc.open_stream(stream).read_all()):
                    return True
        return False

    def clear(self) -> None:
        """Forget everything: the rows have landed, or cannot be used."""
        for entry in self._storage.list(self._folder):
            self._storage.delete(entry.path)
        self._pages.clear()

    def _body(self, page: PageName) -> dict[str, bytes] | None:
        blob = self._storage.read(f"{self._folder}/{page.encode()}")
        if blob is None or zlib.crc32(blob.data[4:]).to_bytes(4, "big") != blob.data[:4]:
            return None
        return msgspec.msgpack.decode(blob.data[4:], type=dict[str, bytes])


def _header(data: bytes) -> ListingHeader | None:
    try:
        return decode(data, ListingHeader)
    except msgspec.DecodeError:
        return None


def _ipc(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_FAST) as writer:
        writer.write_batch(batch)
    written: bytes = sink.getvalue().to_pybytes()
    return written
