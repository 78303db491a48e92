"""redisu.toml: what the contract promises, its defaults, and every fault at once in words."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from configurations import CONTRACT, LEAST, Faults, Read

from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.problems import ConfigurationError
from redisu_pipeline.common.settings import DEFAULT_CHART, Preset, Recognition, TaxMode, load


def test_the_contracts_own_page_is_accepted(read: Read) -> None:
    settings = read(CONTRACT)
    assert settings.account("us").start == date(2025, 11, 1)
    assert settings.account("us").first_month == Month(2025, 11)
    assert settings.account("il").tax is TaxMode.MANUAL
    rate = settings.account("il").manual_tax_rate
    assert rate is not None
    assert rate.percentage == Decimal(18)
    assert settings.account_for("IL").name == "il"
    assert settings.account_for("FR").name == "us"
    assert settings.netsuite.exchange_rates == settings.folder / "rates.csv"


def test_only_accounts_routing_and_courses_must_be_given(read: Read) -> None:
    settings = read(LEAST)
    account = settings.account("us")
    assert account.stripe_api_key_env == "STRIPE_API_KEY_US"
    assert account.stripe_webhook_secret_envs == ("STRIPE_WEBHOOK_SECRET_US",)
    assert (account.stripe_api_base, account.currency, account.base_currency) == (
        "https://api.stripe.com",
        "usd",
        "USD",
    )
    assert (settings.lake.history_days, settings.service.sweep_minutes) == (90, 15)
    assert settings.flockjay.preset is Preset.ENROLLMENT
    assert settings.courses["redis-101"].recognition is Recognition.POINT_IN_TIME
    assert settings.chart("us") == DEFAULT_CHART


def test_what_must_be_given_and_is_not_is_named(faults: Faults) -> None:
    assert faults("").keys() == {"accounts", "routing", "courses"}
    assert faults("[accounts.us]\n[routing]\n[courses.a]").keys() == {
        "routing.default",
        "courses.a.name",
        "courses.a.flockjay_course_id",
        "courses.a.prices",
    }


def test_every_fault_of_a_file_is_reported_at_once_with_its_path_and_mend(faults: Faults) -> None:
    found = faults("""
        [lake]
        uri = "ftp://somewhere"
        histry_days = 3
        [service]
        sweep_minutes = "often"
        [accounts.us]
        start = 2025-11-05
        timezone = "Mars"
        [accounts.US]
        [routing]
        default = "eu"
        UK = "us"
        [courses.redis-101]
        name = ""
        flockjay_course_id = "x"
        prices = { usd = 1.5 }
        [chart_of_accounts]
        reveneu = { number = "1", name = "x" }
        clearing = { number = "1150" }
        [[journal_mapping]]
        role = "adjustments"
        """)
    assert found.keys() == {
        "lake.uri",
        "lake.histry_days",
        "service.sweep_minutes",
        "accounts.us.start",
        "accounts.us.timezone",
        "accounts.US",
        "routing.default",
        "routing.UK",
        "courses.redis-101.name",
        "courses.redis-101.prices.usd",
        "chart_of_accounts.reveneu",
        "chart_of_accounts.clearing[0].name",
        "journal_mapping[0]",
    }
    assert found["lake.histry_days"].endswith("did you mean history_days?")
    assert found["accounts.us.start"].endswith("write 2025-11-01")
    assert found["routing.UK"].endswith("write GB")
    assert found["chart_of_accounts.reveneu"].endswith("did you mean revenue?")
    assert not any("\n" in line for line in found.values())


@pytest.mark.parametrize(
    ("extra", "where"),
    [
        ('[lake]\nuri = ""', "lake.uri"),
        ('[lake]\nuri = "s3://"', "lake.uri"),
        ("[lake]\nhistory_days = 0", "lake.history_days"),
        ("[lake]\nhistory_days = true", "lake.history_days"),
        ("lake = 3", "lake"),
        ('[database]\nurl = "mysql://x"', "database.url"),
        ('[database]\nurl = "sqlite://"', "database.url"),
        ('[service]\npublic_url = "localhost:8000"', "service.public_url"),
        ('[service]\npublic_url = "http://h:99999"', "service.public_url"),
        ('[flockjay]\npreset = "magic"', "flockjay.preset"),
        ('[flockjay]\napi_base = "https://me:secret@host"', "flockjay.api_base"),
        ('[flockjay]\ngrant = { path = "v1" }', "flockjay.grant.path"),
        ('[netsuite]\ndate_format = "day month"', "netsuite.date_format"),
        ('[netsuite]\nperiod_format = "%Y"', "netsuite.period_format"),
        ('[[journal_mapping]]\nrole = "x"\ntype = "y"', "journal_mapping[0].role"),
        ('[chart_of_accounts]\nrevenue = [{ course = "a", number = "1", name = "x" }]', "chart_of_accounts.revenue"),
        ("[chart_of_accounts]\nrevenue = []", "chart_of_accounts.revenue"),
        (
            '[chart_of_accounts]\nrevenue = [{ number = "1", name = "x" }, { number = "2", name = "y" }]',
            "chart_of_accounts.revenue",
        ),
        ('[accounts.eu]\nstripe_api_key_env = "STRIPE_API_KEY_US"', "accounts.eu.stripe_api_key_env"),
        ('[accounts.eu]\ntax = "manual"', "accounts.eu.manual_tax_rate"),
        ("[accounts.eu]\nstripe_webhook_secret_envs = []", "accounts.eu.stripe_webhook_secret_envs"),
        ('[accounts.eu]\nstart = "soon"', "accounts.eu.start"),
        ("[accounts.eu]\nstart = 2025-11-01T00:00:00Z", "accounts.eu.start"),
        ("[accounts.eu]\nopening = { usd = { clearing = 1.5 } }", "accounts.eu.opening.usd.clearing"),
        (
            '[accounts.eu]\ntax = "manual"\nmanual_tax_rate = { percentage = 118, country = "IL" }',
            "accounts.eu.manual_tax_rate.percentage",
        ),
        ('[courses.b]\nname = "b"\nflockjay_course_id = "b"\nprices = { kwd = 1005 }', "courses.b.prices.kwd"),
        ('[courses.b]\nname = "b"\nflockjay_course_id = "b"\nprices = { isk = 150 }', "courses.b.prices.isk"),
        ('[courses.b]\nname = "b"\nflockjay_course_id = "b"\nprices = {}', "courses.b.prices"),
        (
            '[courses.b]\nname = "b"\nflockjay_course_id = "b"\nprices = { usd = 1 }\nrecognition = "ratable"',
            "courses.b.access_days",
        ),
        ('[courses.B]\nname = "b"\nflockjay_course_id = "b"\nprices = { usd = 1 }', "courses.B"),
    ],
)
def test_each_kind_of_wrong_value_is_refused_where_it_stands(extra: str, where: str, faults: Faults) -> None:
    text = f"{extra}\n{LEAST}" if extra.startswith("lake =") else f"{LEAST}\n{extra}"
    assert faults(text).keys() == {where}


@pytest.mark.parametrize(
    "given", ['stripe_api_key_env = "rk_live_51HxAbCdEf"', 'stripe_api_key = "rk_live_51HxAbCdEf"']
)
def test_a_secret_pasted_into_the_file_is_refused_and_never_repeated(given: str, faults: Faults) -> None:
    found = faults(LEAST.replace("[accounts.us]", f"[accounts.us]\n{given}"))
    assert len(found) == 1
    assert "51HxAbCdEf" not in str(found)


def test_relative_paths_start_at_the_configurations_folder(read: Read, tmp_path: Path) -> None:
    settings = read(LEAST)
    assert settings.lake.uri == str(tmp_path / "data/lake")
    assert settings.lake.is_local
    assert settings.database.url == f"sqlite:///{tmp_path / 'data/redisu.db'}"
    assert read(f'{LEAST}\n[lake]\nuri = "../lake"').lake.uri == str(tmp_path.parent / "lake")
    assert read(f'{LEAST}\n[lake]\nuri = "/srv/lake/"').lake.uri == "/srv/lake"
    assert read(f'{LEAST}\n[lake]\nuri = "file:///srv/lake"').lake.uri == "/srv/lake"


@pytest.mark.parametrize(
    "uri", ["s3://bucket/lake", "gs://bucket/lake/", "abfss://box@account.dfs.core.windows.net/lake"]
)
def test_an_object_stores_address_stays_as_it_is(uri: str, read: Read) -> None:
    lake = read(f'{LEAST}\n[lake]\nuri = "{uri}"').lake
    assert lake.uri == uri.rstrip("/")
    assert not lake.is_local


def test_postgresql_gets_the_driver_that_is_installed(read: Read) -> None:
    assert read(f'{LEAST}\n[database]\nurl = "postgresql://db/redisu"').database.url == "postgresql+psycopg://db/redisu"


def test_the_option_wins_over_the_variable_and_that_over_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("option.toml", "variable.toml", "redisu.toml"):
        (tmp_path / name).write_text(LEAST)
    monkeypatch.chdir(tmp_path)
    environ = {"REDISU_CONFIG": str(tmp_path / "variable.toml")}
    assert Path(load("option.toml", environ).path).name == "option.toml"
    assert Path(load(None, environ).path).name == "variable.toml"
    assert load(None, {}).path == str(tmp_path / "redisu.toml")


def test_a_missing_or_broken_file_is_one_line_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "redisu.toml"
    with pytest.raises(ConfigurationError, match="there is no configuration file"):
        load(str(path), {})
    path.write_text("[lake\n")
    with pytest.raises(ConfigurationError, match=r"is not TOML.*line 1"):
        load(str(path), {})
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        load(str(path), {})
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load(str(tmp_path), {})
