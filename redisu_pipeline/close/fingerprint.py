"""What a month stands on, as one hash: so that a change of it is noticed, and nothing is derived again without one."""

import hashlib
from collections.abc import Mapping

from redisu_pipeline.close import gates
from redisu_pipeline.close.stored import FINAL, LOCKED
from redisu_pipeline.common.periods import Month
from redisu_pipeline.common.settings import Account, Settings

TIMELESS = ("credit_notes", "credit_note_taxes", "credit_note_lines", "products", "tax_transactions")
"""Tables whose rows may say something of a month before their own."""


def remembered(month: Month, status: str) -> str:
    """Return the name under which a close remembers what ``month`` was derived from, locked or not."""
    return f"{LOCKED if status == LOCKED else FINAL}/{month}"


def fingerprint(settings: Settings, account: Account, hashes: Mapping[str, str], month: Month) -> str:
    """Return a hash over what ``month`` is derived from: the files up to the month after it, and the decisions.

    ``hashes`` are those of the files, by "<table>/<month>". Credit notes explain refunds of earlier months, products
    name courses: theirs count whatever their month.
    """
    whole = hashlib.sha256()
    for name, digest in sorted(hashes.items()):
        table, _, of = name.partition("/")
        if table in TIMELESS or Month.parse(of) <= month.next():
            whole.update(f"{name} {digest}\n".encode())
    whole.update(gates.decisions(settings, account).encode())
    return whole.hexdigest()
