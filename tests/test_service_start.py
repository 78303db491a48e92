"""What `redisu serve` needs of its database before it starts: the tables of this version, and of no other."""

import json
import socket
from pathlib import Path

import pytest
from lakes import configuration

from redisu_pipeline import cli
from redisu_pipeline.common.opsdb import migrate
from redisu_pipeline.common.opsdb.migrate import ensure_current, revision
from redisu_pipeline.common.opsdb.schema import HEAD, REVISIONS
from redisu_pipeline.common.settings import load
from webhook_service import commands

SECRETS = {
    **{f"STRIPE_API_KEY_{name}": "rk_live_x" for name in ("US", "IL")},
    **{f"STRIPE_WEBHOOK_SECRET_{name}": "whsec_x" for name in ("US", "IL")},
    "FLOCKJAY_API_KEY": "fj_x",
}


def redisu(config: str, *words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main([*words, "--config", config])
    return int(end.value.code or 0)


@pytest.mark.parametrize("newer", [False, True])
def test_serve_refuses_a_database_of_another_version_in_one_line(
    newer: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(tmp_path)
    url = load(config, {}).database.url
    ensure_current(url)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    # Its log lines are another matter, and a logger set up here would outlive the test.
    monkeypatch.setattr(commands, "configure_logs", lambda: None)
    # The program of another version: what the database holds is not what it knows as its own.
    monkeypatch.setattr(migrate, "REVISIONS", REVISIONS[:-1] if newer else (*REVISIONS, "9999"))
    monkeypatch.setattr(migrate, "HEAD", REVISIONS[-2] if newer else "9999")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert redisu(config, "serve", "--port", str(port)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert ("run the newer redisu" if newer else "then run: redisu migrate") in line
    assert revision(url) == HEAD


def test_migrate_creates_an_empty_database_and_says_where_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configuration(tmp_path)
    assert redisu(config, "migrate", "--json") == 0
    assert json.loads(capsys.readouterr().out)["database"] == {"revision": HEAD, "before": None}
    assert redisu(config, "migrate") == 0
    assert f"at revision {HEAD} (was there already)" in capsys.readouterr().out
