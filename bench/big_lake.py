"""A lake of one month with many balance transactions, generated whole, column by column, as a sync would leave it.

Seeded sales of three courses in several US states with tax by jurisdiction, fees, refunds, daily payouts.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from redisu_pipeline.close.pins import SOURCES
from redisu_pipeline.lake.derived import Derivation, DerivedMonth, write_months
from redisu_pipeline.lake.local_storage import LocalStorage
from redisu_pipeline.lake.manifest import Cursor, FileEntry, Manifest, RunProof, write_manifest
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.lake.storage import ABSENT
from redisu_pipeline.tables.registry import TABLES
from redisu_pipeline.tax.model import JurisdictionRow, Place
from redisu_pipeline.tax.table import TAX_BY_JURISDICTION, sums_of, to_arrow

MONTH = "2026-10"
START = datetime(2026, 10, 1, tzinfo=UTC)
SECONDS = 31 * 86_400
COURSES = ("redis-101", "redis-201", "cert-dev")
PRICES = (19_900, 39_900, 29_900)
STATES = ("NY", "TX", "WA", "PA", "IL", "", "", "")  # "" is a state without sales tax
PER_MILLE = {"NY": (40, 45), "TX": (63, 20), "WA": (65, 36), "PA": (60,), "IL": (63, 13)}  # of state, of city
REFUNDED = 30  # one sale in so many goes back
SEED = 20_261_101
CONFIGURATION = """\
[lake]
uri = "{folder}/lake"

[database]
url = "sqlite:///{folder}/redisu.db"

[accounts.us]
start = 2026-10-01
subsidiary = "Redis Inc."
base_currency = "USD"
currency = "usd"
tax = "automatic"

[routing]
default = "us"

{courses}
[flockjay]
preset = "manual"
"""
COURSE = """\
[courses.{slug}]
name = "{slug}"
flockjay_course_id = "fj-{slug}"
prices = {{ usd = {price} }}
"""


def make_lake(folder: Path, transactions: int) -> None:
    """Write a lake of one account whose month has about ``transactions`` balance transactions, and redisu.toml."""
    folder.mkdir(parents=True)
    courses = "".join(COURSE.format(slug=s, price=p) for s, p in zip(COURSES, PRICES, strict=True))
    (folder / "redisu.toml").write_text(CONFIGURATION.format(folder=folder, courses=courses))
    storage = LocalStorage(str(folder / "lake"))
    sales = _sales(transactions * REFUNDED // (REFUNDED + 1))
    made = {**_sale_tables(sales), **_money_tables(sales)}
    for table in SOURCES:
        _write(storage, folder / "lake", table, made.get(table))
    _write_tax(storage, sales)


def _sales(count: int) -> pl.DataFrame:
    """Return one row per sale, in the order of time: what was bought, where, and its tax by jurisdiction."""
    chance = np.random.default_rng(SEED)
    course = chance.integers(0, len(COURSES), count)
    state = chance.integers(0, len(STATES), count)
    seconds = np.sort(chance.integers(0, SECONDS - 3600, count))
    net = np.array(PRICES)[course]
    taxes = [np.zeros(count, np.int64), np.zeros(count, np.int64)]
    for place, name in enumerate(STATES):
        for level, per_mille in enumerate(PER_MILLE.get(name, ())):
            taxes[level] = np.where(state == place, (net * per_mille + 500) // 1000, taxes[level])
    total = net + taxes[0] + taxes[1]
    return pl.DataFrame(
        {
            "n": np.arange(count),
            "created": seconds,
            "course": pl.Series(np.array(COURSES)[course], dtype=pl.String),
            "state": pl.Series(np.array(STATES)[state], dtype=pl.String),
            "net": net,
            "tax0": taxes[0],
            "tax1": taxes[1],
            "total": total,
            "fee": (total * 29 + 500) // 1000 + 30,
        }
    )


def _id(prefix: str, number: str = "n") -> pl.Expr:
    return pl.format(f"{prefix}_1Bench{{}}", pl.col(number).cast(pl.String).str.zfill(14))


def _sale_tables(sales: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """Return what Checkout makes of the sales: sessions, charges, invoices with lines and taxes, their payments."""
    usd, total, net = pl.lit("usd").alias("currency"), pl.col("total"), pl.col("net")
    at = _instant("created")
    base = sales.with_columns(created=at)
    charges = base.select(
        "created", usd, id=_id("ch"), amount=total, amount_captured=total, status=pl.lit("succeeded"), paid=True,
        captured=True, balance_transaction=_id("txn"), payment_intent=_id("pi"), metadata_course="course",
        _raw=_raw("charge"),
    )  # fmt: skip
    invoices = base.select(
        "created", usd, id=_id("in"), status=pl.lit("paid"), collection_method=pl.lit("charge_automatically"),
        subtotal=net, total=total, total_excluding_tax=net, tax_amount=pl.col("tax0") + pl.col("tax1"),
        amount_paid=total, amount_remaining=0, amount_overpaid=0, amount_paid_off_stripe=0,
        pre_payment_credit_notes_amount=0, automatic_tax_enabled=True, effective_at="created",
        customer_address_country=pl.lit("US"), metadata_course="course", _raw=_raw("invoice"),
    )  # fmt: skip
    payments = base.select(
        "created", usd, id=_id("inpay"), invoice=_id("in"), status=pl.lit("paid"), amount_paid=total,
        payment_type=pl.lit("payment_intent"), payment_payment_intent=_id("pi"), _raw=_raw("invoice_payment"),
    )  # fmt: skip
    lines = base.select(
        "created", usd, id=_id("il"), invoice=_id("in"), position=0, amount=net, subtotal=net, discount_amount=0,
        product=pl.format("prod_{}", "course"), metadata_course="course", _raw=_raw("line_item"),
    )  # fmt: skip
    sessions = base.select(
        "created", usd, id=_id("cs"), status=pl.lit("complete"), payment_status=pl.lit("paid"), mode=pl.lit("payment"),
        amount_total=total, payment_intent=_id("pi"), invoice=_id("in"), invoice_creation_enabled=True,
        metadata_course="course", _raw=_raw("checkout.session"),
    )  # fmt: skip
    products = pl.DataFrame({"id": [f"prod_{slug}" for slug in COURSES], "metadata_course": list(COURSES)})
    products = products.with_columns(created=pl.lit(START))
    return {
        "charges": charges,
        "invoices": invoices,
        "invoice_payments": payments,
        "invoice_lines": lines,
        "invoice_taxes": pl.concat([_taxes(base, level) for level in (0, 1)]).sort("created", "id"),
        "checkout_sessions": sessions,
        "products": products,
    }


def _taxes(sales: pl.DataFrame, level: int) -> pl.DataFrame:
    taxed = sales.filter(pl.col(f"tax{level}") > 0)
    rate = pl.format(f"txr_{{}}{level}", "state")
    return taxed.select(
        "created", pl.lit("usd").alias("currency"), id=pl.format(f"{{}}:{level}", _id("il")), invoice=_id("in"),
        invoice_line=_id("il"), position=level, amount=pl.col(f"tax{level}"), taxable_amount="net",
        tax_behavior=pl.lit("exclusive"), taxability_reason=pl.lit("standard_rated"), tax_rate=rate,
        country=pl.lit("US"), state="state", tax_type=pl.lit("sales_tax"),
    )  # fmt: skip


def _money_tables(sales: pl.DataFrame) -> Mapping[str, pl.DataFrame]:
    """Return the balance: payments, refunds, daily payouts, the month's fee; and the objects behind them."""
    usd = pl.lit("usd").alias("currency")
    back = sales.filter(pl.col("n") % REFUNDED == 0).with_columns(created=pl.col("created") + 1800)
    refunds = back.with_columns(created=_instant("created")).select(
        "created", usd, id=_id("re"), amount="total", status=pl.lit("succeeded"), charge=_id("ch"),
        payment_intent=_id("pi"), balance_transaction=_id("txnr"), _raw=_raw("refund"),
    )  # fmt: skip
    moved = pl.concat(
        [
            sales.select("created", id=_id("txn"), amount="total", fee="fee", type=pl.lit("charge"), source=_id("ch")),
            back.select(
                "created", id=_id("txnr"), amount=-pl.col("total"), fee=pl.lit(0, pl.Int64), type=pl.lit("refund"),
                source=_id("re"),
            ),
        ]
    )  # fmt: skip
    daily = (
        moved.group_by(day=pl.col("created") // 86_400)
        .agg((pl.col("amount") - pl.col("fee")).sum().alias("amount"))
        .filter(pl.col("day") < 30)
        .sort("day")
        .with_columns(created=(pl.col("day") + 1) * 86_400 + 1200)
    )
    payouts = daily.with_columns(created=_instant("created")).select(
        "created", usd, "amount", id=_id("po", "day"), status=pl.lit("paid"), automatic=True,
        arrival_date=pl.col("created").dt.truncate("1d") + pl.duration(days=1), balance_transaction=_id("txnp", "day"),
        reconciliation_status=pl.lit("completed"),
    )  # fmt: skip
    out = daily.select(
        "created", id=_id("txnp", "day"), amount=-pl.col("amount"), fee=pl.lit(0, pl.Int64), type=pl.lit("payout"),
        source=_id("po", "day"),
    )  # fmt: skip
    rows = pl.concat([moved, out]).sort("created", "id").with_columns(created=_instant("created"))
    transactions = rows.with_columns(
        usd,
        net=pl.col("amount") - pl.col("fee"),
        reporting_category=pl.col("type"),
        status=pl.lit("available"),
        available_on=pl.col("created") + pl.duration(days=2),
        balance_type=pl.lit("payments"),
        _raw=pl.concat_str(pl.lit('{"object":"balance_transaction","id":"'), "id", pl.lit('"}')),
    )
    fees = rows.filter(pl.col("fee") > 0).select(
        "created", usd, id=pl.format("{}:0", "id"), balance_transaction="id", position=0, amount="fee",
        type=pl.lit("stripe_fee"), description=pl.lit("Stripe processing fees"),
    )  # fmt: skip
    return {
        "balance_transactions": transactions,
        "balance_transaction_fees": fees,
        "refunds": refunds,
        "payouts": payouts,
    }


def _write_tax(storage: LocalStorage, sales: pl.DataFrame) -> None:
    """Write tax by jurisdiction, which a sync derives: by state, what was collected and what went back."""
    tax = (pl.col("tax0") + pl.col("tax1")).alias("tax")
    back = pl.col("n") % REFUNDED == 0
    taxed = sales.filter(pl.col("tax0") > 0).with_columns(tax)
    sums = taxed.group_by("state").agg(
        net=pl.col("net").sum() - pl.col("net").filter(back).sum(),
        collected=pl.col("tax").sum(),
        refunded=pl.col("tax").filter(back).sum(),
    )
    until = START + timedelta(days=31)
    rows = [
        JurisdictionRow(MONTH, Place("US", state, "sales_tax", "usd"), net, collected, refunded, "invoice", True, until)
        for state, net, collected, refunded in sums.sort("state").rows()
    ]
    derivation = Derivation(storage, "us", "bench", until, lambda: None)
    months = {MONTH: DerivedMonth(to_arrow("us", rows), sums_of(rows))}
    write_months(derivation, TAX_BY_JURISDICTION, months, Cursor(complete_until=until.isoformat()))


def _instant(seconds: str) -> pl.Expr:
    return pl.lit(START) + pl.duration(seconds=pl.col(seconds))


def _raw(kind: str) -> pl.Expr:
    """Return JSON of a few hundred signs that differs from row to row, as a real object's does."""
    parts = [f'{{"object":"{kind}","order":"ord_', '","metadata":{"course":"', '"},"amount":', ',"seed":"']
    mixed = pl.col("n").hash(seed=1).cast(pl.String)
    return pl.concat_str(
        pl.lit(parts[0]), pl.col("n").cast(pl.String), pl.lit(parts[1]), "course", pl.lit(parts[2]),
        pl.col("total").cast(pl.String), pl.lit(parts[3]), mixed, pl.lit('"}'),
    )  # fmt: skip


def _write(storage: LocalStorage, lake: Path, table: str, rows: pl.DataFrame | None) -> None:
    """Write a table's file of the month with the declared schema, and its manifest as a sync leaves it."""
    schema = schema_of(TABLES[table])
    entries: list[FileEntry] = []
    if rows is not None:
        whole = rows.with_columns(
            account=pl.lit("us"),
            livemode=pl.lit(value=True),
            _synced_at=pl.lit(START + timedelta(days=34)),
            _before_start=pl.lit(value=False),
        )
        missing = [pl.lit(None).alias(name) for name in schema.names if name not in whole.columns]
        arrow = whole.with_columns(missing).select(schema.names).to_arrow().cast(schema)
        path = f"stripe/{table}/account=us/month={MONTH}/data.parquet"
        file = lake / path
        file.parent.mkdir(parents=True)
        pq.write_table(arrow, file, compression="zstd", row_group_size=100_000)
        digest = hashlib.file_digest(file.open("rb"), "sha256").hexdigest()
        entries.append(FileEntry(path=path, month=MONTH, rows=arrow.num_rows, sha256=digest, bytes=file.stat().st_size))
    until = (START + timedelta(days=33)).isoformat()
    proof = RunProof(id="bench", started=until, finished=until)
    columns = {field.name: str(field.type) for field in schema}
    manifest = Manifest(
        table=table,
        account="us",
        columns=columns,
        files=entries,
        rows=sum(entry.rows for entry in entries),
        cursor=Cursor(complete_until=until),
        run=proof,
    )
    write_manifest(storage, manifest, ABSENT)
