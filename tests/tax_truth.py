"""Tax by jurisdiction as the stand-in's double-entry truth has it, and as the lake has it, in one comparable form."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow.parquet as pq
from world import Town

from redisu_pipeline.common.money import to_minor

Key = tuple[str, str, str, str]
"""country, state, tax type, currency"""
Amounts = dict[Key, tuple[int, int]]
"""collected and refunded, in minor units"""


def truth_of(town: Town, account: str, month: str) -> Amounts:
    sums: dict[Key, Counter[str]] = {}
    for books in town.sandbox.world.truth(account, month)["currencies"].values():
        for row in books["tax"]:
            key = (row["country"], row["state"], row["tax_type"], row["presentment_currency"])
            one = sums.setdefault(key, Counter())
            one["collected"] += row["presentment_collected"]
            one["refunded"] += row["presentment_refunded"]
    return {key: (one["collected"], one["refunded"]) for key, one in sums.items() if any(one.values())}


def rows_of(town: Town, account: str, month: str) -> list[dict[str, Any]]:
    file = town.lake / f"netsuite/tax_by_jurisdiction/account={account}/month={month}/data.parquet"
    rows: list[dict[str, Any]] = pq.ParquetFile(file).read().to_pylist()
    return rows


def held_of(town: Town, account: str, month: str) -> Amounts:
    sums: Amounts = {}
    for row in rows_of(town, account, month):
        key = (row["country"], row["state"], row["tax_type"], row["currency"])
        collected, refunded = sums.get(key, (0, 0))
        currency = row["currency"]
        sums[key] = (
            collected + to_minor(row["collected"], currency),
            refunded + to_minor(row["refunded"], currency),
        )
    return sums
