"""Payouts: daily automatic ones of all that is available, manual ones, failures days later (stripe.md §5.5)."""

from sandbox.stripe import shapes
from sandbox.stripe.world.ledger import Leg
from sandbox.stripe.world.shop import DAY, NotPossible, Shop

FRIDAY, SATURDAY = 4, 5


def weekday(at: int) -> int:
    """Monday 0 … Sunday 6 of a UTC instant (1970-01-01 was a Thursday)."""
    return (at // DAY + 3) % 7


def daily(shop: Shop) -> list[shapes.Object]:
    """The automatic payouts of today: one for each currency with something available; none on weekends."""
    if weekday(shop.now) >= SATURDAY:
        return []
    made = []
    for currency, rows in shop.unpaid.items():
        due = [row for row in rows if row[0] <= shop.now]
        amount = sum(net for _, _, net in due)
        if amount > 0:
            shop.unpaid[currency] = [row for row in rows if row[0] > shop.now]
            payout = _create(shop, amount, currency, automatic=True)
            own = payout["balance_transaction"]
            shop.store.assign_payout([*(id for _, id, _ in due), own], payout["id"])
            made.append(payout)
    return made


def manual(shop: Shop, amount: int, currency: str | None = None) -> shapes.Object:
    """A payout by hand: Stripe cannot say which rows it holds. Raises NotPossible above what is available."""
    currency = currency or shop.currency
    left = shop.available(currency)
    if not 0 < amount <= left:
        raise NotPossible(f"You have insufficient funds in your Stripe account for this transfer: {left} available.")
    payout = _create(shop, amount, currency, automatic=False)
    # It uses up what the next automatic payout could take.
    shop.unpaid[currency].append((shop.now, payout["balance_transaction"], -amount))
    return payout


def _create(shop: Shop, amount: int, currency: str, *, automatic: bool) -> shapes.Object:
    id = shop.ids.new("po")
    transaction = shop.book(
        type="payout",
        category="payout",
        amount=-amount,
        currency=currency,
        source=id,
        description="STRIPE PAYOUT",
    )
    arrival = (shop.now // DAY + (3 if weekday(shop.now) == FRIDAY else 1)) * DAY
    made = shapes.payout(
        id=id,
        amount=amount,
        arrival_date=arrival,
        automatic=automatic,
        balance_transaction=transaction["id"],
        created=shop.now,
        currency=currency,
        destination=f"ba_1{shop.store.account_id[-12:]}{currency}",
        livemode=shop.spec.livemode,
        reconciliation_status="in_progress" if automatic else "not_applicable",
        status="pending",
        trace_id={"status": "pending", "value": None},
    )
    shop.create(made, "payout.created")
    shop.post("payout_created", id, Leg("transit", amount), Leg("clearing", -amount), currency=currency)
    return made


def send(shop: Shop, id: str) -> None:
    """Pending → in_transit."""
    if shop.get("payout", id)["status"] == "pending":
        shop.change("payout", id, "payout.updated", status="in_transit")


def reconcile(shop: Shop, id: str) -> None:
    """Stripe has worked out what an automatic payout holds."""
    if shop.get("payout", id)["automatic"]:
        shop.change("payout", id, "payout.reconciliation_completed", reconciliation_status="completed")


def arrive(shop: Shop, id: str) -> shapes.Object:
    """The money is at the bank: Dr bank, Cr transit."""
    payout = shop.get("payout", id)
    if payout["status"] not in ("pending", "in_transit"):
        raise NotPossible(f"The payout {id} has status {payout['status']} and cannot arrive.")
    amount, currency = payout["amount"], payout["currency"]
    shop.post("payout_arrived", id, Leg("bank", amount), Leg("transit", -amount), currency=currency)
    return shop.change("payout", id, "payout.paid", "payout.updated", status="paid")


def trace(shop: Shop, id: str) -> None:
    """The bank's reference of a payout becomes known up to ten days after it arrived."""
    value = f"{shop.now // DAY}{id[-6:].upper()}"
    shop.change("payout", id, "payout.updated", trace_id={"status": "supported", "value": value})


def fail(shop: Shop, id: str, code: str = "account_closed") -> shapes.Object:
    """The bank sends it back, also days after `paid`: a new row, the next payout takes the money along."""
    payout = shop.get("payout", id)
    if payout["status"] not in ("pending", "in_transit", "paid"):
        raise NotPossible(f"The payout {id} has status {payout['status']} and cannot fail.")
    amount, currency = payout["amount"], payout["currency"]
    made = shop.book(
        type="payout_failure",
        category="payout_reversal",
        amount=amount,
        currency=currency,
        source=id,
        description="Payout failure",
    )
    where = "bank" if payout["status"] == "paid" else "transit"
    shop.post("payout_failed", id, Leg("clearing", amount), Leg(where, -amount), currency=currency)
    return shop.change(
        "payout",
        id,
        "payout.failed",
        "payout.updated",
        status="failed",
        failure_balance_transaction=made["id"],
        failure_code=code,
        failure_message="The bank account has been closed.",
    )
