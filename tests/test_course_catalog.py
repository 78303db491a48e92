"""`redisu catalog apply` against the stand-in: products, prices and the tax rate come, change and leave."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from quiet_shop import SECOND, QuietShop, Served, fresh, serving

from redisu_pipeline import cli
from redisu_pipeline.common.problems import ConfigurationError
from redisu_pipeline.common.settings import Settings
from webhook_service.catalog import apply


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


@pytest.fixture
def shop(served: Served, tmp_path: Path) -> QuietShop:
    return fresh(served, tmp_path)


def applied(shop: QuietShop, settings: Settings, *, dry_run: bool = False) -> list[dict[str, Any]]:
    outcome = apply(settings, shop.environ, dry_run)
    assert outcome.problems == ()
    changes = outcome.fields["changes"]
    assert isinstance(changes, list)
    return changes


def brief(changes: list[dict[str, Any]]) -> set[tuple[str, str, str, str | None]]:
    return {(each["account"], each["action"], each["object"], each["course"]) for each in changes}


def active(shop: QuietShop, account: str, kind: str) -> list[dict[str, Any]]:
    return [each for each in shop.objects(account, kind) if each["active"]]


def test_every_account_gets_a_product_and_a_price_in_its_currency(shop: QuietShop) -> None:
    applied(shop, shop.settings())
    (price,) = (each for each in active(shop, "us", "price") if each["lookup_key"] == "redis-101")
    (product,) = (each for each in active(shop, "us", "product") if each["id"] == price["product"])
    assert (price["unit_amount"], price["currency"], price["tax_behavior"]) == (19900, "usd", "exclusive")
    assert product["tax_code"] == "txcd_20060058"
    assert product["metadata"] == {"course": "redis-101", "flockjay_course_id": "fj_crs_101"}
    (israeli,) = active(shop, "il", "price")
    assert (israeli["unit_amount"], israeli["currency"], israeli["lookup_key"]) == (69900, "ils", "redis-101")
    assert len(active(shop, "il", "product")) == 1  # cert-dev has no price in shekels


def test_the_manual_account_gets_its_tax_rate_and_the_automatic_one_none(shop: QuietShop) -> None:
    applied(shop, shop.settings())
    (rate,) = active(shop, "il", "tax_rate")
    assert (rate["percentage"], rate["country"], rate["inclusive"]) == (18.0, "IL", False)
    assert (rate["display_name"], rate["tax_type"]) == ("VAT", "vat")
    assert shop.objects("us", "tax_rate") == []


def test_a_second_run_changes_nothing(shop: QuietShop) -> None:
    settings = shop.settings()
    assert brief(applied(shop, settings)) == {
        ("us", "create", "product", "redis-101"),
        ("us", "create", "price", "redis-101"),
        ("us", "create", "product", "cert-dev"),
        ("us", "create", "price", "cert-dev"),
        ("il", "create", "product", "redis-101"),
        ("il", "create", "price", "redis-101"),
        ("il", "create", "tax_rate", None),
    }
    assert applied(shop, settings) == []


def test_a_dry_run_shows_the_same_plan_and_changes_nothing(shop: QuietShop) -> None:
    settings = shop.settings()
    planned = applied(shop, settings, dry_run=True)
    assert shop.objects("us", "product") == []
    assert brief(planned) == brief(applied(shop, settings))
    assert {each["id"] for each in planned} == {None}


def test_another_amount_is_another_price_that_takes_the_lookup_key_over(shop: QuietShop) -> None:
    applied(shop, shop.settings())
    (old,) = active(shop, "il", "price")
    changes = applied(shop, shop.settings(**{"ils = 69900": "ils = 79900"}))
    assert brief(changes) == {("il", "create", "price", "redis-101"), ("il", "archive", "price", "redis-101")}
    (new,) = active(shop, "il", "price")
    assert new["id"] != old["id"]
    assert (new["unit_amount"], new["lookup_key"], new["product"]) == (79900, "redis-101", old["product"])
    assert old["lookup_key"] is None


def test_a_price_may_go_up_and_down_again_on_one_day(shop: QuietShop) -> None:
    for amount in ("69900", "79900", "69900", "79900"):
        applied(shop, shop.settings(**{"ils = 69900": f"ils = {amount}"}))
        (price,) = active(shop, "il", "price")
        assert (price["unit_amount"], price["lookup_key"]) == (int(amount), "redis-101")
    assert applied(shop, shop.settings(**{"ils = 69900": "ils = 79900"})) == []


def test_a_course_that_left_is_archived_and_may_come_back(shop: QuietShop) -> None:
    applied(shop, shop.settings())
    (exam,) = (each for each in active(shop, "us", "price") if each["lookup_key"] == "cert-dev")
    changes = applied(shop, shop.settings(more=""))
    assert brief(changes) == {("us", "archive", "product", "cert-dev"), ("us", "archive", "price", "cert-dev")}
    assert exam["active"] is False
    changes = applied(shop, shop.settings(more=SECOND))
    assert brief(changes) == {("us", "update", "product", "cert-dev"), ("us", "update", "price", "cert-dev")}
    assert exam["active"] is True
    assert len(shop.objects("us", "price")) == 2


def test_a_renamed_course_keeps_its_product_and_price(shop: QuietShop) -> None:
    applied(shop, shop.settings())
    changes = applied(shop, shop.settings(**{"Certified Developer": "Redis Exam", "fj_crs_cert": "fj_exam"}))
    assert [(each["object"], each["detail"]) for each in changes] == [("product", "metadata, name")]
    (product,) = (each for each in shop.objects("us", "product") if each["metadata"]["course"] == "cert-dev")
    assert (product["name"], product["metadata"]["flockjay_course_id"]) == ("Redis Exam", "fj_exam")


def test_a_new_vat_rate_replaces_our_old_one(shop: QuietShop) -> None:
    applied(shop, shop.settings())
    changes = applied(shop, shop.settings(vat="17"))
    assert brief(changes) == {("il", "create", "tax_rate", None), ("il", "archive", "tax_rate", None)}
    (rate,) = active(shop, "il", "tax_rate")
    assert rate["percentage"] == 17.0
    applied(shop, shop.settings(vat="18"))
    assert [each["percentage"] for each in active(shop, "il", "tax_rate")] == [18.0]


def test_products_and_rates_of_others_are_left_alone(shop: QuietShop) -> None:
    world = shop.sandbox.world
    world.act("il", "create_product", name="T-shirt", metadata={"size": "M"})
    world.act("il", "create_tax_rate", display_name="Eilat", percentage="0", country="IL", inclusive=False)
    applied(shop, shop.settings())
    assert {each["name"] for each in active(shop, "il", "product")} == {"T-shirt", "Redis 101 <for> everyone"}
    assert {each["display_name"] for each in active(shop, "il", "tax_rate")} == {"Eilat", "VAT"}


def test_a_product_made_by_hand_for_the_course_is_adopted_and_its_default_price_moved(shop: QuietShop) -> None:
    world = shop.sandbox.world
    metadata = {"course": "redis-101", "flockjay_course_id": "fj_crs_101"}
    made = world.act("us", "create_product", name="Redis 101 <for> everyone", metadata=metadata)
    price = world.act("us", "create_price", product=made["id"], currency="usd", unit_amount=100, lookup_key="redis-101")
    world.stores["us"].change("product", made["id"], default_price=price["id"])
    applied(shop, shop.settings(more=""))
    (product,) = active(shop, "us", "product")
    (current,) = active(shop, "us", "price")
    assert product["id"] == made["id"]
    assert product["default_price"] == current["id"]
    assert (current["unit_amount"], current["lookup_key"]) == (19900, "redis-101")


def test_a_refused_account_is_a_problem_and_the_other_one_is_done(shop: QuietShop) -> None:
    shop.control.deny("us", "rak_product_write")
    outcome = apply(shop.settings(), shop.environ, False)
    (problem,) = outcome.problems
    assert (problem.code, problem.where) == ("stripe_key", "accounts.us")
    assert active(shop, "il", "price")
    assert shop.sandbox.world.stores["us"].key not in str(problem)


def test_a_run_that_broke_off_is_completed_by_the_next(shop: QuietShop) -> None:
    shop.control.deny("us", "rak_plan_write")
    assert apply(shop.settings(), shop.environ, False).problems
    shop.control.deny("us")
    changes = applied(shop, shop.settings())
    assert ("us", "create", "price", "redis-101") in brief(changes)
    assert len(active(shop, "us", "product")) == 2


def test_missing_keys_are_named_before_anything_is_asked(shop: QuietShop) -> None:
    with pytest.raises(ConfigurationError) as refused:
        apply(shop.settings(), {}, False)
    assert len(refused.value.problems) == 2


def test_stripe_out_of_breath_is_asked_again(shop: QuietShop) -> None:
    shop.control.faults(script=["server_error"])
    applied(shop, shop.settings(more=""))
    assert active(shop, "us", "price")


def test_the_plan_is_shown_as_a_table(shop: QuietShop, capsys: pytest.CaptureFixture[str]) -> None:
    apply(shop.settings(), shop.environ, True).show()
    shown = capsys.readouterr().out
    assert "199.00 USD, tax exclusive" in shown
    assert "7 to do (nothing was changed)" in shown


def test_the_command_prints_its_changes_as_json(
    shop: QuietShop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.settings(more="")
    for name, value in shop.environ.items():
        monkeypatch.setenv(name, value)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        cli.main(["catalog", "apply", "--dry-run", "--json", "--config", str(shop.folder / "redisu.toml")])
    signal.signal(signal.SIGTERM, handler)
    answer = json.loads(capsys.readouterr().out)
    assert (ended.value.code, answer["command"], answer["ok"]) == (0, "catalog", True)
    assert answer["changes"][0] == {
        "account": "us",
        "action": "create",
        "object": "product",
        "course": "redis-101",
        "id": None,
        "detail": "Redis 101 <for> everyone",
    }
