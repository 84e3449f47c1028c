"""Outcomes from JSON lines: an object per line. Nested figures, `"quality": {"small": 1}`, count as columns `quality:small`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from training.outcomes.faults import Faults, shown
from training.outcomes.opening import lines, refused
from training.outcomes.source import Row

_MANY = 1000


@dataclass(frozen=True, slots=True)
class JsonlSource:
    """A file of JSON lines; rows are numbered by line."""

    file: Path
    columns: tuple[str, ...]
    row_word: str = "line"
    decimal_comma: bool = False

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        for number, record in _records(self.file):
            yield number, [record.get(column) for column in columns]


def open_jsonl(file: Path) -> JsonlSource:
    """Reads the file once, for its columns and its faults. Raises OutcomesRefused."""
    columns: dict[str, None] = {}
    for _, record in _records(file):
        columns |= dict.fromkeys(record)
    if not columns:
        raise refused(file, "is empty")
    return JsonlSource(file, tuple(columns))


def _records(file: Path) -> Iterator[tuple[int, dict[str, object]]]:
    faults = Faults()
    for number, line in enumerate(lines(file), 1):
        if not line.strip():
            continue
        if number == 1 and line.lstrip().startswith("["):
            raise refused(file, "is one JSON array; an object per line is needed (jq -c '.[]' makes them)")
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as fault:
            faults.add(file, f"line {number} is not JSON: {fault.msg} (column {fault.colno})")
        else:
            if isinstance(record, dict):
                yield number, _flat(record)
            else:
                faults.add(file, f"line {number} is not an object: {shown(record)}")
        if len(faults.found) > _MANY:
            break
    faults.settle()


def _flat(record: dict[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= {f"{key}:{inner}": cell for inner, cell in value.items()}
        else:
            flat[key] = value
    return flat
