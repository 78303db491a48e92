"""The operations database: migrations, engines and leases, on SQLite and on PostgreSQL."""

from __future__ import annotations

import multiprocessing
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from redisu_pipeline.common.opsdb.engine import database_failures, open_engine, reading, shown
from redisu_pipeline.common.opsdb.leases import Holder, acquire, beat, release
from redisu_pipeline.common.opsdb.migrate import ensure_current, migrate, revision
from redisu_pipeline.common.opsdb.schema import HEAD, REVISIONS, leases, metadata
from redisu_pipeline.common.problems import ConfigurationError, Failed

pytest_plugins = ("stores",)

SINCE = datetime(2026, 11, 3, 6, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return sqlite_url(tmp_path) if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def engine(url: str):
    ensure_current(url)
    engine = open_engine(url)
    yield engine
    engine.dispose()


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/data/redisu.db"


def holder(token: str, host: str = "a") -> Holder:
    return Holder(token=token, host=host, pid=1, lock_file="", since=SINCE)


def age(engine: Engine, token: str, seconds: float) -> None:
    """Let the lease of ``token`` have been silent for ``seconds``."""
    with engine.begin() as connection:
        beaten = connection.execute(select(leases.c.beaten_at).where(leases.c.token == token)).scalars().first()
        connection.execute(
            leases.update().where(leases.c.token == token).values(beaten_at=beaten - timedelta(seconds=seconds))
        )


# --- migrations


def test_an_empty_database_is_brought_to_the_newest_revision_and_stays_there(url: str):
    assert revision(url) is None
    ensure_current(url)
    assert revision(url) == HEAD
    ensure_current(url)
    assert revision(url) == HEAD


def test_the_migrations_make_exactly_the_declared_tables(engine: Engine):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_the_listed_revisions_are_alembics():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "redisu_pipeline.common.opsdb:migrations")
    script = ScriptDirectory.from_config(config)
    assert tuple(reversed([step.revision for step in script.walk_revisions()])) == REVISIONS
    assert script.get_current_head() == HEAD


def test_two_processes_at_once_migrate_once(url: str):
    spawn = multiprocessing.get_context("spawn")
    starters = [spawn.Process(target=ensure_current, args=(url,)) for _ in range(2)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()
    assert [starter.exitcode for starter in starters] == [0, 0]
    assert revision(url) == HEAD


def test_a_database_of_a_newer_program_is_refused_in_one_line(engine: Engine, url: str):
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match=f"revision 9999, newer than this program's {HEAD}") as caught:
        ensure_current(url)
    assert "\n" not in str(caught.value)


def make_older(engine: Engine) -> None:
    """The database as the version before this one made it."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "redisu_pipeline.common.opsdb:migrations")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, REVISIONS[-2])


def test_an_older_database_is_refused_until_somebody_says_migrate(url: str):
    engine = open_engine(url)
    make_older(engine)
    message = f"revision {REVISIONS[-2]}, older than this program's {HEAD}; .*: redisu migrate"
    with pytest.raises(ConfigurationError, match=message) as caught:
        ensure_current(url)
    assert "\n" not in str(caught.value)
    assert revision(url) == REVISIONS[-2]
    assert (migrate(url), migrate(url)) == (REVISIONS[-2], HEAD)
    ensure_current(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ConfigurationError, match="newer than this program's"):
        migrate(url)
    engine.dispose()


def test_alembic_is_not_loaded_for_a_current_database(tmp_path: Path):
    url = sqlite_url(tmp_path)
    ensure_current(url)
    code = (
        "import sys; from redisu_pipeline.common.opsdb.migrate import ensure_current\n"
        f"ensure_current({url!r}); print('alembic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


# --- engines


def test_sqlite_survives_a_power_cut_and_takes_the_lock_at_begin(tmp_path: Path):
    engine = open_engine(sqlite_url(tmp_path))
    with engine.begin() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        other = sqlite3.connect(tmp_path / "data/redisu.db", timeout=0)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
        with reading(engine).begin() as reader:  # does not wait for the writer
            assert reader.execute(text("SELECT 1")).scalar() == 1
    engine.dispose()


def test_times_come_back_aware_and_in_utc_whatever_zone_they_had(engine: Engine):
    jerusalem = SINCE.astimezone(timezone(timedelta(hours=2)))
    acquire(engine, {"x": ""}, Holder("t", "a", 1, "", jerusalem), ttl=15)
    with engine.connect() as connection:
        found = connection.execute(select(leases.c.since)).scalar_one()
    assert (found, found.utcoffset()) == (SINCE, timedelta(0))


def test_a_time_without_a_zone_is_not_stored(engine: Engine):
    with pytest.raises(Failed), database_failures("sqlite://"):
        acquire(engine, {"x": ""}, Holder("t", "a", 1, "", SINCE.replace(tzinfo=None)), ttl=15)


@pytest.mark.parametrize(
    "url",
    ["nonsense", "mysql://host/name", "sqlite://", "sqlite:///:memory:", "postgresql+psycopg2://host/name"],
    ids=["nonsense", "mysql", "no-file", "memory", "old-driver"],
)
def test_an_address_that_is_not_supported_is_refused_in_one_line(url: str):
    with pytest.raises(ConfigurationError, match=r"set database\.url to sqlite:///") as caught:
        open_engine(url)
    assert "\n" not in str(caught.value)


def test_a_password_is_never_shown():
    assert shown("postgresql+psycopg://me:secret@host/name") == "postgresql+psycopg://me:***@host/name"


def test_a_statement_that_fails_does_not_tell_its_values(engine: Engine):
    """The service logs such a failure with its traceback, and the values are buyers' names."""
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(text("UPDATE nowhere SET name = :name"), {"name": "Ada Lovelace"})
    assert "UPDATE nowhere" in str(caught.value)
    assert "Lovelace" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_line_without_the_password():
    with pytest.raises(Failed) as caught:
        ensure_current("postgresql+psycopg://me:secret@127.0.0.1:9/name")
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "redisu.db").write_text("this is a text file, and long enough to be looked at as a database header")
    with pytest.raises(ConfigurationError, match="not a database"):
        ensure_current(f"sqlite:///{tmp_path}/redisu.db")


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="cannot be created"):
        open_engine(f"sqlite:///{tmp_path}/file/redisu.db")


# --- leases


def test_a_free_lease_is_taken_and_a_beating_one_refused_with_its_holder(engine: Engine):
    assert acquire(engine, {"us/charges": ""}, holder("one", "a"), ttl=15) is None
    held = acquire(engine, {"us/charges": "", "us/refunds": ""}, holder("two", "b"), ttl=15)
    assert held is not None
    assert (held.name, held.holder.host, held.holder.since) == ("us/charges", "a", SINCE)
    assert 0 <= held.silent_for < 10


def test_of_several_leases_all_are_taken_or_none(engine: Engine):
    acquire(engine, {"b": ""}, holder("one"), ttl=15)
    assert acquire(engine, {"a": "", "b": "", "c": ""}, holder("two"), ttl=15) is not None
    assert acquire(engine, {"a": "", "c": ""}, holder("three"), ttl=15) is None


def test_a_silent_lease_is_taken_over_and_its_holder_finds_out(engine: Engine):
    acquire(engine, {"a": "", "b": ""}, holder("one"), ttl=15)
    age(engine, "one", 16)
    assert acquire(engine, {"a": ""}, holder("two"), ttl=15) is None
    assert beat(engine, "one") == 1
    assert beat(engine, "two") == 1
    release(engine, "one")
    assert beat(engine, "two") == 1


def test_a_heartbeat_keeps_a_lease(engine: Engine):
    acquire(engine, {"a": ""}, holder("one"), ttl=15)
    age(engine, "one", 14)
    assert acquire(engine, {"a": ""}, holder("two"), ttl=15).silent_for > 13
    assert beat(engine, "one") == 1
    age(engine, "one", 14)
    assert acquire(engine, {"a": ""}, holder("two"), ttl=15) is not None


def test_a_lease_whose_file_lock_we_have_belongs_to_a_dead_process_and_is_taken_at_once(engine: Engine):
    acquire(engine, {"a": "host:1:2"}, holder("one"), ttl=15)
    assert acquire(engine, {"a": "host:1:2"}, holder("two"), ttl=15, dead_locks={"host:1:2"}) is None
    assert beat(engine, "one") == 0


def test_a_released_lease_is_free_at_once(engine: Engine):
    acquire(engine, {"a": ""}, holder("one"), ttl=15)
    release(engine, "one")
    assert acquire(engine, {"a": ""}, holder("two"), ttl=15) is None


def test_of_eight_that_ask_at_once_one_gets_the_leases(engine: Engine):
    ready = threading.Barrier(8)

    def take(token: str) -> bool:
        ready.wait()
        return acquire(engine, {"a": "", "b": ""}, holder(token), ttl=15) is None

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(take, "stuvwxyz"))
    assert sorted(taken) == [False] * 7 + [True]
