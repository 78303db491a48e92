"""Configurations that tests share, and the verbs to read them; conftest.py makes the fixtures known."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from redisu_pipeline.common.problems import ConfigurationError
from redisu_pipeline.common.settings import Settings, load

LEAST = """
[accounts.us]
[routing]
default = "us"
[courses.redis-101]
name = "Redis 101"
flockjay_course_id = "fj_101"
prices = { usd = 19900 }
"""

# Word for word the page that users read (contract §2), so that it can never stop being accepted.
CONTRACT = """
[lake]
uri = "data/lake"
history_days = 90
[database]
url = "sqlite:///data/redisu.db"
[service]
public_url = "http://localhost:8000"
sweep_minutes = 15
[flockjay]
preset = "enrollment"
api_base = "https://flockjay.example"
api_key_env = "FLOCKJAY_API_KEY"
auth_scheme = "Bearer"
[accounts.us]
stripe_api_key_env = "STRIPE_API_KEY_US"
stripe_webhook_secret_envs = ["STRIPE_WEBHOOK_SECRET_US"]
stripe_api_base = "https://api.stripe.com"
stripe_files_base = "https://files.stripe.com"
start = 2025-11-01
timezone = "UTC"
subsidiary = "Redis Inc."
base_currency = "USD"
currency = "usd"
tax = "automatic"
opening = { usd = { clearing = 0, transit = 0, disputed = 0 } }
[accounts.il]
tax = "manual"
manual_tax_rate = { display_name = "VAT", percentage = 18, inclusive = false, country = "IL", tax_type = "vat" }
[accounts.il.chart_of_accounts]
[routing]
default = "us"
IL = "il"
[courses.redis-101]
name = "Redis 101"
flockjay_course_id = "fj_101"
tax_code = "txcd_20060058"
prices = { usd = 19900, ils = 69900 }
recognition = "point_in_time"
[netsuite]
exchange_rates = "rates.csv"
date_format = "M/D/YYYY"
period_format = "%b %Y"
ids = {}
[chart_of_accounts]
clearing = { number = "1150", name = "Stripe Clearing" }
revenue = [
  { number = "4000", name = "Course revenue" },
  { course = "cert-dev", number = "4010", name = "Exam revenue" }
]
[[journal_mapping]]
reporting_category = "other_adjustment"
role = "adjustments"
"""

Read = Callable[[str], Settings]
Faults = Callable[[str], dict[str, str]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write a configuration and load it."""

    def write_and_load(text: str) -> Settings:
        path = tmp_path / "redisu.toml"
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return load(str(path), {})

    return write_and_load


@pytest.fixture
def faults(read: Read) -> Faults:
    """Load a wrong configuration; the result is each fault's path and line."""

    def refused(text: str) -> dict[str, str]:
        with pytest.raises(ConfigurationError) as caught:
            read(text)
        assert caught.value.exit_code == 2
        assert all(problem.message and problem.mend for problem in caught.value.problems)
        return {problem.where: str(problem) for problem in caught.value.problems}

    return refused
