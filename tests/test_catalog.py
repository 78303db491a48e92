"""The generated DDL: DuckDB runs it, and every engine's file names every table and column."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from redisu_pipeline.lake import catalog
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.tables.registry import TABLES
from tests.lakes import SmallLake


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    return SmallLake(tmp_path)


def written(lake: SmallLake, engine: str) -> str:
    return Path(catalog.write_catalog(lake.storage)[engine]).read_text()


def test_duckdb_runs_its_catalogue_and_counts_the_rows_of_every_account(lake: SmallLake) -> None:
    lake.put("charges", {"id": "ch_1", "amount": 5}, {"id": "ch_2", "amount": 6})
    lake.put("charges", {"id": "ch_3", "amount": 7}, account="il")
    with duckdb.connect() as database:
        database.execute(written(lake, "duckdb"))
        rows = database.execute("SELECT account, month, sum(amount) FROM stripe.charges GROUP BY ALL ORDER BY ALL")
        assert rows.fetchall() == [("il", "2026-10", 7), ("us", "2026-10", 11)]


def test_a_table_without_files_is_an_empty_view_with_the_same_columns_as_a_filled_one(lake: SmallLake) -> None:
    def columns() -> list[tuple[str, str]]:
        with duckdb.connect() as database:
            database.execute(written(lake, "duckdb"))
            query = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'tax_rates' ORDER BY 1"
            return database.execute(query).fetchall()

    empty = columns()
    lake.put("tax_rates", {"id": "txr_1"})
    assert columns() == empty
    assert len(empty) == len(schema_of(TABLES["tax_rates"]).names) + 1  # and month, out of the path


def test_every_column_says_in_duckdb_what_it_means(lake: SmallLake) -> None:
    lake.put("charges", {"id": "ch_1"})
    with duckdb.connect() as database:
        database.execute(written(lake, "duckdb"))
        query = "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'stripe' AND comment IS NULL"
        assert database.execute(query).fetchall() == []


@pytest.mark.parametrize("engine", sorted(catalog.ENGINES))
def test_each_engine_gets_every_table_and_every_column(lake: SmallLake, engine: str) -> None:
    text = written(lake, engine)
    for name, table in TABLES.items():
        start = text.index(f"stripe.{name}" + (" AS\n" if engine == "duckdb" else " (\n"))
        statement = text[start : text.index(";\n", start)]
        for column in (*schema_of(table).names, "month"):
            assert any(f"{quote}{column}{quote}" in statement for quote in '"`') or f" {column}" in statement


def test_the_catalogue_is_written_anew_only_when_it_changes(lake: SmallLake) -> None:
    file = Path(catalog.write_catalog(lake.storage)["spark"])
    before = file.stat().st_ino
    catalog.write_catalog(lake.storage)
    assert file.stat().st_ino == before


def test_a_column_type_without_a_name_is_refused(lake: SmallLake) -> None:
    odd = catalog.CatalogTable("stripe", "odd", "Odd.", pa.schema([("id", pa.float64())]), {"id": "odd"})
    with pytest.raises(NotImplementedError, match="double"):
        catalog.write_catalog(lake.storage, [odd])
