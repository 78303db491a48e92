"""Finds, reads and checks redisu.toml; the outcome is right in every part, or every fault is reported at once."""

import os.path
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from redisu_pipeline.common.problems import ConfigurationError, Problem
from redisu_pipeline.common.settings.account import api_key_variable
from redisu_pipeline.common.settings.checks import shown
from redisu_pipeline.common.settings.model import Settings
from redisu_pipeline.common.settings.reader import Faults, read_table

VARIABLE = "REDISU_CONFIG"
DEFAULT_NAME = "redisu.toml"


def load(path: str | None, environ: Mapping[str, str]) -> Settings:
    """Return the settings of ``path``, else of ``$REDISU_CONFIG``, else of ``redisu.toml`` in the working folder.

    Relative paths in the file start at its folder. Secrets are not read: each is asked for where it is used.
    Raises ConfigurationError with every fault of the file, each with its TOML path and how to mend it.
    """
    file = Path(path or environ.get(VARIABLE) or DEFAULT_NAME).absolute()
    faults = Faults()
    raw = _parse(file)
    read = read_table(Settings, raw, "", faults, own_key=str(file))
    _check_names(raw, faults)
    if faults.problems:
        raise ConfigurationError(faults.problems)
    return _rooted(read, file.parent)


def _parse(file: Path) -> dict[str, object]:
    try:
        # Numbers with a point become Decimal: a percentage or a rate must not pass through a float.
        return tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        mend = f"write one (docs/configuration.md), name another by --config or {VARIABLE}, or try redisu demo"
        problem = Problem("no_configuration", str(file), "there is no configuration file", mend)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        problem = Problem(
            "configuration_unreadable", str(file), f"cannot be read ({reason})", "check path and permissions"
        )
    except UnicodeDecodeError as error:
        problem = Problem("not_utf8", str(file), f"is not UTF-8 at byte {error.start}", "save it as UTF-8")
    except tomllib.TOMLDecodeError as error:
        problem = Problem("toml_syntax", str(file), f"is not TOML: {error}", "mend that line")
    raise ConfigurationError(problem)


def _check_names(raw: Mapping[str, object], faults: Faults) -> None:
    """Check what names something else in the file, whatever else is wrong with it."""
    accounts, courses, routing = (_table(raw, part) for part in ("accounts", "courses", "routing"))
    for part, entries in (("accounts", accounts), ("courses", courses)):
        if part in raw and not entries:
            faults.add("missing", part, "is empty", f"add at least one [{part}.…]")
    if "routing" in raw and "default" not in routing:
        mend = "name the account that sells to every other country"
        faults.add("missing", "routing.default", "must be given", mend)
    for country, name in routing.items():
        if isinstance(name, str) and name not in accounts:
            message = f"{shown(name)} is not an account"
            faults.add("unknown_account", f"routing.{country}", message, f"name one of {', '.join(accounts)}")
    holders: dict[object, str] = {}
    for name in filter(str.islower, accounts):  # another key is refused already
        variable = _table(accounts, name).get("stripe_api_key_env", api_key_variable(name))
        first = holders.setdefault(variable, name) if isinstance(variable, str) else name
        if first != name:
            message = f"is the variable of accounts.{first} too: its sales would be booked twice"
            mend = "give each account its own variable"
            faults.add("contradiction", f"accounts.{name}.stripe_api_key_env", message, mend)


def _table(raw: Mapping[str, object], name: str) -> dict[str, object]:
    value = raw.get(name)
    return value if isinstance(value, dict) else {}


def _rooted(settings: Settings, folder: Path) -> Settings:
    """Make every path absolute, starting at the configuration's folder."""
    lake, database, netsuite = settings.lake, settings.database, settings.netsuite
    if lake.is_local:
        lake = replace(lake, uri=str(_absolute(lake.uri, folder)))
    if database.url.startswith("sqlite:///"):
        database = replace(database, url=f"sqlite:///{_absolute(database.url.removeprefix('sqlite:///'), folder)}")
    if netsuite.exchange_rates is not None:
        netsuite = replace(netsuite, exchange_rates=_absolute(str(netsuite.exchange_rates), folder))
    pages = settings.pages
    if pages.logo is not None:
        pages = replace(pages, logo=_absolute(str(pages.logo), folder))
    flockjay = replace(settings.flockjay, work_list=_absolute(str(settings.flockjay.work_list), folder))
    return replace(settings, lake=lake, database=database, netsuite=netsuite, pages=pages, flockjay=flockjay)


def _absolute(path: str, folder: Path) -> Path:
    # normpath, not resolve: links stay as the user wrote them.
    return Path(os.path.normpath(folder / Path(path).expanduser()))
