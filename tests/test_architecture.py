"""Who may import whom. The folder is the stage, and data flows one way: extract -> lake -> journals -> export."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
P = "redisu_pipeline"
LATER = tuple(
    f"{P}.{stage}" for stage in ("journals", "controls", "export", "close", "assets", "resources", "definitions")
)


@dataclass(frozen=True)
class Rule:
    """Files under ``folder`` (but for ``exempt``) import nothing of ``never``; of ours only what is in ``ours``."""

    folder: str
    never: tuple[str, ...] = ()
    ours: tuple[str, ...] | None = None
    exempt: tuple[str, ...] = ()
    stdlib_only: bool = False


RULES = (
    Rule(f"{P}/common", never=("dagster", "pandas", "pyarrow", "narwhals"), ours=(f"{P}.common",)),
    Rule(f"{P}/common", never=("sqlalchemy", "alembic"), exempt=(f"{P}/common/opsdb",)),
    Rule(f"{P}/common", never=("stripe",), exempt=(f"{P}/common/stripe_api.py",)),
    Rule(f"{P}/tables", ours=(f"{P}.tables", f"{P}.common"), stdlib_only=True),
    Rule(f"{P}/extract", never=("dagster", "pandas", "sqlalchemy", *LATER)),
    Rule(f"{P}/lake", never=("dagster", "stripe", "sqlalchemy", f"{P}.extract", *LATER)),
    Rule(f"{P}/tax", never=("dagster", "stripe", "sqlalchemy", "requests", "httpx", f"{P}.extract", *LATER)),
    Rule(
        f"{P}/journals",
        never=("dagster", "stripe", "polars", "pyarrow", "sqlalchemy", "os", "pathlib", "requests", "httpx"),
        ours=(f"{P}.journals", f"{P}.common", f"{P}.tables"),
    ),
    Rule(
        f"{P}/controls",
        never=("dagster", "stripe", "polars", "pandas", "pyarrow", "sqlalchemy", "os", "pathlib", "requests", "httpx"),
        # what Stripe said of a month comes as plain data
        ours=(f"{P}.controls", f"{P}.journals", f"{P}.common", f"{P}.tables", f"{P}.extract.figures_model"),
    ),
    Rule(
        f"{P}/export",
        never=("dagster", "stripe", "polars", "pandas", "sqlalchemy", "obstore", "os", "requests", "httpx"),
        # one table has one shape, in the lake and in the export
        ours=(f"{P}.export", f"{P}.controls", f"{P}.journals", f"{P}.common", f"{P}.close.line_rows"),
    ),
    Rule(
        f"{P}/close",
        never=("dagster", "stripe", "sqlalchemy", "requests", "httpx", f"{P}.assets", f"{P}.resources"),
    ),
    Rule(
        f"{P}/doctor",
        never=("dagster", "pandas", "pyarrow", "sqlalchemy", "stripe"),
        ours=(f"{P}.doctor", f"{P}.common", f"{P}.tables", f"{P}.lake", f"{P}.terminal"),
    ),
    Rule(f"{P}/resources", never=(f"{P}.assets", f"{P}.journals", f"{P}.close")),
    Rule(f"{P}/assets", never=("stripe", "sqlalchemy")),
    Rule(P, never=("webhook_service",), exempt=(f"{P}/cli.py", f"{P}/cli_service.py")),
    Rule("webhook_service", never=("dagster", "pandas", "pyarrow"), ours=("webhook_service", f"{P}.common")),
    Rule("sandbox", ours=("sandbox", f"{P}.common.clock", f"{P}.common.collector", f"{P}.common.money")),
)
OURS = (P, "webhook_service", "sandbox", "bench", "tests")


def imported(tree: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each import as (module, every dotted name that it brings in)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, (alias.name,)
        elif isinstance(node, ast.ImportFrom):
            assert node.module, "imports are absolute"
            assert node.level == 0, "imports are absolute"
            yield node.module, (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def violations(root: Path, rule: Rule) -> list[str]:
    """Return ``file imports module`` for everything under ``root`` that breaks ``rule``."""
    found = []
    for path in sorted((root / rule.folder).rglob("*.py")):
        file = path.relative_to(root).as_posix()
        if any(file == exempt or file.startswith(f"{exempt}/") for exempt in rule.exempt):
            continue
        for module, names in imported(ast.parse(path.read_text(encoding="utf-8"))):
            top = module.partition(".")[0]
            # `from redisu_pipeline.common import clock` is known by its longer name only.
            ours_refused = rule.ours is not None and top in OURS and not any(within(name, rule.ours) for name in names)
            foreign = rule.stdlib_only and top not in OURS and top not in sys.stdlib_module_names
            if ours_refused or foreign or any(within(name, rule.never) for name in names):
                found.append(f"{file} imports {module}")
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.folder}-{(rule.never or rule.ours or ('',))[0]}")
def test_every_import_keeps_to_the_direction_of_flow(rule: Rule) -> None:
    assert violations(ROOT, rule) == []


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (f"{P}/common/money.py", "import pandas"),
        (f"{P}/common/money.py", "from redisu_pipeline.lake import storage"),
        (f"{P}/common/clock.py", "def f():\n    import sqlalchemy.orm"),
        (f"{P}/common/clock.py", "import stripe"),
        (f"{P}/tables/sales.py", "import msgspec"),
        (f"{P}/extract/sync.py", "from redisu_pipeline import journals"),
        (f"{P}/lake/storage.py", "from redisu_pipeline.extract.decode import decoder"),
        (f"{P}/journals/rules.py", "from os import path"),
        (f"{P}/journals/lines.py", "import polars"),
        (f"{P}/journals/derive.py", "from redisu_pipeline.controls.model import ControlRow"),
        (f"{P}/controls/run.py", "import pyarrow.parquet"),
        (f"{P}/controls/run.py", "from redisu_pipeline.extract.figures import read_figures"),
        (f"{P}/controls/run.py", "from redisu_pipeline.close.stored import Stored"),
        (f"{P}/export/lint.py", "from redisu_pipeline.lake.storage import open_storage"),
        (f"{P}/export/lint.py", "from redisu_pipeline.close.run import close"),
        (f"{P}/close/run.py", "import dagster"),
        (f"{P}/extract/sync.py", "from redisu_pipeline.close import due"),
        (f"{P}/cli_close.py", "import webhook_service.commands"),
        (f"{P}/doctor/places.py", "from redisu_pipeline.extract import sync"),
        (f"{P}/doctor/stripe_key.py", "import stripe"),
        (f"{P}/resources/lake.py", "import redisu_pipeline.assets.stripe"),
        (f"{P}/assets/stripe.py", "import stripe"),
        (f"{P}/definitions.py", "import webhook_service.app"),
        ("webhook_service/app.py", "from redisu_pipeline.lake import storage"),
        ("webhook_service/app.py", "import dagster"),
        ("sandbox/run.py", "from redisu_pipeline.common import settings"),
    ],
)
def test_a_planted_violation_is_caught(file: str, line: str, tmp_path: Path) -> None:
    planted = tmp_path / file
    planted.parent.mkdir(parents=True)
    planted.write_text(f"{line}\n")
    assert [found for rule in RULES for found in violations(tmp_path, rule)]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        (f"{P}/common/opsdb/engine.py", "import sqlalchemy"),
        (f"{P}/common/stripe_api.py", "import stripe"),
        (f"{P}/cli_service.py", "def serve():\n    import webhook_service.app"),
        (f"{P}/controls/inputs.py", "from redisu_pipeline.extract.figures_model import Figures"),
        (f"{P}/export/files.py", "from redisu_pipeline.close.line_rows import lines_table"),
        (f"{P}/close/run.py", "import polars, pyarrow\nfrom redisu_pipeline.controls.run import run"),
        ("sandbox/run.py", "from redisu_pipeline.common import clock, money"),
        ("webhook_service/app.py", "from redisu_pipeline.common.opsdb import engine"),
        (f"{P}/extract/sync.py", "import pyarrow, msgspec\nfrom redisu_pipeline.lake import storage"),
    ],
)
def test_what_the_rules_allow_passes(file: str, line: str, tmp_path: Path) -> None:
    planted = tmp_path / file
    planted.parent.mkdir(parents=True)
    planted.write_text(f"{line}\n")
    assert [found for rule in RULES for found in violations(tmp_path, rule)] == []


@pytest.mark.parametrize("file", ["cli.py", "cli_close.py", "cli_options.py", "cli_service.py"])
def test_the_command_line_reaches_other_packages_only_inside_its_commands(file: str) -> None:
    tree = ast.parse((ROOT / P / file).read_text(encoding="utf-8"))
    on_top = [name for node in tree.body for name, _ in imported(node) if not isinstance(node, ast.FunctionDef)]
    heavy = (
        "webhook_service",
        "sandbox",
        *(f"{P}.{part}" for part in ("extract", "lake", "close", "definitions", "demo", "doctor")),
    )
    assert not [name for name in on_top if within(name, heavy)]


HEAVY = {"dagster", "pandas", "polars", "pyarrow", "sqlalchemy", "stripe", "duckdb"}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        (f"{P}.cli", HEAVY),
        (f"{P}.common.settings", {*HEAVY, "rich", "structlog"}),
        (f"{P}.tables.registry", {*HEAVY, "msgspec"}),
        ("webhook_service.app", {"dagster", "pandas", "pyarrow"}),
    ],
)
def test_an_import_stays_light_by_what_it_brings_along_too(module: str, absent: set[str]) -> None:
    if not (ROOT / f"{module.replace('.', '/')}.py").exists() and not (ROOT / module.replace(".", "/")).is_dir():
        pytest.skip(f"{module} is not there yet")
    code = f"import sys, {module}; print(*({absent!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == []
