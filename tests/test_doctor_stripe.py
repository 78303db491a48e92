"""The doctor at Stripe: keys, permissions, the webhook endpoint, tax and the catalogue."""

from typing import Any

import pytest
from clinic import PUBLIC, READS, Clinic

from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.stripe_api import API_VERSION
from redisu_pipeline.doctor import stripe_key, stripe_tax, stripe_webhook
from redisu_pipeline.doctor.model import State
from webhook_service.stripe_events import SWEPT_TYPES

pytest_plugins = ("clinic",)


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
