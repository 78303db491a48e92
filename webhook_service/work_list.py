"""The work list of the `manual` preset: a CSV that people work through, one row a change, each key once."""

import csv
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

COLUMNS: Final = ("written_at", "action", "learner_id", "email", "name", "course_id", "order_id", "key")
# A spreadsheet would run a cell that begins like this.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class WorkList:
    """A CSV file that only grows, but for `forget`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, key: str, action: str, fields: Mapping[str, str], now: datetime) -> None:
        """Append a change unless its key is there already; durable on return. Raises OSError."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if any(row.get("key") == key for row in self._rows()):
            return
        row = {"written_at": now.isoformat(), "action": action, "key": key, **fields}
        is_new = not self._path.exists() or self._path.stat().st_size == 0
        with self._path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            if is_new:
                writer.writeheader()
            writer.writerow({name: _plain(row[name]) for name in COLUMNS})
            file.flush()
            os.fsync(file.fileno())

    def forget(self, learner: str) -> int:
        """Blank the learner's e-mail address and name; returns how many rows had them. Raises OSError."""
        rows = self._rows()
        theirs = [row for row in rows if row["learner_id"] == _plain(learner) and (row["email"] or row["name"])]
        for row in theirs:
            row["email"] = row["name"] = ""
        if theirs:
            beside = self._path.with_suffix(".new")
            with beside.open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        return len(theirs)

    def _rows(self) -> list[dict[str, str]]:
        try:
            with self._path.open(encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
        except FileNotFoundError:
            return []


def _plain(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
