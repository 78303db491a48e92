"""Bad input ends in one clear line for its cause, the right exit code, nothing lost, no traceback and no secret."""

from __future__ import annotations

import copy
import os
import re
import shutil
import sys
from typing import Any

import pytest
from answers import REDISU, Answer, is_one_line
from world import Town, put_copy

SOME = ["charges", "refunds"]
ONLY_SOME = ["--table", "charges", "--table", "refunds"]  # quicker, and two are enough to see one fail alone


def spoil(town: Town, kind: str, **fields: Any) -> str:
    """Let Stripe send the newest object of a kind in another shape."""
    made = put_copy(town.store(), kind, **fields)
    return str(made["id"])


# -- who we are, what we may, what we ask for ---------------------------------------------------------------------


def test_a_wrong_key(town: Town) -> None:
    said = is_one_line(town.main(STRIPE_API_KEY_US="rk_live_wrong"), 1, "stripe_key")
    assert "STRIPE_API_KEY" in said["where"] + said["mend"] or "stripe_api_key_env" in said["where"]
    assert not list(town.lake.glob("stripe/**/*.parquet"))


def test_a_key_of_the_other_mode_never_mixes_live_with_test_data(town: Town) -> None:
    assert town.main(*ONLY_SOME).code == 0
    before = {path: path.read_bytes() for path in town.lake.glob("stripe/**/*.parquet")}
    store = town.store()
    live, store.key = store.key, "rk_test_of_another_world"
    said = is_one_line(town.main(*ONLY_SOME, STRIPE_API_KEY_US=store.key), 1, "key_mode")
    assert said["where"] == "accounts.us"
    assert "holds live data" in said["message"]
    assert {path: path.read_bytes() for path in town.lake.glob("stripe/**/*.parquet")} == before
    store.key = live
    assert town.main(*ONLY_SOME).code == 0


def test_a_missing_and_an_empty_key(town: Town) -> None:
    town.environ["STRIPE_API_KEY_US"] = ""
    answer = town.main()
    assert answer.code == 2
    assert len(answer.lines) == 1
    assert "STRIPE_API_KEY_US" in answer.stderr


def test_a_missing_permission_fails_one_table_and_the_others_land(town: Town) -> None:
    town.sandbox.denied["us"] = {"rak_dispute_read"}
    answer = town.main()
    said = is_one_line(answer, 1, "stripe_permission")
    assert said["where"] == "us/disputes"
    landed = answer.json["accounts"]["us"]["tables"]
    assert "charges" in landed
    assert "disputes" not in landed
    town.sandbox.denied.clear()
    town.advance(days=3)
    assert town.main().code == 0
    assert town.differences() == []


def test_events_that_may_not_be_read_lose_no_change_once_they_may(town: Town) -> None:
    town.sandbox.denied["us"] = {"rak_event_read"}
    assert is_one_line(town.main(), 1, "stripe_permission")["where"] == "us/events"
    town.advance(days=45)
    town.events.clear()  # what was forgotten meanwhile was never ours to read
    town.sandbox.denied.clear()
    assert town.main().code == 0
    assert town.differences() == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--table", "invoicez"], "invoicez"),
        (["--account", "mars"], "mars"),
        (["--since", "last week"], "last week"),
        (["--speed", "9"], "--speed"),
    ],
)
def test_usage_that_makes_no_sense(town: Town, arguments: list[str], named: str) -> None:
    answer = town.main(*arguments)
    assert answer.code == 2
    assert len(answer.lines) == 1
    assert named in answer.stderr
    assert answer.json["problems"][0]["message"]


@pytest.mark.parametrize("now", ["tomorrow", "2026-03-20T12:00:00", "2026-03-20T12:00:00+02:00"])
def test_a_wrong_clock(town: Town, now: str) -> None:
    said = is_one_line(town.main(REDISU_NOW=now), 2, "clock")
    assert said["where"] == "REDISU_NOW"


# -- the place ----------------------------------------------------------------------------------------------------


def test_a_file_where_the_lake_should_be(town: Town) -> None:
    town.lake.write_text("not a lake")
    assert town.main().code == 2
    assert town.lake.read_text() == "not a lake"


def test_a_lake_that_cannot_be_written(town: Town) -> None:
    town.config.write_text(town.config.read_text().replace(town.lake_uri, "/proc/lake"))
    is_one_line(town.main(), 2, "lake_not_writable")


def test_a_file_where_a_table_s_folder_should_be(town: Town) -> None:
    (town.lake / "stripe").mkdir(parents=True)
    (town.lake / "stripe" / "charges").write_text("in the way")
    answer = town.main(*ONLY_SOME)
    assert answer.code == 1
    assert len(answer.lines) == 1
    assert "charges" in answer.stderr
    assert "Traceback" not in answer.stderr
    (town.lake / "stripe" / "charges").unlink()
    assert town.main(*ONLY_SOME).code == 0
    assert town.differences(only=SOME) == []


def test_files_that_may_not_grow_are_one_line_and_lose_nothing(town: Town) -> None:
    """A full disk's twin that needs no rights: the child may write no file over a few kilobytes."""
    town.sync(tables=["checkout_sessions"])
    before = {file: file.read_bytes() for file in town.lake.glob("stripe/**/*.parquet")}
    town.advance(days=3)
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({40 * 1024},) * 2)"
    script = f"{limit}; import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    script += "import sys; from redisu_pipeline.cli import main; main(['sync', *sys.argv[1:]])"
    answer = town.cli("--table", "checkout_sessions", command=[sys.executable, "-c", script])
    is_one_line(answer, 1, "file_too_large")
    after = {file: file.read_bytes() for file in town.lake.glob("stripe/**/*.parquet")}
    assert {file: after[file] for file in before if "events" in str(file)} == {
        file: data for file, data in before.items() if "events" in str(file)
    }
    assert town.main("--table", "checkout_sessions").code == 0
    assert town.differences(only=["events", "checkout_sessions"]) == []


ON_A_SMALL_DISK = """
mount -t tmpfs -o size=700k tmpfs "$1" || exit 77
shift; "$@" >full.json 2>full.err; echo $? >full.code
mount -o remount,size=64m "$OLDPWD/disk"
"$@" >freed.json 2>freed.err; echo $? >freed.code
cp -r "$OLDPWD/disk/lake" freed
"""


def test_a_full_disk(town: Town) -> None:
    """In a mount namespace of its own: whatever happens, nothing stays mounted."""
    disk, said = town.folder / "disk", town.folder / "said"
    disk.mkdir()
    said.mkdir()
    lake = f'uri = "{disk}/lake"'
    town.config.write_text(town.config.read_text().replace(f'uri = "{town.lake_uri}"', lake))
    script = f"cd {town.folder} && cd said\n{ON_A_SMALL_DISK}"
    private = ["unshare", "--mount", "sh", "-c", script, "sh", str(disk), *REDISU, "sync"]
    if os.getuid() or not shutil.which("unshare") or town.cli(command=private).code == 77:
        pytest.skip("may not mount a small disk here")

    def answer(name: str) -> Answer:
        code, out, err = ((said / f"{name}.{kind}").read_text() for kind in ("code", "json", "err"))
        return Answer(int(code), out, err)

    is_one_line(answer("full"), 1, "disk_full")
    assert answer("freed").code == 0
    assert town.differences(lake=said / "freed") == []


# -- Stripe's answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"amount": "12"}, "amount"),
        ({"amount": None}, "amount"),
        ({"created": "2026-03-01"}, "created"),
        ({"amount": 10**30}, "amount"),
    ],
)
def test_a_value_of_another_type_stops_its_table_and_no_other(town: Town, fields: dict[str, Any], named: str) -> None:
    town.sync(tables=SOME)
    before = town.held("charges")
    store = town.store()
    known = store.all("charge")[-1]
    charge = {**copy.deepcopy(known), "id": store.new_id("ch")}
    store.put(charge)
    town.advance(days=2)
    collection = store.collection("charge")
    text = collection.json(charge["id"])
    collection._json[charge["id"]] = respelt(text, fields)
    said = is_one_line(town.main(*ONLY_SOME), 1, "stripe_shape")
    assert said["where"].startswith("us/charges")
    assert named in said["message"]
    assert town.held("charges") == before
    assert town.manifest("refunds")["cursor"]["complete_until"] > town.manifest("charges")["cursor"]["complete_until"]
    collection._json[charge["id"]] = text
    assert town.main(*ONLY_SOME).code == 0
    assert town.differences(only=SOME) == []


def respelt(text: bytes, fields: dict[str, Any]) -> bytes:
    """The JSON text with top-level fields replaced, also by what a stand-in could not hold."""
    import json

    return json.dumps({**json.loads(text), **fields}).encode()


def test_a_required_field_that_is_left_out(town: Town) -> None:
    store = town.store()
    charge = store.all("charge")[-1]
    text = re.sub(rb'"amount":\d+,', b"", store.collection("charge").json(charge["id"]))
    store.collection("charge")._json[charge["id"]] = text
    said = is_one_line(town.main(*ONLY_SOME), 1, "stripe_shape")
    assert charge["id"] in said["where"]
    assert "amount" in said["message"]


@pytest.mark.parametrize(
    ("fields", "code", "where"),
    [
        ({"currency": "xxx"}, "unknown_currency", "us/charges.currency"),
        ({"status": "teleported"}, "unknown_value", "us/charges.status"),
    ],
)
def test_a_value_nobody_documented_lands_and_is_reported(
    town: Town, fields: dict[str, Any], code: str, where: str
) -> None:
    charge = spoil(town, "charge", **fields)
    said = is_one_line(town.main(*ONLY_SOME), 1, code)
    assert said["where"] == where
    assert charge in said["message"]
    (name, value), *_ = fields.items()
    assert town.held("charges")[charge][name] == value
    assert town.differences(only=SOME) == []
