"""The `manual` preset from payment to the people who unlock by a list, and what they say when it is done."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from quiet_shop import Served, fresh, serving
from service_house import House, house

from redisu_pipeline.common.problems import ConfigurationError
from webhook_service import commands
from webhook_service.entitlements import State


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


@pytest.fixture
def home(served: Served, tmp_path: Path) -> Iterator[House]:
    made = house(fresh(served, tmp_path), **{"[flockjay]": '[flockjay]\npreset = "manual"'})
    with contextlib.closing(made.services):
        yield made


def test_a_paid_course_counts_as_unlocked_only_when_people_say_so(home: House) -> None:
    order = home.buy()
    home.hear()
    home.work()
    assert home.state(order) is State.PAID
    listed = home.settings.flockjay.work_list.read_text()
    assert order.order_id in listed
    told = commands.unlocks_done(home.settings, [order.order_id])
    assert (told.problems, home.state(order)) == ((), State.UNLOCKED)
    home.act("refund", charge_id=home.charge(order))
    home.hear()
    home.work()
    assert home.state(order) is State.REFUNDED
    assert home.settings.flockjay.work_list.read_text().count(",revoke,") == 1


def test_an_order_that_is_not_known_or_not_listed_is_not_done(home: House) -> None:
    order = home.buy()
    home.hear("us", "checkout.session.completed")
    told = commands.unlocks_done(home.settings, [order.order_id, "ord_none"])
    assert [problem.where for problem in told.problems] == ["ord_none"]
    assert home.state(order) is State.PENDING


def test_other_presets_have_no_list(served: Served, tmp_path: Path) -> None:
    made = house(fresh(served, tmp_path))
    with contextlib.closing(made.services), pytest.raises(ConfigurationError, match="the preset is enrollment"):
        commands.unlocks_done(made.settings, ["ord_1"])
