"""What the lake should hold, derived from the stand-in's own objects, and what it does hold, read file by file.

A second, slow and simple reading of the declared columns: it shares no code with ``extract`` and ``lake``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from redisu_pipeline.tables.model import Children, Column, Kind, Origin, Resource, Scope, Table
from redisu_pipeline.tables.registry import RESOURCES, TABLES

Row = dict[str, Any]
Rows = dict[str, Row]
"""By id."""

LISTS = (Kind.TEXTS, Kind.MINORS)
BALANCE_KINDS = (
    ("available", ("available",)),
    ("pending", ("pending",)),
    ("instant_available", ("instant_available",)),
    ("connect_reserved", ("connect_reserved",)),
    ("issuing_available", ("issuing", "available")),
    ("prefunding_available", ("refund_and_dispute_prefunding", "available")),
    ("prefunding_pending", ("refund_and_dispute_prefunding", "pending")),
)


def plain(value: Any) -> Any:
    """The JSON of an object as an outsider reads it: decimals exact, nothing shared with the stand-in."""
    return json.loads(msgspec.json.encode(value), parse_float=Decimal)


def expected_of(store: Any, start: datetime, now: datetime) -> dict[str, Rows]:
    """Every table's rows for one account as the stand-in has them; ``now`` dates the balance snapshot.

    Objects made before ``start`` are there when something since then refers to them.
    """
    older = referenced(store, int(start.timestamp()))
    found: dict[str, Rows] = {}
    for resource in RESOURCES:
        if resource.scope is Scope.REPORT:
            continue  # no object at Stripe: test_tax_report.py compares it with the stand-in's own report
        if resource.scope is Scope.SNAPSHOT:
            objects = list(_balances(plain(store.balance()), now))
        else:
            objects = plain(store.all(resource.object))
        if resource.scope is Scope.SINCE_START:
            since = int(start.timestamp())
            objects = [one for one in objects if one["created"] >= since or one["id"] in older]
        found.update(rows_of(resource, objects, store.name, store.livemode))
    _look_up_rates(found)
    return found


def referenced(store: Any, start: int) -> set[str]:
    """Ids of the objects made before ``start`` that the lake needs, by walking the stand-in's own objects.

    Objects since the start name some; a charge leads to its booking, its invoice and what went back of it before.
    """
    everything = {one["id"]: one for kind in OLDER_KINDS for one in store.all(kind)}
    paid = [(one["payment"].get("payment_intent"), one) for one in store.all("invoice_payment")]
    found: set[str] = set()
    queue = [id for one in everything.values() if one["created"] >= start for id in _named_by(one, start)]
    queue += [one["data"]["object"]["id"] for one in store.all("event") if one["created"] >= start and _tells(one)]
    while queue:
        id = queue.pop()
        if id not in everything or id in found or everything[id]["created"] >= start:
            continue
        found.add(id)
        one = everything[id]
        queue += _named_by(one, start)
        if one["object"] == "charge":
            queue += [refund["id"] for refund in store.all("refund") if refund["charge"] == id]
            queue += [payment["id"] for intent, payment in paid if intent == one["payment_intent"]]
        if one["object"] == "invoice":
            queue += [note["id"] for note in store.all("credit_note") if note["invoice"] == id]
    return found


OLDER_KINDS = "charge refund dispute payout credit_note invoice invoice_payment balance_transaction".split()


def _tells(event: Row) -> bool:
    return event["data"]["object"]["object"] in ("dispute", "credit_note")


def _named_by(one: Row, start: int) -> list[str]:
    """The ids that an object names and that lead to what a journal of it needs."""
    kind = one["object"]
    if kind == "balance_transaction":
        return [one["source"]] if one["source"] and one["created"] >= start else []
    named = {
        "charge": [one.get("balance_transaction")] if one["created"] < start else [],
        "refund": [one.get("charge"), one.get("balance_transaction") if one["created"] < start else None],
        "dispute": [one.get("charge"), *(row["id"] for row in one.get("balance_transactions") or ())],
        "credit_note": [one.get("invoice")],
        "invoice_payment": [one.get("invoice")],
    }
    return [id for id in named.get(kind, ()) if id]


def _look_up_rates(found: Mapping[str, Rows]) -> None:
    """A tax on a line repeats what its tax rate says."""
    for name, rows in found.items():
        for column in TABLES[name].columns:
            if column.origin is Origin.TAX_RATE:
                for row in rows.values():
                    row[column.name] = found["tax_rates"].get(row["tax_rate"], {}).get(column.path[0])


def rows_of(resource: Resource, objects: Iterable[Row], account: str, livemode: bool) -> dict[str, Rows]:
    """The rows that some objects of one resource make, in its table and those nested in it."""
    found: dict[str, Rows] = {table.name: {} for table in resource.table.family()}
    for one in objects:
        _add(found, resource.table, one, {"account": account, "livemode": livemode}, 0)
    return found


def _balances(balance: Row, now: datetime) -> Iterator[Row]:
    number = 0
    midnight = int(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp())
    for kind, path in BALANCE_KINDS:
        for entry in _dig(balance, path) or ():
            head = {"id": f"balance_{now:%Y%m%d}:{number}", "object": "balance", "created": midnight}
            yield {**head, "livemode": balance["livemode"], "kind": kind, **entry}
            number += 1


def _add(found: dict[str, Rows], table: Table, one: Row, parent: Row, position: int) -> None:
    row: Row = {"account": parent["account"]}
    row["id"] = one["id"] if table.own_id else f"{parent['id']}:{position}"
    for name in ("created", "livemode"):
        row[name] = parent.get(name)
    for column in table.columns:
        row[column.name] = None if column.origin is Origin.TAX_RATE else _typed(column, one, parent, position)
    row["_deleted_at"] = None
    row["_raw"] = _without_lists(one, table)
    assert row["id"] not in found[table.name], row["id"]
    found[table.name][row["id"]] = row
    for children in table.children:
        for number, child in enumerate(_children(one, children)):
            _add(found, children.table, child, row, number)


def _children(one: Row, children: Children) -> list[Row]:
    value = one.get(children.path)
    found: list[Row] = value["data"] if children.is_list_object and value else value
    return found or []


def _typed(column: Column, one: Row, parent: Row, position: int) -> Any:
    if column.origin is Origin.POSITION:
        return position
    if column.origin is Origin.PARENT:
        return parent[column.path[0]]
    value = _dig(one, column.path)
    if column.kind is Kind.TOTAL:
        return sum(amount or 0 for amount in value or ())
    if column.kind in LISTS:
        return value or []
    if value is None:
        return None
    if column.kind is Kind.TIME:
        return datetime.fromtimestamp(value, UTC)
    if column.kind is Kind.RATE:
        return Decimal(value).quantize(Decimal("1E-8"), ROUND_HALF_EVEN)
    return value


def _dig(node: Any, path: tuple[str, ...]) -> Any:
    if node is None or not path:
        return node
    if path[0].endswith("[]"):
        return [_dig(one, path[1:]) for one in node.get(path[0][:-2]) or ()]
    return _dig(node.get(path[0]), path[1:])


def _without_lists(one: Row, table: Table) -> Row:
    """The object without its nested lists: a parent shows only their first page."""
    cut = {children.path for children in table.children if children.is_list_object}
    return {name: value for name, value in one.items() if name not in cut}


# -- the lake -----------------------------------------------------------------------------------------------------


def held_by(lake: Path, account: str) -> dict[str, Rows]:
    """Every row of an account in a lake, read file by file. Fails for a duplicate id or a row in the wrong month."""
    return {name: _held(lake / "stripe" / name / f"account={account}", TABLES[name]) for name in TABLES}


def _held(folder: Path, table: Table) -> Rows:
    found: Rows = {}
    for file in sorted(folder.glob("month=*/*")):
        assert file.name == "data.parquet", f"a reader of the folder meets {file.name}"
        rows = pq.ParquetFile(file).read().to_pylist()
        order = [row["created"] for row in rows]
        assert order == sorted(order), f"{file} is not sorted by created"
        for row in rows:
            assert file.parent.name == f"month={row['created']:%Y-%m}", f"{row['id']} stands in {file.parent.name}"
            assert row["id"] not in found, f"{table.name} holds {row['id']} twice"
            row["_raw"] = _without_lists(json.loads(row["_raw"], parse_float=Decimal), table)
            found[row["id"]] = row
    return found


def differences(expected: Mapping[str, Rows], held: Mapping[str, Rows], tables: Iterable[str]) -> list[str]:
    """Each difference between the source and the lake in words, at most forty; columns of our own are left out."""
    said: list[str] = []
    for name in (name for name in tables if name in expected):
        want, have = expected[name], held[name]
        said += [f"{name}: {missing} is missing" for missing in sorted(want.keys() - have.keys())]
        said += [f"{name}: {extra} is not in the source" for extra in sorted(have.keys() - want.keys())]
        for one in sorted(want.keys() & have.keys()):
            for column, value in want[one].items():
                got = have[one].get(column, "(no such column)")
                if got != value:
                    said.append(f"{name}.{column} of {one}: {_short(got)} in the lake, {_short(value)} in the source")
    return said[:40]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 200 else f"{text[:200]}…"


def sums_of(rows: Rows, table: Table) -> dict[str, dict[str, int]]:
    """Money by column and currency, as a manifest records it: minor units; presentment amounts are left out."""
    found: dict[str, dict[str, int]] = {}
    for column in table.columns:
        if column.kind in (Kind.MINOR, Kind.TOTAL) and "presentment" not in column.name:
            for row in rows.values():
                if "currency" in row:
                    by_currency = found.setdefault(column.name, {})
                    currency = row["currency"] or ""
                    by_currency[currency] = by_currency.get(currency, 0) + (row[column.name] or 0)
    return found
