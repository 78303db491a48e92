"""The service's numbers for Prometheus; one registry an application, so that tests do not share them."""

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_ACK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG = (0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600, 21600, 86400, 259200)
_UNLOCK = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86400)


@dataclass(frozen=True)
class Metrics:
    """Names begin with ``redisu_``; times are seconds."""

    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        def counter(name: str, doc: str, *labels: str) -> Counter:
            return Counter(name, doc, labels, registry=self.registry)

        def gauge(name: str, doc: str, *labels: str) -> Gauge:
            return Gauge(name, doc, labels, registry=self.registry)

        def histogram(name: str, doc: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, doc, registry=self.registry, buckets=buckets)

        made = {
            "events": counter("redisu_events_total", "Events stored", "account", "type"),
            "duplicates": counter("redisu_events_duplicate_total", "Events that were here already", "account"),
            "refused": counter("redisu_webhooks_refused_total", "Webhook requests refused", "reason"),
            "refreshes": counter("redisu_refreshes_total", "Sessions read again at Stripe", "account", "result"),
            "deliveries": counter("redisu_deliveries_total", "Calls to FlockJay", "action", "answer"),
            "swept": counter("redisu_sweep_finds_total", "What a sweep found that no webhook had said", "account"),
            "ack_seconds": histogram("redisu_webhook_ack_seconds", "From an event's last byte to its 200", _ACK),
            "lag_seconds": histogram("redisu_stripe_delivery_lag_seconds", "From an event's creation to us", _LAG),
            "unlock_seconds": histogram("redisu_unlock_seconds", "From paid, as seen here, to unlocked", _UNLOCK),
            "due": gauge("redisu_jobs_due", "Jobs that wait", "kind"),
            "oldest": gauge("redisu_oldest_due_job_seconds", "Age of the job that is longest due", "kind"),
            "dead": gauge("redisu_dead_letters", "Jobs that a person must look at", "kind"),
            "breaker": gauge("redisu_breaker_state", "FlockJay's gate: 0 closed, 1 open, 2 stopped"),
        }
        for name, metric in made.items():
            object.__setattr__(self, name, metric)

    events: Counter = field(init=False)
    duplicates: Counter = field(init=False)
    refused: Counter = field(init=False)
    refreshes: Counter = field(init=False)
    deliveries: Counter = field(init=False)
    swept: Counter = field(init=False)
    ack_seconds: Histogram = field(init=False)
    lag_seconds: Histogram = field(init=False)
    unlock_seconds: Histogram = field(init=False)
    due: Gauge = field(init=False)
    oldest: Gauge = field(init=False)
    dead: Gauge = field(init=False)
    breaker: Gauge = field(init=False)
