"""The report that a controller signs: everything in it, nothing from outside, escaped, and accessible."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest
from closed_months import closed_month, draft_month, tax, with_line

from redisu_pipeline.controls.model import Status
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.export.report.meanings import MEANINGS
from redisu_pipeline.export.report.plots import courses, daily, waterfall
from redisu_pipeline.export.report.render import close_report
from redisu_pipeline.export.report.tables import MOST_ROWS, money

MONTH = closed_month()
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Reader(HTMLParser):
    """Reads a page strictly: every tag closed in order; collects sections, tables and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text: list[str] = []
        self._caption = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "caption":
            self._caption = ""
        if tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        if tag in ("td", "th"):
            self.tables[self._caption][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text.append(data)
        if "caption" in self.open:
            self._caption += data
        elif {"td", "th"} & set(self.open):
            self.tables[self._caption][-1][-1] += data

    def rows(self, caption: str) -> list[dict[str, str]]:
        heads, *rows = self.tables[caption]
        return [dict(zip(heads, row, strict=True)) for row in rows]


def read(month: ClosedMonth) -> Reader:
    reader = Reader()
    reader.feed(close_report(month).decode("utf-8"))
    reader.close()
    assert reader.open == []
    return reader


def words(month: ClosedMonth) -> str:
    return " ".join(" ".join(read(month).text).split())


PAGE = read(MONTH)


def test_the_trial_balance_stands_in_each_currency_with_its_sums() -> None:
    usd = PAGE.rows("Trial balance USD")
    assert usd[0] == {
        "Account": "1150",
        "Name": "Stripe Clearing",
        "Opening": "1,204.56",
        "Debit": "2,690.00",
        "Credit": "2,516.98",
        "Closing": "1,377.58",
    }
    assert (usd[-1]["Name"], usd[-1]["Debit"], usd[-1]["Credit"]) == ("Total", "5,305.98", "5,305.98")
    assert PAGE.rows("Trial balance JPY")[-1]["Debit"] == "38,370"
    captions = [caption for caption in PAGE.tables if caption.startswith("Trial balance")]
    assert captions == ["Trial balance USD", "Trial balance JPY"], "the subsidiary's own currency comes first"


def test_a_balance_that_looks_odd_is_explained_where_it_stands() -> None:
    whose = "cleared by NetSuite's bank matching"
    assert whose in " ".join(PAGE.text)
    ours = replace(MONTH, netsuite=replace(MONTH.netsuite, post_bank_arrivals=True))
    assert whose not in " ".join(read(ours).text), "arrivals that we post leave only what is on its way"
    unpaid = replace(MONTH.trial_balance[0], gl_role="in_flight", gl_account_name="In flight")
    assert "In flight USD: invoice and money" in " ".join(read(replace(MONTH, trial_balance=[unpaid])).text)
    none = replace(unpaid, closing=Decimal(0))
    assert "In flight USD: invoice" not in " ".join(read(replace(MONTH, trial_balance=[none])).text)


def test_sales_stand_by_course_and_less_their_refunds() -> None:
    rows = PAGE.rows("Sales by course USD, without tax")
    assert [tuple(row.values()) for row in rows] == [
        ("Certified Developer exam (cert-dev)", "840.00", "-40.00", "0.00", "840.00"),
        ("Redis 101 (redis-101)", "1,592.00", "0.00", "-258.00", "1,334.00"),
        ("Total", "2,432.00", "-40.00", "-258.00", "2,174.00"),
    ]


def test_tax_stands_by_jurisdiction_as_stripe_states_it_and_as_it_was_posted() -> None:
    stated = PAGE.rows("Tax by jurisdiction, buyers' currency")
    assert [(row["State"], row["Net"]) for row in stated] == [("NY", "102.74"), ("TX", "87.60"), ("", "2,400")]
    posted = PAGE.rows("Tax posted to the ledger, settlement currency")
    assert {(row["State"], row["Payable added"]) for row in posted} == {
        ("NY", "102.74"),
        ("TX", "87.60"),
        ("", "2,400"),
    }
    unfinished = replace(MONTH, taxes=(replace(tax("US", "NY", "sales_tax", "USD", "1", "1", "0"), complete=False),))
    assert "tax report (not complete yet)" in words(unfinished)


def test_fees_refunds_and_disputes_stand_by_account() -> None:
    fees = {row["Name"]: row["Cost"] for row in PAGE.rows("Stripe's fees by kind") if row["Cur."] == "USD"}
    assert fees == {
        "VAT on Stripe Fees": "4.52",
        "Processing Fees": "75.40",
        "Stripe Product Fees": "25.00",
        "Dispute Fees": "15.00",
        "Total": "119.92",
    }
    refunds = {row["Name"]: row["Net"] for row in PAGE.rows("Postings of refunds and credit notes")}
    assert refunds["Refunds and Credits"] == "258.00" and refunds["Stripe Clearing"] == "-275.96"
    assert refunds["Total"] == "0.00", "every class balances"
    assert PAGE.rows("Disputes that are open or moved")[0]["Dispute"] == "dp_1Open"
    assert {"Disputed Funds", "Dispute Losses"} <= {row["Name"] for row in PAGE.rows("Postings of disputes")}


def test_payouts_stand_with_what_is_to_be_said_of_them() -> None:
    rows = PAGE.rows("Payouts created or returned in the month")
    assert [row["Note"] for row in rows[:3]] == ["", "failed: account_closed", "manual: contents cannot be proved"]
    assert [(row["Cur."], row["Amount"]) for row in rows[3:]] == [("JPY", "11,000"), ("USD", "1,950.00")]


def test_clearing_rolls_from_opening_to_closing() -> None:
    rows = PAGE.rows("Clearing account USD")
    assert (rows[0]["Category"], rows[0]["Net"]) == ("Opening", "1,204.56")
    assert (rows[-1]["Category"], rows[-1]["Net"]) == ("Closing", "1,377.58")
    assert rows[1] == {"Category": "charge", "Rows": "13", "Gross": "2,600.00", "Fee": "75.40", "Net": "2,524.60"}


def test_a_roll_forward_that_does_not_add_up_says_by_how_much() -> None:
    torn = replace(MONTH, roll_forward=MONTH.roll_forward[1:])
    last = read(torn).rows("Clearing account USD")[-1]
    assert (last["Category"], last["Net"]) == ("Not explained", "2,524.60")


def test_controls_stand_with_both_sides_their_status_as_a_word_and_failures_first() -> None:
    rows = read(draft_month()).rows("Controls of the month, both sides")
    assert len(rows) == len(MONTH.controls)
    assert (rows[0]["Control"], rows[0]["Status"], rows[0]["Left"], rows[0]["Right"], rows[0]["Difference"]) == (
        "C2",
        "fail",
        "5,192.36",
        "5,192.35",
        "0.01",
    )
    assert {row["Status"] for row in rows} == {"fail", "pass", "list"}


def test_every_control_leads_to_a_footnote_that_says_what_it_means() -> None:
    anchors = {attrs["id"] for _, attrs in PAGE.tags if attrs.get("id")}
    links = {(attrs["href"] or "").removeprefix("#") for tag, attrs in PAGE.tags if tag == "a"}
    assert links <= anchors
    assert {f"meaning-{row.control}" for row in MONTH.controls} <= links
    said = words(MONTH)
    assert [meaning for meaning in MEANINGS.values() if meaning not in said] == []


def test_late_changes_stand_by_original_month_and_journal() -> None:
    rows = PAGE.rows("Lines that adjust earlier months")
    assert {(row["Month"], row["Journal"]) for row in rows} == {("2026-09", "STR-US-USD-202609-REFUNDS-V2")}
    assert [(row["Debit"], row["Credit"]) for row in rows] == [("59.00", ""), ("", "59.00")]


def test_large_israeli_invoices_are_listed_with_their_threshold() -> None:
    (row,) = PAGE.rows("Israeli B2B invoices at or over the allocation threshold")
    assert (row["Number"], row["Before VAT"], row["Threshold"]) == ("REDIS-0042", "12,400.00", "5,000.00")


def test_the_head_names_the_books_and_leaves_room_to_sign() -> None:
    said = words(MONTH)
    for part in ("October 2026", "Redis Inc.", "12 with 37 lines", "Prepared by", "Approved by", "2026-11-09 06:00"):
        assert part in said
    locked = replace(
        MONTH, status="locked", locked_by="Dana", locked_at=datetime(2026, 11, 10, tzinfo=UTC), derived_at=None
    )
    assert "Locked by Dana" in words(locked) and "Derived" not in words(locked)


def test_a_draft_says_so_everywhere_and_says_first_what_blocks_it() -> None:
    said = words(draft_month())
    assert said.count("DRAFT") >= 4
    assert said.index("What blocks this month") < said.index("network_cost") < said.index("Trial balance")
    assert "C2 (USD): Journal lines equal their sources: 5,192.36 against 5,192.35. txn_1Moved" in said
    assert "DRAFT" not in words(MONTH) and "Nothing blocks this month" in words(MONTH)


def test_a_failed_control_that_does_not_block_is_not_among_what_blocks() -> None:
    row = replace(MONTH.controls[0], status=Status.FAIL, blocking=False, right_amount=Decimal(0))
    assert "Nothing blocks this month" in words(replace(MONTH, controls=(row,)))


EVIL = "<script>alert(1)</script>\"'&"


def test_whatever_comes_from_outside_is_escaped() -> None:
    month = with_line(draft_month(), 0, memo=EVIL, external_id=EVIL, gl_account_name=EVIL, adjusts_period=EVIL)
    month = with_line(month, 7, course=EVIL)
    month = replace(
        month,
        courses={EVIL: EVIL, "redis-101": EVIL},
        locked_by=EVIL,
        blocked=(EVIL,),
        payouts=(replace(MONTH.payouts[0], id=EVIL, note=EVIL),),
        disputes=(replace(MONTH.disputes[0], id=EVIL, reason=EVIL),),
        large_invoices=(replace(MONTH.large_invoices[0], number=EVIL),),
        taxes=(tax(EVIL, EVIL, EVIL, "USD", "1", "1", "0"),),
        roll_forward=tuple(replace(row, category=EVIL) for row in MONTH.roll_forward),
        controls=tuple(replace(row, detail=EVIL, scope=EVIL, control=EVIL) for row in MONTH.controls),
        trial_balance=tuple(replace(row, gl_account_name=EVIL) for row in MONTH.trial_balance),
    )
    page = read(month)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert "<script" not in close_report(month).decode()
    assert " ".join(page.text).count(EVIL) > 20


def test_the_file_needs_nothing_from_outside() -> None:
    text = close_report(MONTH).decode()
    assert not [tag for tag, _ in PAGE.tags if tag in ("script", "link", "img", "iframe", "object")]
    assert not re.search(r"https?://|@import|url\(|@font-face", text)
    assert "default-src 'none'" in text


def test_tables_and_plots_can_be_read_without_seeing_them() -> None:
    tables = sum(tag == "table" for tag, _ in PAGE.tags)
    assert tables == sum(tag == "caption" for tag, _ in PAGE.tags) >= 15
    assert all(attrs.get("scope") in ("col", "row") for tag, attrs in PAGE.tags if tag == "th")
    plots = [attrs for tag, attrs in PAGE.tags if tag == "svg"]
    assert len(plots) == 6
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in plots)
    levels = [int(tag[1]) for tag, _ in PAGE.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and set(levels[1:]) == {2}
    assert ("html", {"lang": "en"}) in PAGE.tags


def test_a_table_of_ten_thousand_rows_is_cut_and_says_where_the_rest_is() -> None:
    many = replace(MONTH, payouts=MONTH.payouts[:1] * 10_000, controls=MONTH.controls[:1] * 10_000)
    page = read(many)
    assert len(page.rows("Payouts created or returned in the month")) == MOST_ROWS + 1, "and the total"
    said = " ".join(page.text)
    assert "and 9,750 more, see the table payouts" in said
    assert "and 9,750 more, see journal_entries.xlsx" in said
    assert page.rows("Payouts created or returned in the month")[-1]["Amount"] == "18,600,000.00"


def test_failures_are_shown_even_where_ten_thousand_controls_are_not() -> None:
    failing = replace(MONTH.controls[0], status=Status.FAIL, right_amount=Decimal(0), scope="po_1Last")
    page = read(replace(MONTH, status="open", controls=(*MONTH.controls[:1] * 10_000, failing)))
    assert "po_1Last" in page.rows("Controls of the month, both sides")[0]["What is compared"]


def test_a_month_in_which_nothing_happened_is_a_report_too() -> None:
    empty = ClosedMonth(
        account=MONTH.account,
        netsuite=MONTH.netsuite,
        period=MONTH.period,
        status="final",
        version=1,
        lines=(),
        controls=(),
        trial_balance=(),
    )
    said = words(empty)
    assert said.count("None in this month.") >= 8 and "No control ran." in said and "No locked month changed." in said
    assert "none ran" in said


@pytest.mark.parametrize(
    ("value", "currency", "shown"),
    [
        ("1234567.5", "USD", "1,234,567.50"),
        ("-0.5", "USD", "-0.50"),
        ("-0.00", "USD", "0.00"),
        ("14430.000", "JPY", "14,430"),
        ("1.5", "JPY", "1.5"),
        ("0.125", "KWD", "0.125"),
        ("0.125", "USD", "0.125"),
    ],
)
def test_money_has_the_currencys_decimals_and_is_never_rounded(value: str, currency: str, shown: str) -> None:
    assert money(Decimal(value), currency) == shown


def bars(svg: str) -> list[tuple[Decimal, Decimal, Decimal, Decimal]]:
    found = re.findall(r'<rect x="([\d.-]+)" y="([\d.-]+)" width="([\d.-]+)" height="([\d.-]+)"', svg)
    return [tuple(map(Decimal, bar)) for bar in found]  # type: ignore[misc]


def test_bars_of_days_are_as_high_as_their_amounts_and_refunds_stand_below_zero() -> None:
    svg = daily(MONTH.period, "USD", [row for row in MONTH.sales_by_day if row.currency == "USD"])
    first, second, fifth, *_ = bars(svg)  # the 1st and 2nd 199.00, the 5th 400.00
    assert first[3] == second[3] and abs(fifth[3] - first[3] * 400 / 199) <= Decimal("0.2")
    zero = first[1] + first[3]
    (refund,) = (bar for bar in bars(svg) if bar[1] >= zero - Decimal("0.1"))
    assert abs(refund[3] - first[3]) <= Decimal("0.1"), "199.00 down is as long as 199.00 up"
    assert daily(MONTH.period, "USD", []) == ""


def test_bars_of_courses_are_ranked_and_a_course_that_sold_nothing_has_none() -> None:
    svg = courses("USD", [("b", Decimal(50)), ("a", Decimal(100)), ("none", Decimal(0))])
    assert [bar[2] for bar in bars(svg)] == [Decimal("390.0"), Decimal("195.0")]
    assert courses("USD", [("none", Decimal(0))]) == ""


def test_a_waterfall_begins_at_the_opening_and_ends_at_the_closing() -> None:
    svg = waterfall("USD", Decimal(100), [("charge", Decimal(50)), ("payout", Decimal(-120))], Decimal(30))
    opening, charge, payout, closing = bars(svg)
    assert opening[0] == closing[0] and opening[0] + opening[2] == charge[0]
    assert charge[0] + charge[2] == payout[0] + payout[2]
    assert abs(payout[0] - closing[0] - closing[2]) <= Decimal("0.2")
    assert waterfall("USD", Decimal(0), [], Decimal(0)) == ""
    negative = bars(waterfall("USD", Decimal(0), [("payout", Decimal(-10))], Decimal(-10)))
    assert all(bar[0] >= 200 and bar[2] > 0 for bar in negative)


@pytest.fixture
def browser_page() -> Iterator[object]:
    found = [path for path in CHROMIUM if Path(path).exists()]
    if not found:
        pytest.skip("no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found[0], args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1100, "height": 900})
        browser.close()


@pytest.mark.browser
@pytest.mark.long
def test_a_browser_shows_it_whole_asks_for_nothing_and_prints_it_on_a4(browser_page, tmp_path: Path) -> None:
    file = tmp_path / "close_report.html"
    file.write_bytes(close_report(draft_month()))
    asked: list[str] = []
    said: list[str] = []
    browser_page.on("request", lambda request: asked.append(request.url))
    browser_page.on("console", lambda message: said.append(message.text))
    browser_page.goto(file.as_uri())
    assert browser_page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    browser_page.emulate_media(media="print")
    browser_page.set_viewport_size({"width": 703, "height": 1000})  # A4 less the margins, at 96 dpi
    wide = (
        "[...document.querySelectorAll('table')].filter(t => t.scrollWidth > innerWidth).map(t => t.caption.innerText)"
    )
    assert browser_page.evaluate(wide) == []
    pdf = browser_page.pdf(prefer_css_page_size=True)
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 12
    assert asked == [file.as_uri()]
    assert said == []
