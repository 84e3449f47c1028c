import pytest

from cli.times import span


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "1 s"),
        (0, "1 s"),
        (0.2, "1 s"),
        (59, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (3599.5, "1 h"),
        (3661, "1 h 2 min"),
        (86_399, "1 d"),
        (86_400 * 2 + 3600 * 4 + 1, "2 d 5 h"),
        (86_400 * 31, "31 d"),
    ],
)
def test_a_span_is_never_said_to_be_shorter_than_it_is(seconds: float, said: str) -> None:
    assert span(seconds) == said
