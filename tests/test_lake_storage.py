"""The lake's files: compare-and-swap, atomic replacement, and refusals in one line, on a folder and on S3."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
import pytest
from obstore.exceptions import PreconditionError

from redisu_pipeline.common.problems import ConfigurationError, Failed, Refusal
from redisu_pipeline.lake import object_storage
from redisu_pipeline.lake.history import keep, purge
from redisu_pipeline.lake.local_storage import LocalStorage
from redisu_pipeline.lake.object_storage import ObjectStorage, open_object_storage
from redisu_pipeline.lake.storage import ABSENT, ANY, Conflict, Entry, Storage, open_storage

pytest_plugins = ("stores",)

FILE = "stripe/invoices/account=us/month=2026-10/data.parquet"
FEW_RETRIES = {"max_retries": 1, "retry_timeout": timedelta(seconds=2)}
REAL_S3 = pytest.param("seaweed_lake", marks=[pytest.mark.seaweed, pytest.mark.long])


@pytest.fixture(params=["folder", "s3_lake", REAL_S3])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "lake") if request.param == "folder" else request.getfixturevalue(request.param)


@pytest.fixture
def storage(uri: str) -> Storage:
    return open_storage(uri)


def built(storage: Storage, data: bytes) -> Path:
    file = storage.scratch() / f"build-{os.urandom(4).hex()}"
    file.write_bytes(data)
    return file


def one_line(refusal: Refusal) -> str:
    (problem,) = refusal.problems
    assert problem.mend
    assert "\n" not in str(refusal)
    return str(refusal)


def test_a_file_that_does_not_exist_has_no_content_no_tag_and_nothing_to_fetch(storage: Storage, tmp_path: Path):
    assert storage.read(FILE) is None
    assert storage.tag(FILE) is None
    assert storage.fetch(FILE, tmp_path) is None
    assert storage.list("") == []
    storage.delete(FILE)


def test_what_was_written_is_read_back_with_its_tag(storage: Storage):
    tag = storage.write(FILE, b"one", expect=ABSENT)
    blob = storage.read(FILE)
    assert blob is not None
    assert (blob.data, blob.tag) == (b"one", tag)
    assert storage.tag(FILE) == tag


def test_creating_a_file_that_exists_is_a_conflict_and_changes_nothing(storage: Storage):
    storage.write(FILE, b"one", expect=ABSENT)
    with pytest.raises(Conflict, match=r"data\.parquet"):
        storage.write(FILE, b"two", expect=ABSENT)
    assert storage.read(FILE).data == b"one"


def test_replacing_with_an_old_tag_is_a_conflict_even_when_the_content_is_the_same(storage: Storage):
    old = storage.write(FILE, b"one", expect=ABSENT)
    new = storage.write(FILE, b"two", expect=old)
    with pytest.raises(Conflict):
        storage.write(FILE, b"two", expect=old)
    assert storage.write(FILE, b"ten", expect=new) == storage.tag(FILE)


def test_replacing_a_file_that_has_gone_is_a_conflict(storage: Storage):
    tag = storage.write(FILE, b"one", expect=ABSENT)
    storage.delete(FILE)
    with pytest.raises(Conflict):
        storage.write(FILE, b"two", expect=tag)
    assert storage.read(FILE) is None


def test_publish_replaces_the_file_and_leaves_nothing_in_the_scratch_folder(storage: Storage, tmp_path: Path):
    first = storage.publish(FILE, built(storage, b"a" * 70_000), expect=ABSENT)
    second = storage.publish(FILE, built(storage, b"b" * 70_000), expect=first)
    with pytest.raises(Conflict):
        storage.publish(FILE, built(storage, b"c"), expect=first)
    file, tag = storage.fetch(FILE, tmp_path)
    assert file.read_bytes() == b"b" * 70_000
    assert tag == second
    assert [entry.path for entry in storage.list("stripe")] == [FILE]
    assert [name for name in os.listdir(storage.scratch()) if not name.startswith(".")] == []


def test_listing_is_by_folder_and_sorted(storage: Storage):
    for path in ("stripe/b/2", "stripe/b/1", "stripe/bb/1", ".staging/x/1"):
        storage.write_scratch(path, b"123")
    assert storage.list("stripe/b") == [Entry("stripe/b/1", 3), Entry("stripe/b/2", 3)]
    assert [e.path for e in storage.list(".staging/x")] == [".staging/x/1"]
    assert {e.path for e in storage.list("")} >= {"stripe/bb/1", "stripe/b/1"}
    storage.delete("stripe/b/1")
    assert storage.list("stripe/b") == [Entry("stripe/b/2", 3)]


def test_a_copy_keeps_the_content_when_the_source_is_replaced(storage: Storage):
    tag = storage.write(FILE, b"one", expect=ABSENT)
    storage.copy(FILE, "_history/kept")
    storage.copy(FILE, "_history/kept")
    storage.write(FILE, b"two", expect=tag)
    assert storage.read("_history/kept").data == b"one"
    with pytest.raises(FileNotFoundError):
        storage.copy("nothing", "_history/other")


def test_a_replaced_file_is_kept_by_its_time_and_hash_until_it_is_purged(storage: Storage):
    storage.write(FILE, b"one", expect=ABSENT)
    early, late = datetime(2026, 10, 1, 12, tzinfo=UTC), datetime(2026, 10, 3, tzinfo=UTC)
    kept = keep(storage, FILE, "ab12cd34" * 8, early)
    assert kept == "_history/stripe/invoices/account=us/month=2026-10/20261001T120000.000000Z-ab12cd34.parquet"
    keep(storage, FILE, "ff" * 32, late)
    assert keep(storage, "stripe/x/none", "ff" * 32, late) is None
    assert purge(storage, "invoices", "us", older_than=late) == 1
    assert [e.path.endswith("-ffffffff.parquet") for e in storage.list("_history")] == [True]


def test_probe_leaves_nothing_behind(storage: Storage):
    storage.probe()
    assert [e for e in storage.list(".staging") if "probe" in e.path] == []


def test_what_a_killed_probe_left_is_removed_by_the_next(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as killed:
        killed.setattr(type(storage), "delete", lambda *_given: None)
        storage.probe()
    assert [e for e in storage.list(".staging") if "probe" in e.path] != []
    storage.probe()
    assert [e for e in storage.list(".staging") if "probe" in e.path] == []


def test_syncs_that_begin_at_once_probe_without_a_fault(storage: Storage):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: storage.probe(), range(40)))
    assert [e for e in storage.list(".staging") if "probe" in e.path] == []


def test_forty_increments_by_four_threads_lose_none(storage: Storage):
    storage.write("counter", b"0", expect=ABSENT)

    def increment(_: int) -> None:
        while True:
            blob = storage.read("counter")
            try:
                storage.write("counter", b"%d" % (int(blob.data) + 1), expect=blob.tag)
                return
            except Conflict:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, range(40)))
    assert storage.read("counter").data == b"40"


def add_rows(uri: str, name: str) -> None:
    storage = open_storage(uri)
    for row in range(10):
        while True:
            blob = storage.read("rows")
            file = storage.scratch() / "rows"
            file.write_bytes((blob.data if blob else b"") + f"{name}{row}\n".encode())
            try:
                storage.publish("rows", file, expect=blob.tag if blob else ABSENT)
                break
            except Conflict:
                continue


def test_two_processes_that_append_by_replacing_lose_no_row(uri: str):
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=add_rows, args=(uri, name)) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    rows = open_storage(uri).read("rows").data.decode().split()
    assert sorted(rows) == sorted(f"{name}{row}" for name in "ab" for row in range(10))


# --- a folder


def test_a_reader_meets_only_whole_files_while_they_are_replaced(tmp_path: Path):
    storage = LocalStorage(str(tmp_path / "lake"))
    storage.write(FILE, b"0" * 100_000, expect=ABSENT)
    stop, odd = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            data = (tmp_path / "lake" / FILE).read_bytes()
            if len(data) != 100_000 or len(set(data)) != 1:
                odd.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    for digit in range(50):
        storage.publish(FILE, built(storage, b"%d" % (digit % 10) * 100_000), expect=ANY)
    stop.set()
    reader.join()
    assert odd == []


def test_a_writer_killed_at_any_moment_leaves_the_old_file_or_the_new_one_whole(tmp_path: Path):
    code = (
        "import sys, itertools; from redisu_pipeline.lake.storage import ANY, open_storage\n"
        "s = open_storage(sys.argv[1])\n"
        "for n in itertools.count():\n"
        "    f = s.scratch() / 'built'; f.write_bytes(b'%d' % (n % 10) * 300_000)\n"
        "    s.publish('t/data.parquet', f, expect=ANY)\n"
        "    if n == int(sys.argv[2]): print('going', flush=True)"
    )
    lake = tmp_path / "lake"
    for before in (0, 3, 17):
        command = [sys.executable, "-c", code, str(lake), str(before)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            process.send_signal(signal.SIGKILL)
        data = (lake / "t/data.parquet").read_bytes()
        assert (len(data), len(set(data))) == (300_000, 1)
        assert [p.name for p in (lake / "t").iterdir()] == ["data.parquet"]
    storage = LocalStorage(str(lake))
    assert [p for p in storage.scratch().parent.iterdir() if p.is_dir()] == [storage.scratch()]


def test_only_the_data_file_ever_stands_in_a_tables_folder(tmp_path: Path):
    storage = LocalStorage(str(tmp_path / "lake"))
    storage.publish(FILE, built(storage, b"x"), expect=ABSENT)
    keep(storage, FILE, "0" * 64, datetime(2026, 10, 1, tzinfo=UTC))
    assert [p.name for p in (tmp_path / "lake/stripe").rglob("*") if p.is_file()] == ["data.parquet"]
    assert sorted(p.name for p in (tmp_path / "lake").iterdir()) == [".locks", ".staging", "_history", "stripe"]


def test_the_scratch_folder_of_a_killed_process_is_removed_by_the_next_and_that_of_a_living_one_is_not(tmp_path: Path):
    code = (
        "import sys, time; from redisu_pipeline.lake.storage import open_storage\n"
        "s = open_storage(sys.argv[1]); f = s.scratch() / 'half'; f.write_bytes(b'x')\n"
        "print(f, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "lake")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        half = Path(process.stdout.readline().strip())
        living = LocalStorage(str(tmp_path / "lake"))
        assert living.scratch() != half.parent
        assert half.exists()
        process.send_signal(signal.SIGKILL)
    other = LocalStorage(str(tmp_path / "lake"))
    mine = other.scratch()
    assert not half.exists()
    assert living.scratch().exists()
    del other
    assert not mine.exists()


@pytest.mark.parametrize("path", ["../outside", "/etc/passwd", "a/../../b", ""], ids=["up", "root", "middle", "none"])
def test_a_path_outside_the_lake_is_refused(tmp_path: Path, path: str):
    with pytest.raises(ValueError, match="inside the lake"):
        LocalStorage(str(tmp_path)).write(path, b"x", expect=ANY)


def test_a_lake_that_is_a_file_is_refused_with_its_name(tmp_path: Path):
    (tmp_path / "lake").write_text("not a folder")
    with pytest.raises(ConfigurationError) as caught:
        open_storage(str(tmp_path / "lake"))
    assert str(tmp_path / "lake") in one_line(caught.value)


@pytest.mark.parametrize("place", ["a-file/lake", "/proc/lake", "/dev/null/lake"], ids=["in-a-file", "proc", "device"])
def test_a_place_where_nothing_can_be_written_is_refused_in_one_line(tmp_path: Path, place: str):
    (tmp_path / "a-file").write_text("x")
    lake = LocalStorage(str(tmp_path / place))
    for attempt in (lake.probe, lake.scratch, lambda: lake.write_scratch("a/b", b"x")):
        with pytest.raises(ConfigurationError) as caught:
            attempt()
        assert place in one_line(caught.value)
        assert caught.value.problems[0].code == "lake_not_writable"


def test_a_lake_by_file_uri_is_the_folder(tmp_path: Path):
    open_storage(f"file://{tmp_path}/my%20lake").write("a", b"x", expect=ABSENT)
    assert (tmp_path / "my lake" / "a").read_bytes() == b"x"


@pytest.mark.parametrize("uri", ["ftp://host/lake", "  ", "s3://"], ids=["ftp", "blank", "no-bucket"])
def test_an_address_that_is_no_place_for_a_lake_is_refused(uri: str):
    with pytest.raises(ConfigurationError) as caught:
        open_storage(uri)
    assert "s3://bucket/path" in one_line(caught.value)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow over 64 kB; Python ignores SIGXFSZ, so writing fails with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_write_that_does_not_fit_fails_in_one_line_and_the_old_file_stays(tmp_path: Path, small_files: None):
    storage = LocalStorage(str(tmp_path / "lake"))
    tag = storage.write(FILE, b"good", expect=ABSENT)
    with pytest.raises(Failed) as caught:
        storage.write(FILE, b"x" * 200_000, expect=tag)
    assert FILE in one_line(caught.value)
    assert storage.read(FILE).data == b"good"
    assert [n for n in os.listdir(storage.scratch()) if n != ".held"] == []


def test_a_full_disk_fails_in_one_line_and_the_old_file_stays(tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small disk needs the right to mount")
    try:
        storage = LocalStorage(str(disk / "lake"))
        tag = storage.write(FILE, b"good", expect=ABSENT)
        with pytest.raises(Failed) as caught:
            storage.write(FILE, os.urandom(1_000_000), expect=tag)
        assert caught.value.problems[0].code == "disk_full"
        assert "free space" in one_line(caught.value)
        assert storage.read(FILE).data == b"good"
        storage.write(FILE, b"better", expect=tag)
        del storage
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


# --- an object store


def test_a_missing_bucket_is_no_empty_lake(s3_lake: str, tmp_path: Path):
    storage = open_storage("s3://no-such-bucket/redisu")
    for attempt in (
        lambda: storage.read(FILE),
        lambda: storage.tag(FILE),
        lambda: storage.fetch(FILE, tmp_path),
        lambda: storage.list("stripe"),
        lambda: storage.write(FILE, b"x", expect=ABSENT),
        lambda: storage.write(FILE, b"x", expect='"tag"'),
        lambda: storage.copy(FILE, "other"),
        storage.probe,
    ):
        with pytest.raises(ConfigurationError) as caught:
            attempt()
        assert "s3://no-such-bucket/redisu" in one_line(caught.value)
        assert "bucket does not exist" in str(caught.value)


def test_a_store_that_is_not_there_is_named_and_nothing_hangs(s3_lake: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    storage = open_object_storage(s3_lake, FEW_RETRIES)
    with pytest.raises(Failed) as caught:
        storage.read(FILE)
    assert s3_lake in one_line(caught.value)
    assert "did not answer" in str(caught.value)


@pytest.mark.seaweed
@pytest.mark.long
def test_a_real_server_tells_a_missing_bucket_from_a_missing_file(seaweed_lake: str):
    assert open_storage(seaweed_lake).read(FILE) is None
    with pytest.raises(ConfigurationError, match="bucket does not exist"):
        open_storage("s3://no-such-bucket/redisu").read(FILE)


def test_refused_credentials_are_one_line_without_the_key():
    text = (
        "The operation lacked the necessary privileges: Server returned non-2xx status code: 403 Forbidden: "
        "<Error><Code>InvalidAccessKeyId</Code><AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>\n\nDebug source: x"
    )
    refusal = object_storage._refusal(PermissionError(text), "s3://b/lake")
    assert isinstance(refusal, ConfigurationError)
    assert "InvalidAccessKeyId" in one_line(refusal)
    assert "AKIASECRET" not in str(refusal)


def test_our_own_write_repeated_after_a_lost_answer_is_no_conflict(s3_lake: str, monkeypatch: pytest.MonkeyPatch):
    """The client sends a PUT again when the connection breaks; the second one meets the first one's ETag."""
    storage = open_storage(s3_lake)
    assert isinstance(storage, ObjectStorage)
    real = obstore.put

    def put_twice(*args: object, **named: object) -> object:
        real(*args, **named)
        return real(*args, **named)  # raises: the first has changed the tag

    tag = storage.write(FILE, b"one", expect=ABSENT)
    monkeypatch.setattr(object_storage.obstore, "put", put_twice)
    new = storage.write(FILE, b"two", expect=tag)
    assert storage.read(FILE).data == b"two"
    assert storage.tag(FILE) == new

    def refused(*args: object, **named: object) -> object:
        raise PreconditionError("somebody else was first")

    monkeypatch.setattr(object_storage.obstore, "put", refused)
    with pytest.raises(Conflict):
        storage.write(FILE, b"two", expect=new)


def test_a_file_over_the_limit_of_one_upload_is_refused(s3_lake: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(object_storage, "LARGEST_PUT", 3)
    storage = open_storage(s3_lake)
    with pytest.raises(Failed, match="more than one conditional upload takes"):
        storage.publish(FILE, built(storage, b"four"), expect=ANY)
    assert storage.read(FILE) is None


@pytest.mark.parametrize(
    "uri", ["gs://bucket/lake", "abfss://box@account.dfs.core.windows.net/lake"], ids=["gcs", "az"]
)
def test_the_other_clouds_open_without_a_network(uri: str):
    assert open_storage(uri).uri("a/b") == f"{uri}/a/b"
