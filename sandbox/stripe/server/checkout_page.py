"""Stripe's hosted payment page, in small: what stands at `session.url`. A person (or a browser test) pays here.

It asks what Checkout would ask for this session, lets a payment succeed, be declined or come later, and sends the
buyer on to `success_url`. Real Checkout waits up to ten seconds for the webhook's answer before that (stripe.md §3.1);
the stand-in does not, which is the harder case for whoever waits on the other side.
"""

import re
from pathlib import Path
from urllib.parse import parse_qsl

import jinja2
from markupsafe import Markup, escape

from redisu_pipeline.common.money import show
from sandbox.stripe.server.call import Sandbox
from sandbox.stripe.store import Object, Store

PREFIX = "/c/pay/"
COUNTRIES = (
    ("AU", "Australia"),
    ("BR", "Brazil"),
    ("CA", "Canada"),
    ("FR", "France"),
    ("DE", "Germany"),
    ("IN", "India"),
    ("IE", "Ireland"),
    ("IL", "Israel"),
    ("JP", "Japan"),
    ("KW", "Kuwait"),
    ("PL", "Poland"),
    ("GB", "United Kingdom"),
    ("US", "United States"),
)
# What can be chosen, and what then happens: (world's action, its arguments).
WAYS = {
    "card": ("pay", {"method": "card"}),
    "declined": ("decline", {"code": "generic_decline"}),
    "insufficient_funds": ("decline", {"code": "insufficient_funds"}),
    "bank": ("pay", {"method": "us_bank_account"}),
}
ASKED = ("name", "email", "country", "line1", "city", "state", "postal_code")
REQUIRED = ("name", "email", "country", "line1", "postal_code")
_LINK = re.compile(r"\[([^\]]+)\]\((https?://[^)\s]+)\)")
_TEMPLATE = jinja2.Environment(autoescape=True).from_string(
    Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
)


class _Page(Exception):
    """The page is shown again, with a message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


def handle(sandbox: Sandbox, method: str, path: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
    """Status, HTML and headers for one request of a buyer's browser."""
    found = _session(sandbox, path.removeprefix(PREFIX))
    if found is None or method not in ("GET", "HEAD", "POST"):
        return 404, b"There is no such payment page.", {}
    store, session = found
    form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)) if method == "POST" else {}
    status, message = 200, ""
    if method == "POST" and session["status"] == "open":
        try:
            _pay(sandbox, store, session, form)
        except _Page as again:
            status, message = again.status, again.message
    if method == "POST" and session["status"] == "complete":
        return 303, b"", {"Location": success_url(session)}
    return status, _shown(store, session, form, message), {"Cache-Control": "no-store"}


def success_url(session: Object) -> str:
    """Where the buyer goes after paying."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _session(sandbox: Sandbox, id: str) -> tuple[Store, Object] | None:
    for store in sandbox.world.stores.values():
        found = store.get("checkout.session", id)
        if found is not None:
            return store, found
    return None


def _pay(sandbox: Sandbox, store: Store, session: Object, form: dict[str, str]) -> None:
    """Let the world take the payment, or raise _Page with what the buyer must mend."""
    buyer: dict[str, object] = {name: form.get(name, "").strip() or None for name in ASKED}
    buyer["email"] = session["customer_email"] or buyer["email"]
    missing = [name.replace("_", " ") for name in REQUIRED if not buyer[name]]
    if missing:
        raise _Page(400, f"Please fill in: {', '.join(missing)}.")
    if _asks_consent(session) and form.get("consent") != "yes":
        raise _Page(400, "Please accept the terms.")
    if form.get("tax_id"):
        buyer["tax_id"] = (form.get("tax_id_type") or "eu_vat", form["tax_id"].strip())
    if form.get("way") not in _ways(session):
        raise _Page(400, "Please choose how to pay.")
    action, arguments = WAYS[form["way"]]
    sandbox.tick()
    try:
        sandbox.world.act(store.name, action, session=session["id"], buyer=buyer, **arguments)
    except ValueError as fault:
        raise _Page(400, str(fault)) from None
    if action == "decline":
        raise _Page(402, "Your card was declined. Try another card.")


def _ways(session: Object) -> list[str]:
    delayed = "us_bank_account" in (session["payment_method_types"] or ())
    return [way for way in WAYS if way != "bank" or delayed]


def _asks_consent(session: Object) -> bool:
    return (session["consent_collection"] or {}).get("terms_of_service") == "required"


def _linked(text: str) -> Markup:
    """The text as HTML, its markdown links as links: all that Checkout shows of markdown."""
    return Markup(_LINK.sub(r'<a href="\2">\1</a>', str(escape(text))))


def _shown(store: Store, session: Object, form: dict[str, str], message: str) -> bytes:
    currency = session["currency"]
    wording = (session["custom_text"] or {}).get("terms_of_service_acceptance") or {}
    page = _TEMPLATE.render(
        session=session,
        items=[
            (item["description"], show(item["amount_subtotal"], currency)) for item in store.line_items[session["id"]]
        ],
        total=show(session["amount_total"], currency),
        tax=show(session["total_details"]["amount_tax"], currency),
        automatic=session["automatic_tax"]["enabled"],
        form=form,
        message=message,
        ways=_ways(session),
        consent=_asks_consent(session),
        wording=_linked(wording.get("message") or "I agree to the terms of service."),
        countries=COUNTRIES,
        home=store.country,
        success=success_url(session),
    )
    return page.encode()
