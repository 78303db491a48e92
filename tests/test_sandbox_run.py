"""The stand-ins as a program: both on free ports, quickly, with a world that obeys its clock."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPConnection
from urllib.parse import urlsplit

import msgspec
import pytest
import stripe

from sandbox import run
from sandbox.client import Refused

LISTED = {
    "invoice": "invoices",
    "invoice_payment": "invoice_payments",
    "checkout.session": "checkout/sessions",
    "payment_intent": "payment_intents",
    "charge": "charges",
    "refund": "refunds",
    "dispute": "disputes",
    "credit_note": "credit_notes",
    "balance_transaction": "balance_transactions",
    "payout": "payouts",
    "customer": "customers",
    "product": "products",
    "price": "prices",
    "tax_rate": "tax_rates",
    "event": "events",
}


@pytest.fixture(scope="module")
def started() -> Iterator[run.Started]:
    with run.start(months=2, checkouts=40, env={"REDISU_NOW": "2026-11-23T12:00:00Z"}) as one:
        yield one


def client(started: run.Started, account: str = "us") -> stripe.StripeClient:
    bases = {"api": started.stripe_url, "files": started.stripe_url}
    return stripe.StripeClient(started.accounts[account].key, base_addresses=bases)  # type: ignore[arg-type]


def listed(started: run.Started, account: str, address: str) -> Iterator[str]:
    """The ids of a whole list, newest first, page by page."""
    connection = HTTPConnection(urlsplit(started.stripe_url).netloc, timeout=30)
    after = ""
    while True:
        connection.request(
            "GET",
            f"/v1/{address}?limit=100{after}",
            headers={"Authorization": f"Bearer {started.accounts[account].key}"},
        )
        page = msgspec.json.decode(connection.getresponse().read())
        yield from (one["id"] for one in page["data"])
        if not page["has_more"]:
            break
        after = f"&starting_after={page['data'][-1]['id']}"
    connection.close()


@pytest.mark.parametrize("kind", LISTED)
@pytest.mark.parametrize("account", ["us", "il"])
def test_paging_the_world_meets_every_object_of_a_kind(started: run.Started, account: str, kind: str) -> None:
    found = list(listed(started, account, LISTED[kind]))
    assert found == [one["id"] for one in started.control.raw(account, kind)][::-1]
    assert found or kind in ("dispute", "credit_note")


def test_automatic_payouts_sum_to_nothing_with_their_own_row(started: run.Started) -> None:
    api = client(started)
    done = [one for one in api.v1.payouts.list({"limit": 100}) if one.reconciliation_status == "completed"]
    assert done
    for payout in done[:5]:
        rows = list(api.v1.balance_transactions.list({"payout": payout.id, "limit": 100}).auto_paging_iter())
        assert sum(row.net for row in rows) == 0
        assert [row.amount for row in rows if row.type == "payout"] == [-payout.amount]


def test_the_balance_is_the_sum_of_all_transactions(started: run.Started) -> None:
    balance = client(started).v1.balance.retrieve()
    shown = sum(one.amount for one in [*balance.available, *balance.pending] if one.currency == "usd")
    rows = started.control.raw("us", "balance_transaction")
    assert shown == sum(row["net"] for row in rows if row["currency"] == "usd")


def test_a_session_is_created_paid_and_its_line_items_carry_taxes(started: run.Started) -> None:
    api = client(started)
    price = next(one for one in api.v1.prices.list({"active": True, "limit": 100}) if one.currency == "usd")
    session = api.v1.checkout.sessions.create(
        {
            "mode": "payment",
            "line_items": [{"price": price.id, "quantity": 1}],
            "automatic_tax": {"enabled": True},
            "customer_creation": "always",
            "invoice_creation": {"enabled": True, "invoice_data": {"metadata": {"order_id": "o-9"}}},
            "metadata": {"order_id": "o-9"},
            "success_url": "https://redis.io/done?s={CHECKOUT_SESSION_ID}",
        }
    )
    assert (session.status, session.payment_status) == ("open", "unpaid")
    buyer = {"country": "US", "state": "NY", "postal_code": "10001", "city": "New York"}
    started.control.act("us", "pay", session=session.id, buyer=buyer)
    paths = ["line_items.data.taxes", "invoice", "payment_intent.latest_charge", "total_details.breakdown"]
    paid = api.v1.checkout.sessions.retrieve(session.id, {"expand": paths})
    assert (paid.status, paid.payment_status) == ("complete", "paid")
    assert paid.invoice.metadata.to_dict() == {"order_id": "o-9"}
    taxes = paid.line_items.data[0].taxes
    assert sum(tax.amount for tax in taxes) == paid.total_details.amount_tax > 0
    assert sum(tax.amount for tax in paid.total_details.breakdown.taxes) == paid.total_details.amount_tax
    assert paid.payment_intent.latest_charge.amount == paid.amount_total
    assert "taxes" not in api.v1.checkout.sessions.line_items.list(session.id).data[0]
    with pytest.raises(stripe.InvalidRequestError, match='status in \\["open"\\]'):
        api.v1.checkout.sessions.expire(session.id)
    refund = api.v1.refunds.create({"payment_intent": paid.payment_intent.id})
    assert refund.amount == paid.amount_total
    note = api.v1.credit_notes.create({"invoice": paid.invoice.id, "refunds": [{"refund": refund.id}]})
    assert note.refunds[0].refund == refund.id
    types = {one.type for one in api.v1.events.list({"limit": 100}).data}
    assert {"checkout.session.completed", "invoice.paid", "refund.created", "credit_note.created"} <= types


def test_time_moves_only_forward_and_takes_the_world_along(started: run.Started) -> None:
    before = started.control.state()["accounts"]["us"]["counts"]["balance_transaction"]
    now = started.control.now()
    started.control.advance(now + timedelta(days=9))
    assert started.control.state()["accounts"]["us"]["counts"]["balance_transaction"] > before
    assert started.control.now() - now >= timedelta(days=9)
    with pytest.raises(Refused, match="cannot go back"):
        started.control.advance(now)
    assert started.control.now() - now >= timedelta(days=9)


def test_the_truth_of_a_month_is_there_to_compare_with(started: run.Started) -> None:
    assert started.control.truth("us", "2026-10")["currencies"]["usd"]
    assert started.control.tax_rows("us")


def test_flockjay_listens_beside(started: run.Started) -> None:
    connection = HTTPConnection(urlsplit(started.flockjay_url).netloc, timeout=60)
    connection.request("PUT", "/v1/courses/c/learners/l", "{}", {"Authorization": f"Bearer {started.flockjay_key}"})
    assert connection.getresponse().status == 201
    connection.close()
    assert started.flockjay.access() == {"l": {"c": {"course_id": "c", "learner_id": "l"}}}


def test_a_small_world_is_up_soon() -> None:
    began = time.monotonic()
    with run.start(months=1, checkouts=10) as small:
        assert time.monotonic() - began < 60  # 2 s on a quiet machine, as bench/ measures
        assert small.control.state()["accounts"].keys() == {"us", "il"}


def test_a_taken_port_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind((run.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "sandbox", "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=60,
            env=dict(os.environ),
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"port {port}" in done.stderr


def test_the_stand_ins_end_with_the_process_that_started_them() -> None:
    program = (
        "from sandbox import run\nwith run.start(months=1, checkouts=5) as s: print(s.stripe_url, flush=True); input()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    address = urlsplit(parent.stdout.readline().strip())
    parent.kill()
    parent.wait(60)
    parent.stdin.close()
    parent.stdout.close()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex((run.HOST, address.port or 0)):
                return
        time.sleep(0.05)
    pytest.fail("the stand-ins still listen")


@pytest.mark.long
def test_one_process_serves_three_hundred_pages_of_a_hundred_invoices_a_second() -> None:
    def rate(started: run.Started, pages: int = 300) -> float:
        connection = HTTPConnection(urlsplit(started.stripe_url).netloc, timeout=30)
        key = {"Authorization": f"Bearer {started.accounts['us'].key}"}
        began = time.monotonic()
        for _ in range(pages):
            connection.request("GET", "/v1/invoices?limit=100", headers=key)
            connection.getresponse().read()
        connection.close()
        return pages / (time.monotonic() - began)

    with run.start(months=3, checkouts=60) as started:
        # Others share this machine: one quiet second of twenty is enough.
        assert any(rate(started) >= 300 for _ in range(20))
