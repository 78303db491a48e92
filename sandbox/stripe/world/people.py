"""Made-up buyers. Every address ends in a reserved domain; names go beyond ASCII on purpose."""

from random import Random
from typing import NamedTuple

from sandbox.stripe.world.model import Buyer


class Place(NamedTuple):
    """An address of a market."""

    country: str
    state: str | None
    city: str
    postal_code: str
    line1: str


_FIRST = (
    "Jenny Łukasz שלום Zoë Amélie Søren נועה Jürgen Nguyễn Siân François Ayşe Mary-Jane Ana-María Owen Priya Chloé"
    " Tomáš Kwame Dmitri Björk O'Neil"
).split()
_LAST = "Rosen Wójcik כהן Müller 東京 Ødegård Dubois Öztürk García Nair Novák Mensah Иванов Smith Álvarez Li".split()
_WHOLE = ("שלום עליכם", "Łukasz Żółć", "東京 太郎", "Rocket 🚀 Learner", "\u200fדנה לוי", "Zoë “Z” O’Hara")

NEW_YORK = Place("US", "NY", "New York", "10001", "350 5th Ave")
PLACES = {
    "us_taxed": (
        NEW_YORK,
        Place("US", "NY", "Rochester", "14604", "30 Church St"),
        Place("US", "TX", "Austin", "78701", "1100 Congress Ave"),
        Place("US", "TX", "Houston", "77002", "901 Bagby St"),
        Place("US", "WA", "Seattle", "98101", "600 4th Ave"),
        Place("US", "IL", "Chicago", "60602", "121 N LaSalle St"),
        Place("US", "PA", "Pittsburgh", "15219", "414 Grant St"),
        Place("US", "TN", "Nashville", "37201", "1 Public Sq"),
    ),
    "us_untaxed": (
        Place("US", "CA", "San Francisco", "94105", "1 Market St"),
        Place("US", "FL", "Miami", "33130", "444 SW 2nd Ave"),
        Place("US", "OR", "Portland", "97204", "1221 SW 4th Ave"),
        Place("US", "CO", "Denver", "80202", "1437 Bannock St"),
    ),
    "us_exempt": (Place("US", "TX", "Austin", "78712", "110 Inner Campus Dr"), NEW_YORK),
    "eu": (
        Place("DE", None, "Köln", "50667", "Domkloster 4"),
        Place("FR", None, "Paris", "75004", "Place de l'Hôtel de Ville"),
        Place("PL", None, "Łódź", "90-926", "Piotrkowska 104"),
        Place("IE", None, "Dublin", "D02 X285", "1 Grand Canal Sq"),
    ),
    "eu_business": (
        Place("DE", None, "München", "80331", "Marienplatz 1"),
        Place("FR", None, "Lyon", "69001", "1 Pl. Carnot"),
    ),
    "gb": (Place("GB", None, "London", "SW1A 2AA", "10 Downing St"),),
    "jp": (Place("JP", "東京都", "千代田区", "100-0001", "千代田1-1"),),
    "kw": (Place("KW", None, "Kuwait City", "13001", "شارع الخليج العربي"),),
    "il_abroad": (Place("IL", None, "חיפה", "3303110", "חסן שוקרי 14"),),
    "il": (
        Place("IL", None, "תל אביב-יפו", "6473921", "אבן גבירול 69"),
        Place("IL", None, "ירושלים", "9103401", "כיכר ספרא 1"),
        Place("IL", None, "חיפה", "3303110", "חסן שוקרי 14"),
    ),
}
CURRENCY = {"eu": "eur", "eu_business": "eur", "jp": "jpy", "kw": "kwd"}  # others pay in the account's currency
_DOMAINS = ("example.com", "example.org", "example.net")


def buyer(market: str, random: Random, number: int) -> Buyer:
    """Someone new of a market; `number` makes the address of theirs unique."""
    place = random.choice(PLACES[market])
    whole = number % 5 == 0
    name = random.choice(_WHOLE) if whole else f"{random.choice(_FIRST)} {random.choice(_LAST)}"
    business = market == "eu_business"
    return Buyer(
        name=f"{name} GmbH" if business else name,
        email=f"learner{number:06d}@{_DOMAINS[number % 3]}",
        country=place.country,
        postal_code=place.postal_code,
        state=place.state,
        city=place.city,
        line1=place.line1,
        tax_exempt="exempt" if market == "us_exempt" else "none",
        tax_id=("eu_vat", f"{place.country}{100000000 + number}") if business else None,
    )


def someone(country: str, email: str = "buyer@example.com", name: str = "Jenny Rosen") -> Buyer:
    """A buyer for a payment made by hand: the first place of the world in that country, else only the country."""
    for places in PLACES.values():
        for place in places:
            if place.country == country:
                return Buyer(name, email, country, place.postal_code, place.state, place.city, place.line1)
    return Buyer(name, email, country, "00000")
