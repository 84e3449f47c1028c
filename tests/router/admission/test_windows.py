"""Windows against Python's own calendar."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.admission.windows import bounds, utc_text

MOMENTS = st.datetimes(datetime(1970, 1, 8), datetime(9998, 12, 1)).map(lambda each: each.replace(tzinfo=UTC))


def expected(window: str, at: datetime) -> tuple[datetime, datetime]:
    hour = at.replace(minute=0, second=0, microsecond=0)
    day = hour.replace(hour=0)
    match window:
        case "hour":
            return hour, hour + timedelta(hours=1)
        case "day":
            return day, day + timedelta(days=1)
        case "week":
            monday = datetime.fromisocalendar(at.isocalendar().year, at.isocalendar().week, 1).replace(tzinfo=UTC)
            return monday, monday + timedelta(days=7)
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


@given(MOMENTS, st.sampled_from(("hour", "day", "week", "month")))
def test_a_window_is_what_the_calendar_says(at: datetime, window: str) -> None:
    start, end = expected(window, at)
    assert bounds(window, at.timestamp()) == (start.timestamp(), end.timestamp())


@given(MOMENTS)
def test_times_are_told_in_utc(at: datetime) -> None:
    assert utc_text(int(at.timestamp())) == at.strftime("%Y-%m-%d %H:%M UTC").rjust(20, "0")


def test_a_window_has_its_first_second_and_not_the_one_after_it() -> None:
    start, end = bounds("month", datetime(2028, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC).timestamp())
    assert (utc_text(start), utc_text(end)) == ("2028-02-01 00:00 UTC", "2028-03-01 00:00 UTC")
    assert bounds("month", end)[0] == end
    assert bounds("month", start)[0] == start


def test_no_window_never_ends_and_an_unknown_one_is_named() -> None:
    assert bounds("", 1e9) == (0, 0)
    with pytest.raises(ValueError, match="'year'"):
        bounds("year", 0.0)
