"""What is wrong with a file of outcomes: every fault with its file and row, said all at once. Pure."""

from dataclasses import dataclass, field
from pathlib import Path

# More than these are counted, not listed: who mends twenty looks again anyway.
LISTED = 20
_ROWS_NAMED = 3
_CELL_CHARS = 24


class OutcomesRefused(ValueError):
    """The outcomes can't be used. `faults` has a line for each thing that is wrong."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        more = (f"… and {len(faults) - LISTED} more",) if len(faults) > LISTED else ()
        super().__init__("\n".join((*faults[:LISTED], *more)))


@dataclass(slots=True)
class Faults:
    """Collects; `settle` raises if there were any."""

    found: list[str] = field(default_factory=list)

    def add(self, file: Path | str, text: str) -> None:
        self.found.append(f"{file}: {text}")

    def settle(self) -> None:
        if self.found:
            raise OutcomesRefused(tuple(self.found))


def shown(cell: object) -> str:
    """A cell as an error may show it: short, on one line, without control characters; never a whole prompt."""
    text = cell if isinstance(cell, str) else repr(cell)
    text = "".join(char if char.isprintable() else " " for char in text[: 4 * _CELL_CHARS])
    return f'"{text[:_CELL_CHARS]}…"' if len(text) > _CELL_CHARS else f'"{text}"'


def rows_named(rows: list[int], word: str) -> str:
    """The first few of these rows, and how many more there are: `rows 4, 9, 17 and 12 more`."""
    named = ", ".join(map(str, rows[:_ROWS_NAMED]))
    more = f" and {len(rows) - _ROWS_NAMED:,} more" if len(rows) > _ROWS_NAMED else ""
    return f"{word}{'s' if len(rows) > 1 else ''} {named}{more}"
