"""Tables that fit their screen."""

import pytest
from rich.console import Console
from rich.text import Text

from cli.columns import Column, fitted

COLUMNS: list[Column[str]] = [
    Column("name", lambda row: row, text=True),
    Column("size", lambda row: str(len(row)), worth=5),
    Column("loud", lambda row: row.upper(), worth=2),
    Column("first", lambda row: Text(row[:1]), worth=3),
    Column("nothing", lambda row: "", worth=8),
]


def drawn(width: int, *rows: str) -> list[str]:
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(fitted(console, "title", COLUMNS, rows))
    return captured.get().splitlines()


@pytest.mark.parametrize(
    ("width", "headings"),
    [
        (60, ["name", "size", "loud", "first"]),
        (26, ["name", "size", "first"]),
        (18, ["name", "size"]),
        (10, ["name"]),
    ],
)
def test_what_can_be_missed_goes_first_and_nothing_is_cut(width: int, headings: list[str]) -> None:
    lines = drawn(width, "abcdefghi", "xy")
    assert lines[1].split() == headings
    assert max(map(len, lines)) <= width
    assert lines[2].split()[0] == "abcdefghi"


def test_a_table_of_no_rows_has_its_headings() -> None:
    assert drawn(40)[-1].split() == ["name"]


def test_names_in_brackets_are_no_markup() -> None:
    assert "[/b][red]" in drawn(40, "[/b][red]")[2]
