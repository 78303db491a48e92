"""A month as today's data derive it: its own journal, and for the first open month the late changes of locked ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from redisu_pipeline.close import gates, gathering
from redisu_pipeline.close.books import read_books
from redisu_pipeline.close.chart import heading_of
from redisu_pipeline.close.fingerprint import fingerprint, remembered
from redisu_pipeline.close.late_changes import accounts_posted, delta, late_journal, standing_of, totals_of
from redisu_pipeline.close.pins import Pins
from redisu_pipeline.close.sources import Journal, journal_of
from redisu_pipeline.close.stored import LOCKED, PeriodState, Stored
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account, JournalEngine, Settings
from redisu_pipeline.controls.inputs import VersionCheck
from redisu_pipeline.journals.books import Books
from redisu_pipeline.journals.derive import Derived, derive
from redisu_pipeline.journals.model import Blocked, JournalLine


@dataclass(frozen=True)
class Draft:
    """What was derived. ``blocked`` are reasons of locked months too: what nothing explains has no late change.

    ``unchanged`` is to be remembered: fingerprints of locked months that were derived as they stand. ``posted`` too,
    once this month is locked: only then do its late changes stand, whatever the data become.
    """

    journals: tuple[Journal, ...]
    derived: Derived
    blocked: tuple[Blocked, ...] = ()
    versions: tuple[VersionCheck, ...] = ()
    unchanged: Mapping[str, str] = field(default_factory=dict)
    posted: Mapping[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> list[JournalLine]:
        """All lines, by external id and line."""
        lines = [line for journal in self.journals for line in journal.lines]
        return sorted(lines, key=lambda line: (line.external_id, line.line))


@dataclass(frozen=True)
class Drafter:
    """Derives months of one account over the same pinned files."""

    settings: Settings
    account: Account
    stored: Stored
    states: Mapping[Month, PeriodState]
    pins: Pins

    def draft(self, books: Books) -> Draft:
        """Return the month of ``books``."""
        derived = self._derived(books.period, lambda: books)
        own = self._journal(derived, books.period)
        if gates.first_not_locked(self.account, self.states) != books.period:
            return Draft((own,), derived, derived.blocked)
        stored, seen = self.stored.lines(before=books.period), self.stored.seen()
        locked = [month for month, state in self.states.items() if state.status == LOCKED]
        late = [self._late(month, books.period, stored, seen.get(remembered(month, LOCKED))) for month in locked]
        return Draft(
            (own, *(one.journal for one in late if one.journal is not None)),
            derived,
            (*derived.blocked, *(blocked for one in late for blocked in one.blocked)),
            tuple(check for one in late for check in one.versions),
            {key: digest for one in late for key, digest in one.unchanged.items()},
            {key: digest for one in late for key, digest in one.posted.items()},
        )

    def fingerprint(self, month: Month) -> str:
        """Return a hash over what ``month`` is derived from."""
        return fingerprint(self.settings, self.account, self.pins.hashes, month)

    def _derived(self, period: Month, books: Callable[[], Books]) -> Derived:
        """Derive ``period``: here from ``books``, or on Spark, which reads its own."""
        if self.settings.journals.engine is JournalEngine.LOCAL:
            known = books()
            gates.known_currencies(self.account, known)
            return derive(known)
        from redisu_pipeline.close import spark_engine

        return spark_engine.derive_on_spark(self.settings, self.account, period, self.pins)

    def _journal(self, derived: Derived, period: Month) -> Journal:
        heading = heading_of(self.settings, self.account, period)
        return journal_of(derived.postings.collect().to_polars(), derived.totals, heading)

    def _late(
        self, locked: Month, period: Month, stored: Mapping[Month, Sequence[JournalLine]], seen: str | None
    ) -> "_Late":
        """Compare a locked month with what today's data derive for it; posted is the difference.

        ``stored`` are the lines of all months before ``period``, ``seen`` what the month was last derived from.
        """
        name, now = remembered(locked, LOCKED), self.fingerprint(locked)
        standing_lines = [
            line for lines in stored.values() for line in lines if (line.adjusts_period or line.period) == str(locked)
        ]
        stands = totals_of(standing_lines)
        if seen == now:
            # Word for word as if it had been derived again.
            return _Late(versions=gathering.version_checks(locked, stands, stands, ""))
        derived = self._derived(locked, lambda: read_books(self.settings, self.account, locked, self.pins))
        fresh = self._journal(derived, locked)
        wanted = totals_of(fresh.lines)
        if wanted == stands:
            checked = gathering.version_checks(locked, wanted, stands, "")
            return _Late(derived.blocked, checked, {} if derived.blocked else {name: now})
        standing = standing_of(locked, stored, self.stored.sources(stored))
        heading = heading_of(
            self.settings,
            self.account,
            period,
            version=standing.version + 1,
            adjusts=locked,
            posted=accounts_posted(standing.lines, fresh.lines),
        )
        journal = late_journal(delta(fresh, standing), heading)
        both = totals_of([*standing_lines, *journal.lines])
        checked = gathering.version_checks(locked, wanted, both, "late changes posted")
        return _Late(derived.blocked, checked, {}, journal, {name: now})


@dataclass(frozen=True)
class _Late:
    blocked: Sequence[Blocked] = ()
    versions: Sequence[VersionCheck] = ()
    unchanged: Mapping[str, str] = field(default_factory=dict)
    journal: Journal | None = None
    posted: Mapping[str, str] = field(default_factory=dict)
