"""The doctor at what is ours: lake, database, exchange rates; and at FlockJay."""

import contextlib
import sqlite3

import pytest
from clinic import Clinic

from redisu_pipeline.common.settings import Preset
from redisu_pipeline.doctor import flockjay, places
from redisu_pipeline.doctor.model import State
from webhook_service.flockjay import PRESETS

pytest_plugins = ("clinic",)


# -- lake, database, rates ------------------------------------------------------------------------------------------


def test_a_lake_that_cannot_be_written_fails(clinic: Clinic) -> None:
    (clinic.shop.folder / "file").write_text("")
    clinic.configure(more="[lake]\nuri = 'file/lake'\n")
    answer = clinic.doctor()
    assert "lake.write" in answer.failed
    assert answer.checks["lake.write"]["mend"]
    assert not {id for id in answer.failed if not id.startswith("lake.")}


def test_a_damaged_manifest_fails_and_is_named(clinic: Clinic) -> None:
    path = clinic.shop.folder / "data/lake/_manifest/stripe/charges/account=us.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    answer = clinic.doctor()
    assert answer.failed == {"lake.manifests"}
    assert "charges" in answer.checks["lake.manifests"]["evidence"]


def test_a_database_newer_than_the_program_fails(clinic: Clinic) -> None:
    with contextlib.closing(sqlite3.connect(clinic.shop.folder / "redisu.db")) as connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES ('9999')")
        connection.commit()
    answer = clinic.doctor()
    assert answer.failed == {"database"}
    assert "9999" in answer.checks["database"]["evidence"]


def test_a_file_that_is_no_database_fails(clinic: Clinic) -> None:
    (clinic.shop.folder / "redisu.db").write_bytes(b"no database, but long enough to be read as one " * 50)
    assert clinic.doctor().failed == {"database"}


def test_a_database_whose_folder_cannot_be_fails(clinic: Clinic) -> None:
    (clinic.shop.folder / "file").write_text("")
    clinic.configure(**{"sqlite:///redisu.db": "sqlite:///file/redisu.db"})
    assert clinic.doctor().failed == {"database"}


@pytest.mark.parametrize(("found", "says"), [(None, "empty"), ("0001", "brings it to"), (places.HEAD, "answers")])
def test_an_empty_an_older_and_a_current_database_are_well(found: str | None, says: str) -> None:
    finding = places.revision_finding("sqlite:///x", found)
    assert finding.state is State.OK
    assert says in finding.evidence


@pytest.mark.parametrize(
    ("text", "state", "says"),
    [
        ("currency,base_currency,period,rate\nILS,USD,2026-10,0.27\n", "ok", "1 rates"),
        ("currency,base_currency,period,rate\nILS,USD,Oct 2026,0.27\nILS,USD,2026-10,x\n", "fail", "line 2: period"),
        ("currency,base_currency,period,rate\nILS,USD,2026-10,-1\n", "fail", "not above 0"),
        ("currency,base_currency,period,rate\nShekel,USD,2026-10,1\n", "fail", "three letters"),
        ("currency,period,rate\n", "fail", "base_currency"),
        (None, "fail", "cannot be read"),
        ("\xff", "fail", "no CSV"),
    ],
)
def test_the_file_of_exchange_rates_is_read(clinic: Clinic, text: str | None, state: str, says: str) -> None:
    clinic.configure(more="[netsuite]\nexchange_rates = 'rates.csv'\n")
    if text is not None:
        (clinic.shop.folder / "rates.csv").write_bytes(text.encode("latin-1"))
    finding = places.exchange_rates(clinic.settings)
    assert finding.state.value == state
    assert says in finding.evidence


# -- FlockJay -------------------------------------------------------------------------------------------------------


def test_a_flockjay_that_is_down_fails(clinic: Clinic) -> None:
    clinic.flockjay.mood(outage=True)
    answer = clinic.doctor("--account", "us")
    assert answer.failed == {"flockjay.reachable"}
    assert answer.checks["flockjay.key"]["state"] == "warn"


def test_a_flockjay_that_breaks_connections_fails(clinic: Clinic) -> None:
    clinic.flockjay.mood(unreachable=True)
    assert clinic.doctor("--account", "us").failed == {"flockjay.reachable", "flockjay.key"}


@pytest.mark.parametrize("mood", [{}, {"forbidden": True}], ids=["401", "403"])
def test_a_flockjay_that_refuses_the_key_fails(clinic: Clinic, mood: dict[str, bool]) -> None:
    if mood:
        clinic.flockjay.mood(**mood)
    else:
        clinic.environ["FLOCKJAY_API_KEY"] = "fj_another"
    answer = clinic.doctor("--account", "us")
    assert answer.failed == {"flockjay.key"}
    assert ("403" if mood else "401") in answer.checks["flockjay.key"]["evidence"]
    assert "fj_another" not in answer.out


def test_a_flockjay_that_takes_any_key_leaves_the_question_open(clinic: Clinic) -> None:
    assert flockjay.key_finding(clinic.settings.flockjay, 404, 404).state is State.WARN
    assert flockjay.key_finding(clinic.settings.flockjay, 404, 401).state is State.OK
    assert flockjay.reached_finding(302).state is State.FAIL


def test_without_an_address_flockjay_fails(clinic: Clinic) -> None:
    clinic.configure(**{f'api_base = "{clinic.shop.flockjay_url}"': ""})
    assert clinic.doctor("--account", "us").failed == {"flockjay.reachable", "flockjay.key"}


def test_the_manual_preset_needs_no_key_but_a_list_that_can_be_written(clinic: Clinic) -> None:
    clinic.environ.pop("FLOCKJAY_API_KEY")
    clinic.configure(**{"[flockjay]": "[flockjay]\npreset = 'manual'"})
    answer = clinic.doctor("--account", "us")
    assert answer.failed == set()
    assert answer.checks["flockjay.work_list"]["state"] == "ok"
    (clinic.shop.folder / "file").write_text("")
    clinic.configure(**{"[flockjay]": "[flockjay]\npreset = 'manual'\nwork_list = 'file/list.csv'"})
    assert clinic.doctor("--account", "us").failed == {"flockjay.work_list"}


def test_the_question_is_the_services_own_and_no_call_of_another_contract_is_tried(clinic: Clinic) -> None:
    filled = PRESETS[Preset.ENROLLMENT]["ask"].path
    for name, value in (("{course_id}", "fj_crs_101"), ("{learner_id}", flockjay.LEARNER)):
        filled = filled.replace(name, value)
    assert flockjay.question(clinic.settings) == filled
    clinic.configure(**{"[flockjay]": "[flockjay]\ngrant = { path = '/unlock/{learner_id}' }"})
    assert flockjay.question(clinic.settings) == "/"
