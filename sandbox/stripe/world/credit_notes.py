"""Credit notes on paid invoices: with a refund, to the customer's balance, or out of band; and voiding them."""

from typing import Any

from sandbox.stripe import shapes
from sandbox.stripe.world import books, refunds, report_rows, tax
from sandbox.stripe.world.ledger import Leg
from sandbox.stripe.world.model import LineTax, Sale, Share
from sandbox.stripe.world.shop import NotPossible, Shop

# Where the money of a note goes -> the ledger's role for it.
ROLES = {"customer_balance": "customer_credit", "out_of_band": "credit_out_of_band"}


def credit_note(
    shop: Shop,
    invoice_id: str,
    amount: int | None = None,
    to: str = "refund",
    refund_id: str | None = None,
    reason: str | None = "order_change",
    memo: str | None = None,
    metadata: dict[str, str] | None = None,
) -> shapes.Object:
    """Credit `amount` presentment minor units with tax (None: all that is left) of a paid Checkout invoice.

    `to`: "refund" (makes the refund, so that tax falls once), "customer_balance" or "out_of_band". With `refund_id` an
    existing refund is linked and gives the amount. Raises NotPossible above what is left.
    """
    sale = _sale(shop, invoice_id)
    if refund_id is not None:
        # The tax report has this refund already: linking is what keeps tax from falling twice.
        linked = _linked(shop, sale, refund_id)
        return _issue(shop, sale, linked, to, refund_id, reason=reason, memo=memo, metadata=metadata)
    left = sale.total - sale.returned.total
    amount = left if amount is None else int(amount)
    if not 0 < amount <= left:
        raise NotPossible(f"The credit note's amount ({amount}) exceeds what is left of the invoice ({left}).")
    share = books.take_share(sale, amount)
    if to == "refund":
        refund_id = refunds.make(shop, sale, share, "requested_by_customer", None, metadata, reported=False)["id"]
    made = _issue(shop, sale, share, to, refund_id, reason=reason, memo=memo, metadata=metadata)
    report_rows.returned(shop, sale, share, made["id"], "credit_note", shop.now)
    return made


def _sale(shop: Shop, invoice_id: str) -> Sale:
    invoice = shop.get("invoice", invoice_id)
    sale = shop.by_invoice.get(invoice_id)
    if sale is None or invoice["status"] != "paid":
        raise NotPossible(f"The invoice {invoice_id} is not a paid invoice of a checkout; it cannot be credited here.")
    if sale.customer_id is None:
        raise NotPossible(f"The invoice {invoice_id} is a guest's; a credit note needs a customer.")
    return sale


def _linked(shop: Shop, sale: Sale, refund_id: str) -> Share:
    refund = shop.get("refund", refund_id)
    if refund["charge"] != sale.charge_id or refund_id not in sale.refunds:
        raise NotPossible(f"The refund {refund_id} is not one of this invoice's payment.")
    if any(refund_id == each["refund"] for note in shop.store.all("credit_note") for each in note["refunds"]):
        raise NotPossible(f"The refund {refund_id} already belongs to a credit note.")
    return sale.refunds[refund_id]


def _issue(
    shop: Shop,
    sale: Sale,
    share: Share,
    to: str,
    refund_id: str | None,
    **words: Any,
) -> shapes.Object:
    id = shop.ids.new("cn")
    lines = [_line(shop, sale, share, i) for i, net in enumerate(share.net) if net or any(share.taxes[i])]
    invoice = shop.get("invoice", str(sale.invoice_id))
    subtotal = sum(line["amount"] for line in lines)
    balance = _to_balance(shop, sale, id, share.amount) if to == "customer_balance" and refund_id is None else None
    made = shapes.credit_note(
        id=id,
        amount=share.amount,
        created=shop.now,
        currency=sale.currency,
        customer=sale.customer_id,
        customer_balance_transaction=balance,
        effective_at=shop.now,
        invoice=sale.invoice_id,
        lines=shapes.nested(lines, f"/v1/credit_notes/{id}/lines"),
        livemode=shop.spec.livemode,
        memo=words["memo"],
        metadata=dict(words["metadata"] or {}),
        number=f"{sale.invoice_number}-CN-{_notes(shop, sale) + 1:02d}",
        out_of_band_amount=share.amount if to == "out_of_band" and refund_id is None else None,
        pdf=f"https://pay.stripe.com/credit_notes/{shop.store.account_id}/{id}/pdf",
        post_payment_amount=share.amount,
        reason=words["reason"],
        refunds=_refund_link(refund_id, share),
        subtotal=subtotal,
        subtotal_excluding_tax=sum(share.net),
        total=share.amount,
        total_excluding_tax=sum(share.net),
        total_taxes=tax.entries(_total_taxes(sale, share)),
    )
    shop.create(made, "credit_note.created")
    credited = invoice["post_payment_credit_notes_amount"] + share.amount
    shop.change("invoice", invoice["id"], "invoice.updated", post_payment_credit_notes_amount=credited)
    if refund_id is None:
        _post(shop, sale, share, id, ROLES[to])
    return made


def _refund_link(refund_id: str | None, share: Share) -> list[shapes.Object]:
    if refund_id is None:
        return []
    return [{"amount_refunded": share.amount, "payment_record_refund": None, "refund": refund_id, "type": "refund"}]


def _notes(shop: Shop, sale: Sale) -> int:
    return sum(1 for note in shop.store.all("credit_note") if note["invoice"] == sale.invoice_id)


def _post(shop: Shop, sale: Sale, share: Share, id: str, role: str) -> None:
    """No money moves: Dr refunds and tax, Cr the customer's credit (or what is settled out of band)."""
    legs = books.returned_legs(sale, share)
    books.give_back(sale, share)
    whole = (*legs, Leg(role, -sum(leg.amount for leg in legs)))
    shop.reversals[id] = whole
    sale.refunds[id] = share
    shop.post("credit_note", id, *whole)


def _line(shop: Shop, sale: Sale, share: Share, i: int) -> shapes.Object:
    line = sale.lines[i]
    taxes = _taxes(line.taxes, share.net[i], share.taxes[i])
    inclusive = sum(each.amount for each in taxes if each.levy.inclusive)
    return shapes.credit_note_line(
        id=shop.ids.new("cnli"),
        amount=share.net[i] + inclusive,
        description=line.description,
        invoice_line_item=line.line_id,
        livemode=shop.spec.livemode,
        quantity=None,
        tax_rates=[] if sale.automatic_tax else [shop.get("tax_rate", each.rate_id) for each in taxes],
        taxes=tax.entries(taxes),
    )


def _taxes(taxes: list[LineTax], net: int, amounts: list[int]) -> list[LineTax]:
    return [
        LineTax(each.levy, each.rate_id, amount, net if each.taxable else 0)
        for each, amount in zip(taxes, amounts, strict=True)
    ]


def _total_taxes(sale: Sale, share: Share) -> list[LineTax]:
    sums: dict[str, LineTax] = {}
    for i, line in enumerate(sale.lines):
        for each in _taxes(line.taxes, share.net[i], share.taxes[i]):
            known = sums.get(each.rate_id)
            amount, taxable = (known.amount, known.taxable) if known is not None else (0, 0)
            sums[each.rate_id] = each._replace(amount=amount + each.amount, taxable=taxable + each.taxable)
    return list(sums.values())


def _to_balance(shop: Shop, sale: Sale, note: str, amount: int) -> str:
    """Credit on the customer's balance (negative: in the customer's favour)."""
    id = str(sale.customer_id)
    customer = shop.get("customer", id)
    balance = customer["balance"] - amount
    made = shapes.customer_balance_transaction(
        id=shop.ids.new("cbtxn"),
        amount=-amount,
        created=shop.now,
        credit_note=note,
        currency=sale.currency,
        customer=sale.customer_id,
        ending_balance=balance,
        invoice=sale.invoice_id,
        livemode=shop.spec.livemode,
    )
    shop.store.put(made)
    shop.change("customer", id, "customer.updated", balance=balance, currency=sale.currency)
    return str(made["id"])


def void(shop: Shop, note_id: str) -> shapes.Object:
    """Void a note that moved no refund: the reverse of its entry, now. Raises NotPossible for others."""
    note = shop.get("credit_note", note_id)
    if note["status"] == "void" or note["refunds"]:
        raise NotPossible(f"The credit note {note_id} is void already or belongs to a refund; it cannot be voided.")
    sale = shop.by_invoice[note["invoice"]]
    share = sale.refunds.pop(note_id)
    shop.post("credit_note_voided", note_id, *books.negated(shop.reversals[note_id]))
    books.give_back(sale, share, sign=-1)
    report_rows.returned(shop, sale, share, note_id, "credit_note", shop.now, sign=+1)
    if note["customer_balance_transaction"] and shop.store.get("customer", note["customer"]):
        _to_balance(shop, sale, note_id, -note["amount"])
    invoice = shop.get("invoice", note["invoice"])
    credited = invoice["post_payment_credit_notes_amount"] - note["amount"]
    shop.change("invoice", invoice["id"], "invoice.updated", post_payment_credit_notes_amount=credited)
    return shop.change(
        "credit_note", note_id, "credit_note.voided", "credit_note.updated", status="void", voided_at=shop.now
    )
