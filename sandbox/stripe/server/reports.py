"""The Reporting API: report types, runs that take their time, and files (stripe.md §6.4)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from sandbox.stripe.server import csv_reports, errors
from sandbox.stripe.server.call import Call, Sandbox, shown
from sandbox.stripe.server.csv_reports import Interval, written
from sandbox.stripe.server.parameters import EXPAND, INT, TEXT, Enum, Kind, ListOf, Shape, Values
from sandbox.stripe.store import Object, Store

HOUR = 3600
DAY = 24 * HOUR
HALF_DAY = DAY // 2
FILE_KEPT = 365 * DAY
PARAMETERS: dict[str, Kind] = {
    "columns": ListOf(TEXT),
    "connected_account": TEXT,
    "country": TEXT,
    "currency": TEXT,
    "decimal_separator": Enum((".", ",")),
    "interval_end": INT,
    "interval_start": INT,
    "payout": TEXT,
    "reporting_category": TEXT,
    "states": ListOf(TEXT),
    "timezone": TEXT,
}
CREATE: dict[str, Kind] = {"expand": EXPAND, "parameters": Shape(PARAMETERS), "report_type": TEXT}
COMMON = frozenset({"columns", "interval_end", "interval_start", "timezone"})
BALANCE = COMMON | {"currency", "reporting_category"}


@dataclass(frozen=True)
class Report:
    """One report type. `extra_lag` are hours on top of the ordinary delay of the data."""

    id: str
    name: str
    columns: tuple[str, ...]
    accepts: frozenset[str]
    rows: Callable[[Store, Sequence[Object], Interval], Iterable[Mapping[str, Any]]]
    families: tuple[str, ...] = ()
    extra_lag: int = 0


REPORTS = {
    one.id: one
    for one in (
        Report(
            "balance.summary.1",
            "Balance summary",
            csv_reports.BALANCE_COLUMNS,
            COMMON | {"currency"},
            csv_reports.balance_summary,
        ),
        Report(
            "balance_change_from_activity.summary.1",
            "Balance change from activity summary",
            csv_reports.SUMMARY_COLUMNS,
            BALANCE,
            csv_reports.activity_summary,
        ),
        Report(
            "payouts.summary.1", "Payouts summary", csv_reports.SUMMARY_COLUMNS, BALANCE, csv_reports.payouts_summary
        ),
        Report(
            "tax.transactions.itemized.2",
            "Itemized tax transactions",
            csv_reports.TAX_COLUMNS,
            COMMON | {"decimal_separator"},
            csv_reports.tax_itemized,
            families=csv_reports.FAMILIES,
            extra_lag=12,
        ),
        Report(
            "tax.itemized_export.1",
            "Itemized tax export",
            csv_reports.TAX_EXPORT_COLUMNS,
            COMMON | {"decimal_separator", "country", "states"},
            csv_reports.tax_export,
            extra_lag=12,
        ),
    )
}


def available(call: Call, report: Report) -> tuple[int, int]:
    """[start, end] of the data: from the month of the first transaction to the last half-day that is processed by now.

    Stripe's cut-offs are 00:00 and 12:00 UTC (stripe.md §6.4).
    """
    order = call.store.collection("balance_transaction").order
    first = datetime.fromtimestamp(order[0][0] if order else call.store.now, UTC)
    start = first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    lag = (call.sandbox.reports.lag_hours + report.extra_lag) * HOUR
    return int(start.timestamp()), (call.sandbox.now() - lag) // HALF_DAY * HALF_DAY


def _type_object(call: Call, report: Report) -> Object:
    start, end = available(call, report)
    return {
        "id": report.id,
        "object": "reporting.report_type",
        "data_available_end": end,
        "data_available_start": start,
        "default_columns": list(report.columns),
        "livemode": call.store.livemode,
        "name": report.name,
        "updated": end + call.sandbox.reports.lag_hours * HOUR,
        "version": int(report.id.rpartition(".")[2]),
    }


def list_types(call: Call) -> bytes:
    """`GET /v1/reporting/report_types`: all at once, no paging."""
    call.bare()
    data = [_type_object(call, report) for report in REPORTS.values()]
    return msgspec.json.encode({"object": "list", "data": data, "has_more": False, "url": call.path})


def retrieve_type(call: Call) -> bytes:
    call.bare()
    report = REPORTS.get(call.ids[0])
    if report is None:
        raise errors.missing_object("reporttype", call.ids[0])
    return msgspec.json.encode(_type_object(call, report))


def create_run(call: Call) -> bytes:
    """`POST /v1/reporting/report_runs`; a run is pending until it was polled often enough."""
    values = call.checked(CREATE, required=("report_type",))
    report = REPORTS.get(values["report_type"])
    if report is None:
        raise errors.missing_object("reporttype", values["report_type"], "report_type", status=400)
    if not call.store.livemode:
        message = f"Report type {report.id} can only be run with a live-mode key."
        raise errors.invalid("report_type", message)
    given = values.get("parameters", {})
    _refuse(call, report, given)
    run: Object = {
        "id": call.store.new_id("frr"),
        "object": "reporting.report_run",
        "created": call.store.now,
        "error": None,
        "livemode": call.store.livemode,
        "parameters": given,
        "report_type": report.id,
        "result": None,
        "status": "pending",
        "succeeded_at": None,
    }
    call.store.put(run)
    call.sandbox.polls[run["id"]] = call.sandbox.reports.polls
    if not call.sandbox.reports.polls:
        finish(call.sandbox, call.store, run)
    return shown(call.store, run, values.get("expand"))


def _refuse(call: Call, report: Report, given: Values) -> None:
    """Raise ApiError(400) for parameters that the report type does not take."""
    unknown = sorted(given.keys() - report.accepts)
    if unknown:
        raise errors.unknown_parameters([f"parameters[{name}]" for name in unknown])
    for name in ("interval_start", "interval_end"):
        if name not in given:
            raise errors.missing_parameter(f"parameters[{name}]")
    start, end = available(call, report)
    if not start <= given["interval_start"] < given["interval_end"] <= end:
        message = (
            f"The interval [{given['interval_start']}, {given['interval_end']}) must lie within the available data of "
            f"{report.id}, which begins at {start} and ends at {end}."
        )
        raise errors.invalid("parameters[interval_end]", message)
    for column in given.get("columns", ()):
        if column not in report.columns and not column.startswith(report.families or ("\0",)):
            raise errors.invalid("parameters[columns]", f"Invalid column for {report.id}: {column}")
    try:
        ZoneInfo(given.get("timezone", "Etc/UTC"))
    except (KeyError, ValueError):
        raise errors.invalid("parameters[timezone]", f"Invalid timezone: {given['timezone']}") from None


def retrieve_run(call: Call) -> bytes:
    """Each poll brings a pending run nearer to its end."""
    values = call.bare()
    run = call.store.get("reporting.report_run", call.ids[0])
    if run is None:
        raise errors.missing_object("report run", call.ids[0])
    if run["status"] == "pending":
        call.sandbox.polls[run["id"]] = left = call.sandbox.polls.get(run["id"], 0) - 1
        if left <= 0:
            finish(call.sandbox, call.store, run)
    return shown(call.store, run, values.get("expand"))


def finish_all(sandbox: Sandbox) -> None:
    """Time passed: nothing stays pending."""
    for store in sandbox.world.stores.values():
        for run in store.where("reporting.report_run", "status", "pending"):
            finish(sandbox, store, run)


def finish(sandbox: Sandbox, store: Store, run: Object) -> None:
    """Let a run succeed with its file, or fail when that was asked for; the event says so."""
    if sandbox.reports.fail_next > 0:
        sandbox.reports.fail_next -= 1
        error = "An error occurred while running the report. Please try again."
        store.change("reporting.report_run", run["id"], status="failed", error=error)
        store.emit("reporting.report_run.failed", run)
        return
    report = REPORTS[run["report_type"]]
    given = run["parameters"]
    interval = Interval(
        given["interval_start"],
        given["interval_end"],
        given.get("timezone", "Etc/UTC"),
        given.get("currency"),
        given.get("reporting_category"),
    )
    tax_rows = sandbox.world.tax_rows(store.name) if report.id.startswith("tax.") else ()
    columns = given.get("columns") or report.columns
    body = written(columns, report.rows(store, tax_rows, interval), given.get("decimal_separator", "."))
    file = _file(sandbox, store, report, body)
    store.change("reporting.report_run", run["id"], status="succeeded", succeeded_at=store.now, result=file)
    store.emit("reporting.report_run.succeeded", run)


def _file(sandbox: Sandbox, store: Store, report: Report, body: bytes) -> Object:
    id = store.new_id("file")
    expired = sandbox.reports.files_expire_next > 0
    sandbox.reports.files_expire_next -= expired
    if not expired:
        sandbox.contents[id] = body
    return store.put(
        {
            "id": id,
            "object": "file",
            "created": store.now,
            "expires_at": store.now if expired else store.now + FILE_KEPT,
            "filename": f"{report.id}-{id}.csv",
            "links": {"object": "list", "data": [], "has_more": False, "url": f"/v1/file_links?file={id}"},
            "purpose": "finance_report_run",
            "size": len(body),
            "title": f"FileUpload title for {id}",
            "type": "csv",
            "url": f"https://files.stripe.com/v1/files/{id}/contents",
        }
    )


def contents(call: Call) -> bytes:
    """`GET /v1/files/{id}/contents`, with the key, as long as the file is kept."""
    file = call.store.get("file", call.ids[0])
    if file is None or file["id"] not in call.sandbox.contents or file["expires_at"] <= call.store.now:
        raise errors.missing_object("file", call.ids[0])
    return call.sandbox.contents[file["id"]]
