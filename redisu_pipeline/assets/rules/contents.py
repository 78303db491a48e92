"""Rules about single tables: keys, livemode, documented values, files, freshness, counts, sums of the ledger."""

from collections import Counter
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from redisu_pipeline.assets.rules.model import Grade, Judge, Rule, Subject, Verdict, instant, sample
from redisu_pipeline.common.money import KNOWN_CURRENCIES
from redisu_pipeline.lake.manifest import FileEntry, read_manifest
from redisu_pipeline.lake.reading import scan
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.tables.model import Column, Scope
from redisu_pipeline.tables.registry import RESOURCE_OF

STALE_AFTER = timedelta(hours=36)
CURRENCIES = frozenset(currency.lower() for currency in KNOWN_CURRENCIES)


class UniqueKey(Judge):
    """Every id once, and never null."""

    columns = ("id",)

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._ids: list[pa.ChunkedArray] = []

    def see(self, rows: pa.Table) -> None:
        self._ids.append(rows.column("id"))

    def verdict(self) -> Verdict:
        chunks = [chunk for ids in self._ids for chunk in ids.chunks]
        counted = pc.value_counts(pa.chunked_array(chunks, pa.string()))
        repeated, empty = pc.greater(counted.field("counts"), 1), pc.is_null(counted.field("values"))
        wrong = counted.filter(pc.or_(repeated, empty))
        rows = sum(len(ids) for ids in self._ids)
        facts: dict[str, int | str] = {"rows": rows, "duplicate_ids": len(wrong)}
        if not len(wrong):
            return Verdict(Grade.PASS, f"{rows} rows, each id once", facts)
        facts["ids"] = sample(wrong.field("values").to_pylist())
        return Verdict(Grade.ERROR, f"{len(wrong)} ids stand more than once: {facts['ids']}", facts)


class OneLivemode(Judge):
    """All rows live or all test data, as the account's key is."""

    columns = ("livemode",)

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._key = subject.livemode
        self._counts: Counter[bool] = Counter()

    def see(self, rows: pa.Table) -> None:
        live = pc.sum(rows.column("livemode")).as_py() or 0
        self._counts[True] += live
        self._counts[False] += len(rows) - live

    def verdict(self) -> Verdict:
        facts: dict[str, int | str] = {"live_rows": self._counts[True], "test_rows": self._counts[False]}
        if self._counts[True] and self._counts[False]:
            return Verdict(Grade.ERROR, "live and test data are mixed", facts)
        if self._key is not None and self._counts[not self._key]:
            kind = "live" if self._key else "test"
            return Verdict(Grade.ERROR, f"the account's key is a {kind} key, the rows are not {kind} data", facts)
        return Verdict(Grade.PASS, "all rows are of one mode", facts)


class KnownValues(Judge):
    """No value that Stripe does not document for the pinned version, no currency whose minor unit is unknown."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._known = {
            column.name: values for column in subject.table.columns if (values := documented(column)) is not None
        }
        self.columns = ("id", *self._known)
        self._unknown: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], str] = {}

    def see(self, rows: pa.Table) -> None:
        for name, known in self._known.items():
            column = rows.column(name)
            strange = pc.and_(pc.is_valid(column), pc.invert(pc.is_in(column, pa.array(sorted(known)))))
            for row in rows.select(["id", name]).filter(strange).to_pylist():
                self._unknown[name, row[name]] += 1
                self._examples.setdefault((name, row[name]), row["id"])

    def verdict(self) -> Verdict:
        facts: dict[str, int | str] = {"columns": len(self._known), "unknown_values": len(self._unknown)}
        for (column, value), count in sorted(self._unknown.items()):
            facts[f"{column} = {value}"] = f"{count} rows, for example {self._examples[column, value]}"
        if not self._unknown:
            return Verdict(Grade.PASS, f"{len(self._known)} columns hold documented values only", facts)
        found = ", ".join(f"{column} = {value}" for column, value in sorted(self._unknown))
        return Verdict(Grade.ERROR, f"decide what it means for the books: {found}", facts)


def documented(column: Column) -> frozenset[str] | None:
    """Return the values that ``column`` may hold, None when any will do."""
    is_currency = column.name == "currency" or column.name.endswith("_currency")
    return CURRENCIES if is_currency else column.values


class DeclaredSchema(Judge):
    """The files are those of the manifest, and each has exactly the declared columns and types."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._declared = schema_of(subject.table)
        folder = f"stripe/{subject.table.name}/account={subject.account}"
        files = subject.manifest.files if subject.manifest else []
        known = {entry.path: entry.bytes for entry in files}
        self._files = len(files)
        self._wrong: dict[str, str] = {}
        for found in subject.storage.list(folder):
            if found.path.endswith(".parquet") and found.path not in known:
                self._wrong[found.path] = "is not in the manifest"
            elif found.path in known and found.size != known[found.path]:
                self._wrong[found.path] = f"has {found.size} bytes, not the {known[found.path]} that were written"

    def file(self, entry: FileEntry, schema: pa.Schema | None) -> None:
        if schema is None:
            self._wrong[entry.path] = "is missing or is no Parquet file"
        elif fault := difference(self._declared, schema):
            self._wrong[entry.path] = fault

    def verdict(self) -> Verdict:
        facts: dict[str, int | str] = {"files": self._files, "columns": len(self._declared), **self._wrong}
        if not self._wrong:
            return Verdict(Grade.PASS, f"{self._files} files have the {len(self._declared)} declared columns", facts)
        path, fault = next(iter(self._wrong.items()))
        return Verdict(Grade.ERROR, f"{len(self._wrong)} files are wrong; {path} {fault}", facts)


def difference(declared: pa.Schema, found: pa.Schema) -> str:
    """Return how ``found`` differs from ``declared`` in words, empty when it does not; the order does not matter."""
    faults = [f"lacks {name}" for name in declared.names if name not in found.names]
    faults += [f"has {name}, which is not declared" for name in found.names if name not in declared.names]
    for field in declared:
        if field.name in found.names and found.field(field.name).type != field.type:
            faults.append(f"has {field.name} as {found.field(field.name).type}, not {field.type}")
    return "; ".join(faults)


class Fresh(Judge):
    """Complete until less than 36 hours ago."""

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._now = subject.now
        self._until = subject.manifest.cursor.complete_until if subject.manifest else None

    def verdict(self) -> Verdict:
        hours = int((self._now - instant(self._until)).total_seconds() // 3600)
        facts: dict[str, int | str] = {"complete_until": self._until or "never"}
        if self._until is None:
            return Verdict(Grade.ERROR, "was never complete", facts)
        facts["hours_behind"] = hours
        grade = Grade.ERROR if self._now - instant(self._until) > STALE_AFTER else Grade.PASS
        return Verdict(grade, f"complete until {hours} hours ago", facts)


class NeverFewer(Judge):
    """No fewer rows than at any of the last recorded materializations.

    A table of objects never shrinks: what Stripe deletes keeps its row. Lines and taxes may, when a draft is edited.
    """

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._rows = subject.manifest.rows if subject.manifest else 0
        self._highest = subject.highest
        self._nested = RESOURCE_OF[subject.table.name].table is not subject.table

    def verdict(self) -> Verdict:
        facts: dict[str, int | str] = {"rows": self._rows}
        if self._highest is None:
            return Verdict(Grade.PASS, "nothing recorded to compare with yet", facts)
        facts.update(highest_recorded=self._highest, lost=max(0, self._highest - self._rows))
        if self._rows >= self._highest:
            return Verdict(Grade.PASS, f"{self._rows} rows, at most {self._highest} before", facts)
        grade = Grade.WARN if self._nested else Grade.ERROR
        return Verdict(grade, f"{self._rows} rows, but there were {self._highest} before", facts)


class NetAmount(Judge):
    """`net` is `amount` − `fee` on every balance transaction."""

    columns = ("id", "amount", "fee", "net")

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        self._rows = 0
        self._wrong: list[str] = []

    def see(self, rows: pa.Table) -> None:
        self._rows += len(rows)
        net = pc.subtract(rows.column("amount"), rows.column("fee"))
        differs = pc.fill_null(pc.not_equal(net, rows.column("net")), True)
        self._wrong += rows.filter(differs).column("id").to_pylist()

    def verdict(self) -> Verdict:
        facts: dict[str, int | str] = {"rows": self._rows, "wrong": len(self._wrong)}
        if not self._wrong:
            return Verdict(Grade.PASS, f"net = amount − fee on {self._rows} rows", facts)
        facts["ids"] = sample(self._wrong)
        return Verdict(Grade.ERROR, f"net is not amount − fee on {facts['ids']}", facts)


class FeesAddUp(Judge):
    """The fee details of a balance transaction add up to its `fee`, in its currency."""

    columns = ("id", "fee", "currency")

    def __init__(self, subject: Subject) -> None:
        super().__init__(subject)
        manifest, _ = read_manifest(subject.storage, "balance_transaction_fees", subject.account)
        columns = ["balance_transaction", "amount", "currency"]
        parts = list(scan(subject.storage, manifest, columns))
        details = pa.concat_tables(parts) if parts else pa.table({c: pa.array([]) for c in columns})
        summed = details.group_by(["balance_transaction", "currency"]).aggregate([("amount", "sum")])
        self._details = {(row["balance_transaction"], row["currency"]): row["amount_sum"] for row in summed.to_pylist()}
        self._seen: set[tuple[str, str]] = set()
        self._wrong: list[str] = []
        self._rows = 0

    def see(self, rows: pa.Table) -> None:
        self._rows += len(rows)
        for row in rows.to_pylist():
            place = (row["id"], row["currency"])
            self._seen.add(place)
            if self._details.get(place, 0) != row["fee"]:
                self._wrong.append(row["id"])

    def verdict(self) -> Verdict:
        foreign = [transaction for transaction, currency in self._details if (transaction, currency) not in self._seen]
        wrong = sorted({*self._wrong, *foreign})
        facts: dict[str, int | str] = {"rows": self._rows, "wrong": len(wrong)}
        if not wrong:
            return Verdict(Grade.PASS, f"fee details add up on {self._rows} rows", facts)
        facts["ids"] = sample(wrong)
        return Verdict(Grade.ERROR, f"fee details do not add up to the fee of {facts['ids']}", facts)


CONTENT_RULES: tuple[Rule, ...] = (
    Rule("unique_key", "Each id stands once.", UniqueKey, blocking=True),
    Rule("schema", "The files are the manifest's, with the declared columns and types.", DeclaredSchema, blocking=True),
    Rule("livemode", "Live and test data are not mixed, and fit the account's key.", OneLivemode, blocking=True),
    Rule(
        "known_values",
        "No enum value or currency that Stripe does not document for the pinned version.",
        KnownValues,
        applies=lambda table: any(documented(column) is not None for column in table.columns),
        blocking=True,
    ),
    Rule(
        "freshness",
        "Complete until less than 36 hours ago.",
        Fresh,
        # How far a report reaches is Stripe's to say, and some keys get none: see tax.checks.report_is_late.
        applies=lambda table: RESOURCE_OF[table.name].scope not in (Scope.REPORT, Scope.CLOSE),
    ),
    Rule("counts_never_fall", "No fewer rows than any of the last 20 materializations recorded.", NeverFewer),
    Rule(
        "net_is_amount_minus_fee",
        "net = amount − fee on every balance transaction.",
        NetAmount,
        applies=lambda table: table.name == "balance_transactions",
        blocking=True,
    ),
    Rule(
        "fees_add_up",
        "Fee details add up to the fee of their balance transaction.",
        FeesAddUp,
        applies=lambda table: table.name == "balance_transactions",
        blocking=True,
    ),
)
