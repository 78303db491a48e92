"""Calling FlockJay: what each answer means, when it is called again, and that an outage wastes nothing."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from quiet_shop import Served, fresh, serving
from service_house import House, house, running, until
from sqlalchemy import func, select, update

from redisu_pipeline.common.opsdb.schema import attempts, gates, jobs
from webhook_service import delivery, orders, support
from webhook_service.delivery import Answer, GateState, Kind
from webhook_service.entitlements import State
from webhook_service.flockjay import Change, meaning
from webhook_service.unlocking import deliver_next

NOW = datetime(2026, 11, 3, 6, 0, tzinfo=UTC)
DOWN = Answer(Kind.DOWN, 503, "HTTP 503")
DONE = Answer(Kind.DONE, 200, "HTTP 200")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as made:
        yield made


@pytest.fixture
def home(served: Served, tmp_path: Path) -> Iterator[House]:
    made = house(fresh(served, tmp_path))
    yield made
    made.services.close()


# --- pure: the schedule and the gate


def test_the_schedule_is_quick_at_first_then_hourly_for_72_tries_then_daily() -> None:
    chance = random.Random(1)
    waits = [(delivery.next_due(n, DOWN, NOW, chance) - NOW).total_seconds() for n in range(1, 90)]
    assert waits[:5] == [5, 30, 120, 600, 1800]
    assert all(0.9 * 3600 <= wait <= 1.1 * 3600 for wait in waits[5:77])
    assert all(0.9 * 86400 <= wait <= 1.1 * 86400 for wait in waits[77:])
    assert len({*waits[5:77]}) > 50, "with jitter"


def test_retry_after_is_obeyed() -> None:
    busy = Answer(Kind.BUSY, 429, "", retry_after=17)
    assert delivery.next_due(1, busy, NOW, random.Random()) == NOW + timedelta(seconds=17)
    gate = delivery.after(delivery.closed(NOW), busy, NOW)
    assert gate.admits(NOW + timedelta(seconds=16)) is None
    assert gate.admits(NOW + timedelta(seconds=17)) == "call"


def test_five_failures_open_the_gate_and_one_answer_closes_it() -> None:
    gate = delivery.closed(NOW)
    for _ in range(delivery.OPENS_AFTER - 1):
        gate = delivery.after(gate, DOWN, NOW)
        assert gate.admits(NOW) == "call"
    gate = delivery.after(gate, DOWN, NOW)
    assert (gate.state, gate.admits(NOW)) == (GateState.OPEN, None)
    assert gate.admits(NOW + timedelta(seconds=30)) == "probe"
    assert delivery.after(gate, DONE, NOW).state is GateState.CLOSED


def test_probes_come_less_often_but_at_least_every_five_minutes() -> None:
    gate, now, waits = delivery.closed(NOW), NOW, []
    for _ in range(12):
        gate = delivery.after(gate, DOWN, now)
        if gate.not_before is not None:
            waits.append((gate.not_before - now).total_seconds())
            now = gate.not_before
    assert waits == [30, 60, 120, 300, 300, 300, 300, 300]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_stops_the_queue(status: int) -> None:
    gate = delivery.after(delivery.closed(NOW), meaning(status, {}), NOW)
    assert gate.state is GateState.STOPPED
    assert gate.admits(NOW + timedelta(minutes=14)) is None


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (200, Kind.DONE), (201, Kind.DONE), (204, Kind.DONE), (301, Kind.FINAL), (400, Kind.FINAL), (401, Kind.DENIED),
        (403, Kind.DENIED), (404, Kind.FINAL), (409, Kind.BUSY), (422, Kind.FINAL), (429, Kind.BUSY), (500, Kind.DOWN),
        (503, Kind.DOWN),
    ],
)  # fmt: skip
def test_every_status_has_its_meaning(status: int, kind: Kind) -> None:
    assert meaning(status, {}).kind is kind


def test_retry_after_may_be_seconds_or_a_date_and_is_never_longer_than_an_hour() -> None:
    assert meaning(503, {"retry-after": "120"}).retry_after == 120
    assert meaning(429, {"retry-after": "99999999999"}).retry_after == 3600
    assert meaning(429, {"retry-after": "Mon, 01 Jan 2001 00:00:00 GMT"}).retry_after == 5
    assert meaning(429, {"retry-after": "soon"}).retry_after == 5
    assert meaning(503, {}).retry_after is None


# --- the queue


def state_of_jobs(home: House) -> list[tuple[str, str | None]]:
    with home.services.database.read() as connection:
        found = select(jobs.c.state, jobs.c.last_error).where(jobs.c.kind == "unlock").order_by(jobs.c.id)
        return [(state, error) for state, error in connection.execute(found)]


def paid(home: House, *learners: str) -> None:
    for learner in learners:
        home.buy(learner)
    home.hear()
    home.work()


def test_an_unknown_learner_is_a_dead_letter_that_can_be_retried_with_the_same_key(home: House) -> None:
    home.flockjay.mood(unknown_learners=["learner-1"])
    paid(home, "learner-1", "learner-2")
    assert state_of_jobs(home) == [("dead", "HTTP 404"), ("done", None)]
    home.flockjay.mood()
    assert home.services.database.write(lambda connection: support.retry(connection, home.services.now(), ())) == 1
    home.work()
    assert home.has_access()
    assert len({call["idempotency_key"] for call in home.flockjay.calls() if "learner-1" in call["path"]}) == 1


def test_a_conflict_is_tried_again(home: House) -> None:
    home.flockjay.mood(conflict=1)
    paid(home, "learner-1")
    assert state_of_jobs(home)[0][0] == "due"
    later(home, seconds=6)
    home.work()
    assert home.has_access()


def test_a_refused_key_stops_all_calls_spends_nothing_and_a_retry_goes_on(home: House) -> None:
    home.flockjay.mood(forbidden=True)
    paid(home, "learner-1", "learner-2", "learner-3")
    assert len(home.flockjay.calls()) == 1
    home.flockjay.mood()
    home.work()
    assert len(home.flockjay.calls()) == 1
    home.services.database.write(lambda connection: support.retry(connection, home.services.now(), ()))
    home.work()
    assert all(home.has_access(f"learner-{n}") for n in (1, 2, 3))
    with home.services.database.read() as connection:
        assert connection.execute(select(func.max(jobs.c.attempts))).scalar() == 0


def test_an_answer_that_was_lost_is_asked_for_again_with_the_same_key(home: House) -> None:
    home.flockjay.mood(lost_answers=1)
    paid(home, "learner-1")
    later(home, seconds=6)
    home.work()
    first, second = home.flockjay.calls()
    assert first["idempotency_key"] == second["idempotency_key"]
    assert second["replayed"]


def test_the_attempt_is_written_before_the_call(home: House) -> None:
    seen: list[int] = []

    class Looking:
        def deliver(self, change: Change) -> Answer:
            with home.services.database.read() as connection:
                open_ones = select(func.count()).select_from(attempts).where(attempts.c.finished_at.is_(None))
                seen.append(connection.execute(open_ones).scalar_one())
            return DONE

        def has_access(self, learner: str, course_id: str) -> bool | None:
            return None

        def close(self) -> None:
            pass

    home.buy()
    home.hear()
    support.drain(replace(home.services, flockjay=Looking()))
    assert seen == [1]


def test_a_refund_that_overtakes_a_grant_in_flight_is_the_last_call(home: House) -> None:
    order = home.buy()
    home.hear()
    real = home.services

    class Overtaken:
        def deliver(self, change: Change) -> Answer:
            if change.action == "grant":
                home.act("refund", charge_id=home.charge(order))
                home.hear()
                support.drain(real)  # its revoke must wait for us
            return real.flockjay.deliver(change)

        def has_access(self, learner: str, course_id: str) -> bool | None:
            return None

        def close(self) -> None:
            pass

    support.drain(replace(real, flockjay=Overtaken()))
    assert [call["method"] for call in home.flockjay.calls()] == ["PUT", "DELETE"]
    assert (home.state(order), home.has_access()) == (State.REFUNDED, False)


@pytest.mark.parametrize("hours", [12, pytest.param(72, marks=pytest.mark.long)])
def test_hours_without_flockjay_waste_no_attempt_and_all_are_unlocked_when_it_returns(home: House, hours: int) -> None:
    home.flockjay.mood(outage=True)
    learners = [f"learner-{n}" for n in range(8)]
    paid(home, *learners)
    clock = [home.services.now()]
    home.services = replace(home.services, now=lambda: clock[0])
    steps = [5.0] * 60 + [60.0] * 115 + [300.0] * ((hours - 2) * 12)
    for seconds in steps:
        clock[0] += timedelta(seconds=seconds)
        while deliver_next(home.services):
            pass
    with home.services.database.read() as connection:
        spent = connection.execute(select(func.sum(jobs.c.attempts))).scalar_one()
        probes, first = connection.execute(
            select(func.count(), func.min(attempts.c.started_at)).where(attempts.c.probe)
        ).one()
        opened = connection.execute(select(gates.c.since)).scalar_one()
        calls = select(func.count()).select_from(attempts)
        after = connection.execute(calls.where(attempts.c.started_at > opened, ~attempts.c.probe)).scalar_one()
    assert (clock[0] - opened) > timedelta(hours=hours - 1)
    assert after == 0, "while the gate was open nothing but probes was called"
    assert spent <= 2 * delivery.OPENS_AFTER + 4
    assert probes <= hours * 12 + 10
    assert first >= opened
    home.flockjay.mood()
    clock[0] += timedelta(minutes=5)
    while deliver_next(home.services):
        pass
    assert all(home.has_access(learner) for learner in learners)
    assert {state for state, _ in state_of_jobs(home)} == {"done"}


def test_an_outage_shows_in_metrics_and_readyz_and_heals_by_itself(home: House) -> None:
    home.flockjay.mood(unreachable=True)
    with running(home) as client:
        made = [home.buy(f"learner-{n}") for n in range(6)]
        until(lambda: client.get("/readyz").json()["flockjay"]["state"] == "open")
        assert "redisu_breaker_state 1.0" in client.get("/metrics").text
        home.flockjay.mood()
        home.services.database.write(lambda connection: connection.execute(update(gates).values(not_before=None)))
        until(lambda: all(home.has_access(order.learner) for order in made))
        until(lambda: client.get("/readyz").json()["flockjay"]["state"] == "closed")
        assert all(orders.has_course(home.services.database, order.learner, "fj_crs_101") for order in made)


def later(home: House, seconds: float) -> None:
    """Let time pass for the services."""
    then: Callable[[], datetime] = home.services.now
    home.services = replace(home.services, now=lambda: then() + timedelta(seconds=seconds))
