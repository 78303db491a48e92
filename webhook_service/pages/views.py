"""What the return page says about an order, in words: pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from webhook_service.entitlements import State
from webhook_service.orders import Progress

SLOW: Final = timedelta(minutes=5)
"""An unlock that takes longer than this is said to need help, though it goes on by itself."""
INVOICE_WAIT: Final = timedelta(minutes=2)
"""How long an unlocked order's page still looks for its invoice, which Stripe makes after the payment."""


@dataclass(frozen=True)
class View:
    """One standing of an order. ``tone`` is good, wait, warn or wrong; a final one does not turn by itself."""

    state: str  # pending | paid | processing | unlocked | failed | ended | needs_help | unknown
    tone: str
    title: str
    text: str
    is_final: bool = True
    needs_help: bool = False
    may_retry: bool = False


_PENDING = View(
    "pending", "wait", "Waiting for your payment",
    "Stripe has not told us yet that you paid. This page turns by itself.",
    is_final=False,
)  # fmt: skip
_PROCESSING = View(
    "processing", "wait", "Your payment is on its way",
    "Your bank needs a few days for this kind of payment. The course opens by itself when the money arrives, and you "
    "may close this page.",
    is_final=False,
)  # fmt: skip
_PAID = View(
    "paid", "wait", "Paid. We are unlocking your course",
    "Thank you! This takes a moment; the page turns by itself.",
    is_final=False,
)  # fmt: skip
_HELP = View(
    "needs_help", "warn", "Paid, but your course is not open yet",
    "Your payment has arrived. Unlocking the course takes longer than it should; we know of it and go on trying. You "
    "need not pay again.",
    is_final=False, needs_help=True,
)  # fmt: skip
UNKNOWN = View("unknown", "warn", "We do not know this payment", "Open the course again and follow its link to pay.")
_VIEWS = {
    State.PENDING: _PENDING,
    State.PROCESSING: _PROCESSING,
    State.PAID: _PAID,
    State.UNLOCKED: View("unlocked", "good", "Your course is unlocked", "Paid and ready. Enjoy learning!"),
    State.FAILED: View(
        "failed", "wrong", "Your payment failed",
        "Your bank did not carry it out, and nothing was charged. You can try again, with another way to pay.",
        may_retry=True,
    ),
    State.EXPIRED: View(
        "failed", "wrong", "This payment page has expired", "Nothing was charged. You can try again.", may_retry=True
    ),
    State.REFUNDED: View(
        "ended", "warn", "Your payment was refunded", "The course is closed again. You can buy it again any time.",
        may_retry=True,
    ),
    State.SUSPENDED: View(
        "ended", "warn", "The course is paused",
        "The payment is disputed at your bank. The course opens again when the dispute is decided in its favour.",
        needs_help=True,
    ),
    State.REVOKED: View(
        "ended", "wrong", "The course is closed", "The payment was taken back by your bank.", needs_help=True
    ),
}  # fmt: skip


def view_of(progress: Progress, now: datetime) -> View:
    """Return what the page says about an order now."""
    order = progress.order
    if order.state is State.PAID:
        since = order.paid_at or order.created_at
        return _HELP if progress.needs_help or now - since > SLOW else _PAID
    view = _VIEWS[order.state]
    if order.state is State.UNLOCKED and _awaits_invoice(progress, now):
        return View(view.state, view.tone, view.title, view.text, is_final=False)
    return view


def _awaits_invoice(progress: Progress, now: datetime) -> bool:
    order = progress.order
    return order.invoice_url is None and order.unlocked_at is not None and now - order.unlocked_at < INVOICE_WAIT
