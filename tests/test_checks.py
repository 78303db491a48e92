"""Each check fails on the fault that it is there for, and names what is wrong."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redisu_pipeline.assets.checks import rules_of
from redisu_pipeline.assets.rules.model import Grade, Subject, Verdict, examine
from redisu_pipeline.assets.rules.references import REFERENCES
from redisu_pipeline.lake.manifest import read_manifest
from redisu_pipeline.lake.schemas import schema_of
from redisu_pipeline.tables.registry import TABLES
from tests.lakes import COMPLETE, CREATED, START, SmallLake

NOW = COMPLETE + timedelta(hours=1)
LATE = COMPLETE + timedelta(seconds=1)


@pytest.fixture
def lake(tmp_path: Path) -> SmallLake:
    return SmallLake(tmp_path)


def judged(
    lake: SmallLake,
    table: str,
    rule: str,
    *,
    now: datetime = NOW,
    livemode: bool | None = None,
    highest: int | None = None,
) -> Verdict:
    subject = Subject(
        storage=lake.storage,
        account="us",
        table=TABLES[table],
        manifest=read_manifest(lake.storage, table, "us")[0],
        now=now,
        livemode=livemode,
        highest=highest,
    )
    return examine(subject, [one for one in rules_of(TABLES[table]) if one.name == rule])[rule]


class TestContents:
    def test_an_id_that_stands_twice_fails_even_across_months_and_is_named(self, lake: SmallLake) -> None:
        earlier = datetime(2026, 9, 30, tzinfo=UTC)
        lake.put("charges", {"id": "ch_1"}, {"id": "ch_2"}, {"id": "ch_1", "created": earlier})
        found = judged(lake, "charges", "unique_key")
        assert found.grade is Grade.ERROR
        assert found.facts == {"rows": 3, "duplicate_ids": 1, "ids": "ch_1"}

    def test_a_row_without_an_id_fails(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": None}, {"id": "ch_2"})
        assert judged(lake, "charges", "unique_key").grade is Grade.ERROR

    def test_unique_ids_pass(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1"}, {"id": "ch_2"})
        assert judged(lake, "charges", "unique_key").grade is Grade.PASS

    def test_an_empty_table_passes_every_rule_about_its_contents(self, lake: SmallLake) -> None:
        lake.put("charges")
        for rule in ("unique_key", "schema", "livemode", "known_values"):
            assert judged(lake, "charges", rule).grade is Grade.PASS, rule

    def test_live_rows_among_test_rows_fail(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1", "livemode": True}, {"id": "ch_2"})
        found = judged(lake, "charges", "livemode")
        assert (found.grade, found.facts) == (Grade.ERROR, {"live_rows": 1, "test_rows": 1})

    def test_test_rows_fail_when_the_key_is_a_live_one(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1"})
        assert judged(lake, "charges", "livemode", livemode=True).grade is Grade.ERROR
        assert judged(lake, "charges", "livemode", livemode=False).grade is Grade.PASS
        assert judged(lake, "charges", "livemode", livemode=None).grade is Grade.PASS

    def test_an_undocumented_value_and_an_unknown_currency_fail_with_an_example(self, lake: SmallLake) -> None:
        lake.put(
            "charges",
            {"id": "ch_1", "status": "succeeded", "currency": "usd"},
            {"id": "ch_2", "status": "dreaming", "currency": "usd"},
            {"id": "ch_3", "status": "failed", "currency": "xts"},
        )
        found = judged(lake, "charges", "known_values")
        assert found.grade is Grade.ERROR
        assert found.facts["status = dreaming"] == "1 rows, for example ch_2"
        assert found.facts["currency = xts"] == "1 rows, for example ch_3"

    def test_a_file_with_a_column_of_another_type_fails(self, lake: SmallLake) -> None:
        declared = schema_of(TABLES["charges"])
        place = declared.get_field_index("amount")
        lake.put("charges", {"id": "ch_1", "amount": 5}, schema=declared.set(place, pa.field("amount", pa.int32())))
        found = judged(lake, "charges", "schema")
        assert found.grade is Grade.ERROR
        assert "amount as int32, not int64" in found.summary

    def test_a_file_that_lacks_a_declared_column_fails(self, lake: SmallLake) -> None:
        declared = schema_of(TABLES["charges"])
        lake.put("charges", {"id": "ch_1"}, schema=declared.remove(declared.get_field_index("amount")))
        assert "lacks amount" in judged(lake, "charges", "schema").summary

    def test_a_file_that_nobody_knows_fails_because_every_reader_counts_it(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1"})
        folder = Path(lake.storage.uri("stripe/charges/account=us/month=2026-10"))
        (folder / "copy.parquet").write_bytes((folder / "data.parquet").read_bytes())
        assert "copy.parquet is not in the manifest" in judged(lake, "charges", "schema").summary

    def test_a_file_edited_by_hand_fails(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1"}, {"id": "ch_2"})
        file = Path(lake.storage.uri("stripe/charges/account=us/month=2026-10/data.parquet"))
        pq.write_table(pq.read_table(file, partitioning=None).slice(1), file)
        assert "bytes, not the" in judged(lake, "charges", "schema").summary

    def test_a_file_that_is_gone_or_broken_fails(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1"})
        file = Path(lake.storage.uri("stripe/charges/account=us/month=2026-10/data.parquet"))
        file.write_bytes(b"half a file")
        assert judged(lake, "charges", "schema").grade is Grade.ERROR
        file.unlink()
        assert judged(lake, "charges", "schema").grade is Grade.ERROR

    def test_a_table_that_is_complete_until_two_days_ago_is_stale(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1"})
        assert judged(lake, "charges", "freshness").grade is Grade.PASS
        found = judged(lake, "charges", "freshness", now=COMPLETE + timedelta(days=2))
        assert (found.grade, found.facts["hours_behind"]) == (Grade.ERROR, 48)

    def test_fewer_rows_than_recorded_before_fail(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1"})
        found = judged(lake, "charges", "counts_never_fall", highest=3)
        assert (found.grade, found.facts["lost"]) == (Grade.ERROR, 2)
        assert judged(lake, "charges", "counts_never_fall", highest=1).grade is Grade.PASS
        assert judged(lake, "charges", "counts_never_fall").grade is Grade.PASS

    def test_fewer_lines_are_a_warning_because_a_draft_may_be_edited(self, lake: SmallLake) -> None:
        lake.put("invoice_lines", {"id": "il_1"})
        assert judged(lake, "invoice_lines", "counts_never_fall", highest=3).grade is Grade.WARN

    def test_a_net_that_is_not_amount_minus_fee_fails_with_its_id(self, lake: SmallLake) -> None:
        lake.put(
            "balance_transactions",
            {"id": "txn_1", "amount": 1000, "fee": 59, "net": 941},
            {"id": "txn_2", "amount": 1000, "fee": 59, "net": 942},
            {"id": "txn_3", "amount": 1000, "fee": 59, "net": None},
        )
        found = judged(lake, "balance_transactions", "net_is_amount_minus_fee")
        assert (found.grade, found.facts["ids"]) == (Grade.ERROR, "txn_2, txn_3")

    @pytest.mark.parametrize(
        ("details", "wrong"),
        [
            ([("txn_1", 50, "usd"), ("txn_1", 9, "usd")], ""),
            ([("txn_1", 50, "usd")], "txn_1"),
            ([("txn_1", 50, "usd"), ("txn_1", 9, "eur")], "txn_1"),
            ([], "txn_1"),
            ([("txn_1", 59, "usd"), ("txn_9", 1, "usd")], "txn_9"),
        ],
        ids=["adds up", "a cent short", "another currency", "no details", "details of no transaction"],
    )
    def test_fee_details_must_add_up_to_the_fee(
        self, lake: SmallLake, details: list[tuple[str, int, str]], wrong: str
    ) -> None:
        lake.put("balance_transactions", {"id": "txn_1", "fee": 59, "currency": "usd"})
        rows = [
            {"id": f"{txn}:{n}", "balance_transaction": txn, "amount": amount, "currency": currency}
            for n, (txn, amount, currency) in enumerate(details)
        ]
        lake.put("balance_transaction_fees", *rows)
        found = judged(lake, "balance_transactions", "fees_add_up")
        assert (found.grade is Grade.PASS, found.facts.get("ids", "")) == (not wrong, wrong)

    def test_a_table_never_synced_is_a_warning(self, lake: SmallLake) -> None:
        assert judged(lake, "charges", "unique_key").grade is Grade.WARN


class TestReferences:
    @pytest.mark.parametrize("reference", REFERENCES, ids=lambda one: f"{one.table}.{one}")
    def test_a_reference_to_nothing_fails_with_both_ids(self, lake: SmallLake, reference) -> None:
        kind = schema_of(TABLES[reference.table]).field(reference.column).type
        value = f"{reference.prefixes[0] if reference.prefixes else 'x_'}lost"
        row: dict[str, object] = {"id": "one", reference.column: [value] if pa.types.is_list(kind) else value}
        if reference.where:
            row[reference.where[0]] = reference.where[1]
        for other in {one.target for one in REFERENCES if one.table == reference.table}:
            lake.put(other)
        lake.put(reference.table, row)
        found = judged(lake, reference.table, "foreign_keys")
        assert found.grade is Grade.ERROR, found
        assert f"{row['id']} → {value}" in found.summary or f"{value} → {value}" in found.summary

    def test_references_that_find_their_object_pass(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1", "balance_transaction": "txn_1"}, {"id": "ch_2"})
        lake.put("balance_transactions", {"id": "txn_1", "source": "ch_1"})
        lake.put("refunds")
        lake.put("disputes")
        lake.put("payouts")
        assert judged(lake, "charges", "foreign_keys").facts == {
            "balance_transaction → balance_transactions: references": 1,
            "failure_balance_transaction → balance_transactions: references": 0,
        }
        assert judged(lake, "balance_transactions", "foreign_keys").grade is Grade.PASS

    def test_a_refund_soon_after_the_start_may_be_of_an_older_charge(self, lake: SmallLake) -> None:
        lake.put("refunds", {"id": "re_1", "charge": "ch_old", "created": START + timedelta(days=200)})
        lake.put("charges")
        lake.put("balance_transactions")
        found = judged(lake, "refunds", "foreign_keys")
        assert (found.grade, found.facts["charge → charges: older than the start"]) == (Grade.PASS, 1)

    def test_a_charge_that_an_event_dates_after_the_start_is_missing_however_early_its_refund(
        self, lake: SmallLake
    ) -> None:
        lake.put("refunds", {"id": "re_1", "charge": "ch_1", "created": START + timedelta(days=200)})
        lake.put("charges")
        lake.put("balance_transactions")
        lake.put("events", {"id": "evt_1", "data_object_id": "ch_1", "data_object_created": START})
        assert judged(lake, "refunds", "foreign_keys").grade is Grade.ERROR

    def test_an_object_made_while_the_sync_ran_is_in_flight(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1", "balance_transaction": "txn_new", "created": LATE})
        lake.put("balance_transactions")
        found = judged(lake, "charges", "foreign_keys")
        assert found.grade is Grade.PASS
        assert found.facts["balance_transaction → balance_transactions: in flight"] == 1

    def test_a_charge_booked_while_the_sync_ran_is_a_warning(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1", "balance_transaction": "txn_new", "created": CREATED, "_synced_at": LATE})
        lake.put("balance_transactions")
        found = judged(lake, "charges", "foreign_keys")
        assert found.grade is Grade.WARN
        assert "ch_1 → txn_new" in found.summary

    def test_nothing_is_in_flight_between_an_invoice_and_its_lines(self, lake: SmallLake) -> None:
        for other in ("prices", "products", "invoices"):
            lake.put(other)
        lake.put("invoice_lines", {"id": "il_1", "invoice": "in_lost", "created": LATE, "_synced_at": LATE})
        assert judged(lake, "invoice_lines", "foreign_keys").grade is Grade.ERROR

    def test_a_target_never_synced_is_a_warning_and_not_a_pass(self, lake: SmallLake) -> None:
        lake.put("charges", {"id": "ch_1", "balance_transaction": "txn_1"})
        assert judged(lake, "charges", "foreign_keys").grade is Grade.WARN

    def test_every_reference_names_columns_that_exist(self) -> None:
        for reference in REFERENCES:
            assert reference.column in schema_of(TABLES[reference.table]).names
            assert reference.target_column in schema_of(TABLES[reference.target]).names
