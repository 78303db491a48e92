"""The NetSuite tables of the lake (contract §3), declared once: `netsuite/<table>/account=…/month=<period>`.

None of them holds personal data: ids, accounts, courses, jurisdictions and amounts only.
"""

from collections.abc import Sequence
from types import MappingProxyType

import pyarrow as pa

from redisu_pipeline.lake.catalog import CatalogTable
from redisu_pipeline.lake.schemas import ACCOUNT, INSTANT

MAJOR = pa.decimal128(18, 3)
RATE = pa.decimal128(18, 8)
WIDE = pa.decimal128(38, 3)

Column = tuple[str, pa.DataType, str]


def _table(name: str, doc: str, columns: Sequence[Column], nullable: str) -> CatalogTable:
    may_be_null = nullable.split()
    schema = pa.schema([pa.field(column, kind, nullable=column in may_be_null) for column, kind, _ in columns])
    docs = {"month": "The same as `period`; stands only in the path", **{column: text for column, _, text in columns}}
    return CatalogTable("netsuite", name, doc, schema, MappingProxyType(docs))


_ACCOUNT: Column = ("account", ACCOUNT, "Key of the Stripe account in `redisu.toml`")
_PERIOD: Column = ("period", pa.string(), "Month in whose books it is posted, YYYY-MM")

JOURNAL_LINES = _table(
    "journal_lines",
    "One row per line of the NetSuite import; a journal is what shares an `external_id`, and it balances.",
    (
        _ACCOUNT,
        ("subsidiary", pa.string(), "NetSuite subsidiary"),
        _PERIOD,
        ("external_id", pa.string(), "`STR-<ACCT>-<CCY>-<YYYYMM>-<CLASS>-V<n>[-P<k>]`; the month is the one adjusted"),
        ("class", pa.string(), "SALES FEES REFUNDS DISPUTES PAYOUTS RESERVES DEFERRAL ADJ"),
        ("version", pa.int32(), "1, or higher for the delta of a locked month"),
        ("tran_date", pa.date32(), "Last day of `period`"),
        ("posting_period", pa.string(), "Name of the posting period at NetSuite"),
        ("currency", pa.string(), "Settlement currency, upper case"),
        ("exchange_rate", RATE, "Base units of the subsidiary per unit of `currency`"),
        ("line", pa.int32(), "Place in the journal, from 1"),
        ("gl_role", pa.string(), "Role in the chart of accounts"),
        ("gl_account", pa.string(), "Account number"),
        ("gl_account_name", pa.string(), "Account name"),
        ("debit", MAJOR, "Major units; null on a credit line"),
        ("credit", MAJOR, "Major units; null on a debit line"),
        ("memo", pa.string(), "What the line is, in words"),
        ("department", pa.string(), "NetSuite department"),
        ("location", pa.string(), "NetSuite location"),
        ("course", pa.string(), "Course (slug) of revenue, refunds and deferrals"),
        ("tax_country", pa.string(), "Country whose tax it is"),
        ("tax_state", pa.string(), "State whose tax it is"),
        ("adjusts_period", pa.string(), "Locked month that a late change belongs to; null otherwise"),
    ),
    nullable="debit credit department location course tax_country tax_state adjusts_period",
)

JOURNAL_SOURCES = _table(
    "journal_sources",
    "Every cent of a journal line back to Stripe ids: the sources of a line sum to its debit − credit exactly.",
    (
        _ACCOUNT,
        _PERIOD,
        ("external_id", pa.string(), "Journal"),
        ("line", pa.int32(), "Line of the journal"),
        ("source_object", pa.string(), "balance_transaction, invoice, refund, credit_note, dispute or payout"),
        ("source_id", pa.string(), "Its id at Stripe"),
        ("amount_minor", pa.int64(), "Minor units of `currency`; debit positive"),
        ("currency", pa.string(), "Settlement currency, upper case"),
        ("presentment_amount_minor", pa.int64(), "The same in the buyer's currency; null where it has none"),
        ("presentment_currency", pa.string(), "The buyer's currency, upper case"),
        ("exchange_rate", RATE, "Presentment to settlement; null where they are the same"),
    ),
    nullable="presentment_amount_minor presentment_currency exchange_rate",
)

CONTROLS = _table(
    "controls",
    "What the controller signs: every equation of the month with both sides. `list` rows are work lists, not failures.",
    (
        _ACCOUNT,
        _PERIOD,
        ("currency", pa.string(), "Upper case; null where the control has none"),
        ("control", pa.string(), "C1 … C25 of netsuite-journals.md §3"),
        ("scope", pa.string(), "Payout, jurisdiction, … or empty"),
        ("description", pa.string(), "The equation in words"),
        ("unit", pa.string(), "money (major units) or count"),
        ("left_amount", WIDE, "Left side"),
        ("right_amount", WIDE, "Right side"),
        ("difference", WIDE, "Left − right"),
        ("tolerance", WIDE, "Greatest difference that passes"),
        ("blocking", pa.bool_(), "Whether a failure stops the month"),
        ("status", pa.string(), "pass, fail, warn or list"),
        ("detail", pa.string(), "What differs, with Stripe ids"),
    ),
    nullable="currency",
)

PERIODS = _table(
    "periods",
    "How far each month is: open, final (complete and green) or locked (never changes again).",
    (
        _ACCOUNT,
        _PERIOD,
        ("status", pa.string(), "open, final or locked"),
        (
            "version",
            pa.int32(),
            "Version of the month's own journals; late changes after the lock carry their own, in later months",
        ),
        ("content_hash", pa.string(), "SHA-256 over the month's journal lines and sources"),
        ("final_at", INSTANT, "When it became final"),
        ("locked_at", INSTANT, "When it was locked"),
        ("locked_by", pa.string(), "Who locked it"),
    ),
    nullable="final_at locked_at locked_by",
)

NETSUITE_TABLES = (JOURNAL_LINES, JOURNAL_SOURCES, CONTROLS, PERIODS)
