"""A lake in an object store (S3 and its like, GCS, Azure) through obstore: conditional PUT is the compare-and-swap.

Every PUT is one request, never a multipart upload, because only a whole PUT can carry If-Match / If-None-Match on
every store; hence 5 GB is the largest file. Credentials, region and endpoint come from the cloud's own variables.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import from_url

from redisu_pipeline.common.problems import ConfigurationError, Failed, Problem, Refusal
from redisu_pipeline.lake.local_storage import failures
from redisu_pipeline.lake.scratch import Scratch
from redisu_pipeline.lake.storage import ABSENT, ANY, PROBE, Blob, Conflict, Entry, Expectation

if TYPE_CHECKING:
    from obstore import ObjectMeta, PutMode, PutResult
    from obstore.store import ObjectStore, RetryConfig

LARGEST_PUT: Final = 5 * 1024**3
"""Bytes; S3's limit for one PUT (Azure's is 5,000 MiB)."""

RETRIES: Final[RetryConfig] = {"max_retries": 6, "retry_timeout": timedelta(seconds=120)}

_WRITER: Final = "redisu-write"
"""Metadata naming one write: tells our own PUT, repeated after a lost answer, from another writer's."""

_NO_BUCKET: Final = re.compile(r"NoSuchBucket|ContainerNotFound|bucket does not exist|filesystem does not exist")
_NO_ACCESS: Final = re.compile(
    r"AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|token request|169\.254\.169\.254|"
    r"status code: 40[13]|AuthenticationFailed|AuthorizationFailure"
)
_NO_NETWORK: Final = re.compile(r"error sending request|kind: (Connect|Timeout)|dns error|timed out|after \d+ retries")
_DETAILS: Final = tuple(
    re.compile(pattern)
    for pattern in (r"<Code>(\w+)</Code>", r"status code: (\d{3} [A-Za-z ]+)", r"HTTP error: ([a-z ]+)")
)


class ObjectStorage:
    """`Storage` in a bucket. ``quick`` serves small requests (30 s each), ``bulk`` whole data files (15 min each)."""

    def __init__(self, root: str, quick: ObjectStore, bulk: ObjectStore) -> None:
        self.root = root.rstrip("/")
        self._quick = quick
        self._bulk = bulk
        # GCS compares generations, the others entity tags
        self._by_version = root.startswith("gs:")
        self._bucket_seen = False
        self._scratch: Scratch | None = None
        self._scratch_guard = threading.Lock()

    def uri(self, path: str) -> str:
        return f"{self.root}/{path}"

    def probe(self) -> None:
        self.write(PROBE, b"redisu", expect=ANY)
        self.delete(PROBE)

    def read(self, path: str) -> Blob | None:
        with _answers(self.uri(path)):
            try:
                answer = obstore.get(self._quick, path)
                return Blob(bytes(answer.bytes()), self._tag(answer.meta))
            except FileNotFoundError:
                self._require_bucket()
                return None

    def tag(self, path: str) -> str | None:
        with _answers(self.uri(path)):
            try:
                return self._tag(obstore.head(self._quick, path))
            except FileNotFoundError:
                self._require_bucket()
                return None

    def fetch(self, path: str, into: Path) -> tuple[Path, str] | None:
        name = f"{hashlib.sha256(path.encode()).hexdigest()[:16]}-{Path(path).name}"
        part = into / f"{secrets.token_hex(8)}.part"
        with _answers(self.uri(path)):
            try:
                answer = obstore.get(self._bulk, path)
            except FileNotFoundError:
                self._require_bucket()
                return None
            try:
                with failures(str(into)), open(part, "wb") as file:
                    file.writelines(answer.stream())
                os.replace(part, into / name)
            finally:
                part.unlink(missing_ok=True)
            return into / name, self._tag(answer.meta)

    def write(self, path: str, data: bytes, *, expect: Expectation) -> str:
        return self._put(self._quick, path, data, expect)

    def write_scratch(self, path: str, data: bytes) -> None:
        self._put(self._quick, path, data, ANY)

    def publish(self, path: str, built: Path, *, expect: Expectation) -> str:
        try:
            with failures(str(built)):
                size = built.stat().st_size
            if size > LARGEST_PUT:
                message = f"a file of {size:,} bytes is more than one conditional upload takes ({LARGEST_PUT:,})"
                mend = "tell the maintainers: this table needs a finer partition than a month"
                raise Failed(Problem("file_too_large", self.uri(path), message, mend))
            return self._put(self._bulk, path, built, expect)
        finally:
            built.unlink(missing_ok=True)

    def copy(self, source: str, target: str) -> None:
        with _answers(self.uri(target)):
            try:
                obstore.copy(self._bulk, source, target)
            except FileNotFoundError:
                self._require_bucket()
                raise _NoSource(self.uri(source)) from None

    def list(self, prefix: str) -> list[Entry]:
        with _answers(self.uri(prefix)):
            found = [
                Entry(meta["path"], meta["size"])
                for chunk in obstore.list(self._quick, prefix=prefix or None)
                for meta in chunk
            ]
        return sorted(found, key=lambda entry: entry.path)

    def delete(self, path: str) -> None:
        with _answers(self.uri(path)):
            try:
                obstore.delete(self._quick, path)
            except FileNotFoundError:
                self._require_bucket()

    def scratch(self) -> Path:
        with self._scratch_guard:
            if self._scratch is None:
                builds = Path(tempfile.gettempdir()) / f"redisu-build-{os.getuid()}"
                with failures(str(builds)):
                    builds.mkdir(mode=0o700, exist_ok=True)
                    self._scratch = Scratch(builds)
            return self._scratch.folder

    def _put(self, store: ObjectStore, path: str, content: bytes | Path, expect: Expectation) -> str:
        writer = secrets.token_hex(16)
        with _answers(self.uri(path)):
            try:
                result = obstore.put(
                    store,
                    path,
                    content,
                    attributes={_WRITER: writer},
                    mode=self._mode(expect),
                    use_multipart=False,
                )
            except (AlreadyExistsError, PreconditionError):
                return self._ours(path, writer)
            except FileNotFoundError as error:
                if _NO_BUCKET.search(str(error)) or not isinstance(expect, str):
                    raise
                raise Conflict(self.uri(path)) from None  # it was to be replaced, and is gone
            return self._tag(result)

    def _ours(self, path: str, writer: str) -> str:
        """The tag of ``path`` if it is our own write after all; raises Conflict when it is somebody else's.

        A PUT whose answer was lost is sent again, and then meets itself.
        """
        try:
            found = obstore.get(self._quick, path)
        except FileNotFoundError:
            self._require_bucket()
            raise Conflict(self.uri(path)) from None
        if found.attributes.get(_WRITER) != writer:
            raise Conflict(self.uri(path))
        return self._tag(found.meta)

    def _mode(self, expect: Expectation) -> PutMode:
        if expect is ANY:
            return "overwrite"
        if expect is ABSENT:
            return "create"
        return {"version": expect} if self._by_version else {"e_tag": expect}

    def _tag(self, meta: ObjectMeta | PutResult) -> str:
        tag = meta["version"] if self._by_version else meta["e_tag"]
        if not tag:
            message = "the store answered without an entity tag, so writers cannot be kept apart"
            mend = "use a store with conditional writes (S3, GCS, Azure, MinIO, SeaweedFS)"
            raise ConfigurationError(Problem("lake_no_tags", self.root, message, mend))
        return tag

    def _require_bucket(self) -> None:
        """A missing bucket answers like a missing file, and must not look like an empty lake."""
        if not self._bucket_seen:
            next(iter(obstore.list(self._quick, prefix="_manifest", chunk_size=1)), None)
            self._bucket_seen = True


class _NoSource(FileNotFoundError):
    """A copy without a source: the one missing file that is the caller's to judge."""


def open_object_storage(uri: str, retries: RetryConfig = RETRIES) -> ObjectStorage:
    """The lake in the bucket that ``uri`` names; asks nothing of the network. Raises ConfigurationError."""
    endpoints = (value for name, value in os.environ.items() if name.startswith(("AWS_", "AZURE_", "GOOGLE_")))
    allow_http = any(value.startswith("http://") for value in endpoints)
    with _answers(uri):
        quick, bulk = (
            from_url(
                uri.replace("s3a://", "s3://", 1),
                client_options={"timeout": timedelta(seconds=seconds), "allow_http": allow_http},
                retry_config=retries,
            )
            for seconds in (30, 900)
        )
    return ObjectStorage(uri, quick, bulk)


@contextmanager
def _answers(uri: str) -> Iterator[None]:
    """Turn the store's refusals into one line. The store's own text is not passed on: it may hold key ids."""
    try:
        yield
    except _NoSource:
        raise
    except (BaseError, FileNotFoundError, PermissionError, ValueError) as error:
        raise _refusal(error, uri) from None


def _refusal(error: Exception, uri: str) -> Refusal:
    text = str(error)
    detail = next((found[1].strip() for found in (d.search(text) for d in _DETAILS) if found), type(error).__name__)
    if isinstance(error, FileNotFoundError) or _NO_BUCKET.search(text):
        mend = "create the bucket, or mend lake.uri and the endpoint"
        return ConfigurationError(Problem("lake_bucket_missing", uri, "the bucket does not exist", mend))
    if isinstance(error, PermissionDeniedError | UnauthenticatedError | PermissionError) or _NO_ACCESS.search(text):
        mend = "set credentials that may list, read, write and delete there (AWS_ACCESS_KEY_ID … or the cloud's own)"
        return ConfigurationError(Problem("lake_access_refused", uri, f"access was refused ({detail})", mend))
    if _NO_NETWORK.search(text):
        mend = "check the network and the endpoint, then run again; nothing is lost"
        return Failed(Problem("lake_unreachable", uri, f"the store did not answer ({detail})", mend))
    if "Unable to recognise URL" in text or "builder error" in text:
        mend = "give s3://bucket/path, gs://bucket/path or abfss://container@account.dfs.core.windows.net/path"
        return ConfigurationError(Problem("lake_uri", uri, "is no address of an object store", mend))
    mend = "run again; nothing is lost. If it persists, look at the store's own log"
    return Failed(Problem("lake_unusable", uri, f"the store refused the request ({detail})", mend))
