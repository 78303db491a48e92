"""Options that every group of `redisu`'s commands shares, and reading them."""

from datetime import date
from typing import Annotated

import typer

from redisu_pipeline.common.problems import ConfigurationError, Problem

Config = Annotated[
    str | None,
    typer.Option("--config", metavar="PATH", help="Configuration; else $REDISU_CONFIG, else redisu.toml here."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Accounts = Annotated[
    list[str] | None, typer.Option("--account", metavar="A", help="Only this account; may be given again.")
]


def day_of(text: str | None, option: str) -> date | None:
    """Return the day written YYYY-MM-DD; ConfigurationError, naming ``option``, for another form."""
    try:
        return date.fromisoformat(text) if text is not None else None
    except ValueError:
        problem = Problem("usage", option, f"{text!r} is not a date", "write it like 2026-10-01")
        raise ConfigurationError(problem) from None
