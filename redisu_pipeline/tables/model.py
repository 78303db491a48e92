"""How a lake table is declared: columns, where each stands in Stripe's JSON, and the list it is read from.

Plain data, no library: ``extract`` makes decoders of it, ``lake`` makes Parquet schemas, ``assets`` makes the
column docs of the Dagster UI. A column or a table is added here and nowhere else.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum


class Kind(Enum):
    """What a column holds; the lake decides the Parquet type of each."""

    TEXT = "text"
    INTEGER = "integer"
    MINOR = "minor units"
    TIME = "UTC instant"
    FLAG = "flag"
    RATE = "decimal(18,8)"
    TEXTS = "list of text"
    MINORS = "list of minor units"
    TOTAL = "sum of minor units"


class Origin(Enum):
    """Whose JSON a column's path is read in."""

    OBJECT = "the row's own object"
    PARENT = "a column of the parent row"
    POSITION = "the row's place in its parent, from 0"
    TAX_RATE = "the row of `tax_rates` that the row's `tax_rate` names; filled in when the row lands"


@dataclass(frozen=True, eq=False)
class Column:
    """One typed column.

    ``path`` leads through the JSON; ``[]`` after a name means every element of an array. ``values`` are the values
    Stripe documents for the pinned version: another one is stored as it came and reported, never dropped.
    A ``required`` column that Stripe leaves out stops the load. A ``foreign`` one is read from JSON of any kind and
    version (the snapshot inside an event): what has another type there is null, not an error. A ``personal`` one is
    blanked by `redisu erase`.
    """

    name: str
    kind: Kind
    path: tuple[str, ...]
    doc: str
    values: frozenset[str] | None = None
    required: bool = False
    origin: Origin = Origin.OBJECT
    foreign: bool = False
    personal: bool = False


@dataclass(frozen=True, eq=False)
class Children:
    """Rows that stand inside a parent's JSON: an array, or one of Stripe's nested lists (first page only)."""

    table: "Table"
    path: str
    is_list_object: bool = False


@dataclass(frozen=True, eq=False)
class Table:
    """One lake table: its name under ``<lake>/stripe/``, its columns, and the rows nested in its objects.

    ``root`` names the column with the id of the object that a row was read in (its own id, or the invoice's for a
    line): all rows of one root are replaced together. Without an ``own_id`` a row is called ``<parent id>:<n>``.
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    children: tuple[Children, ...] = ()
    own_id: bool = True
    root: str = "id"

    def column(self, name: str) -> Column:
        """Return the column called ``name``; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.name} has no column {name}")

    def family(self) -> Iterator["Table"]:
        """Yield this table and every table nested in it: they are read and landed together."""
        yield self
        for children in self.children:
            yield from children.table.family()


class Scope(Enum):
    """What a run must list to see every new object of a resource."""

    SINCE_START = "created at or after the account's start"
    EVERYTHING = "all of it, however old: what invoices refer to"
    WHOLE_EACH_TIME = "a short list without a created filter or change events"
    SNAPSHOT = "a single object without history"
    REPORT = "no list exists: the rows of report runs, as far as the report is available"
    CLOSE = "nothing that a sync reads: asked for a month when it is closed"


@dataclass(frozen=True, eq=False)
class Resource:
    """A Stripe list endpoint and the family of tables it feeds.

    ``silent`` tells which objects will still change without an event (balance transactions become available, a
    paid session gets its invoice) and must be read again. ``immutable`` objects change in no other way, so a gap
    in the event feed cannot have hidden anything about them.
    """

    table: Table
    path: str
    object: str
    scope: Scope = Scope.SINCE_START
    parameters: tuple[tuple[str, str], ...] = ()
    silent: "SilentChange | None" = None
    immutable: bool = False

    @property
    def name(self) -> str:
        """The name of the parent table."""
        return self.table.name


@dataclass(frozen=True)
class SilentChange:
    """Rows that will change without an event: ``column`` holds one of ``values`` and ``due`` (a time column) is past.

    ``within_days`` bounds how long after ``created`` it is worth looking again.
    """

    column: str
    values: frozenset[str | None]
    due: str
    also: tuple[tuple[str, str], ...] = ()
    within_days: int | None = None


def _column(
    kind: Kind, path: str, doc: str, *, values: str | None = None, required: bool = False, name: str | None = None
) -> Column:
    parts = tuple(path.split("."))
    return Column(
        name=name or "_".join(part.removesuffix("[]") for part in parts),
        kind=kind,
        path=parts,
        doc=doc,
        values=frozenset(values.split()) if values else None,
        required=required,
    )


def text(path: str, doc: str, *, values: str | None = None, required: bool = False, name: str | None = None) -> Column:
    """A text column; ``values`` lists what Stripe documents, separated by spaces."""
    return _column(Kind.TEXT, path, doc, values=values, required=required, name=name)


def minor(path: str, doc: str, *, required: bool = False, name: str | None = None) -> Column:
    """Money in minor units of the row's ``currency`` (Stripe's exponents, not ISO's)."""
    return _column(Kind.MINOR, path, doc, required=required, name=name)


def integer(path: str, doc: str) -> Column:
    """A whole number that is not money."""
    return _column(Kind.INTEGER, path, doc)


def instant(path: str, doc: str, *, required: bool = False) -> Column:
    """Unix seconds at Stripe, a UTC timestamp in the lake."""
    return _column(Kind.TIME, path, doc, required=required)


def flag(path: str, doc: str) -> Column:
    """A boolean."""
    return _column(Kind.FLAG, path, doc)


def rate(path: str, doc: str) -> Column:
    """A percentage or an exchange rate, kept as Stripe printed it (decimal, 8 places)."""
    return _column(Kind.RATE, path, doc)


def texts(path: str, doc: str, *, name: str | None = None) -> Column:
    """The same field of every element of an array, in Stripe's order."""
    return _column(Kind.TEXTS, path, doc, name=name)


def minors(path: str, doc: str, *, name: str | None = None) -> Column:
    """Money of every element of an array, in Stripe's order."""
    return _column(Kind.MINORS, path, doc, name=name)


def total(path: str, doc: str, *, name: str | None = None) -> Column:
    """The sum of one money field over an array; 0 when Stripe sends null or nothing."""
    return _column(Kind.TOTAL, path, doc, name=name)


def of_parent(name: str, doc: str, *, column: str | None = None, kind: Kind = Kind.TEXT) -> Column:
    """A value repeated from the parent row, so that a child can be read without a join."""
    return Column(name=name, kind=kind, path=(column or name,), doc=doc, origin=Origin.PARENT)


def of_rate(name: str, doc: str, *, kind: Kind = Kind.TEXT, values: str | None = None) -> Column:
    """A value of the tax rate that the row refers to, so that a tax can be read without a join.

    Null until the rate is in the lake; it becomes right with the next sync after that.
    """
    known = frozenset(values.split()) if values else None
    return Column(name=name, kind=kind, path=(name,), doc=doc, values=known, origin=Origin.TAX_RATE)


def foreign(column: Column) -> Column:
    """The same column, read from JSON that may be of any kind and version."""
    return replace(column, foreign=True)


def personal(column: Column) -> Column:
    """The same column, declared to hold personal data: what a person may ask to have erased."""
    return replace(column, personal=True)


def position(name: str, doc: str) -> Column:
    """The row's place among its parent's rows, from 0."""
    return Column(name=name, kind=Kind.INTEGER, path=(), doc=doc, origin=Origin.POSITION)


ID = text("id", "Stripe's id; unique with `account`", required=True)
CURRENCY = text("currency", "Three-letter ISO code, lower case as Stripe writes it", required=True)
CREATED = instant("created", "When Stripe made the object", required=True)
LIVEMODE = flag("livemode", "False for sandbox and test data")

JURISDICTION_LEVELS = "city country county district multiple state"

# Whose tax it is: repeated on the taxes of invoices and credit notes.
OF_TAX_RATE: tuple[Column, ...] = (
    of_rate("country", "ISO 3166 country whose tax it is"),
    of_rate("state", "State or province whose tax it is"),
    of_rate("jurisdiction", "Name of the authority"),
    of_rate("jurisdiction_level", "Level of the authority; null on manual rates", values=JURISDICTION_LEVELS),
    of_rate("percentage", "Statutory rate, out of 100", kind=Kind.RATE),
    of_rate("tax_type", "sales_tax, vat, gst … (an open set at Stripe)"),
)

OUR_METADATA: tuple[Column, ...] = (
    text("metadata.order_id", "Our order; set on sessions, payment intents (so on charges) and invoices we make"),
    text("metadata.course", "Slug of the course in `redisu.toml`"),
    text("metadata.flockjay_course_id", "The course's id at FlockJay"),
    text("metadata.learner", "The learner's id at FlockJay"),
)
