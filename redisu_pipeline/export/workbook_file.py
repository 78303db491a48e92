"""A workbook as bytes that depend on its content alone: openpyxl writes the wall clock into three places."""

import io
import zipfile
from datetime import date, datetime, time
from typing import Any

from openpyxl.writer.excel import ExcelWriter

_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the first instant that a zip archive can hold


def workbook_bytes(book: Any, day: date) -> bytes:
    """Return ``book`` as xlsx, said to be made on ``day``; every member of the archive carries the same old time."""
    book.properties.created = book.properties.modified = datetime.combine(day, time())  # xlsx knows no zone
    written = io.BytesIO()
    # Not book.save(): that sets `modified` to now.
    ExcelWriter(book, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED)).save()
    packed = io.BytesIO()
    with zipfile.ZipFile(written) as source, zipfile.ZipFile(packed, "w") as target:
        for name in source.namelist():
            member = zipfile.ZipInfo(name, _NO_TIME)
            member.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(member, source.read(name))
    return packed.getvalue()
