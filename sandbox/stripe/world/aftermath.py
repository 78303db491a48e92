"""What follows a sale, days or weeks later: refunds, credit notes, disputes, changes of invoices and customers."""

from collections.abc import Callable

from sandbox.stripe.world import credit_notes, customers, disputes, refunds
from sandbox.stripe.world.decks import Deck
from sandbox.stripe.world.model import Sale
from sandbox.stripe.world.shop import DAY, NotPossible, Shop

FATES = {
    "nothing": 44,
    "refund": 3,
    "partial_refund": 2,
    "two_partial_refunds": 1,
    "pending_refund": 1,
    "failing_refund": 1,
    "credit_note_with_refund": 1,
    "credit_note_linked": 1,
    "credit_note_to_balance": 1,
    "credit_note_out_of_band": 1,
    "credit_note_voided": 1,
    "dispute_won": 1,
    "dispute_lost": 1,
    "inquiry": 1,
    "invoice_changed": 2,
    "customer_changed": 2,
    "customer_deleted": 1,
}


def unless_overtaken(happening: Callable[[], object]) -> Callable[[], None]:
    """A planned happening that people by hand have made impossible meanwhile (refunded, disputed, …) just does not."""

    def attempt() -> None:
        try:
            happening()
        except NotPossible:
            return

    return attempt


class Aftermath:
    """Deals every sale its fate and plans it."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.random = shop.random
        self.fates = Deck(shop.random, FATES)

    def follow(self, sale: Sale) -> None:
        fate = self.fates.draw()
        if fate != "nothing" and sale.charge_id:
            getattr(self, f"_{fate}")(sale)

    def _in_days(self, low: int, high: int, happening: Callable[[], object]) -> None:
        seconds = self.random.randrange(low * DAY, high * DAY)
        self.shop.later(seconds, unless_overtaken(happening))

    def _part(self, sale: Sale) -> int:
        """A part of the sale's price; KWD amounts end in 0, as Stripe wants them."""
        return max(sale.total * self.random.randrange(10, 45) // 1000 * 10, 10)

    def _refund(self, sale: Sale) -> None:
        def happen() -> None:
            id = refunds.refund(self.shop, str(sale.charge_id))["id"]
            self._in_days(3, 6, lambda: refunds.confirm_reference(self.shop, id))

        self._in_days(1, 20, happen)

    def _partial_refund(self, sale: Sale) -> None:
        amount = self._part(sale)
        self._in_days(1, 20, lambda: refunds.refund(self.shop, str(sale.charge_id), amount))

    def _two_partial_refunds(self, sale: Sale) -> None:
        """Two refunds of one charge; the second takes the remainder."""
        self._partial_refund(sale)
        self._in_days(21, 25, lambda: refunds.refund(self.shop, str(sale.charge_id), reason="duplicate"))

    def _pending_refund(self, sale: Sale) -> None:
        def happen() -> None:
            id = refunds.refund(self.shop, str(sale.charge_id), pending="insufficient_funds")["id"]
            self._in_days(2, 6, lambda: refunds.complete(self.shop, id))

        self._in_days(1, 12, happen)

    def _failing_refund(self, sale: Sale) -> None:
        def happen() -> None:
            id = refunds.refund(self.shop, str(sale.charge_id))["id"]
            self._in_days(3, 25, lambda: refunds.fail(self.shop, id))

        self._in_days(1, 10, happen)

    def _credit_note_with_refund(self, sale: Sale) -> None:
        amount = self._part(sale)
        self._in_days(1, 15, lambda: credit_notes.credit_note(self.shop, str(sale.invoice_id), amount))

    def _credit_note_linked(self, sale: Sale) -> None:
        """A refund first, the note for it later."""

        def happen() -> None:
            id = refunds.refund(self.shop, str(sale.charge_id))["id"]
            invoice = str(sale.invoice_id)
            self._in_days(0, 3, lambda: credit_notes.credit_note(self.shop, invoice, refund_id=id))

        self._in_days(1, 15, happen)

    def _credit_note_to_balance(self, sale: Sale) -> None:
        self._credit(sale, "customer_balance")

    def _credit_note_out_of_band(self, sale: Sale) -> None:
        self._credit(sale, "out_of_band")

    def _credit(self, sale: Sale, to: str) -> None:
        if sale.rate is None:
            amount = self._part(sale)
            self._in_days(1, 15, lambda: credit_notes.credit_note(self.shop, str(sale.invoice_id), amount, to))

    def _credit_note_voided(self, sale: Sale) -> None:
        if sale.rate is not None:
            return
        amount = self._part(sale)

        def happen() -> None:
            id = credit_notes.credit_note(self.shop, str(sale.invoice_id), amount, "out_of_band")["id"]
            self._in_days(2, 20, lambda: credit_notes.void(self.shop, id))

        self._in_days(1, 15, happen)

    def _dispute_won(self, sale: Sale) -> None:
        self._dispute(sale, disputes.win)

    def _dispute_lost(self, sale: Sale) -> None:
        self._dispute(sale, disputes.lose)

    def _dispute(self, sale: Sale, end: Callable[[Shop, str], object]) -> None:
        def happen() -> None:
            id = disputes.open_dispute(self.shop, str(sale.charge_id))["id"]
            self._in_days(2, 5, lambda: disputes.respond(self.shop, id))
            self._in_days(10, 25, lambda: end(self.shop, id))

        self._in_days(4, 30, happen)

    def _inquiry(self, sale: Sale) -> None:
        def happen() -> None:
            id = disputes.open_inquiry(self.shop, str(sale.charge_id))["id"]
            self._in_days(5, 15, lambda: disputes.close_inquiry(self.shop, id))

        self._in_days(4, 30, happen)

    def _invoice_changed(self, sale: Sale) -> None:
        """Finance notes a purchase order on the invoice."""

        def happen() -> None:
            invoice = self.shop.get("invoice", str(sale.invoice_id))
            metadata = {**invoice["metadata"], "purchase_order": f"PO-{sale.invoice_number}"}
            self.shop.change("invoice", invoice["id"], "invoice.updated", metadata=metadata)

        self._in_days(1, 40, happen)

    def _customer_changed(self, sale: Sale) -> None:
        id = str(sale.customer_id)
        changed = {"phone": "+15550100", "name": "Zoë O’Hara-Łysiak"}
        self._in_days(1, 40, lambda: customers.update_customer(self.shop, id, **changed))

    def _customer_deleted(self, sale: Sale) -> None:
        self._in_days(2, 40, lambda: customers.delete_customer(self.shop, str(sale.customer_id)))
