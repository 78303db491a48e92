"""What works the journals out: this machine, or Spark where a month has outgrown it."""

from dataclasses import dataclass
from enum import StrEnum

from redisu_pipeline.common.settings import checks
from redisu_pipeline.common.settings.fields import setting


class JournalEngine(StrEnum):
    """What works journals out; the lines are the same to the cent and to the byte."""

    LOCAL = "local"
    SPARK = "spark"


@dataclass(frozen=True, kw_only=True)
class Journals:
    """How journals are derived (ours, beyond the contract)."""

    engine: JournalEngine = setting(
        "local (this machine, Polars) or spark (the extra `spark` and Java 17; see docs/spark.md): the same lines",
        default=JournalEngine.LOCAL,
    )
    spark_master: str | None = setting(
        "Spark's master, like spark://host:7077, yarn or local[4]; left out: what spark-submit or "
        "spark-defaults.conf says, else all cores of this machine",
        default=None,
        clean=checks.matching(r"local(\[[^\]\s]+\])?|yarn|(spark|k8s)://\S+", "a Spark master"),
    )
    spark_driver_memory: str = setting(
        "Memory of the Spark that is started here (one that spark-submit or a notebook started has its own)",
        default="4g",
        clean=checks.matching(r"[1-9][0-9]*[mg]", "a size like 4g or 3500m"),
    )
