"""Controls C1–C25 as data (netsuite-journals.md §3): each with its equation in words, and all of them run."""

from redisu_pipeline.controls import balance, completeness, fees, journals, payouts, refunds, sales, tax
from redisu_pipeline.controls.evidence import Evidence
from redisu_pipeline.controls.inputs import ControlInputs
from redisu_pipeline.controls.model import ControlRow
from redisu_pipeline.controls.outcome import Control

CONTROLS = (
    Control("C1", "Each journal balances and is one that NetSuite takes: Σ debit = Σ credit", journals.balanced),
    Control("C2", "Σ journal lines = Σ their sources", journals.sourced),
    Control(
        "C3", "Clearing: opening at start + Σ net of balance transactions = closing by the journals", balance.clearing
    ),
    Control("C3", "Opening clearing = closing of the month before", balance.continuity),
    Control("C3", "Clearing and reserves by the journals = Stripe's balance report", balance.reported_balance),
    Control("C3a", "Σ net by reporting category = Stripe's activity and payout reports", balance.reported_activity),
    Control("C4", "Σ net of all balance transactions until then = /v1/balance", balance.snapshot, blocking=False),
    Control("C5", "Per balance transaction: amount − fee = net", balance.nets),
    Control("C5", "Per balance transaction: Σ fee details = fee", balance.fee_details),
    Control("C6", "Σ net of what Stripe lists in a payout = the payout = −its booking", payouts.contents),
    Control("C6", "Payouts made by hand: Stripe does not list what they contain", payouts.by_hand, blocking=False),
    Control("C7", "Cash in transit by the journals = opening at start + payouts under way", payouts.transit),
    Control("C8", "Σ payouts arrived = lines of the bank", payouts.bank, blocking=False),
    Control(
        "C9", "Σ paid by invoices − outside Stripe + in flight = Σ charges (buyers' currency)", sales.paid_and_charged
    ),
    Control("C9", "Charges without an invoice = 0", sales.charges_without_invoice),
    Control(
        "C9", "In flight by the journals = invoices whose money had not come − money without invoice", sales.flight
    ),
    Control("C9a", "Per invoice: net + tax = total = Σ lines + their taxes", sales.invoices_add_up),
    Control("C10", "Revenue + deferred of sales = Σ invoices without tax, at their rate", sales.revenue),
    Control(
        "C10", "Revenue + deferred of sales = Σ invoices without tax, as the buyers saw it", sales.revenue_as_shown
    ),
    Control("C11", "Per charge: Σ refunds ≤ captured", refunds.within_capture),
    Control(
        "C11", "Per charge: Σ refunds = what the charge says went back", refunds.refunds_of_charges, blocking=False
    ),
    Control("C11", "Σ bookings of refunds = Σ refunds", refunds.booked_refunds),
    Control("C11", "Refunds + tax + deferred + fx in the journals = −Σ bookings of refunds", refunds.posted_refunds),
    Control("C12", "Tax posted by jurisdiction = tax collected − tax given back", tax.by_jurisdiction),
    Control("C12a", "Tax payable: opening + collected − refunded − remitted = closing", tax.payable, blocking=False),
    Control("C13", "Disputed funds by the journals = open disputes whose money was withdrawn", refunds.disputed),
    Control("C14", "Σ fees of the UTC month = Stripe's monthly fee invoice", fees.invoice_of_stripe, blocking=False),
    Control("C15", "Sessions paid or free = sessions with an invoice", sales.sessions),
    Control("C15", "Paid invoices = invoices of a session", sales.invoices_of_sessions),
    Control("C15", "Paid invoices over more than nothing = invoices in the journals", sales.invoices_posted),
    Control(
        "C16", "Balance transactions of the month = balance transactions posted, each in one class", journals.taken_once
    ),
    Control("C16", "Balance transactions that objects of the month name = those in the lake", journals.bookings_there),
    Control("C16", "One external id, one content", journals.ids_once),
    Control(
        "C17",
        "Things without a rule, product, jurisdiction, account, subsidiary or currency = 0",
        journals.nothing_unmapped,
    ),
    Control("C18", "Converted amounts = amount × rate, within 1 minor unit each", fees.at_printed_rate, blocking=False),
    Control("C18", "Payments in their own currency = what was charged", fees.in_one_currency),
    Control("C18", "Exchange differences = own rate − rate of the sale", fees.exchange_difference, blocking=False),
    Control("C18", "Currencies other than the base currency = currencies with a rate", fees.rates_known),
    Control("C19", "|Σ rounding| ≤ ½ minor unit × amounts rounded", fees.rounding, blocking=False),
    Control("C20", "Deferred revenue by the journals = Σ unearned remainder of every invoice", sales.deferred),
    Control("C21", "Tables complete up to the month's end = tables read", completeness.tables),
    Control("C21", "Stripe's tax report reaches the month's end", completeness.tax_report),
    Control("C21", "Stripe's balance reports reach the month's end", completeness.balance_reports),
    Control("C22", "Σ versions of a locked month = what today's data derive", journals.versions),
    Control("C23", "Journals at NetSuite = journals exported", journals.read_back, blocking=False),
    Control("C24", "Rows read = rows of the key's mode", completeness.livemode),
    Control("C24", "Objects of test clocks = 0", completeness.clocks),
    Control("C24", "Subsidiaries other than the account's own = 0", completeness.one_subsidiary),
    Control("C25", "Reserve by the journals = Σ net on Stripe's other balances", balance.reserve, blocking=False),
)


def run(inputs: ControlInputs) -> tuple[ControlRow, ...]:
    """Return every control of the month, in the order of CONTROLS, then by currency and scope.

    The same inputs give the same rows. Needs only ``inputs``: no lake, no network, no clock.
    """
    evidence = Evidence(inputs)
    found = []
    for control in CONTROLS:
        found += sorted(control.rows(evidence), key=lambda row: (row.currency or "", row.scope, row.detail))
    return tuple(found)
