"""`redisu close` and `redisu compare`, as finance uses them: what they answer, when they refuse, what a lock means."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from answers import Answer
from rich.console import Console
from small_books import MONTHS, SmallBooks

from redisu_pipeline.close.run import close
from redisu_pipeline.close.stored import Stored
from redisu_pipeline.close.terminal import step_by_step
from redisu_pipeline.common.periods import Month

CONTROL = [
    "control",
    "currency",
    "scope",
    "description",
    "unit",
    "left_amount",
    "right_amount",
    "difference",
    "tolerance",
    "blocking",
    "status",
    "detail",
]
EXPORTS = [
    "close_report.html",
    "journal_entries.csv",
    "journal_entries.json",
    "journal_entries.xlsx",
    "journal_lines.parquet",
]
NO_RATE = ('base_currency = "USD"', 'base_currency = "EUR"')
"""The subsidiary keeps its books in euros, and nobody gave a rate for dollars: C18 and the month are blocked."""


@pytest.fixture(scope="module")
def closed(synced_books: SmallBooks, tmp_path_factory: pytest.TempPathFactory) -> tuple[SmallBooks, Answer]:
    """August is closed, not locked; with what the command answered."""
    books = synced_books.copy(tmp_path_factory.mktemp("closed") / "town")
    return books, books.close(MONTHS[0])


@pytest.fixture
def books(synced_books: SmallBooks, tmp_path: Path) -> SmallBooks:
    """Synced, and nothing closed yet."""
    return synced_books.copy(tmp_path / "town")


@pytest.fixture
def august(closed: tuple[SmallBooks, Answer], tmp_path: Path) -> SmallBooks:
    """The same with August closed."""
    return closed[0].copy(tmp_path / "town")


def problem_of(answer: Answer, code: int, name: str) -> dict[str, str]:
    """Return the only problem of a command that refused."""
    assert (answer.code, answer.codes) == (code, [name]), answer.stdout + answer.stderr
    assert len(answer.lines) == 1
    said: dict[str, str] = answer.json["problems"][0]
    return said


def status(books: SmallBooks, month: str) -> str | None:
    state = Stored(books.storage, "us").states().get(Month.parse(month))
    return state.status if state else None


# -- what it answers --------------------------------------------------------------------------------------------------


def test_a_month_closes_to_one_json_object_of_the_promised_fields(closed: tuple[SmallBooks, Answer]) -> None:
    books, answer = closed
    said = answer.json
    assert (answer.code, said["ok"], said["problems"]) == (0, True, [])
    promised = ["command", "ok", "problems", "account", "month", "status", "version"]
    assert list(said) == [*promised, "controls", "trial_balance", "exports", "changed"]
    assert (said["command"], said["account"], said["month"], said["status"]) == ("close", "us", "2026-08", "final")
    assert (said["version"], said["changed"]) == (1, True)
    assert all(list(row) == CONTROL for row in said["controls"])
    assert {row["control"] for row in said["controls"]} >= {f"C{number}" for number in range(1, 26)}
    assert not [row for row in said["controls"] if row["status"] == "fail"]
    assert sorted(said["exports"]) == EXPORTS
    for name, uri in said["exports"].items():
        assert Path(uri).parent == books.lake / "exports/netsuite/us/2026-08"
        assert Path(uri).name == name
        assert Path(uri).stat().st_size > 0


def test_a_close_forgets_what_it_replaced_longer_ago_than_the_history_reaches(books: SmallBooks) -> None:
    """A month is derived again whenever something changes: without an end to it the history would outgrow the lake."""
    tables = ("netsuite/journal_lines", "netsuite/journal_sources", "netsuite/controls", "netsuite/periods")
    kept = [
        books.lake / "_history" / table / "account=us/month=2026-08" / f"{stamp}T060000.000000Z-0123abcd.parquet"
        for table in (*tables, "stripe/payout_transactions", "stripe/balance_reports")
        for stamp in ("20260101", "20261001")
    ]
    for file in kept:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert books.close(MONTHS[0]).code == 0
    assert {file.name[:8] for file in kept if file.exists()} == {"20261001"}
    assert sum(file.exists() for file in kept) == 6


def test_the_trial_balance_is_text_in_major_units_and_sums_to_nothing(closed: tuple[SmallBooks, Answer]) -> None:
    rows = closed[1].json["trial_balance"]
    assert "4000" in {row["gl_account"] for row in rows}
    for row in rows:
        opening, debit, credit, closing = (Decimal(row[name]) for name in ("opening", "debit", "credit", "closing"))
        assert opening + debit - credit == closing
        assert Decimal(row["closing"]).as_tuple().exponent == -2
    for name in ("opening", "closing"):
        assert sum(Decimal(row[name]) for row in rows) == 0


def test_a_person_sees_the_balance_every_control_and_where_the_files_are(closed: tuple[SmallBooks, Answer]) -> None:
    books, first = closed
    shown = books.redisu("close", "--account", "us", "--month", "2026-08", json=False)
    assert (shown.code, shown.stderr) == (0, "")
    lines = shown.stdout.splitlines()
    assert lines[0] == "us 2026-08 is final"
    assert "trial balance USD" in shown.stdout
    assert len([line for line in lines if line.startswith("C") and " USD " in f"{line} "]) >= 15
    assert {line.strip() for line in lines} >= set(first.json["exports"].values())


def test_closing_twice_changes_no_file_at_all(august: SmallBooks) -> None:
    before = august.files()
    answer = august.close("2026-08")
    assert (answer.code, answer.json["changed"]) == (0, False)
    assert august.files() == before


def test_the_catalogue_of_the_lake_names_the_tables_that_the_close_filled(august: SmallBooks) -> None:
    text = (august.lake / "catalog/duckdb.sql").read_text()
    for table in ("journal_lines", "journal_sources", "controls", "periods", "tax_by_jurisdiction"):
        start = text.index(f"CREATE OR REPLACE VIEW netsuite.{table} AS")
        assert "read_parquet" in text[start : text.index(";", start)]


# -- when it refuses --------------------------------------------------------------------------------------------------


def test_a_month_is_refused_while_the_one_before_is_not_final(books: SmallBooks) -> None:
    said = problem_of(books.close("2026-09"), 1, "earlier_month")
    assert said["where"] == "us 2026-09"
    assert said["mend"] == "redisu close --account us --month 2026-08"


@pytest.mark.parametrize(
    ("month", "code"),
    [("2026-13", "usage"), ("August", "usage"), ("2026-07", "before_start"), ("2026-12", "future_month")],
)
def test_a_month_that_has_no_books_is_a_usage_error(closed: tuple[SmallBooks, Answer], month: str, code: str) -> None:
    problem_of(closed[0].close(month), 2, code)


def test_an_unknown_account_is_a_usage_error(closed: tuple[SmallBooks, Answer]) -> None:
    answer = closed[0].close("2026-08", account="fr")
    assert answer.code == 2
    assert "fr" in answer.json["problems"][0]["where"] + answer.json["problems"][0]["message"]


def test_a_name_without_a_lock_is_a_usage_error(closed: tuple[SmallBooks, Answer]) -> None:
    said = problem_of(closed[0].close("2026-08", "--by", "Ada"), 2, "usage")
    assert said["where"] == "--by"


@pytest.mark.parametrize("name", ["", "  "])
def test_a_lock_in_nobodys_name_is_a_usage_error(august: SmallBooks, name: str) -> None:
    said = problem_of(august.close("2026-08", "--lock", "--by", name), 2, "usage")
    assert said["where"] == "--by"
    assert august.close("2026-08").json["status"] == "final"


def test_a_control_that_breaks_keeps_the_month_open_and_exits_1_with_its_line(books: SmallBooks) -> None:
    books.configure(*NO_RATE)
    answer = books.close("2026-08")
    assert answer.code == 1
    assert answer.json["status"] == "open"
    assert "control_failed" in answer.codes
    failed = [row for row in answer.json["controls"] if row["status"] == "fail"]
    assert {row["control"] for row in failed} == {"C18"}
    assert all("Traceback" not in line for line in answer.lines)
    assert any(line.startswith("us 2026-08: control C18") for line in answer.lines)
    shown = books.redisu("close", "--account", "us", "--month", "2026-08", json=False)
    assert "exports (DRAFT: nobody may import them yet)" in shown.stdout
    assert "DRAFT" in (books.lake / "exports/netsuite/us/2026-08/close_report.html").read_text()
    locked = books.close("2026-08", "--lock", "--by", "Ada")
    assert (locked.code, locked.json["status"]) == (1, "open")
    assert "not_final" in locked.codes


def test_a_lake_file_that_was_edited_by_hand_is_refused_by_name(august: SmallBooks) -> None:
    file = august.lake / "stripe/charges/account=us/month=2026-08/data.parquet"
    file.write_bytes(file.read_bytes() + b" ")
    assert str(file) in problem_of(august.close("2026-08"), 1, "foreign_file")["where"]


# -- locking ----------------------------------------------------------------------------------------------------------


def test_a_lock_names_who_did_it_and_a_locked_month_never_changes(august: SmallBooks) -> None:
    answer = august.close("2026-08", "--lock", "--by", "Ada Lovelace")
    assert (answer.code, answer.json["status"]) == (0, "locked")
    before = august.files("netsuite") | august.files("exports")
    august.configure('name = "Redis for developers"', 'name = "Another name"')
    again = august.close("2026-08")
    assert (again.code, again.json["status"], again.json["changed"]) == (0, "locked", False)
    assert "by Ada Lovelace: it never changes" in again.json["notes"][0]
    assert again.json["controls"] == answer.json["controls"]
    assert again.json["trial_balance"] == answer.json["trial_balance"]
    assert sorted(again.json["exports"]) == EXPORTS
    assert august.files("netsuite") | august.files("exports") == before


def test_a_lock_without_a_name_is_in_the_name_of_this_machines_user(
    august: SmallBooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "somebody")
    assert august.close("2026-08", "--lock").code == 0
    assert Stored(august.storage, "us").states()[Month(2026, 8)].locked_by == "somebody"


def test_a_month_is_not_locked_before_the_one_before_it(august: SmallBooks) -> None:
    answer = august.close("2026-09", "--lock", "--by", "Ada")
    assert (answer.code, answer.codes, answer.json["status"]) == (1, ["earlier_month"], "final")
    assert answer.json["problems"][0]["mend"] == "redisu close --account us --month 2026-08 --lock"
    assert (status(august, "2026-08"), status(august, "2026-09")) == ("final", "final")


# -- compare ----------------------------------------------------------------------------------------------------------


def old_report(books: SmallBooks, change: Callable[[dict[str, Decimal]], None] = lambda nets: None) -> str:
    """Return a file as finance made it by hand: the journals' own movements, changed by ``change``."""
    nets: dict[str, Decimal] = defaultdict(Decimal)
    exported = books.lake / "exports/netsuite/us/2026-08/journal_entries.csv"
    assert exported.exists()
    for line in Stored(books.storage, "us").lines()[Month(2026, 8)]:
        nets[line.gl_account] += line.amount
    change(nets)
    text = io.StringIO()
    csv.writer(text).writerows([("Account", "Net"), *((number, str(net)) for number, net in nets.items())])
    file = books.folder / "old.csv"
    file.write_text(text.getvalue())
    return str(file)


def compared(books: SmallBooks, file: str) -> Answer:
    return books.redisu("compare", "--account", "us", "--month", "2026-08", "--file", file)


def test_an_old_report_that_agrees_ends_with_0(august: SmallBooks) -> None:
    answer = compared(august, old_report(august))
    assert (answer.code, answer.json["ok"], answer.json["differences"]) == (0, True, [])


def test_a_sale_that_the_old_report_lacks_is_named_by_its_stripe_id(august: SmallBooks) -> None:
    rows = Stored(august.storage, "us").sources([Month(2026, 8)])
    lines = Stored(august.storage, "us").lines()[Month(2026, 8)]
    revenue = next(line for line in lines if line.gl_role == "revenue")
    found = rows.filter((rows["external_id"] == revenue.external_id) & (rows["line"] == revenue.line))
    missing: dict[str, Any] = found.row(0, named=True)

    def without(nets: dict[str, Decimal]) -> None:
        nets[revenue.gl_account] -= Decimal(missing["amount_minor"]) / 100

    file = old_report(august, without)
    answer = compared(august, file)
    assert (answer.code, answer.codes) == (1, ["differences"])
    (difference,) = answer.json["differences"]
    assert (difference["account"], difference["fit"]) == (revenue.gl_account, "one")
    assert difference["difference"] == f"{Decimal(missing['amount_minor']) / 100:.2f}"  # as a close writes it
    assert missing["source_id"] in {source["source_id"] for source in difference["sources"]}
    shown = august.redisu("compare", "--account", "us", "--month", "2026-08", "--file", file, json=False)
    assert missing["source_id"] in shown.stdout or "of 5" in shown.stdout
    assert shown.stderr.count("\n") == 1


def test_compare_refuses_a_month_that_was_never_closed_and_a_file_that_is_not_there(august: SmallBooks) -> None:
    file = old_report(august)
    answer = august.redisu("compare", "--account", "us", "--month", "2026-09", "--file", file)
    assert problem_of(answer, 1, "not_closed")["mend"] == "redisu close --account us --month 2026-09"
    problem_of(compared(august, str(august.folder / "nowhere.csv")), 2, "no_file")


def test_the_answer_holds_no_key(closed: tuple[SmallBooks, Answer]) -> None:
    books, answer = closed
    text = json.dumps(answer.json) + answer.stderr
    assert not [key for key in books.town.environ.values() if key in text]


# -- progress ---------------------------------------------------------------------------------------------------------


def test_a_close_tells_what_it_is_doing(books: SmallBooks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDISU_NOW", books.environ["REDISU_NOW"])
    told: list[str] = []
    close(books.settings, books.environ, "us", "2026-08", tell=told.append)
    assert [words.removeprefix("us 2026-08: ") for words in told] == [
        "Stripe's own figures",
        "journals",
        "controls",
        "exports",
    ]


def test_a_terminal_shows_the_step_and_a_pipe_shows_nothing() -> None:
    for is_terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=is_terminal, width=80)
        with step_by_step(console) as tell:
            tell("us 2026-08: [controls]")
        assert isinstance(console.file, io.StringIO)
        assert ("us 2026-08: [controls]" in console.file.getvalue()) is is_terminal
