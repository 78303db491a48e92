"""Which handler answers which address, and the permission that a restricted key needs for it."""

from dataclasses import dataclass

from sandbox.stripe.server import reads, reports, writes
from sandbox.stripe.server.call import Handler
from sandbox.stripe.server.resources import RESOURCES


@dataclass(frozen=True)
class Route:
    """One endpoint; `template` has {} where ids stand, and all calls of a template share one rate limit."""

    template: str
    handler: Handler
    permission: str
    content_type: str = "application/json"


def _routes() -> dict[tuple[str, str], Route]:
    made: dict[tuple[str, str], Route] = {}

    def add(
        method: str, template: str, handler: Handler, permission: str, content_type: str = "application/json"
    ) -> None:
        made[method, template] = Route(template, handler, permission, content_type)

    for resource in RESOURCES:
        add("GET", resource.url, reads.lister(resource), resource.permission)
        add("GET", resource.url + "/{}", reads.retriever(resource), resource.permission)
    for template, (handler, permission) in reads.NESTED.items():
        add("GET", template, handler, permission)
    add("GET", "/v1/balance", reads.balance, "rak_balance_read")
    add("GET", "/v1/account", reads.account, "rak_account_read")
    add("GET", "/v1/tax/settings", reads.tax_settings, "rak_tax_settings_read")
    for template, (handler, permission) in writes.WRITES.items():
        add("POST", template, handler, permission)
    permission = "rak_report_runs_and_report_types"
    add("GET", "/v1/reporting/report_types", reports.list_types, f"{permission}_read")
    add("GET", "/v1/reporting/report_types/{}", reports.retrieve_type, f"{permission}_read")
    add("POST", "/v1/reporting/report_runs", reports.create_run, f"{permission}_write")
    add("GET", "/v1/reporting/report_runs/{}", reports.retrieve_run, f"{permission}_read")
    add("GET", "/v1/files/{}/contents", reports.contents, "rak_file_read", "text/csv; charset=utf-8")
    return made


ROUTES = _routes()
_EXACT = {key: route for key, route in ROUTES.items() if "{}" not in key[1]}
_PATTERNS = [(method, template.split("/"), route) for (method, template), route in ROUTES.items() if "{}" in template]


def find(method: str, path: str) -> tuple[Route | None, tuple[str, ...]]:
    """The route and the ids in the address; (None, ()) for an address that Stripe does not know."""
    exact = _EXACT.get((method, path))
    if exact is not None:
        return exact, ()
    parts = path.split("/")
    for known, template, route in _PATTERNS:
        if known == method and len(template) == len(parts):
            pairs = list(zip(template, parts, strict=True))
            if all(want in ("{}", part) for want, part in pairs):
                ids = tuple(part for want, part in pairs if want == "{}")
                if all(ids):
                    return route, ids
    return None, ()
