"""The asset check `paid_sessions_unlocked`: the lake's paid sessions against the service's orders, both ways."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import insert

from redisu_pipeline.assets.catalogue import key_of
from redisu_pipeline.assets.unlocks import compare, result, unlock_check
from redisu_pipeline.common.opsdb.engine import open_engine
from redisu_pipeline.common.opsdb.migrate import ensure_current
from redisu_pipeline.common.opsdb.schema import orders
from redisu_pipeline.common.settings import Settings, load
from redisu_pipeline.resources.pipeline import PipelineResource
from tests.lakes import COMPLETE, CREATED, SmallLake, configuration

NOW = COMPLETE + timedelta(hours=1)
AFTER_THE_SYNC = COMPLETE + timedelta(minutes=5)


class Shop:
    """A lake and an operations database, written by hand: one session and one order a learner."""

    def __init__(self, folder: Path) -> None:
        self.lake = SmallLake(folder)
        self.settings: Settings = load(configuration(folder), {})
        self.sessions: list[Mapping[str, object]] = []
        self.charges: list[Mapping[str, object]] = []
        self.disputes: list[Mapping[str, object]] = []
        ensure_current(self.settings.database.url)
        self.order(0, "expired", created=CREATED - timedelta(days=1))

    def session(self, number: int, created: datetime = CREATED, method: str = "card", **changed: object) -> None:
        """A paid session with its charge; ``changed`` is of the session, or of the charge (``amount…``)."""
        charge = {name: changed.pop(name) for name in list(changed) if name.startswith("amount")}
        self.sessions.append(
            {
                "id": f"cs_{number}", "created": created, "status": "complete", "payment_status": "paid",
                "payment_intent": f"pi_{number}", "metadata_order_id": f"ord_{number}", "metadata_course": "redis-101",
                "metadata_learner": f"learner-{number}", "customer_details_email": f"l{number}@example.com",
                **changed,
            }
        )  # fmt: skip
        self.charges.append(
            {
                "id": f"ch_{number}", "created": created, "status": "succeeded", "payment_intent": f"pi_{number}",
                "payment_method_details_type": method, "amount": 19900, "amount_refunded": 0, **charge,
            }
        )  # fmt: skip

    def dispute(self, number: int, status: str) -> None:
        self.disputes.append({"id": f"du_{number}", "charge": f"ch_{number}", "status": status})

    def order(
        self,
        number: int,
        state: str,
        created: datetime = CREATED,
        read_at: datetime | None = None,
        paid_at: datetime | None = None,
    ) -> None:
        row = {
            "order_id": f"ord_{number}", "correlation_id": "cor_1", "origin": "page", "learner": f"learner-{number}",
            "email": f"l{number}@example.com", "course": "redis-101", "course_id": "fj-1", "account": "us",
            "attempt": 1, "state": state, "session_id": f"cs_{number}", "created_at": created, "updated_at": created,
            "read_at": read_at, "paid_at": paid_at,
        }  # fmt: skip
        engine = open_engine(self.settings.database.url)
        with engine.begin() as connection:
            connection.execute(insert(orders).values(row))
        engine.dispose()

    def lines(self, now: datetime = NOW) -> list[str]:
        """Every difference, as people read it."""
        self.land()
        return [str(one) for one in compare(self.settings, self.lake.storage, "us", now).differences()]

    def land(self) -> None:
        for name in ("sessions", "charges", "disputes"):
            self.lake.put("checkout_sessions" if name == "sessions" else name, *getattr(self, name))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_who_paid_without_getting_the_course_is_named_by_ids_and_state(shop: Shop) -> None:
    for number, state in enumerate(("unlocked", "paid", "pending", "refunded", "unlocked"), 1):
        shop.session(number)
        if number != 5:
            shop.order(number, state)
    assert shop.lines() == [
        "cs_2 (ord_2, redis-101, us): lake paid, service paid",
        "cs_3 (ord_3, redis-101, us): lake paid, service pending",
        "cs_4 (ord_4, redis-101, us): lake paid, service refunded",
        "cs_5 (ord_5, redis-101, us): lake paid, service no order",
    ]


def test_who_has_the_course_though_the_money_went_back_is_named_too(shop: Shop) -> None:
    shop.session(1, amount_refunded=19900)
    shop.session(2)
    shop.dispute(2, "needs_response")
    shop.session(3)
    shop.dispute(3, "lost")
    shop.session(4, status="open", payment_status="unpaid")
    shop.session(5, amount_refunded=5000)
    shop.session(6)
    shop.dispute(6, "won")
    for number in range(1, 8):
        shop.order(number, "unlocked")
    assert shop.lines() == [
        "cs_1 (ord_1, redis-101, us): lake refunded, service unlocked",
        "cs_2 (ord_2, redis-101, us): lake suspended, service unlocked",
        "cs_3 (ord_3, redis-101, us): lake revoked, service unlocked",
        "cs_4 (ord_4, redis-101, us): lake unpaid, service unlocked",
        "cs_7 (ord_7, redis-101, us): lake no session, service unlocked",
    ]


def test_money_that_went_back_and_access_that_ended_agree(shop: Shop) -> None:
    shop.session(1, amount_refunded=19900)
    shop.order(1, "refunded")
    shop.session(2)
    shop.dispute(2, "under_review")
    shop.order(2, "suspended")
    assert shop.lines() == []


@pytest.mark.parametrize(("age", "late"), [(timedelta(minutes=14), False), (timedelta(minutes=16), True)])
def test_a_session_younger_than_a_sweep_is_no_difference(shop: Shop, age: timedelta, late: bool) -> None:
    shop.session(1, created=CREATED)
    shop.order(1, "paid")
    assert bool(shop.lines(CREATED + age)) == late


def test_a_delayed_payment_counts_from_when_it_was_seen_paid(shop: Shop) -> None:
    shop.session(1, method="us_bank_account", _synced_at=COMPLETE)
    shop.order(1, "processing")
    assert shop.lines(COMPLETE + timedelta(minutes=10)) == []
    assert shop.lines(COMPLETE + timedelta(minutes=20)) == [
        "cs_1 (ord_1, redis-101, us): lake paid, service processing"
    ]


def test_what_the_service_has_read_since_the_sync_is_believed(shop: Shop) -> None:
    shop.session(1)
    shop.order(1, "refunded", read_at=AFTER_THE_SYNC)
    shop.session(2, amount_refunded=19900)
    shop.order(2, "unlocked", read_at=AFTER_THE_SYNC)
    shop.order(3, "unlocked", paid_at=AFTER_THE_SYNC)
    assert shop.lines() == []


def test_sessions_of_others_and_from_before_the_service_are_not_its_business(shop: Shop) -> None:
    shop.session(1, metadata_order_id=None)
    shop.session(2, created=CREATED - timedelta(days=2))
    assert shop.lines() == []


def test_the_check_fails_in_dagster_with_every_id_and_no_personal_data(shop: Shop) -> None:
    for number in range(1, 6):
        shop.session(number)
    shop.land()
    found = checked(shop)
    assert not found.passed
    assert found.severity is dg.AssetCheckSeverity.ERROR
    assert found.metadata["differences"].value == 5
    for number in range(1, 6):
        assert f"cs_{number} (ord_{number}," in str(found.metadata["which"].value)
    assert "@" not in str(found)
    assert "learner-1" not in str(found)


def test_the_check_passes_when_both_sides_agree(shop: Shop) -> None:
    shop.session(1)
    shop.order(1, "unlocked")
    shop.land()
    found = checked(shop)
    assert found.passed
    assert found.description == "us: 1 sessions compared, il: 0 sessions compared"


def test_a_database_without_any_order_is_told_and_is_no_proof(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    shop.session(1)
    shop.land()
    Path(shop.settings.database.url.removeprefix("sqlite:///")).unlink()
    told = result([compare(shop.settings, shop.lake.storage, "us", NOW)])
    assert not told.passed
    assert told.severity is dg.AssetCheckSeverity.WARN
    assert "no order of us in the operations database" in str(told.description)


def checked(shop: Shop) -> dg.AssetCheckEvaluation:
    asset = dg.AssetSpec(key_of("checkout_sessions"))
    job = dg.define_asset_job("go", selection=dg.AssetSelection.all_asset_checks())
    pipeline = PipelineResource(config=shop.settings.path)
    definitions = dg.Definitions(
        assets=[asset], asset_checks=[unlock_check()], jobs=[job], resources={"pipeline": pipeline}
    )
    with dg.DagsterInstance.ephemeral() as instance:
        done = definitions.resolve_job_def("go").execute_in_process(instance=instance, raise_on_error=False)
    (found,) = done.get_asset_check_evaluations()
    return found
