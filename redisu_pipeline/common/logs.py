"""JSON log lines on stderr, with one scrubber for keys and personal data that every line passes."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from redisu_pipeline.common import clock
from redisu_pipeline.common.secrets import HIDDEN, Secret, scrub

_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
# Fields that name a person or open a door; whatever stands in them is hidden whole.
PRIVATE_FIELDS = frozenset(
    """
    email name phone address line1 line2 postal_code learner learner_id customer_details customer_email customer_name
    receipt_email billing_details shipping tax_ids api_key authorization cookie secret password token signature
    """.split()
)


def configure(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send structlog's and the standard library's records to ``stream`` (stderr) as one JSON object a line."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        _stamp,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                _hide,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def redacted(value: object) -> object:
    """Return ``value`` with secrets and personal data hidden, however deep they stand."""
    if isinstance(value, str):
        return _EMAIL.sub(HIDDEN, scrub(value))
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, dict):
        return {key: HIDDEN if str(key).lower() in PRIVATE_FIELDS else redacted(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redacted(item) for item in value]
    return value


def _hide(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    hidden = redacted(dict(event))
    assert isinstance(hidden, dict)
    return hidden


def _stamp(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    event["timestamp"] = clock.now().isoformat().replace("+00:00", "Z")
    return event
