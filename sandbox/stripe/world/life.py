"""What happens in an account by itself: sales, and what follows them, days and weeks later.

Kinds of happenings are dealt from decks, so that a small world has some of each. Every choice draws from the shop's
own random numbers at the moment it happens: a world built to a later day is the same world advanced to that day.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sandbox.stripe.world import (
    aftermath,
    catalog,
    checkout,
    fees,
    manual_invoices,
    payment,
    payouts,
    people,
)
from sandbox.stripe.world.decks import Deck
from sandbox.stripe.world.model import Buyer
from sandbox.stripe.world.shop import DAY, Shop

HOUR = 3600
SESSIONS = {
    "card": 33,
    "two_courses": 3,
    "team": 2,
    "delayed": 3,
    "bounced": 1,
    "declined_once": 2,
    "refused": 1,
    "gift": 2,
    "coupon": 2,
    "abandoned": 1,
}
INVOICES = {"draft": 1, "open": 2, "void": 1, "uncollectible": 1}
PAYOUTS = {"arrives": 19, "fails": 1}
DELAYED = {"usd": "us_bank_account", "eur": "sepa_debit"}
SPECIALS = 6  # sessions of a month that stand on the edges and in one same second


class Life:
    """The scheduled life of one account."""

    def __init__(self, shop: Shop, checkouts_per_month: int) -> None:
        self.shop = shop
        self.random = shop.random
        self.checkouts = checkouts_per_month
        self.sessions = Deck(shop.random, SESSIONS)
        self.markets = Deck(shop.random, dict(shop.spec.markets))
        self.invoices = Deck(shop.random, INVOICES)
        self.payouts = Deck(shop.random, PAYOUTS)
        self.after = aftermath.Aftermath(shop)
        self.known: list[tuple[str, Buyer, str]] = []  # customers who may come again: id, who, market

    def begin(self) -> None:
        """Open the account and plan its first month and day."""
        catalog.open_account(self.shop)
        self.shop.schedule(self.shop.now, self.month)
        self.shop.schedule((self.shop.now // DAY + 1) * DAY, self.day)
        if self.checkouts:
            self.shop.schedule(self.shop.now + HOUR, self.look)

    def look(self) -> None:
        """Somebody only looks, every twenty hours: so there is always a session that is still open."""
        self.visit("abandoned")
        self.shop.later(20 * HOUR, self.look)

    def day(self) -> None:
        """Midnight: balances mature; a little later the automatic payouts leave."""
        self.shop.mature()
        self.shop.later(20 * 60, self.pay_out)
        self.shop.later(DAY, self.day)

    def pay_out(self) -> None:
        for payout in payouts.daily(self.shop):
            self.follow(payout["id"], payout["arrival_date"])

    def follow(self, id: str, arrival: int) -> None:
        """A payout's way: in transit, reconciled, at the bank, traced; one in twenty comes back days after `paid`."""
        shop, at = self.shop, arrival + 4 * HOUR
        shop.later(6 * HOUR, lambda: payouts.send(shop, id))
        shop.later(9 * HOUR, lambda: payouts.reconcile(shop, id))
        shop.schedule(at, _quietly(lambda: payouts.arrive(shop, id)))
        shop.schedule(at + 2 * DAY, lambda: payouts.trace(shop, id))
        if self.payouts.draw() == "fails":
            shop.schedule(at + self.random.randrange(1, 4) * DAY, _quietly(lambda: payouts.fail(shop, id)))

    def month(self) -> None:
        """Plan the sessions of the rest of this month; on the 1st also last month's fees."""
        shop, start = self.shop, self.shop.now
        end, whole = month_end(start), month_end(start) - month_start(start)
        count = round(self.checkouts * (end - start) / whole)
        if shop.ledger.entries:
            shop.later(6 * HOUR, lambda: fees.monthly(shop))
        shop.schedule(end, self.month)
        if count > 2 * SPECIALS:
            count -= SPECIALS
            self.edges(start, end)
        for _ in range(count):
            shop.schedule(self.random.randrange(start, end - 2 * HOUR), self.visit)
        for _ in range(2 if self.checkouts else 0):
            shop.schedule(self.random.randrange(start, end - 2 * HOUR), self.company)

    def edges(self, start: int, end: int) -> None:
        """Sales at the month's first and last second (one's invoice in the next month), three in one second."""
        shop, moment = self.shop, self.random.randrange(start + DAY, end - DAY)
        shop.schedule(start, lambda: self.visit("card", pay_after=0, invoice_after=0))
        shop.schedule(end - 300, lambda: self.visit("card", pay_after=299, invoice_after=1))
        shop.schedule(end - 400, lambda: self.visit("card", pay_after=399, invoice_after=0))
        for _ in range(SPECIALS - 3):
            shop.schedule(moment, lambda: self.visit("card", pay_after=90, invoice_after=1))

    def visit(self, kind: str | None = None, pay_after: int | None = None, invoice_after: int = 1) -> None:
        """Somebody opens the payment page, and what becomes of it."""
        shop, kind = self.shop, kind or self.sessions.draw()
        if kind in ("delayed", "bounced") and shop.currency not in DELAYED:
            kind = "card"
        market = "us_taxed" if kind in ("delayed", "bounced") else self.markets.draw()
        if not self.prices(people.CURRENCY.get(market, shop.currency)):
            return  # the catalogue was changed: nothing is sold in that currency any more
        buyer, customer = self.who(market)
        session = checkout.create_session(shop, self.order(kind, market, buyer, customer))["id"]
        if kind == "abandoned":
            return  # it expires after a day
        wait = pay_after if pay_after is not None else self.random.randrange(45, 900)
        if kind in ("declined_once", "refused"):
            shop.later(wait, _quietly(lambda: payment.decline(shop, session, buyer)))
            wait += 120
        if kind == "refused":
            return
        shop.later(wait, _quietly(lambda: self.buy(session, buyer, kind, market, invoice_after)))

    def buy(self, session: str, buyer: Buyer, kind: str, market: str, invoice_after: int) -> None:
        shop = self.shop
        if kind in ("delayed", "bounced"):
            payment.pay(shop, session, buyer, method=DELAYED[shop.currency])
            days = self.random.randrange(4, 6)
            end = payment.settle if kind == "delayed" else payment.fail
            shop.later(days * DAY + HOUR, _quietly(lambda: end(shop, session)))
            return
        payment.pay(shop, session, buyer, invoice_after=invoice_after)
        sale = shop.sales[session]
        if sale.customer_id:
            self.known = [*self.known[-40:], (sale.customer_id, buyer, market)]
        self.after.follow(sale)

    def who(self, market: str) -> tuple[Buyer, str | None]:
        """A new buyer, or one in ten times a known customer of the market."""
        if self.random.random() < 0.1:
            for id, buyer, theirs in reversed(self.known):
                if theirs == market and self.shop.store.get("customer", id):
                    return buyer, id
        self.shop.orders += 1
        return people.buyer(market, self.random, self.shop.orders), None

    def order(self, kind: str, market: str, buyer: Buyer, customer: str | None) -> dict[str, Any]:
        """The session's parameters as redis.io sends them (stripe.md §2.1)."""
        shop = self.shop
        prices = self.prices(people.CURRENCY.get(market, shop.currency))
        count = {"two_courses": 2, "team": self.random.randrange(12, 46)}.get(kind, 1)
        chosen = [self.random.choice(prices) for _ in range(count)]
        number = shop.orders * 10 + len(shop.sales) % 10
        product = shop.get("product", chosen[0]["product"])
        metadata = {
            "order_id": f"ord_{number:08d}",
            "course": product["metadata"]["course"],
            "flockjay_course_id": product["metadata"]["flockjay_course_id"],
            "learner": f"lrn_{shop.orders:06d}",
        }
        coupon = {"gift": catalog.GIFT, "coupon": catalog.DISCOUNT}.get(kind)
        # One in eight buys as a guest: no Customer object.
        guest = customer is None and shop.orders % 8 == 3 and market != "eu_business"
        return {
            "mode": "payment",
            "line_items": [self.item(price, i, kind) for i, price in enumerate(chosen)],
            "automatic_tax": {"enabled": shop.spec.tax == "automatic"},
            "billing_address_collection": "required",
            "tax_id_collection": {"enabled": True, "required": "never"},
            "consent_collection": {
                "payment_method_reuse_agreement": None,
                "promotions": "none",
                "terms_of_service": "required",
            },
            "invoice_creation": {"enabled": True, "invoice_data": {"metadata": metadata}},
            "payment_intent_data": {"metadata": metadata, "description": f"Redis University: {product['name']}"},
            "metadata": metadata,
            "client_reference_id": metadata["order_id"],
            "success_url": "https://university.example.com/checkout/return?session_id={CHECKOUT_SESSION_ID}",
            "cancel_url": "https://university.example.com/",
            "locale": "auto",
            **({"customer": customer} if customer else {"customer_email": buyer.email}),
            **({} if customer else {"customer_creation": "if_required" if guest else "always"}),
            **({"discounts": [{"coupon": coupon}]} if coupon else {}),
        }

    def item(self, price: dict[str, Any], i: int, kind: str) -> dict[str, Any]:
        manual = {"tax_rates": [self.shop.manual_rate]} if self.shop.spec.tax == "manual" else {}
        seat = {"metadata": {"learner": f"lrn_{self.shop.orders:06d}_{i:02d}"}} if kind == "team" else {}
        quantity = self.random.randrange(1, 4) if kind == "team" else 1
        return {"price": price["id"], "quantity": quantity, **manual, **seat}

    def prices(self, currency: str) -> list[dict[str, Any]]:
        return [p for p in self.shop.store.all("price") if p["currency"] == currency and p["active"]]

    def company(self) -> None:
        """Finance writes an invoice to a company by hand."""
        shop, fate = self.shop, self.invoices.draw()
        market = "il" if shop.spec.tax == "manual" else "us_untaxed"
        shop.orders += 1
        buyer = people.buyer(market, self.random, shop.orders)
        price = self.random.choice(self.prices(shop.currency))
        id = manual_invoices.draft(shop, buyer, price["id"], self.random.randrange(2, 9))["id"]
        if fate == "draft":
            return
        shop.later(HOUR, _quietly(lambda: manual_invoices.finalize(shop, id)))
        if fate == "void":
            shop.later(9 * DAY, _quietly(lambda: manual_invoices.void(shop, id)))
        if fate == "uncollectible":
            shop.later(35 * DAY, _quietly(lambda: manual_invoices.mark_uncollectible(shop, id)))


def _quietly(happening: Callable[[], object]) -> Callable[[], None]:
    return aftermath.unless_overtaken(happening)


def month_start(at: int) -> int:
    moment = datetime.fromtimestamp(at, UTC)
    return int(moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp())


def month_end(at: int) -> int:
    """The first second of the next month (UTC)."""
    return month_start(month_start(at) + 32 * DAY)
