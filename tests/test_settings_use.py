"""What the settings answer once they are read: secrets when they are needed, and the account of a journal line."""

import pickle
from datetime import date

import pytest
from configurations import CONTRACT, LEAST, Read

from redisu_pipeline.common.problems import ConfigurationError, Failed
from redisu_pipeline.common.secrets import Secret
from redisu_pipeline.common.settings import DEFAULT_CHART, ROLES, GLAccount, JournalMapping, gl_account


def test_a_key_is_read_when_it_is_needed_and_all_missing_ones_are_named(read: Read) -> None:
    settings = read(CONTRACT)
    with pytest.raises(ConfigurationError) as caught:
        settings.api_keys({})
    assert [problem.where for problem in caught.value.problems] == [
        "accounts.us.stripe_api_key_env",
        "accounts.il.stripe_api_key_env",
    ]
    assert "STRIPE_API_KEY_IL is not set" in str(caught.value)
    keys = settings.api_keys({"STRIPE_API_KEY_US": "rk_test_abcdefgh"}, ("us",))
    assert keys["us"].reveal() == "rk_test_abcdefgh"


@pytest.mark.parametrize(
    "value", ["", "  ", "rk_live_abc def", "rk_live_abcdef\n", "pk_live_abcdefgh", "whsec_abcdefgh", "rk_live_ä"]
)
def test_a_key_that_cannot_work_is_refused_without_repeating_it(value: str, read: Read) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(LEAST).account("us").api_key({"STRIPE_API_KEY_US": value})
    assert "STRIPE_API_KEY_US" in str(caught.value)
    assert not value.strip() or value.strip() not in str(caught.value)


def test_all_webhook_secrets_named_must_be_there(read: Read) -> None:
    text = LEAST.replace("[accounts.us]", '[accounts.us]\nstripe_webhook_secret_envs = ["OLD", "NEW"]')
    account = read(text).account("us")
    with pytest.raises(ConfigurationError, match="NEW is not set"):
        account.webhook_secrets({"OLD": "whsec_1"})
    assert [secret.reveal() for secret in account.webhook_secrets({"OLD": "a1", "NEW": "b2"})] == ["a1", "b2"]


def test_a_secret_shows_itself_in_no_text() -> None:
    secret = Secret("rk_live_abcdefgh")
    assert "abcdefgh" not in f"{secret} {secret!r} {[secret]} {secret:>40}"
    assert secret == Secret("rk_live_abcdefgh")


def test_other_secrets_are_asked_for_only_where_they_are_used(read: Read) -> None:
    settings = read(f'{LEAST}\n[alerts]\nwebhook_env = "HOOK"')
    with pytest.raises(ConfigurationError, match=r"flockjay\.api_base"):
        settings.flockjay.base()
    with pytest.raises(ConfigurationError, match="FLOCKJAY_API_KEY is not set"):
        settings.flockjay.api_key({})
    with pytest.raises(ConfigurationError, match="HOOK is not set"):
        settings.alerts.webhook({})
    assert read(LEAST).alerts.webhook({}) is None


def test_an_unknown_account_is_refused_with_those_that_exist(read: Read) -> None:
    with pytest.raises(ConfigurationError, match="'eu' is not configured; known: us, il"):
        read(CONTRACT).account("eu")


def test_settings_travel_between_processes(read: Read) -> None:
    settings = read(CONTRACT)
    assert pickle.loads(pickle.dumps(settings)) == settings


def test_every_role_of_the_contract_has_a_default_account() -> None:
    numbers = {role: entries[0].number for role, entries in DEFAULT_CHART.items()}
    beyond = {"adjustments": "7900", "vat": "2230", "fee_tax": "6140"}
    beyond |= {"offline_receivable": "1156", "credit_out_of_band": "2110"}
    assert beyond.items() <= numbers.items()
    assert len(set(numbers.values())) == len(numbers) == len(ROLES) == 26


def test_an_accounts_own_chart_wins_a_whole_role_at_a_time(read: Read) -> None:
    settings = read(f"""{CONTRACT}
[accounts.eu.chart_of_accounts]
revenue = {{ number = "4100", name = "EU revenue" }}
""")
    assert gl_account(settings.chart("eu"), "revenue", course="cert-dev").number == "4100"
    assert gl_account(settings.chart("us"), "revenue", course="cert-dev").number == "4010"
    assert gl_account(settings.chart("eu"), "clearing").name == "Stripe Clearing"


def test_the_most_specific_entry_takes_a_line() -> None:
    def entry(number: str, **condition: object) -> GLAccount:
        return GLAccount(number=number, name=number, **condition)  # type: ignore[arg-type]

    chart = {
        "revenue": (
            entry("general"),
            entry("later", since=date(2026, 7, 1)),
            entry("euro", currency="eur"),
            entry("israel", country="IL"),
            entry("new-york", state="NY", country="US"),
            entry("exam", course="cert-dev"),
            entry("exam-later", course="cert-dev", since=date(2026, 7, 1)),
        )
    }

    def number(**line: object) -> str:
        return gl_account(chart, "revenue", **line).number  # type: ignore[arg-type]

    june, july = date(2026, 6, 30), date(2026, 7, 1)
    assert number(on=june) == "general"
    assert number(on=july) == "later"
    assert number(on=july, currency="EUR") == "euro"
    assert number(on=june, country="IL", currency="eur") == "israel"
    assert number(on=june, country="US", state="NY") == "new-york"
    assert number(on=june, country="US", state="CA") == "general"
    assert number(on=june, course="cert-dev", state="NY", country="US") == "exam"
    assert number(on=july, course="cert-dev") == "exam-later"
    with pytest.raises(Failed, match="no entry takes this line"):
        gl_account({"fx": (entry("euro", currency="eur"),)}, "fx", currency="usd")


def test_finances_decision_matches_by_glob_and_every_criterion() -> None:
    mapping = JournalMapping(role="adjustments", reporting_category="other_adjustment", description="Goodwill *")
    assert mapping.matches("other_adjustment", "adjustment", "Goodwill for 2026")
    assert not mapping.matches("other_adjustment", "adjustment", None)
    assert not mapping.matches("fee", "adjustment", "Goodwill for 2026")
