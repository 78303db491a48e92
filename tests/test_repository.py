"""What the repository itself promises: a lock that holds anywhere, pages that are current, nothing of one machine."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from redisu_pipeline.common.settings.docs import page

ROOT = Path(__file__).parent.parent
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".txt",
    ".lock",
    ".csv",
    ".html",
    ".css",
    ".json",
    ".mako",
    ".sql",
    ".sh",
    "",
}
# Spelled in two parts, so that this file does not find itself.
MACHINE = re.compile("/" + r"(?:work|root|home/\w+|tmp/bash)" + "/" + r"|index" + r"-url\s|://[a-z.]+/" + "simple/")


def tracked() -> Iterator[Path]:
    """Yield every file that git has or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this is not a git checkout")
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            yield ROOT / name


LOCKS = ("requirements.lock", "requirements-spark.lock")


def locked() -> dict[str, tuple[str, list[str]]]:
    """Return name -> (version, hashes) of both locks: Spark, half a gigabyte, has one of its own."""
    text = "".join((ROOT / lock).read_text(encoding="utf-8") for lock in LOCKS).replace("\\\n", " ")
    entries = {}
    for line in text.splitlines():
        if not line.strip():
            continue
        found = re.match(r"(?P<name>[a-z0-9][a-z0-9._-]*)(?:\[[^]]*])?==(?P<version>[^\s;]+)", line)
        assert found, f"not a pinned requirement: {line[:80]}"
        entries[found["name"]] = (found["version"], re.findall(r"--hash=sha256:([0-9a-f]{64})(?:\s|$)", line))
    return entries


def wanted() -> Iterator[Requirement]:
    """Yield every requirement that pyproject.toml names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups = [project["project"]["dependencies"], *project["dependency-groups"].values()]
    groups.extend(project["project"].get("optional-dependencies", {}).values())
    for group in groups:
        yield from map(Requirement, group)


def test_every_locked_package_has_its_hashes() -> None:
    entries = locked()
    assert len(entries) > 50
    assert [name for name, (_, hashes) in entries.items() if not hashes] == []


def test_the_lock_names_no_host_and_no_path() -> None:
    text = "".join((ROOT / lock).read_text(encoding="utf-8") for lock in LOCKS)
    assert not re.search(r"://|(?:^|\s)-[a-z]|--(?:extra-)?index|--find-links|@ |(?:^|\s)\.?/", text, re.MULTILINE)


def test_the_lock_answers_what_pyproject_asks_for() -> None:
    entries = locked()
    for requirement in wanted():
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        assert name in entries, f"{name} is not locked; run make lock"
        assert requirement.specifier.contains(entries[name][0]), f"{name} {entries[name][0]} is locked; run make lock"


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    found = []
    for path in tracked():
        if path.suffix in TEXT:
            found += [f"{path.relative_to(ROOT)}: {line[:80]}" for line in _lines(path) if MACHINE.search(line)]
    assert found == []


def test_no_file_holds_what_looks_like_a_live_key() -> None:
    # Keys of the stand-ins and of tests say so; a real one is long and has no words in it.
    real = re.compile(r"\b(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{24,}\b|\bwhsec_[A-Za-z0-9]{32,}\b")
    found = [
        str(path.relative_to(ROOT)) for path in tracked() if path.suffix in TEXT and any(map(real.search, _lines(path)))
    ]
    assert found == []


def test_the_page_of_settings_is_what_the_code_says() -> None:
    written = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert written == page(), "run python -m redisu_pipeline.common.settings > docs/configuration.md"


def test_the_makefile_has_every_target_of_the_contract() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"demo", "install", "test", "test-all", "ui", "bench", "lock", "fmt"} <= targets


def test_ci_runs_the_long_tests_too() -> None:
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111
    assert "test-all" in script.read_text(encoding="utf-8")


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines()
