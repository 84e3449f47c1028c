"""Conditions over time, by a table; times against the standard library."""

from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

import pytest

from controlplane.resources.conditions import rfc3339, seconds, with_conditions
from controlplane.resources.status import Condition

EARLIER, LATER = "2026-11-21T14:00:00Z", "2026-11-21T15:00:00Z"


def condition(kind: Any, status: Any, at: str, reason: str = "Because", generation: int = 1) -> Condition:
    return Condition(type=kind, status=status, reason=reason, last_transition_time=at, observed_generation=generation)


def test_the_time_stays_while_the_status_does() -> None:
    now = with_conditions([condition("Accepted", "True", EARLIER)], [condition("Accepted", "True", LATER, "Other", 2)])
    assert now == [condition("Accepted", "True", EARLIER, "Other", 2)]


def test_the_time_moves_with_the_status() -> None:
    changed = [condition("Accepted", "False", LATER)]
    assert with_conditions([condition("Accepted", "True", EARLIER)], changed) == changed


def test_new_types_come_last_and_unnamed_ones_stay() -> None:
    before = [condition("Available", "True", EARLIER), condition("Accepted", "True", EARLIER)]
    now = [condition("Degraded", "False", LATER), condition("Accepted", "Unknown", LATER)]
    assert with_conditions(before, now) == [before[0], now[1], now[0]]


def test_saying_the_same_again_changes_nothing() -> None:
    first = with_conditions([], [condition("Accepted", "True", EARLIER), condition("Degraded", "False", EARLIER)])
    again = [condition("Degraded", "False", LATER), condition("Accepted", "True", LATER)]
    assert with_conditions(first, again) == first


@pytest.mark.parametrize("moment", [0.0, 1.0, 951_782_400.0, 1_795_272_600.0, 4_102_444_799.0])
def test_whole_seconds_go_there_and_back(moment: float) -> None:
    assert seconds(rfc3339(moment)) == moment
    assert seconds(rfc3339(moment + 0.999)) == moment


def test_against_another_format_of_the_standard_library() -> None:
    moment = parsedate_to_datetime("Sat, 21 Nov 2026 14:50:00 +0000")
    assert rfc3339(moment.timestamp()) == "2026-11-21T14:50:00Z"
    assert format_datetime(moment).startswith("Sat, 21 Nov 2026")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1970-01-01T00:01:00Z", 60.0),
        ("1970-01-01T00:01:00.250000Z", 60.25),
        ("1970-01-01T01:01:00+01:00", 60.0),
    ],
)
def test_times_of_others(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "soon", "2026-11-21T14:50:00", "2026-13-01T00:00:00Z"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        seconds(text)
