"""Log lines are JSON, carry the one clock's time, and hold no key and no person."""

import json
import subprocess
import sys

from redisu_pipeline.common.logs import redacted
from redisu_pipeline.common.secrets import Secret, scrub

SCRIPT = """
import logging, structlog
from redisu_pipeline.common import logs
logs.configure()
logging.getLogger("pipeline").warning("wrote %s for ana@example.com", "data.parquet", extra={"rows": 3, "email": "x"})
structlog.get_logger("service").info("event stored", event_id="evt_1", key="rk_live_abcdefgh", customer={"name": "Ana"})
logging.getLogger("pipeline").debug("too small to say")
try:
    raise ValueError("sk_live_abcdefgh")
except ValueError:
    logging.getLogger("pipeline").exception("failed")
"""


def test_both_loggers_write_one_json_object_a_line_with_nothing_private_in_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={"REDISU_NOW": "2026-11-03T06:00:00Z"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["wrote data.parquet for [hidden]", "event stored", "failed"]
    assert lines[0]["rows"] == 3
    assert lines[1]["event_id"] == "evt_1"
    assert all(line["timestamp"].startswith("2026-11-03T06:00:0") for line in lines)
    assert "ValueError" in lines[2]["exception"]
    for private in ("ana@", "Ana", "abcdefgh"):
        assert private not in done.stderr


def test_hiding_goes_as_deep_as_the_data_and_keeps_what_is_harmless() -> None:
    event = {
        "id": "ch_1",
        "billing_details": {"email": "a@b.co"},
        "lines": [{"Name": "Ana", "amount": 5}],
        "note": None,
    }
    assert redacted(event) == {
        "id": "ch_1",
        "billing_details": "[hidden]",
        "lines": [{"Name": "[hidden]", "amount": 5}],
        "note": None,
    }
    assert redacted(("whsec_abcdefgh", Secret("x"))) == ["[hidden]", "[hidden]"]


def test_ids_of_stripe_are_no_secrets() -> None:
    assert (
        scrub("cs_test_a1b2c3d4e5 re_3abcdefgh risk_score_value") == "cs_test_a1b2c3d4e5 re_3abcdefgh risk_score_value"
    )
