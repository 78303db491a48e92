"""A lake in a folder: whole files whatever is killed, and refusals in one line."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from lake_places import FILE, built, one_line

from redisu_pipeline.common.problems import ConfigurationError, Failed
from redisu_pipeline.lake.history import keep
from redisu_pipeline.lake.local_storage import LocalStorage
from redisu_pipeline.lake.storage import ABSENT, ANY, open_storage

pytest_plugins = ("lake_places",)


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
