"""Checks of single values. Each takes a value of the declared type and returns the one to keep, or raises Fault."""

import difflib
import re
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from redisu_pipeline.common.money import KNOWN_CURRENCIES
from redisu_pipeline.common.secrets import scrub
from redisu_pipeline.common.settings.fields import Fault

# ISO 3166-1 alpha-2, as Stripe writes billing countries; XK is Kosovo's, used by Stripe though not assigned.
COUNTRIES = frozenset(
    """
    AC AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
    CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR
    GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO
    JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR
    MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO
    RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TA TC TD TF TG TH TJ TK TL TM TN TO TR TT
    TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW
    """.split()
)
_MISTAKEN = {"UK": "GB", "EL": "GR"}
_REMOTE_LAKES = ("s3", "gs", "az", "abfs", "abfss")


def matching(pattern: str, what: str) -> Callable[[str], str]:
    """Return a check that the whole text matches ``pattern``; ``what`` says in words what is asked for."""
    form = re.compile(pattern)

    def check(text: str) -> str:
        if not form.fullmatch(text):
            raise Fault(f"{shown(text)} does not fit", f"write {what}")
        return text

    return check


def text(value: str) -> str:
    """Refuse an empty text."""
    if not value.strip():
        raise Fault("is empty", "give it a value")
    return value


def variable(name: str) -> str:
    """Refuse what cannot be the name of an environment variable: often the secret itself was pasted."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or scrub(name) != name:
        raise Fault(
            "is not the name of an environment variable",
            "name a variable here and put the secret into the environment, never into the file",
        )
    return name


def web_address(url: str) -> str:
    """Return an http(s) address without a slash at its end; a password in it is refused."""
    try:
        parts = urlsplit(url)
        port_is_one = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_is_one = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_one:
        raise Fault(f"{shown(url)} is not a web address", "write it like https://host or http://localhost:8000")
    if parts.username or parts.password:
        raise Fault("holds a user name or a password", "leave it out: secrets come from the environment only")
    if parts.query or parts.fragment:
        raise Fault(f"{shown(url)} has a query or a fragment", "write the address up to its path only")
    return url.rstrip("/")


def lake_uri(uri: str) -> str:
    """Refuse an address that no lake can have; a plain path or file:// is a folder of this machine."""
    scheme, found, rest = uri.partition("://")
    if not uri.strip():
        raise Fault("is empty", "name a folder, or s3://bucket/path")
    if not found:
        return uri
    if scheme == "file":
        if not rest.startswith("/"):
            raise Fault(f"{shown(uri)} is not an absolute file address", "write file:///folder, or just the folder")
        return rest
    if scheme not in _REMOTE_LAKES:
        raise Fault(f"{scheme}:// is not a store we know", "use a folder, s3://, gs:// or abfss://")
    if not rest.strip("/") or urlsplit(uri).password:
        raise Fault(
            "names no bucket, or holds a password",
            f"write {scheme}://bucket/path; credentials come from the environment",
        )
    return uri.rstrip("/")


def database_url(url: str) -> str:
    """Return the SQLAlchemy address of the operations database with its driver spelled out."""
    scheme, found, rest = url.partition("://")
    if not found:
        raise Fault("is not a database address", "write sqlite:///data/redisu.db or postgresql+psycopg://host/name")
    if scheme == "sqlite":
        if not rest.startswith("/") or rest in ("/", "/:memory:"):
            raise Fault(
                "names no file (the database must outlive the process)",
                "write sqlite:///data/redisu.db (three slashes)",
            )
        return url
    if scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        return f"postgresql+psycopg://{rest}"
    raise Fault(f"{scheme}:// is not a database we know", "use sqlite:/// or postgresql+psycopg://")


def timezone(name: str) -> str:
    """Refuse what is no IANA zone."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        raise Fault(f"{shown(name)} is not a time zone", "write an IANA name like UTC or Asia/Jerusalem") from None
    return name


def price_currency(code: str) -> str:
    """Return a currency in lower case, as Stripe's API writes it."""
    if code.upper() not in KNOWN_CURRENCIES:
        raise Fault(f"{shown(code)} is not a currency Stripe knows", "write its ISO code, like usd")
    return code.lower()


def base_currency(code: str) -> str:
    """Return a currency in upper case, as NetSuite writes it."""
    return price_currency(code).upper()


def country(code: str) -> str:
    """Refuse what is no ISO 3166-1 alpha-2 code in upper case."""
    if code not in COUNTRIES:
        better = _MISTAKEN.get(code.upper(), code.upper())
        hint = f"write {better}" if better in COUNTRIES else "write its two letters, like US or IL"
        raise Fault(f"{shown(code)} is not a country's ISO code", hint)
    return code


def route(code: str) -> str:
    """Accept ``default`` or a country."""
    return code if code == "default" else country(code)


def day(text: str) -> str:
    """Refuse what is no day written YYYY-MM-DD."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise Fault(f"{shown(text)} is not a day", "write it like 2026-06-01") from None


def first_of_month(day: date) -> date:
    """Refuse a day that is not the first of its month: books start with a whole month."""
    if day.day != 1:
        raise Fault(f"{day.isoformat()} is not the first of a month", f"write {day.replace(day=1).isoformat()}")
    return day


def percentage(value: Decimal) -> Decimal:
    """Refuse what is not within 0 and 100, or finer than the four decimals that Stripe keeps."""
    exponent = value.normalize().as_tuple().exponent
    if not (value.is_finite() and 0 <= value <= 100 and isinstance(exponent, int) and exponent >= -4):
        raise Fault(f"{value} is not a percentage", "write a number from 0 to 100 with at most 4 decimals")
    return value


def at_least(least: int, what: str) -> Callable[[int], int]:
    """Return a check that a number is ``least`` or more; ``what`` is its unit."""

    def check(value: int) -> int:
        if value < least:
            raise Fault(f"{value} is too small", f"give {least} {what} or more")
        return value

    return check


def date_format(form: str) -> str:
    """Refuse a NetSuite date format without day, month and year (Set Preferences > Date Format)."""
    if not re.fullmatch(r"(?:(?:DD?|MM?|MON|MONTH|Mon|Month|YYYY)(?:[-/. ,]+|$)){3}", form) or len(_parts(form)) != 3:
        raise Fault(f"{shown(form)} is not a date format of NetSuite", "write it as NetSuite shows it, like M/D/YYYY")
    return form


def _parts(form: str) -> set[str]:
    return {part[0].upper() for part in re.split(r"[-/. ,]+", form) if part}


def period_format(form: str) -> str:
    """Refuse a period name that would be the same for two months."""
    names = [date(year, month, 1).strftime(form) for year in (2025, 2026) for month in range(1, 13)]
    if len(set(names)) != len(names):
        raise Fault(f"{shown(form)} does not name each month apart", "use %Y with %m, %b or %B, like %b %Y")
    return form


def nearest(name: str, known: Iterable[str]) -> str:
    """Return how to mend an unknown name: the one that was probably meant, else all that are known."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, 1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(names)}"


def shown(value: object) -> str:
    """Return ``value`` as an error may quote it: secrets hidden, at most 60 signs."""
    quoted = scrub(repr(str(value)))
    return quoted if len(quoted) <= 60 else f"{quoted[:58]}…'"
