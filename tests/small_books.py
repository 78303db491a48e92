"""A small world synced over three months, ready to be closed; each test closes a copy of its lake."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
import world
from answers import Answer
from world import Town

from redisu_pipeline import cli
from redisu_pipeline.common.settings import Settings, load
from redisu_pipeline.extract import opening
from redisu_pipeline.lake.storage import Storage, open_storage

START = date(2026, 8, 1)
NOW = datetime(2026, 11, 6, 7, tzinfo=UTC)
MONTHS = ("2026-08", "2026-09", "2026-10")


@dataclass(frozen=True)
class SmallBooks:
    """A configuration and a lake of its own; ``REDISU_NOW`` and the keys are those of the world."""

    folder: Path
    town: Town

    @property
    def config(self) -> Path:
        return self.folder / "redisu.toml"

    @property
    def lake(self) -> Path:
        return self.folder / "lake"

    @property
    def environ(self) -> Mapping[str, str]:
        return {**self.town.environ, "REDISU_NOW": self.town.now.isoformat()}

    @property
    def settings(self) -> Settings:
        return load(str(self.config), self.environ)

    @property
    def storage(self) -> Storage:
        return open_storage(str(self.lake))

    def redisu(self, *arguments: str, json: bool = True) -> Answer:
        """Run a command inside this process, at the world's time."""
        out, err = io.StringIO(), io.StringIO()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environ.items():
                patch.setenv(name, value)
            patch.setenv("COLUMNS", "200")
            words = [*arguments, "--config", str(self.config), *(["--json"] if json else [])]
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
                cli.main(words)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        return Answer(int(end.value.code or 0), out.getvalue(), err.getvalue())

    def close(self, month: str, *more: str, account: str = "us") -> Answer:
        return self.redisu("close", "--account", account, "--month", month, *more)

    def configure(self, old: str, new: str) -> None:
        """Change a line of the configuration."""
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def copy(self, folder: Path) -> SmallBooks:
        """The same books once more, in a folder that is not there yet."""
        shutil.copytree(self.folder, folder)
        copied = SmallBooks(folder, self.town)
        copied.configure(str(self.folder), str(folder))
        return copied

    def files(self, *below: str) -> dict[str, bytes]:
        """Every file below a folder of the lake, by its path from the lake; without locks, which say who holds them."""
        top = self.lake.joinpath(*below)
        return {
            str(file.relative_to(self.lake)): file.read_bytes()
            for file in sorted(top.rglob("*"))
            if file.is_file() and ".locks" not in file.parts
        }


@contextlib.contextmanager
def open_books(folder: Path, *, accounts: tuple[str, ...] = ("us",), checkouts: int = 8) -> Iterator[SmallBooks]:
    """A world from August to the first days of November, synced twice so that months have their late changes."""
    early = datetime(2026, 9, 20, tzinfo=UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "LIVE", world.UNLIMITED)
        patch.setattr(opening, "SANDBOX", world.UNLIMITED)
        for name in [name for name in os.environ if name.startswith("STRIPE_")]:
            patch.delenv(name)
        with world.open_town(folder, accounts=accounts, checkouts=checkouts, start=START, now=early) as town:
            town.books = START
            for moment in (early, NOW):
                town.sandbox.world.advance(moment)
                report = town.sync()
                assert report.ok, report.problems
            yield SmallBooks(folder, town)
