"""The old manual report against the journals: read tolerantly where it has one reading, explained by Stripe ids."""

import io
from decimal import Decimal

import pytest
from closed_months import closed_month, draft_month
from rich.console import Console

from redisu_pipeline.close.compare import Difference, Fit, Source, compare, known_accounts
from redisu_pipeline.close.old_report import OldRow, read_old_report
from redisu_pipeline.close.terminal import show_compare, show_controls, show_trial_balance
from redisu_pipeline.common.problems import ConfigurationError
from redisu_pipeline.common.settings import DEFAULT_CHART

MONTH = closed_month()
ACCOUNTS = known_accounts(MONTH.lines, ((gl.number, gl.name) for entries in DEFAULT_CHART.values() for gl in entries))
SALES = "STR-US-USD-202610-SALES-V1"
REVENUE = ("4000", "USD")


def read(text: str | bytes, currencies: tuple[str, ...] = ("USD",)) -> list[OldRow]:
    return read_old_report(text.encode() if isinstance(text, str) else text, "old.csv", ACCOUNTS, currencies)


def refused(text: str | bytes, currencies: tuple[str, ...] = ("USD",)) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(text, currencies)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("old.csv") and "; " in line for line in lines)
    return lines


def nets(text: str | bytes, currencies: tuple[str, ...] = ("USD",)) -> dict[tuple[str, str], Decimal]:
    return {(row.account, row.currency): row.net for row in read(text, currencies)}


@pytest.mark.parametrize(
    "text",
    [
        "Account,Debit,Credit\n4000,,2432.00\n1150,173.02,\n",
        "\ufeffAccount,Debit,Credit\r\n4000,,2432.00\r\n1150,173.02,\r\n",
        "account number;net\n4000;-2432.00\n1150;173.02\n",
        "GL Account\tNet amount\n4000 Course Revenue\t(2,432.00)\n1150 - Stripe Clearing\t173.02\n",
        "Acct.,Amount,Currency\nCourse Revenue,-2432,usd\nstripe clearing,173.02,USD\n",
        'Stripe October,,\n,,\nAccount,Debit,Credit\n4000,-,"2,432.00"\n1150,173.02,-\nTotal,173.02,2432.00\n',
        "Account,Net,Debit,Credit\n4000,9,,2432.00\n1150,9,173.02,\n",
    ],
    ids=["plain", "bom-crlf", "semicolons", "tabs-brackets", "names", "titles-totals", "debit-credit-before-net"],
)
def test_a_report_with_one_reading_is_read(text: str) -> None:
    assert nets(text) == {("4000", "USD"): Decimal("-2432.00"), ("1150", "USD"): Decimal("173.02")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no heading line"),
        ("4000,1.00\n", "no heading line"),
        ("Account,Debit\n4000,1.00\n", "no heading line"),
        ("Account;Net\n4000;1234,50\n", "'1234,50' is no amount with one reading"),
        ("Account;Net\n4000;1.234,50\n", "'1.234,50' is no amount"),
        ('Account,Net\n4000,"1,234"\n', "'1,234' is no amount"),
        ("Account,Net\n4000,$12.00\n", "'$12.00' is no amount"),
        ("Account,Net\n4000,12.00 CR\n", "'12.00 CR' is no amount"),
        ("Account,Net\n4000,nan\n", "'nan' is no amount"),
        ("Account,Net\n4000,1e5\n", "'1e5' is no amount"),
        ("Account,Net\n,12.00\n", "names no account"),
        ("Account,Net,Currency\n4000,12.00,\n", "'' is no currency"),
        ("Account,Net,Currency\n4000,12.00,XYZ\n", "'XYZ' is no currency"),
        ('Account,Net\n4000,"12.00\n', "is no CSV"),
        ("Account,Net\n4000,12.00\n".encode("utf-16"), "is not UTF-8"),
        (b"PK\x03\x04", "is no CSV"),
    ],
)
def test_a_report_with_two_readings_or_none_is_refused_in_one_line(text: str | bytes, said: str) -> None:
    (line,) = refused(text)
    assert said in line


def test_an_account_that_only_the_report_knows_is_a_difference_under_its_own_name() -> None:
    text = "Account,Net\n9999,12.00\nStripe  suspense,1.00\n4000 Revenue of old,-2432.00\n"
    rows = {("9999", "USD"): Decimal(12), ("Stripe suspense", "USD"): Decimal(1), ("4000", "USD"): Decimal(-2432)}
    assert nets(text) == rows, "a number of ours is ours, whatever the report calls it"
    found = compare(MONTH.lines, (), [*old_rows(), *(row for row in read(text) if row.account != "4000")])
    assert [(one.account, one.ours, one.fit) for one in found] == [
        ("9999", Decimal(0), Fit.NOTHING),
        ("Stripe suspense", Decimal(0), Fit.NOTHING),
    ]


def test_a_name_counts_only_whole() -> None:
    name = ACCOUNTS["4000"].split()[0]
    found = read_old_report(b"Account,Net\n" + name.encode() + b" of old,1.00\n", "old.csv", {"4000": name}, ("USD",))
    assert [row.account for row in found] == [f"{name} of old"], "it only begins like one of ours"


def test_every_fault_of_a_report_comes_at_once_with_its_line() -> None:
    lines = refused("Account,Net\n,1.00\n4000,x\n1150,1.00\n")
    assert [line.split(":")[0] for line in lines] == ["old.csv line 2", "old.csv line 3"]


def test_without_a_currency_column_the_journals_must_have_one_currency() -> None:
    (line,) = refused("Account,Net\n4000,1.00\n", ("JPY", "USD"))
    assert "has no currency column, and the journals are in JPY, USD" in line
    assert nets("Account,Net\n4000,12\n", ("JPY",)) == {("4000", "JPY"): Decimal(12)}


def old_rows(**changes: str) -> list[OldRow]:
    """The report as it would be if it agreed, but for the accounts given as ``_number``."""
    sums: dict[tuple[str, str], Decimal] = {}
    for line in MONTH.lines:
        key = (line.gl_account, line.currency)
        sums[key] = sums.get(key, Decimal(0)) + line.amount
    for name, value in changes.items():
        sums[name.removeprefix("_"), "USD"] = Decimal(value)
    return [OldRow(account, currency, net, 1) for (account, currency), net in sums.items()]


def revenue_sources(*amounts: int) -> list[Source]:
    """Sales on the first line of the USD journal, by amount in cents (credits are negative)."""
    return [(SALES, 1, "invoice", f"in_{n}", amount, "USD") for n, amount in enumerate(amounts, 1)]


def revenue_difference(old: str, *amounts: int, most_ids: int = 5) -> Difference:
    """What differs on the revenue account when the old report says ``old``."""
    (found,) = compare(MONTH.lines, revenue_sources(*amounts), old_rows(_4000=old), most_ids)
    assert (found.account, found.currency) == REVENUE
    return found


def test_a_report_that_agrees_has_no_difference() -> None:
    assert compare(MONTH.lines, revenue_sources(-19900), old_rows()) == ()
    assert compare((), (), ()) == ()


def test_a_sale_that_the_report_lacks_is_named_before_all_others() -> None:
    found = revenue_difference("-2233.00", -60000, -19900, -120000)
    assert (found.old, found.ours, found.difference) == (Decimal("-2233.00"), Decimal("-2432.00"), Decimal("-199.00"))
    assert (found.fit, [part.source_id for part in found.evidence]) == (Fit.ONE, ["in_2"])
    assert (found.evidence[0].amount, found.ids) == (Decimal("-199.00"), 3)


def test_a_sale_that_the_report_has_twice_is_named_too() -> None:
    found = revenue_difference("-2631.00", -60000, -19900, -120000)
    assert (found.difference, found.fit) == (Decimal("199.00"), Fit.ONE)
    assert [part.source_id for part in found.evidence] == ["in_2"]


def test_two_objects_that_make_up_the_difference_are_found() -> None:
    found = revenue_difference("-2132.00", -60000, -19900, -10100, -120000)
    assert (found.fit, [part.source_id for part in found.evidence]) == (Fit.PAIR, ["in_2", "in_3"])


def test_a_difference_that_nothing_simple_explains_shows_the_largest_parts() -> None:
    found = revenue_difference("-2431.99", -60000, -19900, -120000, most_ids=2)
    assert (found.fit, [part.source_id for part in found.evidence]) == (Fit.LARGEST, ["in_3", "in_1"])
    assert found.ids == 3


def test_one_object_on_several_lines_counts_with_its_whole_amount() -> None:
    sources = [
        *revenue_sources(-60000, -19900),
        ("STR-US-USD-202610-DEFERRAL-V1", 1, "invoice", "in_1", -4000, "USD"),
    ]
    (found,) = compare(MONTH.lines, sources, old_rows(_4000="-1792.00"))
    assert (found.fit, found.evidence[0].source_id, found.evidence[0].amount) == (Fit.ONE, "in_1", Decimal("-640.00"))


def test_a_half_cent_of_a_spreadsheet_is_a_difference_and_no_crash() -> None:
    assert revenue_difference("-2432.005", -60000).fit is Fit.LARGEST


def test_accounts_that_only_one_side_has_are_compared_with_zero() -> None:
    found = compare(MONTH.lines, (), old_rows(_6130="3.50"))
    assert [(d.account, d.old, d.ours, d.fit) for d in found] == [("6130", Decimal("3.50"), Decimal(0), Fit.NOTHING)]
    assert len(compare(MONTH.lines, (), ())) == len({(line.gl_account, line.currency) for line in MONTH.lines})


def test_currencies_are_never_mixed() -> None:
    rows = [row for row in old_rows() if row.currency == "USD"]
    assert {found.currency for found in compare(MONTH.lines, (), rows)} == {"JPY"}


def test_sources_are_read_once_so_that_a_million_can_be_streamed() -> None:
    once = iter(revenue_sources(*range(-200_000, 0)))
    (found,) = compare(MONTH.lines, once, old_rows(_4000="-2431.99"))
    assert (found.fit, found.evidence[0].amount, found.ids) == (Fit.ONE, Decimal("-0.01"), 200_000)


def printed(show: object, rows: object, width: int = 160) -> str:
    console = Console(file=io.StringIO(), width=width)
    show(console, rows)  # type: ignore[operator]
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_terminal_shows_the_trial_balance_with_its_sums() -> None:
    text = printed(show_trial_balance, MONTH.trial_balance)
    assert "trial balance JPY" in text and "trial balance USD" in text
    clearing = next(line for line in text.splitlines() if line.startswith("1150") and "2,690.00" in line)
    assert clearing.split()[-4:] == ["1,204.56", "2,690.00", "2,516.98", "1,377.58"]
    assert sum("5,305.98" in line for line in text.splitlines()) == 1
    assert "nothing was posted" in printed(show_trial_balance, ())


@pytest.mark.parametrize("width", [60, 160])
def test_an_amount_is_never_cut_on_a_narrow_terminal(width: int) -> None:
    assert "2,516.98" in printed(show_trial_balance, MONTH.trial_balance, width)


def test_the_terminal_shows_controls_and_what_a_failed_one_found() -> None:
    text = printed(show_controls, draft_month().controls)
    failed = next(line for line in text.splitlines() if " fail " in line)
    assert failed.split()[:3] == ["C2", "fail", "USD"] and "5,192.35" in failed and "0.01" in failed
    assert "· C2 USD: txn_1Moved: 199.00 USD in the journals" in text
    assert len([line for line in text.splitlines() if line.startswith("C")]) == len(MONTH.controls)


def test_the_terminal_shows_each_difference_with_its_ids() -> None:
    found = revenue_difference("-2233.00", -60000, -19900)
    text = printed(show_compare, (found,))
    assert "each alone is the difference" in text and "in_2 -199.00" in text
    largest = printed(show_compare, (revenue_difference("-2431.99", -60000, -19900, most_ids=1),))
    assert "largest of ours, of 2" in largest and "in_1 -600.00" in largest
    assert "agree on every account" in printed(show_compare, ())
