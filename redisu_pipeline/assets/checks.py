"""Asset checks over the lake: the rules of ``assets.rules``, shown for the account of the run or for every account."""

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from redisu_pipeline.assets.catalogue import key_of
from redisu_pipeline.assets.metadata import plain
from redisu_pipeline.assets.rules.contents import CONTENT_RULES
from redisu_pipeline.assets.rules.model import Grade, Rule, Subject, Verdict, examine
from redisu_pipeline.assets.rules.references import FOREIGN_KEYS
from redisu_pipeline.common import clock
from redisu_pipeline.common.problems import Refusal
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.resources.pipeline import PipelineResource
from redisu_pipeline.tables.model import Table
from redisu_pipeline.tables.registry import EVERY_TABLE

RULES: tuple[Rule, ...] = (*CONTENT_RULES, FOREIGN_KEYS)
REMEMBERED = 20
"""Materializations looked back on by `counts_never_fall`."""


def rules_of(table: Table) -> tuple[Rule, ...]:
    """Return the rules that apply to ``table``."""
    return tuple(rule for rule in RULES if rule.applies(table))


def stripe_checks() -> list[dg.AssetChecksDefinition]:
    """Return the checks of every Stripe table: one step a table, which reads its files once."""
    return [_checks(table) for table in EVERY_TABLE.values()]


def _checks(table: Table) -> dg.AssetChecksDefinition:
    rules = rules_of(table)

    @dg.multi_asset_check(
        name=f"{table.name}_checks",
        can_subset=True,
        specs=[
            dg.AssetCheckSpec(rule.name, asset=key_of(table.name), description=rule.doc, blocking=rule.blocking)
            for rule in rules
        ],
    )
    def checks(context: dg.AssetCheckExecutionContext, pipeline: PipelineResource) -> Iterator[dg.AssetCheckResult]:
        chosen = {key.name for key in context.selected_asset_check_keys}
        wanted = [rule for rule in rules if rule.name in chosen]
        accounts = _accounts(context, pipeline)
        verdicts = {account: _examine(context, pipeline, table, account, wanted) for account in accounts}
        for rule in wanted:
            yield result(table, rule, {account: found[rule.name] for account, found in verdicts.items()})

    return checks


def _accounts(context: dg.AssetCheckExecutionContext, pipeline: PipelineResource) -> Sequence[str]:
    """Return the account of the run; every account when the check runs on its own."""
    return [context.partition_key] if context.has_partition_key else list(pipeline.settings().accounts)


def _examine(
    context: dg.AssetCheckExecutionContext,
    pipeline: PipelineResource,
    table: Table,
    account: str,
    rules: Sequence[Rule],
) -> Mapping[str, Verdict]:
    try:
        storage = pipeline.storage()
        subject = Subject(
            storage=storage,
            account=account,
            table=table,
            manifest=read_manifest(storage, table.name, account)[0],
            now=clock.now(),
            livemode=pipeline.livemode(account),
            highest=highest_rows(context.instance, table, account),
        )
        return examine(subject, rules)
    except Refusal as refusal:
        raise dg.Failure(description=str(refusal), allow_retries=False) from None


def highest_rows(instance: dg.DagsterInstance, table: Table, account: str) -> int | None:
    """Return the greatest row count among the last materializations of the account's part; None without any."""
    wanted = dg.AssetRecordsFilter(asset_key=key_of(table.name), asset_partitions=[account])
    counts = []
    for record in instance.fetch_materializations(wanted, limit=REMEMBERED).records:
        made = record.asset_materialization
        count = made.metadata.get("dagster/row_count") if made else None
        if isinstance(count, dg.IntMetadataValue) and count.value is not None:
            counts.append(count.value)
    return max(counts, default=None)


def result(table: Table, rule: Rule, verdicts: Mapping[str, Verdict]) -> dg.AssetCheckResult:
    """Return one result for all accounts looked at; the worst verdict decides."""
    grades = {verdict.grade for verdict in verdicts.values()}
    warned = Grade.WARN in grades and Grade.ERROR not in grades
    facts = {
        (name if len(verdicts) == 1 else f"{account} {name}"): value
        for account, verdict in verdicts.items()
        for name, value in verdict.facts.items()
    }
    return dg.AssetCheckResult(
        asset_key=key_of(table.name),
        check_name=rule.name,
        passed=grades <= {Grade.PASS},
        severity=dg.AssetCheckSeverity.WARN if warned else dg.AssetCheckSeverity.ERROR,
        description=" · ".join(f"{account}: {verdict.summary}" for account, verdict in verdicts.items()),
        metadata={"accounts": ", ".join(verdicts), **plain(facts)},
    )
