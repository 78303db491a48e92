"""Frames worked out by Spark, for months that have outgrown one machine. PySpark is imported only when asked for.

The lake is read in place: every executor opens the pinned files. Journals come back to the driver as postings;
what follows (lines, sources, controls, exports) is the same code on every engine.
"""

import importlib
import os
import re
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Any

import narwhals as nw
import polars as pl
import pyarrow as pa

from redisu_pipeline.close.books import books_of
from redisu_pipeline.close.pins import Pins
from redisu_pipeline.close.polars_engine import KINDS as POLARS
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import ConfigurationError, Failed, Problem
from redisu_pipeline.common.settings import Account, Journals, Settings
from redisu_pipeline.journals.books import Frame
from redisu_pipeline.journals.derive import Derived, derive
from redisu_pipeline.journals.postings import FEW, POSTING, together
from redisu_pipeline.lake.schemas import ARROW_TYPE, schema_of
from redisu_pipeline.tables.model import Kind
from redisu_pipeline.tables.registry import TABLES

WHERE = "journals.engine"
KINDS: Mapping[str, pa.DataType] = {"string": pa.string(), "int64": pa.int64()}
OURS = {
    # Bars and reports of a process that somebody else looks at are not ours to switch off: only of one we start.
    "spark.ui.showConsoleProgress": "false",
    "spark.ui.enabled": "false",
    "spark.log.level": "ERROR",
    # The postings of a large month are more than the gigabyte that Spark lets come back by default.
    "spark.driver.maxResultSize": "0",
}
"""How a Spark that we start ourselves is set up; one that is there already, by spark-submit or a notebook, is taken."""
SESSION = {"spark.sql.session.timeZone": "UTC", "spark.sql.adaptive.enabled": "true", "spark.sql.ansi.enabled": "true"}
"""What the rules rely on: instants in UTC; a number that overflows is an error and never another number."""
TASKS_PER_CORE = 2
CAUSED, MOST_SAID = "Caused by: ", 300


@dataclass
class SparkEngine:
    """Engine over pinned files; ``timezone`` is that of the books."""

    session: Any
    pins: Pins
    timezone: str
    most_held: int = 0  # a job reads only its columns of the Parquet files, which is cheaper than rows that are held

    def scan(self, table: str) -> Frame:
        """Return a table's rows that exist at Stripe."""
        schema = _spark_schema(self._types, schema_of(TABLES[table]))
        files = [spark_path(place) for place in self.pins.files.get(table, ())]
        if not files:
            return _framed(self.session.createDataFrame([], schema))
        # With a schema, columns that an old file lacks are null.
        rows = self.session.read.schema(schema).parquet(*files)
        return _framed(rows.where(rows["_deleted_at"].isNull()))

    def with_months(self, frame: Frame, **months: str) -> Frame:
        """Add the month of instants in the books' time zone, as a number like 202610."""
        f = self._functions
        local = {name: self._local(column) for name, column in months.items()}
        numbers = {name: f.year(at).cast("long") * 100 + f.month(at) for name, at in local.items()}
        return _framed(frame.to_native().withColumns(numbers))

    def with_days(self, frame: Frame, **days: str) -> Frame:
        """Add the day of instants in the books' time zone, as days since 1970-01-01."""
        f = self._functions
        numbers = {name: f.unix_date(f.to_date(self._local(column))).cast("long") for name, column in days.items()}
        return _framed(frame.to_native().withColumns(numbers))

    def with_e8(self, frame: Frame, **rates: str) -> Frame:
        """Add decimals of eight places × 10^8; Spark multiplies decimals exactly."""
        f = self._functions
        whole = {name: (f.col(column) * 100_000_000).cast("long") for name, column in rates.items()}
        return _framed(frame.to_native().withColumns(whole))

    def exploded(self, frame: Frame, *lists: str) -> Frame:
        """Return a row for each place of ``lists``."""
        f, native = self._functions, frame.to_native()
        others = [column for column in native.columns if column not in lists]
        return _framed(native.select(*others, f.inline(f.arrays_zip(*lists))).select(*native.columns))

    def make(self, columns: Mapping[str, str], rows: Sequence[tuple[Any, ...]]) -> Frame:
        """Return rows as a frame."""
        fields = [(name, KINDS[kind]) for name, kind in columns.items()]
        places = enumerate(fields)
        table = pa.table({name: pa.array([row[place] for row in rows], kind) for place, (name, kind) in places})
        return _framed(self.session.createDataFrame(table, _spark_schema(self._types, table.schema)))

    def keep(self, frame: Frame) -> Frame:
        """Return the frame worked out once: its rows stay with the executors, in memory, or on disk where that is full.

        It forgets how it was made, which `persist` does not: plans that grow with every step took most of the time.
        An executor that is lost costs the derivation, which has written nothing yet.
        """
        return _framed(frame.to_native().localCheckpoint())

    def gather(self, parts: Sequence[Frame]) -> Frame:
        """Return postings as one frame, worked out once."""
        return self.keep(together(parts))

    def _local(self, column: str) -> Any:
        return self._functions.from_utc_timestamp(column, self.timezone)

    @cached_property
    def _functions(self) -> ModuleType:
        return importlib.import_module("pyspark.sql.functions")

    @cached_property
    def _types(self) -> ModuleType:
        return importlib.import_module("pyspark.sql.types")


def derive_on_spark(settings: Settings, account: Account, period: Month, pins: Pins) -> Derived:
    """Return what a month's books come to, derived by Spark; its postings are on this machine.

    Raises ConfigurationError when there is no Spark here, Failed when it gives up.
    """
    with _explained():
        engine = SparkEngine(session_of(settings.journals), pins, account.timezone)
        derived = derive(books_of(engine, settings, account, period, pins))
        postings = derived.postings.select(*POSTING).collect("polars").to_polars()
    schema = {name: pl.Categorical() if name in FEW else POLARS[kind]() for name, kind in POSTING.items()}
    return replace(derived, postings=nw.from_native(postings.cast(pl.Schema(schema)).lazy()))


def session_of(journals: Journals) -> Any:
    """Return a Spark session of our own: on the Spark that this process runs in, or on one that is started now.

    Raises ConfigurationError when PySpark or Java is missing.
    """
    try:
        sql = importlib.import_module("pyspark.sql")
    except ImportError:
        mend = 'install the extra (pip install "redisu[spark]", or make spark), or set journals.engine = "local"'
        problem = Problem("spark_missing", WHERE, 'is "spark", but PySpark is not installed', mend)
        raise ConfigurationError(problem) from None
    builder = sql.SparkSession.builder.appName("redisu")
    if not _runs_already(sql):
        if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
            mend = 'install Java 17 (openjdk-17-jre-headless) or set JAVA_HOME, or set journals.engine = "local"'
            raise ConfigurationError(Problem("java_missing", WHERE, 'is "spark", but there is no Java here', mend))
        builder = builder.config(map=OURS).config("spark.driver.memory", journals.spark_driver_memory)
        if journals.spark_master is not None:
            builder = builder.master(journals.spark_master)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)  # no frame is one
        # A session of our own: a notebook's keeps its settings.
        session = builder.getOrCreate().newSession()
    context = session.sparkContext
    for name, value in SESSION.items():
        session.conf.set(name, value)
    if context.master.startswith("local"):
        session.conf.set("spark.sql.shuffle.partitions", str(context.defaultParallelism * TASKS_PER_CORE))
    return session


def _runs_already(sql: ModuleType) -> bool:
    """Whether this process runs inside a Spark: spark-submit's, a notebook's, or one that we started before."""
    return sql.SparkSession.getActiveSession() is not None or "PYSPARK_GATEWAY_PORT" in os.environ


def spark_path(place: str) -> str:
    """Return a file's place as Spark opens it: nothing in it is a pattern, and S3 goes through Hadoop's S3A."""
    scheme, found, rest = place.partition("://")
    if found and scheme == "az":
        mend = "write abfss://container@account.dfs.core.windows.net/path"
        raise ConfigurationError(Problem("lake_uri", "lake.uri", "Spark does not know az://", mend))
    whole = f"{'s3a' if scheme == 's3' else scheme}://{rest}" if found else f"file://{place}"
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", whole)


def _spark_schema(types: ModuleType, schema: pa.Schema) -> Any:
    kinds = {
        pa.string(): types.StringType(),
        pa.int64(): types.LongType(),
        pa.bool_(): types.BooleanType(),
        ARROW_TYPE[Kind.TIME]: types.TimestampType(),
        ARROW_TYPE[Kind.RATE]: types.DecimalType(18, 8),
        ARROW_TYPE[Kind.TEXTS]: types.ArrayType(types.StringType()),
        ARROW_TYPE[Kind.MINORS]: types.ArrayType(types.LongType()),
    }
    plain = [(one.name, one.type.value_type if pa.types.is_dictionary(one.type) else one.type) for one in schema]
    return types.StructType([types.StructField(name, kinds[kind]) for name, kind in plain])


def _framed(native: Any) -> Frame:
    found: Frame = nw.from_native(native)
    return found


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what Spark says into one line: its traces fill a screen, and the cause stands in their first line."""
    try:
        yield
    except (ConfigurationError, Failed):
        raise
    except Exception as error:
        if not any(of.__module__.startswith(("pyspark.", "py4j.")) for of in type(error).__mro__):
            raise
        mend = "look at Spark's own log (a missing jar, memory, a lost executor); nothing was written"
        raise Failed(Problem("spark_failed", WHERE, f"Spark gave up: {_cause(str(error))}", mend)) from error


def _cause(trace: str) -> str:
    """Return the innermost cause of a trace, or its first line that says anything."""
    lines = [line.strip(" :\t") for line in trace.splitlines() if line.strip(" :\t")]
    causes = [line.removeprefix(CAUSED) for line in lines if line.startswith(CAUSED)]
    telling = [line for line in lines if not line.startswith("An error occurred while calling")]
    return [*telling, *lines, "no reason given"][0][:MOST_SAID] if not causes else causes[-1][:MOST_SAID]
