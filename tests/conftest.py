"""What holds for every test: no key of the person who runs them, no network beyond this machine, no missing tool."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from configurations import faults, read  # noqa: F401  (fixtures of every settings test)

if TYPE_CHECKING:
    from small_books import SmallBooks
    from world import MakeTown, Town

# They hold fixtures and helpers: a test module imports the helpers before pytest hears of the fixtures.
pytest.register_assert_rewrite("checkout_site", "clinic", "lake_places")

# How long an example takes says nothing on a machine that others use, too.
hypothesis.settings.register_profile("ours", deadline=None)
hypothesis.settings.load_profile("ours")

_OURS = ("REDISU_", "STRIPE_", "FLOCKJAY_")
_TOOLS = {"browser": ("chromium", "chromium-browser", "google-chrome"), "java": ("java",), "spark": ("java",)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for marker, names in _TOOLS.items():
        if not any(shutil.which(name) for name in names):
            for item in items:
                if item.get_closest_marker(marker):
                    item.add_marker(pytest.mark.skip(reason=f"no {names[0]} here"))


@pytest.fixture(autouse=True)
def _no_settings_of_the_person_who_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(_OURS):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True, scope="session")
def _no_network_beyond_this_machine() -> Iterator[None]:
    """A test that talks to the real Stripe by mistake fails at once instead of moving something there."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and not _is_here(str(address[0])):
            raise AssertionError(f"a test connects to {address[0]}; tests stay on this machine")
        connect(self, address)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", guarded)
        yield


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("localhost", socket.gethostname())


@pytest.fixture
def make_town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeTown]:
    """Make worlds behind a stand-in, with a configuration (world.open_town); syncs in this process are not slowed."""
    import world

    from redisu_pipeline.extract import opening

    monkeypatch.setattr(opening, "LIVE", world.UNLIMITED)
    monkeypatch.setattr(opening, "SANDBOX", world.UNLIMITED)
    with ExitStack() as stack:
        made: list[Town] = []

        def make(**wanted: Any) -> Town:
            made.append(stack.enter_context(world.open_town(tmp_path / f"town{len(made)}", **wanted)))
            return made[-1]

        yield make


@pytest.fixture
def town(make_town: MakeTown) -> Town:
    """A small world of one account."""
    return make_town()


@pytest.fixture(scope="session")
def synced_books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallBooks]:
    """Three months of a small shop, synced and not closed yet (small_books.py); copy them to close them."""
    from small_books import open_books

    with open_books(tmp_path_factory.mktemp("books") / "town") as books:
        yield books
