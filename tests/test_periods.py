"""Months, and where a zone's books cut them."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redisu_pipeline.common.periods import Month, months_between

OCTOBER = Month(2026, 10)
ZONES = st.sampled_from(["UTC", "Asia/Jerusalem", "America/New_York", "Asia/Beirut", "Pacific/Apia", "Asia/Kolkata"])


def test_a_month_is_written_and_read_the_same_way() -> None:
    assert str(OCTOBER) == "2026-10"
    assert Month.parse("2026-10") == OCTOBER


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-1", "202610", "2026-10-01", "", "october", "٢٠٢٦-١٠x"])
def test_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a month"):
        Month.parse(text)


def test_months_order_in_time_and_step_over_the_year() -> None:
    assert Month(2025, 12) < Month(2026, 1)
    assert Month(2025, 12).next() == Month(2026, 1)
    assert Month(2026, 1).previous() == Month(2025, 12)
    assert OCTOBER.shift(-22) == Month(2024, 12)
    assert months_between(Month(2025, 11), Month(2026, 1)) == [Month(2025, 11), Month(2025, 12), Month(2026, 1)]
    assert months_between(Month(2026, 1), Month(2025, 11)) == []


def test_the_last_day_knows_leap_years() -> None:
    assert Month(2028, 2).last_day == date(2028, 2, 29)
    assert Month(2026, 2).first_day == date(2026, 2, 1)


def test_a_zone_cuts_the_month_at_its_own_midnight_with_its_own_summer_time() -> None:
    # Israel left summer time on 2026-10-25, so October there starts at 21:00 and ends at 22:00 UTC.
    assert OCTOBER.bounds("Asia/Jerusalem") == (
        datetime(2026, 9, 30, 21, tzinfo=UTC),
        datetime(2026, 10, 31, 22, tzinfo=UTC),
    )
    assert OCTOBER.unix() == (1790812800, 1793491200)


def test_a_sale_on_the_edge_falls_into_the_month_of_the_books() -> None:
    sale = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
    assert Month.containing(sale, "UTC") == OCTOBER
    assert Month.containing(sale, "Asia/Jerusalem") == Month(2026, 11)


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Month.containing(datetime(2026, 10, 1), "UTC")  # noqa: DTZ001


@given(st.datetimes(datetime(2010, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)), ZONES)  # noqa: DTZ001
def test_every_instant_lies_in_exactly_the_month_that_contains_it(instant: datetime, zone: str) -> None:
    month = Month.containing(instant, zone)
    start, end = month.bounds(zone)
    assert start <= instant < end
    assert month.next().bounds(zone)[0] == end
    assert start.tzinfo is UTC


def test_a_month_that_begins_in_a_skipped_hour_begins_after_it() -> None:
    # Samoa's zone jumped over the date line; the midnight that no clock showed must still be one instant.
    zone = ZoneInfo("Pacific/Apia")
    start, _ = Month(2012, 1).bounds("Pacific/Apia")
    assert start.astimezone(zone) == datetime(2012, 1, 1, tzinfo=zone)
