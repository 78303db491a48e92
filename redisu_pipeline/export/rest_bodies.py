"""journal_entries.json: NetSuite REST requests, ready to be sent by whoever holds the credentials (§1.7).

`PUT …/journalEntry/eid:<External ID>` is an upsert; ``replace=line`` makes the sent lines the whole list, without it
a second PUT would append them and double the journal (§0.1). Misspelled fields are made an error, NetSuite's default
only warns. Numbers are exact decimals, written from Decimal.

References carry internal ids where `netsuite.ids` has them (account by number, everything else by name); without one
they carry ``refName``, which NetSuite does not resolve, and the request is marked ``"sendable": false`` with reasons.
A draft is never sendable.
"""

import uuid
from collections.abc import Iterator, Mapping
from decimal import Decimal

import msgspec

from redisu_pipeline.export.journals import Journal, account_reference, header_memo, journals
from redisu_pipeline.export.month import ClosedMonth
from redisu_pipeline.journals.model import JournalLine

_COLLECTION = "/services/rest/record/v1/journalEntry"
_NAMESPACE = uuid.UUID("5d8f2c51-6d5f-4d0a-9a4c-2f6a1c0e7b11")  # ours, drawn once: keys must repeat for ever
_ENCODER = msgspec.json.Encoder(decimal_format="number")

Json = str | bool | Decimal | list["Json"] | dict[str, "Json"]


class _References:
    """Resolves names to NetSuite's internal ids and remembers which were missing."""

    def __init__(self, ids: Mapping[str, Mapping[str, str]]) -> None:
        self._ids = ids
        self.missing: dict[str, None] = {}  # an ordered set: the same reason once

    def __call__(self, record: str, name: str, shown: str | None = None) -> dict[str, Json]:
        """Return ``{"id": …}`` for ``name``, else ``{"refName": …}`` and a reason."""
        known = self._ids.get(record, {}).get(name)
        if known is not None:
            return {"id": known}
        self.missing[f'netsuite.ids.{record} has no "{name}"'] = None
        return {"refName": shown or name}


def rest_bodies(month: ClosedMonth) -> bytes:
    """Return the requests of every journal as indented JSON, in the order of the journals."""
    document = {
        "account": month.account.name,
        "period": str(month.period),
        "status": "DRAFT" if month.is_draft else month.status,
        "requests": [_request(month, journal) for journal in journals(month.lines)],
    }
    return msgspec.json.format(_ENCODER.encode(document), indent=2) + b"\n"


def _request(month: ClosedMonth, journal: Journal) -> dict[str, Json]:
    refer = _References(month.netsuite.ids)
    body = _body(month, journal, refer)
    reasons = [*(["the month is a DRAFT: close it green first"] if month.is_draft else []), *refer.missing]
    return {
        "sendable": not reasons,
        "reasons": list(reasons),
        "method": "PUT",
        "path": f"{_COLLECTION}/eid:{journal.external_id}?replace=line",
        "headers": {
            "Content-Type": "application/json",
            "X-NetSuite-PropertyNameValidation": "Error",
            "X-NetSuite-PropertyValueValidation": "Error",
            # From the body, so that sending the same again is answered with the first job, and a change is not.
            "X-NetSuite-Idempotency-Key": str(uuid.uuid5(_NAMESPACE, _ENCODER.encode(body).decode())),
        },
        "body": body,
    }


def _body(month: ClosedMonth, journal: Journal, refer: _References) -> dict[str, Json]:
    head = journal.head
    return {
        "tranId": journal.external_id,
        "subsidiary": refer("subsidiary", head.subsidiary),
        "currency": refer("currency", head.currency),
        "exchangeRate": _number(head.exchange_rate),
        "tranDate": head.tran_date.isoformat(),
        "postingPeriod": refer("postingPeriod", head.posting_period),
        "memo": header_memo(month, journal),
        "approved": False,
        "line": {"items": [dict(_item(line, refer)) for line in journal.lines]},
    }


def _item(line: JournalLine, refer: _References) -> Iterator[tuple[str, Json]]:
    yield "account", refer("account", line.gl_account, account_reference(line))
    if line.debit is not None:
        yield "debit", _number(line.debit)
    if line.credit is not None:
        yield "credit", _number(line.credit)
    yield "memo", line.memo
    if line.department is not None:
        yield "department", refer("department", line.department)
    if line.location is not None:
        yield "location", refer("location", line.location)


def _number(value: Decimal) -> Decimal:
    """Return the same value in plain digits without idle zeros, at least two decimals: 187.00, 0.0067, never 1E+2."""
    plain = value.normalize()
    exponent = plain.as_tuple().exponent
    return plain.quantize(Decimal("0.01")) if isinstance(exponent, int) and exponent > -2 else plain
