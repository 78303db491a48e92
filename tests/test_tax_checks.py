"""Each check of tax passes on sound books and fails on one planted fault, naming the ids concerned."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from whole_tax import by_jurisdiction, findings_of

from redisu_pipeline.common.periods import Month
from redisu_pipeline.tax.checks import CHECKS
from redisu_pipeline.tax.invoiced import movements
from redisu_pipeline.tax.model import (
    Books,
    Coverage,
    CreditNote,
    Finding,
    Invoice,
    Place,
    Refund,
    Registration,
    ReportRow,
    TaxLine,
)
from redisu_pipeline.tax.words import notes_of

NOW = datetime(2026, 11, 3, 6, tzinfo=UTC)
SOLD = datetime(2026, 10, 5, 12, tzinfo=UTC)
NY = Place("US", "NY", "sales_tax", "usd")
VAT = Place("IL", "", "vat", "ils")
COVERED = Coverage(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 11, 2, 12, tzinfo=UTC), NOW)


def invoice(name: str = "in_us", **other: Any) -> Invoice:
    made = Invoice(name, "paid", SOLD, True, "usd", 10825, 10000, "US", "none")
    return replace(made, **other)


ISRAELI = invoice("in_il", automatic=False, currency="ils", total=11800, country="IL")


def tax(document: str = "in_us", place: Place = NY, amount: int = 825, rate: str = "txr_1", **other: Any) -> TaxLine:
    made = TaxLine(document, "il_1", rate, place, amount, 10000, "standard_rated")
    return replace(made, **other)


def printed(source: str = "in_us", amount: int = 825, at: datetime = SOLD, **other: Any) -> ReportRow:
    made = ReportRow("taxrow_1", source, "invoice", "il_1", at, NY, amount, 10000, "standard_rated")
    return replace(made, **other)


def refund(name: str = "re_1", amount: int = 10825, sale: str = "in_us", **other: Any) -> Refund:
    at = SOLD + timedelta(days=2)
    return replace(Refund(name, sale, amount, "succeeded", at, at, None), **other)


def note(name: str = "cn_1", amount: int = 10825, sale: str = "in_us", **other: Any) -> CreditNote:
    at = SOLD + timedelta(days=3)
    return replace(CreditNote(name, sale, amount, "issued", at, at, None, (), to_balance=False), **other)


def books(**other: Any) -> Books:
    """An American sale under Stripe Tax and an Israeli one with the manual rate: nothing is wrong with them."""
    sound = Books(
        account="us",
        timezone="UTC",
        coverage=COVERED,
        invoices={"in_us": invoice(), "in_il": ISRAELI},
        invoice_taxes=(tax(), tax("in_il", VAT, 1800, "txr_il")),
        report=(printed(),),
        registrations=(Registration("taxreg_ny", "US", "NY", datetime(2026, 1, 1, tzinfo=UTC), None),),
    )
    return replace(sound, **other)


def found(what: Books) -> dict[str, list[Finding]]:
    sorted_out: dict[str, list[Finding]] = {}
    for one in findings_of([what], NOW):
        sorted_out.setdefault(one.check, []).append(one)
    return sorted_out


def ids(findings: Iterable[Finding]) -> set[str]:
    return {one for finding in findings for one in finding.ids}


def test_sound_books_pass_every_check() -> None:
    assert found(books()) == {}


OTHER = {"in_us": invoice(), "in_x": invoice("in_x")}
PLANTED = {
    "a cent beyond rounding": ("report_differs", books(report=(printed(amount=823),)), {"in_us"}),
    "a sale the report lacks": ("report_differs", books(report=()), {"in_us"}),
    "a sale only the report has": ("report_differs", books(report=(printed(), printed("in_zz"))), {"in_zz"}),
    "a refund the report lacks": ("report_differs", books(refunds=(refund(),), sales={"re_1": "in_us"}), {"re_1"}),
    "a report of 43 hours ago": (
        "report_is_late",
        books(coverage=replace(COVERED, reported_until=datetime(2026, 11, 1, 11, tzinfo=UTC))),
        set(),
    ),
    "no report at all": ("report_is_late", books(coverage=Coverage(None, None, NOW, "no tax report: …")), set()),
    "an Israeli under Stripe Tax": (
        "israeli_without_vat",
        books(invoices={"in_us": invoice(), "in_x": invoice("in_x", country="IL")}),
        {"in_x"},
    ),
    "Israeli VAT for a Frenchman": (
        "manual_rate_abroad",
        books(invoices={"in_us": invoice(), "in_il": replace(ISRAELI, country="FR")}),
        {"in_il"},
    ),
    "a registration that had ended": (
        "tax_without_registration",
        books(registrations=(Registration("taxreg_ny", "US", "NY", SOLD - timedelta(days=99), SOLD),)),
        {"in_us"},
    ),
    "a registration elsewhere": (
        "tax_without_registration",
        books(registrations=(Registration("taxreg_tx", "US", "TX", NOW - timedelta(days=5), None),)),
        {"in_us"},
    ),
    "a registration that brings nothing": (
        "registration_without_tax",
        books(
            registrations=(*books().registrations, Registration("taxreg_de", "DE", "", SOLD - 99 * (NOW - SOLD), None))
        ),
        {"taxreg_de"},
    ),
    "a reason nobody knows": (
        "unknown_reason",
        books(invoice_taxes=(tax(reason="because"), *books().invoice_taxes[1:])),
        {"in_us"},
    ),
    "a type nobody knows": (
        "unknown_reason",
        books(report=(printed(place=NY._replace(tax_type="unknown")),)),
        {"in_us"},
    ),
    "a refund beside a loose note": (
        "refunded_twice",
        books(refunds=(refund(),), credit_notes=(note(),)),
        {"re_1", "cn_1", "in_us"},
    ),
}


@pytest.mark.parametrize("case", PLANTED)
def test_a_planted_fault_is_found_with_its_ids(case: str) -> None:
    check, what, wanted = PLANTED[case]
    findings = found(what)[check]
    assert wanted <= ids(findings)
    assert all(finding.message for finding in findings)
    (line, *_) = (line for line in notes_of(findings) if line.startswith(check))
    assert not wanted or any(one in line for one in ids(findings))


def test_every_check_has_a_planted_fault() -> None:
    assert {check for check, _, _ in PLANTED.values()} == set(CHECKS)


@pytest.mark.parametrize("amount", [824, 826])
def test_a_difference_within_rounding_is_none(amount: int) -> None:
    assert "report_differs" not in found(books(report=(printed(amount=amount),)))


def test_a_note_that_is_linked_or_goes_to_the_balance_is_no_double_refund() -> None:
    linked = books(refunds=(refund(),), credit_notes=(note(refunds=(("re_1", 10825),)),))
    assert "refunded_twice" not in found(linked)
    credited = books(refunds=(refund(),), credit_notes=(note(to_balance=True),))
    assert "refunded_twice" not in found(credited)


class TestTaxOfReturns:
    """netsuite-journals.md §2.4, on a sale of 100.00 with 8.25 tax in two parts (4.00 and 4.25)."""

    TAXES = (tax(amount=400), tax(amount=425, rate="txr_2"))

    def given_back(self, *refunds: Refund, **other: Any) -> list[int]:
        what = books(
            coverage=Coverage(None, None, NOW, "no report"), invoice_taxes=self.TAXES, refunds=refunds, **other
        )
        return [one.tax for one in movements(what) if one.tax < 0 or one.documents != ("in_us",)]

    def test_partial_refunds_are_pro_rata_and_the_last_lands_exactly(self) -> None:
        parts = [refund(f"re_{n}", amount, at=SOLD + timedelta(days=n)) for n, amount in enumerate((3333, 3333, 4159))]
        taxes = self.given_back(*parts)
        assert taxes == [-123, -131, -123, -131, -154, -163]
        assert sum(taxes) == -825

    def test_a_linked_credit_notes_own_taxes_win(self) -> None:
        own = (replace(tax("cn_1", amount=100)), replace(tax("cn_1", amount=7, rate="txr_2")))
        one = note(amount=1107, refunds=(("re_1", 1107),))
        assert self.given_back(refund(amount=1107), credit_notes=(one,), credit_note_taxes=own) == [-100, -7]

    def test_a_refund_that_failed_gives_its_tax_back(self) -> None:
        failed = refund(status="failed", failed=SOLD + timedelta(days=9))
        assert self.given_back(failed) == [-400, -425, 400, 425]

    def test_a_refund_without_money_moved_counts_nothing(self) -> None:
        assert self.given_back(refund(status="pending", booked=None)) == []
        assert self.given_back(refund(status="failed", booked=None)) == []

    def test_a_note_to_the_balance_counts_at_its_date_and_its_voiding_undoes_it(self) -> None:
        own = (replace(tax("cn_1", amount=40)), replace(tax("cn_1", amount=42, rate="txr_2")))
        voided = note(amount=1082, status="void", voided=SOLD + timedelta(days=8), to_balance=True)
        assert self.given_back(credit_notes=(voided,), credit_note_taxes=own) == [-40, -42, 40, 42]


def test_a_report_row_of_a_manual_sale_is_left_to_the_invoices() -> None:
    what = books(report=(printed(), printed("in_il", 1800, place=VAT)))
    rows = by_jurisdiction([what], [Month(2026, 10)])[Month(2026, 10)]
    assert {(row.place.country, row.source, row.collected) for row in rows} == {
        ("IL", "invoice", 1800),
        ("US", "report", 825),
    }


def test_what_the_report_has_not_reached_comes_from_the_invoices_once() -> None:
    late = replace(COVERED, reported_until=SOLD)
    (row,) = (
        row
        for row in by_jurisdiction([books(coverage=late, report=())], [Month(2026, 10)])[Month(2026, 10)]
        if row.place == NY
    )
    assert (row.source, row.collected, row.complete, row.until) == ("invoice", 825, False, SOLD)
    printed_early = books(coverage=late, report=(printed(at=SOLD - timedelta(seconds=1)),))
    rows = [row for row in by_jurisdiction([printed_early], [Month(2026, 10)])[Month(2026, 10)] if row.place == NY]
    assert [(row.source, row.collected) for row in rows] == [("report", 825)]


def test_the_base_of_several_jurisdictions_of_a_line_counts_once() -> None:
    city = printed(amount=450, id="taxrow_2")
    (row,) = (
        row
        for row in by_jurisdiction([books(report=(printed(), city))], [Month(2026, 10)])[Month(2026, 10)]
        if row.place == NY
    )
    assert (row.taxable, row.collected) == (10000, 1275)
