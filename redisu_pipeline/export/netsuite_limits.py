"""What NetSuite takes in a journal (netsuite-journals.md §0, §1.2–1.6), in one place for lint, CSV and REST bodies."""

import re

EXTERNAL_ID = re.compile(r"[A-Z0-9-]{1,45}")  # ≤ 45, so that it fits Entry No. too; REST takes no other signs
DIGITS_BEFORE_POINT = 10
DECIMALS = 2
RATE_DECIMALS = 8
LEAST_LINES = 2
MOST_LINES = 200  # of one journal: Oracle's general line limit
MOST_ROWS = 25_000  # of one import job
HEADER_MEMO = 999
LINE_MEMO = 4_000

WITHOUT_DECIMALS = frozenset("BYR KHR CLP ISK IDR IQD JPY LBP PYG KRW VND".split())
"""NetSuite's currencies of precision 0 (§1.6): not Stripe's list, where IDR, KHR and LBP have two decimals."""
