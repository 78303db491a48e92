"""What is not Stripe's: the lake, the operations database, the file of exchange rates."""

import csv
import os
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from pathlib import Path

from redisu_pipeline.common.opsdb.engine import shown
from redisu_pipeline.common.opsdb.migrate import revision
from redisu_pipeline.common.opsdb.schema import HEAD, REVISIONS
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Settings
from redisu_pipeline.doctor.model import Finding, fail, ok, skip
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.storage import open_storage
from redisu_pipeline.tables.registry import TABLES

RATE_COLUMNS = ("currency", "base_currency", "period", "rate")
FAULTS_SHOWN = 3


def lake_writable(settings: Settings) -> Finding:
    """Whether a small file can be written and removed. Raises a Refusal that says why not."""
    open_storage(settings.lake.uri).probe()
    return ok(f"{settings.lake.uri} can be written")


def lake_readable(settings: Settings, accounts: Iterable[str]) -> Finding:
    """Whether every manifest of the accounts can be read. Raises a Refusal that names the first that cannot."""
    storage = open_storage(settings.lake.uri)
    names = list(accounts)
    found = [read_manifest(storage, table, account)[0] for account in names for table in TABLES]
    there = [manifest for manifest in found if manifest is not None]
    if not there:
        return ok("nothing is in it yet; redisu sync fills it")
    whole = len(TABLES) * len(names)
    return ok(f"{len(there)} of {whole} tables have a manifest, {sum(each.rows for each in there):,} rows in all")


def database(settings: Settings) -> Finding:
    """Whether the database answers, and at which revision; nothing is created or upgraded.

    Raises a Refusal when it does not answer.
    """
    url = settings.database.url
    file = Path(url.removeprefix("sqlite:///").partition("?")[0]) if url.startswith("sqlite") else None
    if file is not None and not file.exists():
        folder = next(parent for parent in file.parents if parent.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            return fail(f"{file} is not there and {folder} cannot be written", "set database.url to a writable place")
        return ok(f"{file} is not there yet; the first command that needs it makes it")
    return revision_finding(shown(url), revision(url))


def revision_finding(where: str, found: str | None) -> Finding:
    """Judge the revision of a database that answers."""
    if found is None:
        return ok(f"{where} is empty; the first command that needs it makes the tables")
    if found not in REVISIONS:
        evidence = f"{where} is at revision {found}, newer than this program's {HEAD}"
        return fail(evidence, "run the newer redisu, or restore the database's backup")
    if found != HEAD:
        return ok(f"{where} is at revision {found}; the next command brings it to {HEAD}")
    return ok(f"{where} answers, revision {found}")


def exchange_rates(settings: Settings) -> Finding:
    """Whether the file of exchange rates can be used; only accounts with a foreign currency need one."""
    path = settings.netsuite.exchange_rates
    if path is None:
        return skip("netsuite.exchange_rates is not set; only a currency other than the subsidiary's needs rates")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in RATE_COLUMNS if name not in (reader.fieldnames or ())]
            rows = [(reader.line_num, row) for row in reader] if not missing else []
    except OSError as error:
        evidence = f"{path} cannot be read ({error.strerror})"
        return fail(evidence, "correct netsuite.exchange_rates or put the file there")
    except (UnicodeDecodeError, csv.Error):
        return fail(f"{path} is no CSV in UTF-8", "save it as CSV (UTF-8)")
    if missing:
        return fail(f"{path} lacks the columns {', '.join(missing)}", f"its columns are {', '.join(RATE_COLUMNS)}")
    wrong = [f"line {line}: {fault}" for line, row in rows if (fault := rate_fault(row))]
    if wrong:
        more = f" and {len(wrong) - FAULTS_SHOWN} more" if len(wrong) > FAULTS_SHOWN else ""
        return fail(
            f"{path}: {'; '.join(wrong[:FAULTS_SHOWN])}{more}", "correct these lines, like ILS,USD,2026-10,0.27"
        )
    return ok(f"{path} has {len(rows)} rates")


def rate_fault(row: dict[str, str | None]) -> str:
    """What is wrong with one row; empty when nothing is."""
    try:
        Month.parse((row["period"] or "").strip())
    except ValueError:
        return "period is not YYYY-MM"
    if any(len((row[name] or "").strip()) != 3 for name in ("currency", "base_currency")):
        return "a currency has three letters"
    try:
        rate = Decimal((row["rate"] or "").strip())
    except InvalidOperation:
        return "rate is no number"
    return "" if rate.is_finite() and rate > 0 else "rate is not above 0"
