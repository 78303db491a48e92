"""The same rules on Spark: every posting, line and file is the one that this machine comes to."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import narwhals as nw
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from lakes import SmallLake
from ledger_truth import Town, synced_town, tree
from paper_books import Paper, in_order, journal
from paper_worlds import COURSES, MONTHS, Shop, worlds
from test_conversion import CONVERSION, conversions

from redisu_pipeline.close import spark_engine
from redisu_pipeline.close.pins import Pins, pin_in_place, pins_of
from redisu_pipeline.close.spark_engine import SparkEngine, session_of, spark_path
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import ConfigurationError, Failed
from redisu_pipeline.common.settings import JournalEngine, Journals, Settings
from redisu_pipeline.journals.books import Books
from redisu_pipeline.journals.conversion import convert, with_converted
from redisu_pipeline.lake.storage import ANY, Storage, open_storage

pytest_plugins = ("stores",)

HERE = importlib.util.find_spec("pyspark") is not None and shutil.which("java") is not None
on_spark = pytest.mark.skipif(not HERE, reason="PySpark (make spark) or Java is not here")
JOURNALS = Journals(engine=JournalEngine.SPARK, spark_master="local[2]")
ON_SPARK = f"""
[journals]
engine = "{JOURNALS.engine}"
spark_master = "{JOURNALS.spark_master}"
"""
CLOSED = {"us": (Month(2026, 8), Month(2026, 9)), "il": (Month(2026, 8),)}  # a month takes Spark half a minute


@pytest.fixture(scope="module")
def engine() -> Iterator[SparkEngine]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")  # few rows: starting is the work
        session = session_of(JOURNALS)
    yield SparkEngine(session, Pins({}, {}, {}, {}), "UTC")
    session.stop()


# -- the whole close ---------------------------------------------------------------------------------------------------


def closed(town: Town) -> dict[str, bytes]:
    """Close months of both accounts, and return all that finance gets."""
    for account, months in CLOSED.items():
        for month in months:
            report = town.close(account, month)  # locking would write the minute of the lock into the report
            assert (report.status, [str(problem) for problem in report.problems]) == ("final", [])
    lines = "netsuite/journal_lines", "netsuite/journal_sources", "netsuite/controls", "exports"
    return tree(town.lake, *lines)


@pytest.mark.long
@pytest.mark.spark
@on_spark
def test_a_close_on_spark_writes_the_very_bytes_of_a_close_on_this_machine(
    engine: SparkEngine, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    """Two accounts, converted payments, refunds, disputes, credit notes, a ratable course; the path is no pattern."""
    files = []
    for name in ("local", "on [spark] *{1}"):
        town = synced_town(tmp_path_factory).copied(tmp_path / name)
        town.configure('name = "Redis for developers"', 'name = "Redis"\nrecognition = "ratable"\naccess_days = 45')
        if name != "local":
            with (town.folder / "redisu.toml").open("a") as toml:
                toml.write(ON_SPARK)
        files.append(closed(town))
    local, spark = files
    assert any("journal_sources" in name for name in local)
    assert list(spark) == list(local)
    assert [name for name in local if local[name] != spark[name]] == []


# -- the rules ---------------------------------------------------------------------------------------------------------

IDS = frozenset(
    "id invoice charge source transaction failure_transaction payment_intent refund credit_note invoice_line product "
    "tax_rate dispute source_id".split()
)


def together(shops: Sequence[Shop]) -> Paper:
    """Return the rows of many shops as one: the ids of each begin with its number."""
    whole = Paper(courses=COURSES)
    for number, shop in enumerate(shops):
        for frame, rows in shop.rows.items():
            for row in rows:
                named = {name: f"{number}-{value}" for name, value in row.items() if name in IDS and value is not None}
                whole.rows.setdefault(frame, []).append({**row, **named})
    return whole


def moved(engine: SparkEngine, books: Books) -> Books:
    """Return books whose frames are Spark's."""
    frames: Mapping[str, Any] = {
        name: nw.from_native(engine.session.createDataFrame(frame.collect().to_arrow()))
        for name, frame in books.frames.items()
    }
    return replace(books, frames=frames, make=engine.make, keep=engine.keep, gather=engine.gather)


@pytest.mark.long
@pytest.mark.spark
@on_spark
def test_every_posting_of_any_shop_is_the_same_on_spark(engine: SparkEngine) -> None:
    """Many random shops as one: several courses an invoice, ratable ones, four currencies, all that goes back."""
    shops: list[Shop] = []

    @seed(20261101)
    @settings(max_examples=25, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(worlds())
    def collect(shop: Shop) -> None:
        shops.append(shop)

    collect()
    paper = together(shops)
    for month in MONTHS:
        books = paper.books(month)
        here, there = journal(books), journal(moved(engine, books))
        assert here[0].totals
        assert there[0].totals == here[0].totals
        assert there[0].blocked == here[0].blocked
        assert there[1].lines == here[1].lines
        assert in_order(there[1]).equals(in_order(here[1]))


@pytest.mark.long
@pytest.mark.spark
@on_spark
def test_a_converted_amount_is_the_exact_product_on_spark_too(engine: SparkEngine) -> None:
    rows: list[tuple[int, int, int, int]] = []

    @seed(20261102)
    @settings(max_examples=500, database=None, phases=[Phase.generate])
    @given(conversions())
    def collect(row: tuple[int, int, int, int]) -> None:
        rows.append(row)

    collect()
    frame = engine.make(dict.fromkeys(("place", *CONVERSION), "int64"), [(at, *row) for at, row in enumerate(rows)])
    found = with_converted(frame, settled="amount").collect("polars").to_polars().sort("place")["settled"].to_list()
    assert found == [convert(*row) for row in rows]


@pytest.mark.long
@pytest.mark.spark
@on_spark
def test_a_number_that_overflows_stops_spark_in_one_line(engine: SparkEngine) -> None:
    frame = engine.make({"amount": "int64"}, [(2**62,)])
    with pytest.raises(Failed) as refused, spark_engine._explained():
        frame.select(nw.col("amount") * 4).collect()
    assert str(refused.value).startswith("journals.engine: Spark gave up: ")
    assert "overflow" in str(refused.value)
    assert "\n" not in str(refused.value)


# -- without Spark -----------------------------------------------------------------------------------------------------


def test_a_missing_extra_is_one_line_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(spark_engine, "importlib", SimpleNamespace(import_module=missing))
    with pytest.raises(
        ConfigurationError, match=r'journals\.engine: is "spark", but PySpark is not installed.*\[spark\]'
    ):
        session_of(JOURNALS)


def test_a_missing_java_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Builder:
        def appName(self, name: str) -> Builder:  # noqa: N802  (Spark's name)
            return self

    session = SimpleNamespace(getActiveSession=lambda: None, builder=Builder())
    fake = SimpleNamespace(import_module=lambda _: SimpleNamespace(SparkSession=session))
    monkeypatch.setattr(spark_engine, "importlib", fake)
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("JAVA_HOME", "PYSPARK_GATEWAY_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigurationError, match="there is no Java here; install Java 17"):
        session_of(JOURNALS)


@pytest.mark.parametrize(
    ("place", "opened"),
    [
        ("/data/lake/a b.parquet", "file:///data/lake/a b.parquet"),
        ("/data/[1]/{x}*?.parquet", r"file:///data/\[1\]/\{x\}\*\?.parquet"),
        ("s3://bucket/stripe/month=2026-10/data.parquet", "s3a://bucket/stripe/month=2026-10/data.parquet"),
        ("gs://bucket/data.parquet", "gs://bucket/data.parquet"),
        ("abfss://c@a.dfs.core.windows.net/data.parquet", "abfss://c@a.dfs.core.windows.net/data.parquet"),
    ],
)
def test_spark_opens_a_file_by_its_name_and_never_as_a_pattern(place: str, opened: str) -> None:
    assert spark_path(place) == opened


def test_an_address_that_spark_does_not_know_is_refused_with_the_one_that_it_does() -> None:
    with pytest.raises(ConfigurationError, match=r"lake\.uri: Spark does not know az://; write abfss://"):
        spark_path("az://container/data.parquet")


# -- a lake in an object store -----------------------------------------------------------------------------------------

PRODUCTS = [{"id": "prod_a", "metadata_course": "redis-101"}, {"id": "prod_b", "metadata_course": "cert-dev"}]
PLACE = "stripe/products/account=us/month=2026-10/data.parquet"


@pytest.fixture
def bucket(s3_lake: str, tmp_path: Path) -> Storage:
    """A lake with two products, in S3."""
    SmallLake(tmp_path).put("products", *({**row, "created": datetime(2026, 10, 3, tzinfo=UTC)} for row in PRODUCTS))
    folder = tmp_path / "lake"
    storage = open_storage(s3_lake)
    for file in (path for path in folder.rglob("*.*") if path.is_file() and path.suffix in (".json", ".parquet")):
        storage.write(file.relative_to(folder).as_posix(), file.read_bytes(), expect=ANY)
    return storage


def test_a_lake_in_a_bucket_is_pinned_without_fetching_and_read_in_place(bucket: Storage) -> None:
    pins = pin_in_place(bucket, "us")
    assert pins.files == {"products": (bucket.uri(PLACE),)}
    assert pins.rows == {"products": 2}
    rows = pins.scan("products").select("id", "metadata_course").sort("id").collect().rows(named=True)
    assert rows == PRODUCTS


def test_a_file_in_a_bucket_that_is_not_the_manifests_is_refused_by_name(bucket: Storage) -> None:
    bucket.write(PLACE, b"something else", expect=ANY)
    with pytest.raises(Failed, match=r"products.*was not written by redisu .its size is not the manifest's.; restore"):
        pin_in_place(bucket, "us")
    bucket.delete(PLACE)
    with pytest.raises(Failed, match=r"products.*is in the manifest but not in the lake; restore"):
        pin_in_place(bucket, "us")


@pytest.mark.parametrize(("engine_", "place"), [(JournalEngine.LOCAL, "/"), (JournalEngine.SPARK, "s3://")])
def test_only_spark_reads_a_bucket_in_place(bucket: Storage, engine_: JournalEngine, place: str) -> None:
    settings_ = cast("Settings", SimpleNamespace(journals=Journals(engine=engine_)))
    assert pins_of(settings_, bucket, "us").files["products"][0].startswith(place)
