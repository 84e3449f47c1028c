"""When a budget's window begins and ends, in UTC: hour, day, week from Monday (ISO 8601), month; "" never ends. Pure."""

from functools import lru_cache

HOUR_S = 3600
DAY_S = 24 * HOUR_S
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def bounds(window: str, at_s: float) -> tuple[int, int]:
    """The window that holds this Unix time: its first second, and the first one after it; (0, 0) for "".

    Raises ValueError for a window that there isn't.
    """
    at = int(at_s // 1)
    match window:
        case "":
            return 0, 0
        case "hour":
            return _whole(at, HOUR_S)
        case "day":
            return _whole(at, DAY_S)
        case "week":
            monday = at // DAY_S - (at // DAY_S + 3) % 7  # 1970 began on a Thursday
            return monday * DAY_S, (monday + 7) * DAY_S
        case "month":
            first, after = _month(at // DAY_S)
            return first * DAY_S, after * DAY_S
    raise ValueError(f"no window is called {window!r}: there are hour, day, week, month")


def utc_text(at_s: int) -> str:
    """2026-12-01 00:00 UTC."""
    days, second = divmod(at_s, DAY_S)
    first, _ = _month(days)
    year = _year_of(first)
    month = next(n for n, start in enumerate(_month_starts(year), 1) if start == first)
    return f"{year:04d}-{month:02d}-{days - first + 1:02d} {second // HOUR_S:02d}:{second % HOUR_S // 60:02d} UTC"


def _whole(at: int, length: int) -> tuple[int, int]:
    start = at - at % length
    return start, start + length


@lru_cache(maxsize=64)
def _month(day: int) -> tuple[int, int]:
    """The first day of this day's month and of the next one, counted from 1 January 1970."""
    starts = _month_starts(_year_of(day))
    number = sum(start <= day for start in starts[:12])
    return starts[number - 1], starts[number]


def _year_of(day: int) -> int:
    year = 1970 + day * 400 // 146_097  # the days of 400 years; at most one off
    while _new_year(year) > day:
        year -= 1
    while _new_year(year + 1) <= day:
        year += 1
    return year


def _new_year(year: int) -> int:
    """1 January, in days from 1970."""
    leap_days = (year - 1) // 4 - (year - 1) // 100 + (year - 1) // 400
    return 365 * (year - 1970) + leap_days - 477  # those before 1970


def _month_starts(year: int) -> list[int]:
    """The first days of its months, and of the next year."""
    starts = [_new_year(year)]
    february = 28 + (_new_year(year + 1) - _new_year(year) - 365)
    for number, length in enumerate(_MONTHS, 1):
        starts.append(starts[-1] + (february if number == 2 else length))
    return starts
