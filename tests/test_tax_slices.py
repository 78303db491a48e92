"""The books in slices tell what they tell as a whole: rows and findings, whatever the number of slices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import world
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import SmallLake, configuration
from tax_lakes import NOW, SINCE, UNTIL, put_sales
from whole_tax import by_jurisdiction, findings_of, tax_books
from world import MakeTown, Town

from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account, load
from redisu_pipeline.lake import reading
from redisu_pipeline.lake.derived import Derivation
from redisu_pipeline.lake.storage import Storage, open_storage
from redisu_pipeline.tax import derive as deriving
from redisu_pipeline.tax import inputs
from redisu_pipeline.tax import rows as tax_rows
from redisu_pipeline.tax.checks import CHECKS, Findings
from redisu_pipeline.tax.inputs import LONG_AGO, read_slices
from redisu_pipeline.tax.model import Books, Finding, JurisdictionRow
from redisu_pipeline.tax.words import SHOWN, lines_of, notes_of

NUMBERS = (2, 3, 7)
MONTHS = [Month(2026, month) for month in range(1, 11)]
ACCOUNTS = ("us", "il")
Told = tuple[dict[Month, list[JurisdictionRow]], list[Finding]]


@pytest.fixture(autouse=True, scope="module")
def _small_batches() -> Iterator[None]:
    """What is read in batches, is: lines and sales stand across them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "AT_ONCE", 3)
        patch.setattr(tax_rows, "AT_ONCE", 2)
        yield


def told(storage: Storage, account: Account, number: int, now: datetime, since: datetime = LONG_AGO) -> Told:
    def slices() -> Iterator[Books]:
        return read_slices(storage, account, since, number=number)

    return by_jurisdiction(slices(), MONTHS), findings_of(slices(), now)


def contents(slices: list[Books]) -> dict[str, Counter[Any]]:
    """Everything that is in some slices, each with how often it is."""
    names = ("invoice_taxes", "refunds", "credit_notes", "credit_note_taxes", "report")
    found: dict[str, Counter[Any]] = {name: Counter(one for s in slices for one in getattr(s, name)) for name in names}
    found["invoices"] = Counter(one for books in slices for one in books.invoices.values())
    found["sales"] = Counter(one for books in slices for one in books.sales.items())
    return found


def account_of(folder: Path) -> Account:
    return load(configuration(folder), {}).account("us")


@settings(max_examples=30)
@given(st.integers(0, 10**9), st.integers(0, 24), st.sampled_from([LONG_AGO, SINCE]))
def test_slices_of_any_sales_tell_what_the_whole_tells(seed: int, sales: int, since: datetime) -> None:
    with TemporaryDirectory() as folder:
        lake, account = SmallLake(Path(folder)), account_of(Path(folder))
        put_sales(lake, Random(seed), sales)
        whole = told(lake.storage, account, 1, NOW, since)
        for number in NUMBERS:
            assert told(lake.storage, account, number, NOW, since) == whole
            slices = list(read_slices(lake.storage, account, since, number=number))
            assert len(slices) == number
            assert contents(slices) == contents([tax_books(lake.storage, account, since)])


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> tuple[Storage, Account]:
    """A lake of so many sales that every check finds something."""
    folder = tmp_path_factory.mktemp("full")
    lake = SmallLake(folder)
    put_sales(lake, Random(1), 150)
    return lake.storage, account_of(folder)


def test_every_check_finds_the_same_in_slices(full: tuple[Storage, Account]) -> None:
    rows, findings = told(*full, 1, NOW)
    assert {one.check for one in findings} == set(CHECKS)
    assert len([row for month in rows.values() for row in month]) > 20
    assert all(told(*full, number, NOW) == (rows, findings) for number in NUMBERS)


@pytest.mark.parametrize("number", [1, *NUMBERS])
def test_what_is_shown_of_findings_says_what_all_of_them_say(full: tuple[Storage, Account], number: int) -> None:
    found = Findings(NOW, CHECKS.values(), SHOWN)
    for books in read_slices(*full, number=number):
        found.add(books)
    assert lines_of(found.summaries()) == notes_of(findings_of([tax_books(*full)], NOW))
    assert all(len(found.of(check)) <= SHOWN or check.name != "report_differs" for check in CHECKS.values())


@pytest.mark.parametrize("number", [1, *NUMBERS])
def test_a_report_row_of_an_unknown_session_is_in_one_slice(full: tuple[Storage, Account], number: int) -> None:
    storage, account = full
    whole = tax_books(storage, account)
    sessions = {row for row in whole.report if row.source_id.startswith("cs_")}
    unknown = {row for row in sessions if row.source_id not in whole.sales}
    assert unknown and sessions - unknown
    slices = list(read_slices(storage, account, number=number))
    assert Counter(row for books in slices for row in books.report if row in sessions) == Counter(sessions)


@pytest.mark.parametrize("number", [1, *NUMBERS])
def test_the_base_of_a_line_takes_all_its_taxes_across_batches(tmp_path: Path, number: int) -> None:
    lake = SmallLake(tmp_path)
    lake.put("tax_transactions", *(printed(sale, level) for level in range(5) for sale in range(4)), complete=UNTIL)
    slices = list(read_slices(lake.storage, account_of(tmp_path), number=number))
    bases = {(row.source_id, row.taxable) for books in slices for row in books.report}
    assert bases == {(f"in_{sale}", 10_000 + sale - 5 * (100 + sale)) for sale in range(4)}


def printed(sale: int, level: int) -> dict[str, Any]:
    return {
        "id": f"taxrow_{sale}_{level}",
        "created": SINCE,
        "transaction_date": SINCE,
        "source_id": f"in_{sale}",
        "line_item_id": "il_1",
        "type": "invoice",
        "currency": "usd",
        "total": 10_000 + sale,
        "tax_amount": 100 + sale,
    }


def test_there_are_as_many_slices_as_the_rows_that_count_need(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake, account = SmallLake(tmp_path), account_of(tmp_path)
    assert len(list(read_slices(lake.storage, account))) == 1
    rows = put_sales(lake, Random(7), 30)
    monkeypatch.setattr(inputs, "SALES_A_SLICE", 10)
    most = max(len(rows["invoices"]), len(rows["tax_transactions"]))
    assert len(list(read_slices(lake.storage, account))) == -(-most // 10)
    assert len(list(read_slices(lake.storage, account, UNTIL + timedelta(days=99)))) == 1


class TestWorlds:
    """Whole worlds: automatic tax and Israel, all returns, sales that the report calls by their sessions."""

    @pytest.fixture
    def town(self, make_town: MakeTown, monkeypatch: pytest.MonkeyPatch) -> Town:
        from dataclasses import replace

        monkeypatch.setattr(world, "US", replace(world.US, tax_report_ids="checkout"))
        town = make_town(accounts=ACCOUNTS, start=date(2026, 1, 1), checkouts=36)
        assert town.sync().problems == ()
        return town

    @pytest.mark.parametrize("account", ACCOUNTS)
    def test_slices_tell_the_same_and_the_files_are_the_same(
        self, town: Town, account: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        storage, settings_ = open_storage(town.settings.lake.uri), town.settings.account(account)
        rows, findings = told(storage, settings_, 1, town.now)
        assert any(row.refunded for month in rows.values() for row in month)
        assert all(told(storage, settings_, number, town.now) == (rows, findings) for number in NUMBERS)

        files = {path: path.read_bytes() for path in (town.lake / "netsuite/tax_by_jurisdiction").rglob("*.parquet")}
        monkeypatch.setattr(inputs, "SALES_A_SLICE", 5)
        monkeypatch.setattr(deriving, "reach", lambda *_: None)
        again = deriving.derive(Derivation(storage, account, "again", town.now, lambda: None), settings_)
        assert again.months == ()
        assert {path: path.read_bytes() for path in files} == files
