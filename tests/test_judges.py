"""Judges that share no code with us: hledger over the journals, and DuckDB over the Parquet of both sides."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ledger_truth import ACCOUNTS, MONTHS, Town, balances, closed_town

HLEDGER = pytest.mark.skipif(shutil.which("hledger") is None, reason="no hledger here (Debian: apt install hledger)")
CHECKS = ["check", "balancednoautoconversion", "accounts", "commodities", "assertions", "ordereddates"]
DECIMALS = {"JPY": 0}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Town:
    return closed_town(tmp_path_factory)


# -- hledger ----------------------------------------------------------------------------------------------------------


def written(town: Town, account: str) -> list[dict[str, Any]]:
    return [line for month in MONTHS for line in town.rows("journal_lines", account, month)]


def as_hledger(lines: list[dict[str, Any]], closing: dict[tuple[str, str], str]) -> str:
    """Return a journal of hledger: declared accounts and commodities, our transactions, asserted balances."""
    accounts = sorted({_account(line) for line in lines})
    text = [f"account {name}" for name in accounts]
    currencies = sorted({line["currency"] for line in lines})
    text += [f"commodity 1{'.' if currency in DECIMALS else '.00'} {currency}" for currency in currencies]
    for id in sorted({line["external_id"] for line in lines}, key=lambda id: (_of(lines, id)[0]["tran_date"], id)):
        own = _of(lines, id)
        text += ["", f"{own[0]['tran_date']} {id}"]
        text += [f"    {_account(line)}  {_amount(line)}  ; line {line['line']}" for line in own]
    last = max(line["tran_date"] for line in lines)
    text += ["", f"{last} closing balances by the world's ledger"]
    text += [f"    {account}  0 {currency} = {amount} {currency}" for (account, currency), amount in closing.items()]
    return "\n".join(text) + "\n"


def _of(lines: list[dict[str, Any]], id: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["external_id"] == id]


def _account(line: dict[str, Any]) -> str:
    return f"{line['gl_account']} {line['gl_account_name']}"


def _amount(line: dict[str, Any]) -> str:
    return (
        f"{line['debit']} {line['currency']}" if line["debit"] is not None else f"-{line['credit']} {line['currency']}"
    )


def asserted(town: Town, account: str, lines: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    """Return the closing balance of each balance-sheet account by the world's own ledger, in major units."""
    names = {line["gl_role"]: _account(line) for line in lines}
    truth = balances(town.moves(account, month) for month in MONTHS)
    return {
        (names[role], currency): f"{amount / 10 ** DECIMALS.get(currency, 2):.{DECIMALS.get(currency, 2)}f}"
        for (currency, role), amount in truth.items()
        if role in ("clearing", "transit", "disputed", "reserve", "customer_credit", "sales_tax", "vat_il")
        and role in names
    }


def hledger(file: Path) -> subprocess.CompletedProcess[str]:
    command = ["hledger", "-f", str(file), *CHECKS]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C.UTF-8", "PATH": PATH})


PATH = "/usr/bin:/bin:/usr/local/bin"


@HLEDGER
@pytest.mark.parametrize("account", ACCOUNTS)
def test_hledger_takes_the_journals_and_finds_the_ledgers_balances(town: Town, account: str, tmp_path: Path) -> None:
    lines = written(town, account)
    closing = asserted(town, account, lines)
    assert len(closing) >= 4
    file = tmp_path / "us.journal"
    file.write_text(as_hledger(lines, closing))
    answer = hledger(file)
    assert (answer.returncode, answer.stdout + answer.stderr) == (0, "")


def faults(lines: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield the journals with a fault: a cent moved, a line dropped, a whole journal missing."""
    first = next(at for at, line in enumerate(lines) if line["debit"] is not None)
    moved = {**lines[first], "debit": lines[first]["debit"] + type(lines[first]["debit"])("0.01")}
    yield [*lines[:first], moved, *lines[first + 1 :]]
    yield lines[1:]
    gone = next(line["external_id"] for line in lines if line["class"] == "REFUNDS")
    yield [line for line in lines if line["external_id"] != gone]


@HLEDGER
def test_hledger_would_have_found_a_fault(town: Town, tmp_path: Path) -> None:
    lines = written(town, "us")
    closing = asserted(town, "us", lines)
    for number, faulty in enumerate(faults(lines)):
        file = tmp_path / f"{number}.journal"
        file.write_text(as_hledger(faulty, closing))
        assert hledger(file).returncode != 0, number


# -- DuckDB -----------------------------------------------------------------------------------------------------------

ROLL_FORWARD = """
with booked as (
    select account, upper(currency) as currency, strftime(created, '%Y-%m') as period, id, net
    from read_parquet('{lake}/stripe/balance_transactions/**/*.parquet')
    where coalesce(balance_type, 'payments') = 'payments' and _deleted_at is null
),
posted as (
    select s.account, s.currency, s.period, s.source_id as id, sum(s.amount_minor) as net
    from read_parquet('{lake}/netsuite/journal_sources/**/*.parquet') s
    join read_parquet('{lake}/netsuite/journal_lines/**/*.parquet') l using (account, period, external_id, line)
    where l.gl_role = 'clearing'
    group by all
)
"""
EACH = (
    ROLL_FORWARD
    + """
select coalesce(b.account, p.account), coalesce(b.period, p.period), coalesce(b.id, p.id), b.net, p.net
from (select * from booked where net <> 0 and period between '2026-08' and '2026-10') b
full join posted p on (b.account, b.currency, b.period, b.id) = (p.account, p.currency, p.period, p.id)
where b.net is distinct from p.net
"""
)
CLOSINGS = (
    ROLL_FORWARD
    + """
, months as (select distinct account, currency, period from posted),
stripes as (
    select m.account, m.currency, m.period, sum(b.net) as closing
    from months m join booked b on (b.account, b.currency) = (m.account, m.currency) and b.period <= m.period
    group by all
),
ours as (
    select account, currency, period, sum(coalesce(debit, 0) - coalesce(credit, 0)) as moved
    from read_parquet('{lake}/netsuite/journal_lines/**/*.parquet')
    where gl_role = 'clearing' group by all
)
select s.account, s.currency, s.period, s.closing,
       sum(o.moved * case when o.currency = 'JPY' then 1 else 100 end) as ours
from stripes s join ours o on (o.account, o.currency) = (s.account, s.currency) and o.period <= s.period
group by all order by all
"""
)
SOURCED = """
select l.external_id, l.line, coalesce(debit, 0) - coalesce(credit, 0) as amount, sum(s.amount_minor) as minor
from read_parquet('{lake}/netsuite/journal_lines/**/*.parquet') l
left join read_parquet('{lake}/netsuite/journal_sources/**/*.parquet') s using (account, period, external_id, line)
group by all
having amount * case when any_value(l.currency) = 'JPY' then 1 else 100 end is distinct from sum(s.amount_minor)
"""


def ask(town: Town, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        return connection.execute(query.format(lake=town.lake)).fetchall()


def test_duckdb_finds_every_balance_transaction_in_clearing_by_its_net(town: Town) -> None:
    assert ask(town, EACH) == []


def test_duckdb_derives_the_same_roll_forward_of_clearing(town: Town) -> None:
    rows = ask(town, CLOSINGS)
    assert {(account, period) for account, _, period, *_ in rows} >= {
        (account, str(month)) for account in ACCOUNTS for month in MONTHS
    }
    assert [row for row in rows if row[3] != row[4]] == []


def test_duckdb_finds_every_line_to_be_the_sum_of_its_sources(town: Town) -> None:
    assert ask(town, SOURCED) == []


def test_duckdb_would_have_found_a_row_that_is_missing(town: Town, tmp_path: Path) -> None:
    copy = town.copied(tmp_path / "town")
    next(copy.lake.glob("netsuite/journal_sources/account=us/month=2026-09/*.parquet")).unlink()
    assert ask(copy, EACH)
    assert ask(copy, SOURCED)
