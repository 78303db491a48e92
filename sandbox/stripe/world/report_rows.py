"""Rows of `tax.transactions.itemized.2`: one per (transaction, line, jurisdiction rate), stripe.md §6.5.

Amounts are integers in minor units of `currency` (filing ones: of `filing_currency`), times unix seconds; the server
prints them as decimals in major units and dates. Only automatic tax is reported: manual rates (Israel) never are.
"""

from collections.abc import Callable
from decimal import Decimal

from sandbox.stripe import shapes
from sandbox.stripe.world.model import LineTax, Sale, SaleLine, Share
from sandbox.stripe.world.rates import DAY, convert, rate
from sandbox.stripe.world.shop import Shop

AMOUNTS = ("subtotal", "total", "tax_amount", "taxable_amount", "non_taxable_amount")
FILING_AMOUNTS = ("filing_total", "filing_taxable_amount", "filing_non_taxable_amount", "filing_tax_amount")
_FILING = {"US": "usd", "DE": "eur", "FR": "eur", "PL": "eur", "IE": "eur", "GB": "gbp", "JP": "jpy"}


def rows(shop: Shop) -> list[shapes.Object]:
    """All rows so far, oldest first. They are written only when somebody asks: most worlds never print the report."""
    for write in shop.unwritten:
        write()
    shop.unwritten.clear()
    return list(shop.tax_rows)


def sold(shop: Shop, sale: Sale, at: int) -> None:
    """A sale counted: its invoice paid."""
    if not sale.automatic_tax:
        return
    as_invoice = shop.spec.tax_report_ids == "invoice" and sale.invoice_id
    id, type = (sale.invoice_id, "invoice") if as_invoice else (sale.session_id, "checkout")

    def whole(i: int, k: int) -> tuple[int, int]:
        return sale.lines[i].net, sale.lines[i].taxes[k].amount

    shop.unwritten.append(lambda: _write(shop, sale, str(id), type, at, whole, invoice_metadata=sale.metadata))


def returned(shop: Shop, sale: Sale, share: Share, id: str, type: str, at: int, sign: int = -1) -> None:
    """A refund or credit note (negative rows), or with `sign` +1 its undoing."""
    if not sale.automatic_tax:
        return

    def part(i: int, k: int) -> tuple[int, int]:
        return sign * share.net[i], sign * share.taxes[i][k]

    shop.unwritten.append(lambda: _write(shop, sale, id, type, at, part, invoice_metadata={}))


def _write(
    shop: Shop,
    sale: Sale,
    id: str,
    type: str,
    at: int,
    amounts: Callable[[int, int], tuple[int, int]],
    invoice_metadata: dict[str, str],
) -> None:
    for i, line in enumerate(sale.lines):
        net = amounts(i, 0)[0] if line.taxes else 0
        line_tax = sum(amounts(i, k)[1] for k in range(len(line.taxes)))
        if type != "invoice" and type != "checkout" and not net and not line_tax:
            continue  # a partial refund too small to reach this line
        for k, each in enumerate(line.taxes):
            row = _place(sale, line, each) | _money(sale, each, net, net + line_tax, amounts(i, k)[1], at)
            row.update(id=id, type=type, transaction_date=at, tax_date=sale.invoice_at or at)
            row.update(line_item_id=line.line_id or line.item_id, invoice_metadata=invoice_metadata)
            shop.tax_rows.append(row)


def _money(sale: Sale, each: LineTax, subtotal: int, total: int, tax_amount: int, at: int) -> shapes.Object:
    taxable = subtotal if each.taxable else 0
    filing = _FILING.get(each.levy.country, sale.settlement)
    at_rate = Decimal(1) if filing == sale.currency else rate(at // DAY, sale.currency, filing)
    row: shapes.Object = {
        "currency": sale.currency,
        "subtotal": subtotal,
        "total": total,
        "tax_amount": tax_amount,
        "taxable_amount": taxable,
        "non_taxable_amount": subtotal - taxable,
        "filing_currency": filing,
        "filing_exchange_rate": str(at_rate),
    }
    for name in FILING_AMOUNTS:
        source = row[name.removeprefix("filing_")]
        row[name] = convert(source, sale.currency, filing, at_rate)
    return row


def _place(sale: Sale, line: SaleLine, each: LineTax) -> shapes.Object:
    levy = each.levy
    return {
        "quantity": line.quantity,
        "quantity_decimal": str(line.quantity),
        "tax_code": line.tax_code,
        "tax_name": levy.display_name,
        "tax_rate": str(levy.applied / 100),
        "tax_type": levy.tax_type,
        "taxability": "taxable" if each.taxable else "non_taxable",
        "taxability_reason": levy.reason,
        "jurisdiction_level": levy.level,
        "jurisdiction_name": levy.jurisdiction,
        "country_code": levy.country,
        "state_code": levy.state,
        "destination_resolved_address_country": sale.buyer.country,
        "destination_resolved_address_state": sale.buyer.state,
        "origin_resolved_address_country": "US",
        "origin_resolved_address_state": "CA",
        "customer_tax_id": sale.buyer.tax_id[1] if sale.buyer.tax_id else None,
        "payment_intent_id": sale.payment_intent_id,
    }
