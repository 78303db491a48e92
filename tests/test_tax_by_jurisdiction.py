"""Tax by jurisdiction equals the stand-in's double-entry truth, month by month, whichever source tells of it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from tax_truth import held_of, rows_of, truth_of
from world import MakeTown, Town

from redisu_pipeline.common.reports import SyncReport

MONTHS = ("2026-01", "2026-02", "2026-03")
ACCOUNTS = ("us", "il")


def wide(make_town: MakeTown, **options: Any) -> Town:
    """Three months of two accounts: automatic tax, Israel, exempt, reverse charge, inclusive prices, all returns."""
    return make_town(accounts=ACCOUNTS, start=date(2026, 1, 1), checkouts=36, **options)


def differences(town: Town, months: tuple[str, ...] = MONTHS) -> dict[tuple[str, str], Any]:
    found = {}
    for account in ACCOUNTS:
        for month in months:
            truth, held = truth_of(town, account, month), held_of(town, account, month)
            wrong = {key: (truth.get(key), held.get(key)) for key in truth | held if truth.get(key) != held.get(key)}
            if wrong:
                found[account, month] = wrong
    return found


def clean(report: SyncReport) -> SyncReport:
    assert report.problems == ()
    return report


def test_every_month_equals_the_truth_now_and_when_time_has_passed(make_town: MakeTown) -> None:
    town = wide(make_town)
    clean(town.sync())
    assert differences(town) == {}
    town.advance(days=25)
    clean(town.sync())
    months = (*MONTHS, "2026-04")
    assert differences(town, months) == {}
    kinds = {(row["tax_type"], row["currency"]) for month in months for row in rows_of(town, "us", month)}
    assert {("sales_tax", "usd"), ("vat", "eur"), ("jct", "jpy")} <= kinds
    assert any(row["refunded"] for month in months for row in rows_of(town, "us", month))
    assert any(row["refunded"] for month in months for row in rows_of(town, "il", month))


def test_where_the_key_gets_no_report_the_invoices_tell_all_of_it(make_town: MakeTown) -> None:
    town = wide(make_town, livemode=False)
    clean(town.sync())
    town.advance(days=12)
    clean(town.sync())
    assert differences(town, (*MONTHS, "2026-04")) == {}
    rows = [row for account in ACCOUNTS for month in MONTHS for row in rows_of(town, account, month)]
    assert {(row["source"], row["complete"]) for row in rows} == {("invoice", True)}


def test_a_month_that_the_report_has_not_reached_says_so_until_it_has(make_town: MakeTown) -> None:
    town = wide(make_town)
    clean(town.sync())
    for month in MONTHS[:2]:  # never both
        assert {row["source"] for row in rows_of(town, "us", month)} == {"report"}
        assert {row["source"] for row in rows_of(town, "il", month)} == {"invoice"}
    until = datetime(2026, 3, 19, 12, tzinfo=UTC)
    march = rows_of(town, "us", "2026-03")
    assert {(row["complete"], row["complete_until"]) for row in march} == {(False, until)}
    assert {row["source"] for row in march} == {"report", "invoice"}  # what is newer stands there provisionally
    february = rows_of(town, "us", "2026-02")
    assert {(row["complete"], row["complete_until"]) for row in february} == {(True, datetime(2026, 3, 1, tzinfo=UTC))}

    before = town.store().all("reporting.report_run")[-1]["parameters"]
    town.advance(days=13)
    report = clean(town.sync())
    after = town.store().all("reporting.report_run")[-1]["parameters"]
    assert after["interval_start"] == before["interval_end"] - 3 * 86_400  # what was complete is not read again
    march = rows_of(town, "us", "2026-03")
    assert {(row["source"], row["complete"]) for row in march} == {("report", True)}
    assert set(report.accounts["us"].tax_months) <= {"2026-03", "2026-04"}
    assert differences(town, (*MONTHS, "2026-04")) == {}


def test_nothing_new_writes_nothing_and_the_same_sources_give_the_same_bytes(make_town: MakeTown) -> None:
    town = make_town(accounts=ACCOUNTS)
    clean(town.sync())
    table = town.lake / "netsuite/tax_by_jurisdiction"
    files = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in table.glob("*/month=2026-02/data.parquet")}
    assert len(files) == 2
    town.advance(hours=1)
    clean(town.sync())
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files} == files
    for path in (*files, *(town.lake / "_manifest/netsuite/tax_by_jurisdiction").iterdir()):
        path.unlink()
    clean(town.sync())
    assert {path: path.read_bytes() for path in files} == {path: content for path, (_, content) in files.items()}


def test_the_books_zone_cuts_the_month(make_town: MakeTown) -> None:
    town = make_town(accounts=ACCOUNTS, checkouts=30)
    town.config.write_text(town.config.read_text().replace("\ntax =", '\ntimezone = "Asia/Tokyo"\ntax ='))
    clean(town.sync())
    midnight = int(datetime(2026, 2, 28, 15, tzinfo=UTC).timestamp())  # in Tokyo
    sold = {"2026-02": 0, "2026-03": 0}
    for invoice in town.store("il").all("invoice"):
        if invoice["status"] == "paid":
            sold["2026-02" if invoice["effective_at"] < midnight else "2026-03"] += sum(
                tax["amount"] for tax in invoice["total_taxes"]
            )
    undone = {"credit_note_voided", "refund_failed"}
    assert not [entry for entry in town.sandbox.world.shops["il"].ledger.entries if entry.event in undone]
    assert {month: int(100 * sum(row["collected"] for row in rows_of(town, "il", month))) for month in sold} == sold
    assert sum(sold.values()) > 0


@pytest.mark.long
def test_the_report_may_call_a_sale_by_its_session(make_town: MakeTown, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    import world

    monkeypatch.setattr(world, "US", replace(world.US, tax_report_ids="checkout"))
    town = make_town(start=date(2026, 2, 1), checkouts=40)
    clean(town.sync())
    assert all(truth_of(town, "us", month) == held_of(town, "us", month) for month in ("2026-02", "2026-03"))


@pytest.mark.long
def test_the_report_type_of_2026_tells_the_same(make_town: MakeTown) -> None:
    town = make_town(checkouts=30)
    clean(town.sync())
    before = {month: rows_of(town, "us", month) for month in ("2026-02", "2026-03")}
    town.config.write_text(town.config.read_text() + '\n[tax]\nreport_type = "tax.itemized_export.1"\n')
    clean(town.sync())
    assert {month: rows_of(town, "us", month) for month in before} == before
    assert {row["tax_type"] is None for row in town.held("tax_transactions").values()} == {False}
    assert all(truth_of(town, "us", month) == held_of(town, "us", month) for month in before)


class TestTaxRatesOnTaxes:
    def test_every_tax_says_whose_it_is(self, make_town: MakeTown) -> None:
        town = make_town(accounts=("us", "il"))
        clean(town.sync())
        for account in ("us", "il"):
            rows = town.held("invoice_taxes", account)
            assert all(row["country"] and row["tax_type"] and row["percentage"] is not None for row in rows.values())
        assert {row["state"] for row in town.held("invoice_taxes", "us").values()} >= {"NY", None}

    def test_a_rate_that_arrives_later_is_filled_in(self, make_town: MakeTown) -> None:
        town = make_town()
        store = town.store()
        late = store.all("tax_rate")
        for rate in late:
            store.remove("tax_rate", rate["id"])
        clean(town.sync(tables=["invoices"]))
        rows = town.held("invoice_taxes").values()
        assert rows and all(row["country"] is None for row in rows)
        for rate in late:
            store.put(rate)
            store.emit("tax_rate.created", rate)
        clean(town.sync())
        rows = town.held("invoice_taxes").values()
        assert all(row["country"] and row["percentage"] is not None for row in rows)

    def test_a_rate_that_is_changed_at_stripe_is_changed_on_its_taxes(self, make_town: MakeTown) -> None:
        town = make_town()
        clean(town.sync())
        (rate,) = {r["tax_rate"] for r in town.held("invoice_taxes").values() if r["jurisdiction"] == "Chicago"}
        store = town.store()
        store.change("tax_rate", rate, jurisdiction="City of Chicago")
        store.emit("tax_rate.updated", store.get("tax_rate", rate))
        town.advance(minutes=1)
        clean(town.sync())
        changed = {r["jurisdiction"] for r in town.held("invoice_taxes").values() if r["tax_rate"] == rate}
        assert changed == {"City of Chicago"}
        assert town.differences() == []
