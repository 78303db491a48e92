"""What each control means, in a sentence for the reader of the report (netsuite-journals.md §3)."""

from collections.abc import Mapping
from types import MappingProxyType

MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "C1": "Every journal balances, has one subsidiary, one currency and one side a line, and fits what NetSuite "
        "stores.",
        "C2": "The journal lines are exactly the sum of the Stripe objects behind them.",
        "C3": "What was at Stripe when the month began, plus every balance transaction, is what is there at its end; "
        "and Stripe's balance report says the same.",
        "C3a": "The movement of each reporting category equals the same row of Stripe's report.",
        "C4": "All balance transactions so far add up to the balance that Stripe states.",
        "C5": "On each balance transaction the amount less its fee is its net, and the fee is the sum of its parts.",
        "C6": "An automatic payout is the sum of the balance transactions that Stripe put into it. What is inside a "
        "manual or instant payout cannot be proved and is listed.",
        "C7": "Cash in transit rolls forward: payouts created, less arrived, less failed, are those still on the way.",
        "C8": "Payouts that arrived, against the bank's lines, which finance supplies.",
        "C9": "What buyers paid on invoices, with the change in what is in flight, equals the charges; no charge is "
        "without an invoice.",
        "C9a": "Each invoice is its lines plus its taxes.",
        "C10": "Revenue and deferred revenue are the invoices' amounts before tax.",
        "C11": "No charge is refunded beyond what was paid, and refunds equal the money that left.",
        "C12": "Tax posted for each jurisdiction equals tax collected less refunded, by Stripe's tax report or, where "
        "Stripe Tax does not reach (Israel), by the invoices.",
        "C12a": "Tax payable rolls forward; what was remitted comes from finance.",
        "C13": "Disputed funds equal the disputes that are open and have taken money.",
        "C14": "Stripe's fees of the UTC month equal Stripe's own monthly fee invoice.",
        "C15": "Every completed checkout has its invoice, and every invoice is in the journals.",
        "C16": "Every balance transaction is posted once, in one class, under an id of its own.",
        "C17": "Nothing lacks a rule, a product, a jurisdiction, an account, a subsidiary or a currency.",
        "C18": "Converted amounts follow the exchange rate that Stripe states, and FX differences are booked.",
        "C19": "Rounding stays within half a minor unit for each rounded line.",
        "C20": "Deferred revenue rolls forward and equals what is not yet earned on each invoice.",
        "C21": "Everything was read from Stripe past the month's end and past the lag of its late changes.",
        "C22": "All versions of a month together are what the data derive today; a difference becomes a delta journal.",
        "C23": "Journals read back from NetSuite, which finance supplies, against those exported.",
        "C24": "Only objects of the account's own mode (live or sandbox) are in the books.",
        "C25": "The reserve account equals what Stripe holds back.",
    }
)
