import io

from cli.fetching.progress import Step, shown


def test_plain_lines_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    with shown(stream) as report:
        report(Step("Looking"))
        for done in range(0, 100_000_001, 1_000_000):
            report(Step("Fetching thing", done, 100_000_000))
    lines = stream.getvalue().splitlines()
    assert lines[:3] == ["Looking ...", "Fetching thing ...", "   10 %  10.0 of 100.0 MB"]
    assert lines[-1] == "  100 %  100.0 of 100.0 MB"
    assert len(lines) == 12
    assert "\x1b" not in stream.getvalue()


def test_a_resumed_count_begins_where_it_is() -> None:
    stream = io.StringIO()
    with shown(stream) as report:
        for done in range(50, 101):
            report(Step("Fetching", done, 100))
    assert len(stream.getvalue().splitlines()) == 6
