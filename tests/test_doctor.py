"""`redisu doctor` in front of the stand-ins: each state of each check, and that none of it shows a secret."""

import contextlib
import io
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import quiet_shop
from quiet_shop import QuietShop, Served
from rich.console import Console

from redisu_pipeline import cli
from redisu_pipeline.common.problems import ConfigurationError, Failed, Problem
from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import Preset, Settings
from redisu_pipeline.common.stripe_api import API_VERSION
from redisu_pipeline.doctor import asking, flockjay, places, stripe_key, stripe_tax, stripe_webhook
from redisu_pipeline.doctor.model import Check, Finding, Question, State, fail, folded, ok, skip
from redisu_pipeline.doctor.report import show, summary
from redisu_pipeline.doctor.table import OF_ACCOUNTS
from redisu_pipeline.tables.model import Scope
from redisu_pipeline.tables.registry import RESOURCES, TABLES
from sandbox.client import FlockJayControl
from webhook_service import catalog
from webhook_service.flockjay import PRESETS
from webhook_service.stripe_events import SWEPT_TYPES

PUBLIC = "https://learn.example"
READS = [resource.name for resource in RESOURCES if resource.scope is not Scope.REPORT]


@dataclass
class Answer:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def checks(self) -> dict[str, dict[str, str]]:
        return {check["id"]: check for check in self.json["checks"]}

    def states(self, *states: str) -> dict[str, str]:
        return {id: check["evidence"] for id, check in self.checks.items() if check["state"] in states}

    @property
    def failed(self) -> set[str]:
        return set(self.states("fail"))


@dataclass
class Clinic:
    """Two accounts where all is well, and `doctor` run in this process."""

    shop: QuietShop
    settings: Settings
    environ: dict[str, str] = field(repr=False)

    def doctor(self, *arguments: str, **environ: str) -> Answer:
        return self.run("--json", *arguments, **environ)

    def run(self, *arguments: str, **environ: str) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in {**self.environ, **environ}.items():
                patch.setenv(name, value)
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as end:
                cli.main(["doctor", "--config", self.settings.path, *arguments])
        return Answer(int(end.value.code or 0), out.getvalue(), err.getvalue())

    def configure(self, **changed: str) -> None:
        self.settings = _configured(self.shop, **changed)

    def endpoint(self, account: str = "us", **fields: Any) -> None:
        """Change the account's one webhook endpoint."""
        store = self.shop.sandbox.world.stores[account]
        (one,) = store.all("webhook_endpoint")
        store.change("webhook_endpoint", one["id"], **fields)

    @property
    def flockjay(self) -> FlockJayControl:
        return FlockJayControl(self.shop.flockjay_url)


def _configured(shop: QuietShop, **changed: str) -> Settings:
    base = f'stripe_api_base = "{shop.url}"'
    return shop.settings(public=PUBLIC, **{base: f'{base}\nstripe_files_base = "{shop.url}"', **changed})


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with quiet_shop.serving() as made:
        yield made


@pytest.fixture
def clinic(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clinic:
    monkeypatch.setattr(asking, "PAUSE_SECONDS", 0.01)
    shop = quiet_shop.fresh(served, tmp_path)
    settings = _configured(shop)
    for account in settings.accounts.values():
        shop.control.webhooks(account.name, stripe_webhook.address(settings, account), types=list(SWEPT_TYPES))
    assert not catalog.apply(settings, shop.environ, dry_run=False).problems
    for store in shop.sandbox.world.stores.values():  # a listener that nobody is behind
        store.listeners.clear()
    return Clinic(shop, settings, dict(shop.environ))


# -- all is well --------------------------------------------------------------------------------------------------


def test_where_all_is_well_nothing_fails_and_nothing_asks_for_a_look(clinic: Clinic) -> None:
    answer = clinic.doctor()
    assert answer.states("fail", "warn") == {}
    assert answer.code == 0
    assert (answer.json["command"], answer.json["ok"], answer.json["problems"]) == ("doctor", True, [])
    assert all(set(check) == {"id", "state", "evidence", "mend"} for check in answer.json["checks"])
    assert set(answer.states("skip")) == {
        "netsuite.exchange_rates",
        "stripe.us.tax.manual_rate",
        "stripe.il.tax.settings",
        "stripe.il.tax.registrations",
    }


def test_every_list_of_the_registry_is_asked_for_with_one_object(clinic: Clinic) -> None:
    clinic.shop.control.reset_requests()
    checks = clinic.doctor("--account", "us").checks
    assert {f"stripe.us.read.{name}" for name in READS} <= checks.keys()
    asked = [line.split(" ", 1)[1] for line in clinic.shop.control.requests("us")["last"]]
    for resource in RESOURCES:
        if resource.scope is Scope.SINCE_START:
            assert any(line.startswith(f"GET {resource.path}?limit=1") for line in asked), resource.name


def test_the_doctor_leaves_stripe_the_database_and_flockjay_as_they_were(clinic: Clinic) -> None:
    def counts() -> Any:
        accounts = clinic.shop.control.state()["accounts"]
        return {name: {kind: n for kind, n in one["counts"].items() if n} for name, one in accounts.items()}

    before = counts()
    assert clinic.doctor().code == 0
    assert counts() == before
    assert clinic.flockjay.access() == {}
    assert {call["method"] for call in clinic.flockjay.calls()} == {"GET"}
    assert not list(clinic.shop.folder.glob("redisu.db*"))


def test_only_the_chosen_account_is_asked_and_an_unknown_one_is_a_usage_error(clinic: Clinic) -> None:
    assert not [id for id in clinic.doctor("--account", "us").checks if ".il." in id or id == "stripe.accounts"]
    answer = clinic.doctor("--account", "nowhere")
    assert (answer.code, answer.json["problems"][0]["code"]) == (2, "unknown_account")


def test_a_faulty_configuration_is_exit_2(clinic: Clinic) -> None:
    Path(clinic.settings.path).write_text("[lake]\nurl = 1\n")
    answer = clinic.doctor()
    assert answer.code == 2
    assert "lake.url" in {problem["where"] for problem in answer.json["problems"]}


# -- keys ---------------------------------------------------------------------------------------------------------


def test_a_wrong_key_fails_its_account_and_no_other(clinic: Clinic) -> None:
    answer = clinic.doctor(STRIPE_API_KEY_US="rk_live_somebodyelses000000")
    assert answer.code == 1
    assert answer.failed == {"stripe.us.key"}
    assert "HTTP 401" in answer.checks["stripe.us.key"]["evidence"]
    assert answer.checks["stripe.us.read.invoices"]["state"] == "skip"
    assert answer.checks["stripe.il.read.invoices"]["state"] == "ok"
    assert "somebodyelses" not in answer.out + answer.err


def test_missing_secrets_fail_only_the_checks_that_need_them(clinic: Clinic) -> None:
    clinic.environ.clear()
    answer = clinic.doctor()
    assert answer.failed == {
        "stripe.us.key",
        "stripe.us.webhook.secret",
        "stripe.il.key",
        "stripe.il.webhook.secret",
        "flockjay.key",
    }
    assert set(answer.states("ok")) == {
        "configuration", "lake.write", "lake.manifests", "database", "flockjay.reachable"
    }  # fmt: skip
    assert "export STRIPE_API_KEY_US=" in answer.checks["stripe.us.key"]["mend"]


def test_one_stripe_account_under_two_names_fails(clinic: Clinic) -> None:
    answer = clinic.doctor(STRIPE_API_KEY_IL=clinic.environ["STRIPE_API_KEY_US"])
    assert "stripe.accounts" in answer.failed
    assert "booked twice" in answer.checks["stripe.accounts"]["evidence"]


def test_a_key_whose_prefix_and_data_disagree_fails(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    live = clinic.shop.sandbox.world.stores["us"].livemode
    monkeypatch.setattr(stripe_key, "is_live", lambda key: not live)
    assert clinic.doctor("--account", "us").failed == {"stripe.us.mode"}


def test_an_address_that_is_not_stripes_fails(clinic: Clinic) -> None:
    clinic.configure(**{clinic.shop.url: clinic.shop.flockjay_url})
    answer = clinic.doctor("--account", "us")
    assert answer.failed == {"stripe.us.key"}


def test_a_stripe_that_is_out_of_reach_fails_the_key_and_skips_the_rest(clinic: Clinic) -> None:
    clinic.configure(**{clinic.shop.url: "http://127.0.0.1:9"})
    answer = clinic.doctor("--account", "us")
    assert answer.failed == {"stripe.us.key"}
    assert answer.checks["stripe.us.catalogue"] == {
        "id": "stripe.us.catalogue", "state": "skip", "evidence": "Stripe is out of reach", "mend": ""
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "state", "says"),
    [
        ("rk_live_0123456789", State.OK, "restricted live"),
        ("rk_test_0123456789", State.OK, "restricted sandbox"),
        ("sk_live_0123456789", State.WARN, "everything"),
        ("key0123456789", State.WARN, "form"),
    ],
)
def test_a_key_is_judged_by_its_prefix(clinic: Clinic, key: str, state: State, says: str) -> None:
    finding = stripe_key.key_finding(clinic.settings.account("us"), Secret(key))
    assert finding.state is state
    assert says in finding.evidence
    assert key not in finding.evidence + finding.mend


def test_an_account_that_cannot_charge_is_worth_a_look() -> None:
    finding = stripe_key.identity_finding(stripe_key.Identity("acct_1", "US", "usd", charges_enabled=False))
    assert finding.state is State.WARN


# -- permissions --------------------------------------------------------------------------------------------------


def test_each_missing_permission_fails_its_list_and_is_named(clinic: Clinic) -> None:
    clinic.shop.control.deny("us", "rak_payout_read", "rak_dispute_read", "rak_balance_read")
    answer = clinic.doctor()
    assert answer.code == 1
    assert answer.failed == {"stripe.us.read.payouts", "stripe.us.read.disputes", "stripe.us.read.balances"}
    for table, permission in (("payouts", "rak_payout_read"), ("disputes", "rak_dispute_read")):
        check = answer.checks[f"stripe.us.read.{table}"]
        assert permission in check["evidence"]
        assert permission in check["mend"]
    assert answer.checks["stripe.us.mode"]["state"] == "warn"
    assert clinic.environ["STRIPE_API_KEY_US"][-4:] not in answer.out


def test_every_list_can_lack_its_permission(clinic: Clinic) -> None:
    from sandbox.stripe.server.resources import RESOURCES as LISTS

    clinic.shop.control.deny("us", *{one.permission for one in LISTS}, "rak_balance_read")
    failed = clinic.doctor("--account", "us").failed
    assert {f"stripe.us.read.{name}" for name in READS} <= failed


@pytest.mark.parametrize(
    ("permission", "check"),
    [
        ("rak_report_runs_and_report_types_read", "report.type"),
        ("rak_report_runs_and_report_types_write", "report.run"),
        ("rak_file_read", "report.file"),
    ],
)
def test_the_reports_permissions_fail_under_stripe_tax_and_are_a_warning_elsewhere(
    clinic: Clinic, permission: str, check: str
) -> None:
    clinic.shop.control.deny("us", permission)
    clinic.shop.control.deny("il", permission)
    answer = clinic.doctor()
    assert answer.failed == {f"stripe.us.{check}"}
    assert permission in answer.checks[f"stripe.us.{check}"]["evidence"]
    assert answer.checks[f"stripe.il.{check}"]["state"] == "warn"


def test_a_report_type_that_does_not_exist_fails(clinic: Clinic) -> None:
    clinic.configure(more="[tax]\nreport_type = 'tax.nothing.1'\n")
    checks = clinic.doctor("--account", "us").checks
    live = clinic.shop.sandbox.world.stores["us"].livemode
    assert checks["stripe.us.report.type"]["state"] == ("fail" if live else "warn")


@pytest.mark.parametrize(
    ("permission", "check"), [("rak_webhook_read", "webhook.endpoint"), ("rak_account_read", "identity")]
)
def test_what_only_the_doctor_reads_is_a_warning_when_forbidden(clinic: Clinic, permission: str, check: str) -> None:
    clinic.shop.control.deny("us", permission)
    answer = clinic.doctor()
    assert answer.code == 0
    assert answer.checks[f"stripe.us.{check}"]["state"] == "warn"
    assert permission in answer.checks[f"stripe.us.{check}"]["evidence"]


def test_a_busy_stripe_is_asked_once_more(clinic: Clinic) -> None:
    clinic.shop.control.faults(path="/v1/charges", script=["rate_limit"])
    try:
        assert clinic.doctor().failed == set()
    finally:
        clinic.shop.control.faults()


# -- webhook endpoint -----------------------------------------------------------------------------------------------


def test_an_account_without_an_endpoint_fails_and_is_told_what_to_make(clinic: Clinic) -> None:
    store = clinic.shop.sandbox.world.stores["us"]
    store.remove("webhook_endpoint", store.all("webhook_endpoint")[0]["id"])
    answer = clinic.doctor()
    assert answer.failed == {"stripe.us.webhook.endpoint"}
    mend = answer.checks["stripe.us.webhook.endpoint"]["mend"]
    assert API_VERSION in mend
    assert "checkout.session.{completed, async_payment_succeeded" in mend


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"status": "disabled"}, "is disabled"),
        ({"api_version": "2025-01-27.acacia"}, "has API version 2025-01-27.acacia"),
        ({"api_version": None}, "the account's default"),
        ({"enabled_events": ["charge.refunded", "checkout.session.completed"]}, f"lacks {len(SWEPT_TYPES) - 2} event"),
        ({"url": f"{PUBLIC}/webhooks/stripe/il?key=hidden"}, f"is at {PUBLIC}/webhooks/stripe/us"),
    ],
)
def test_an_endpoint_that_is_not_as_needed_fails(clinic: Clinic, fields: dict[str, Any], says: str) -> None:
    clinic.endpoint("us", **fields)
    answer = clinic.doctor()
    assert answer.failed == {"stripe.us.webhook.endpoint"}
    assert says in answer.checks["stripe.us.webhook.endpoint"]["evidence"]
    assert "hidden" not in answer.out


def test_the_best_of_several_endpoints_at_the_address_counts() -> None:
    good = stripe_webhook.Endpoint("we_2", f"{PUBLIC}/webhooks/stripe/us/", "enabled", ["*"], API_VERSION)
    old = stripe_webhook.Endpoint("we_1", good.url, "disabled", ["*"], "2020-08-27")
    finding = stripe_webhook.endpoint_finding([old, good], f"{PUBLIC}/webhooks/stripe/us", SWEPT_TYPES)
    assert finding.state is State.OK
    assert "we_2" in finding.evidence


# -- tax and catalogue ----------------------------------------------------------------------------------------------


def test_pending_tax_settings_fail_and_say_what_is_missing(clinic: Clinic) -> None:
    details = {"pending": {"missing_fields": ["head_office"]}}
    for store in clinic.shop.sandbox.world.stores.values():
        store.change("tax.settings", "tax.settings", status="pending", status_details=details)
    answer = clinic.doctor()
    assert answer.failed == {"stripe.us.tax.settings"}
    assert "head_office" in answer.checks["stripe.us.tax.settings"]["evidence"]


def test_no_registration_is_worth_a_look(clinic: Clinic) -> None:
    store = clinic.shop.sandbox.world.stores["us"]
    for one in store.all("tax.registration"):
        store.remove("tax.registration", one["id"])
    assert clinic.doctor().checks["stripe.us.tax.registrations"]["state"] == "warn"


def test_registrations_are_shown_with_their_states() -> None:
    found = [
        stripe_tax.Registration("US", {"us": {"state": "NY", "type": "state_sales_tax"}}),
        stripe_tax.Registration("DE", {"de": {"standard": {"place_of_supply_scheme": "standard"}}}),
    ]
    assert stripe_tax.registrations_finding(found).evidence == "collects in 2: DE, US-NY"


def test_a_price_that_is_missing_and_a_rate_that_is_archived_fail(clinic: Clinic) -> None:
    us, il = (clinic.shop.sandbox.world.stores[name] for name in ("us", "il"))
    price = next(one for one in us.all("price") if one["lookup_key"] == "redis-101")
    us.change("price", price["id"], lookup_key=None, active=False)
    rate = next(one for one in il.all("tax_rate") if one["active"])
    il.change("tax_rate", rate["id"], active=False)
    answer = clinic.doctor()
    assert answer.failed == {"stripe.us.catalogue", "stripe.il.tax.manual_rate"}
    assert "redis-101" in answer.checks["stripe.us.catalogue"]["evidence"]
    assert "redisu catalog apply" in answer.checks["stripe.us.catalogue"]["mend"]


def test_another_name_of_a_product_is_only_worth_a_look(clinic: Clinic) -> None:
    store = clinic.shop.sandbox.world.stores["us"]
    store.change("product", store.all("product")[0]["id"], name="Another name")
    assert clinic.doctor().checks["stripe.us.catalogue"]["state"] == "warn"


def test_an_account_that_sells_nothing_is_worth_a_look(clinic: Clinic) -> None:
    clinic.configure(**{'currency = "ils"': 'currency = "eur"'})
    assert clinic.doctor("--account", "il").checks["stripe.il.catalogue"]["state"] == "warn"


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


# -- the whole ------------------------------------------------------------------------------------------------------


def test_a_fault_in_one_check_is_that_checks_failure() -> None:
    def broken() -> Finding:
        raise RuntimeError("rk_live_secret12345")

    check = Question("one", broken).answer()
    assert check.state is State.FAIL
    assert "RuntimeError" in check.finding.evidence
    assert "rk_live" not in str(check.fields())


@pytest.mark.parametrize("kind", [ConfigurationError, Failed])
def test_a_refusal_is_a_failure_with_all_its_problems(kind: type[Failed]) -> None:
    def refuse() -> Finding:
        raise kind([Problem("a", "here", "is wrong", "do this"), Problem("b", "there", "is too", "do that")])

    finding = Question("one", refuse).answer().finding
    assert finding == fail("here: is wrong; there: is too", "do this; do that")


def test_no_secret_is_in_any_answer_whatever_fails(clinic: Clinic) -> None:
    clinic.shop.control.deny("us", "rak_invoice_read")
    clinic.flockjay.mood(forbidden=True)
    for answer in (clinic.doctor(), clinic.run()):
        said = answer.out + answer.err
        assert not [name for name, value in clinic.environ.items() if value in said]


def test_a_terminal_shows_every_failure_once_with_its_mend(clinic: Clinic) -> None:
    clinic.shop.control.deny("us", "rak_payout_read")
    answer = clinic.run()
    assert answer.code == 1
    assert answer.out.count("rak_payout_read") == 2  # found, and how to mend it
    assert answer.err == ""
    assert "1 failed" in answer.out


def test_checks_that_found_the_same_are_one_row_and_failures_stand_alone() -> None:
    checks = [
        Check("stripe.us.read.events", ok("may be read")),
        Check("stripe.us.read.charges", fail("forbidden", "give it")),
        Check("stripe.us.read.payouts", ok("may be read")),
        Check("stripe.il.read.events", skip("needs the key")),
        Check("stripe.il.catalogue", skip("needs the key")),
    ]
    rows = folded(checks)
    assert [row.label for row in rows] == ["stripe.us.read.* (2)", "stripe.us.read.charges", "stripe.il.* (2)"]
    assert summary(checks) == "5 checks: 2 ok, 0 to look at, 1 failed, 2 skipped"


@pytest.mark.parametrize("width", [60, 100])
def test_a_narrow_terminal_folds_and_cuts_nothing(width: int) -> None:
    screen = io.StringIO()
    url = "https://learn.example/" + "a" * 90
    show(Console(file=screen, width=width), [Check("stripe.us.webhook.endpoint", fail(url, "mend [it]"))])
    text = "".join(screen.getvalue().split())
    assert "a" * 50 in text or text.count("a") >= 90
    assert "…" not in text
    assert "mend[it]" in text


def test_the_table_asks_for_each_resource_once_and_ids_are_unique() -> None:
    names = [each.name for each in OF_ACCOUNTS]
    assert len(names) == len(set(names))
    assert [name.removeprefix("read.") for name in names if name.startswith("read.")] == READS
    assert set(READS) < set(TABLES)


def test_the_environment_is_read_only_where_a_check_needs_it(clinic: Clinic) -> None:
    before = dict(os.environ)
    clinic.doctor("--account", "il")
    assert dict(os.environ) == before
