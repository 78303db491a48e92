"""Whose turn it is: the account's turns go to the endpoint that would end last, and nobody is forgotten."""

import threading
import time

import pytest

from redisu_pipeline.extract.budget import Budget, Limits


def queued(budget: Budget, endpoints: list[str], stop: threading.Event) -> tuple[list[str], list[threading.Thread]]:
    """Let a thread for each of ``endpoints`` wait in that order; what is returned first fills as they get turns."""
    served: list[str] = []

    def ask(endpoint: str) -> None:
        budget.wait(endpoint, stop)
        served.append(endpoint)

    threads = []
    for number, endpoint in enumerate(endpoints):
        threads.append(threading.Thread(target=ask, args=(endpoint,)))
        threads[-1].start()
        while len(budget._waiting) <= number:
            time.sleep(0.001)
    return served, threads


def paused(limits: Limits, seconds: float) -> Budget:
    budget = Budget(limits)
    budget._account.pause(time.monotonic() + seconds)
    return budget


def test_the_endpoint_with_the_most_left_goes_first_and_the_others_in_order() -> None:
    budget = paused(Limits(account=80, endpoint=20), 2)
    budget.expect("lines", 900)
    budget.expect("charges", 50)
    served, threads = queued(budget, ["charges", "refunds", "lines", "charges", "lines"], threading.Event())
    for thread in threads:
        thread.join()
    assert served == ["lines", "lines", "charges", "refunds", "charges"]


def test_without_anything_known_it_is_first_come_first_served() -> None:
    budget = paused(Limits(account=50, endpoint=1000), 1)
    served, threads = queued(budget, ["a", "b", "c", "a"], threading.Event())
    for thread in threads:
        thread.join()
    assert served == ["a", "b", "c", "a"]


@pytest.mark.parametrize("waiting", [1, 4])
def test_all_who_wait_go_at_once_when_the_run_is_stopped(waiting: int) -> None:
    stop = threading.Event()
    served, threads = queued(paused(Limits(account=1, endpoint=1), 3600), ["a"] * waiting, stop)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert len(served) == waiting


def test_many_threads_get_as_many_turns_as_they_ask_for() -> None:
    budget, stop, turns = Budget(Limits(account=2000, endpoint=1000)), threading.Event(), []
    budget.expect("b", 500)

    def ask(endpoint: str) -> None:
        for _ in range(25):
            budget.wait(endpoint, stop)
            turns.append(endpoint)

    threads = [threading.Thread(target=ask, args=(endpoint,)) for endpoint in "abcd" * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(turns) == sorted("abcd" * 100)
    assert budget._waiting == []
