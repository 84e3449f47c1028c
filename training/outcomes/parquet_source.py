"""Outcomes from Parquet, read by polars; only the columns that are needed."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from training.outcomes.opening import opened, refused
from training.outcomes.source import Row


@dataclass(frozen=True, slots=True)
class ParquetSource:
    """A Parquet file; its first row is row 1."""

    file: Path
    columns: tuple[str, ...]
    row_word: str = "row"
    decimal_comma: bool = False

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        wanted = list(dict.fromkeys(columns))
        frame = _read(self.file, wanted)
        for number, cells in enumerate(frame.iter_rows(), 1):
            row = dict(zip(wanted, cells, strict=True))
            yield number, [row[column] for column in columns]


def open_parquet(file: Path) -> ParquetSource:
    """Reads the schema. Raises OutcomesRefused."""
    with opened(file) as stream:
        first = stream.read(4)
    if not first:
        raise refused(file, "is empty")
    if first != b"PAR1":
        raise refused(file, "is not Parquet")
    return ParquetSource(file, tuple(_read(file, None).columns))


def _read(file: Path, columns: list[str] | None) -> pl.DataFrame:
    """These columns of all rows; None reads no row, for the names of all columns."""
    source: Path | io.BytesIO = file
    if file.suffix.lower() == ".gz":
        with opened(file) as unpacked:
            source = io.BytesIO(unpacked.read())
    try:
        return pl.read_parquet(
            source, columns=columns, n_rows=0 if columns is None else None, glob=False, hive_partitioning=False
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, ValueError):
        # polars' own texts speak of its plans and may show cells.
        raise refused(file, "is damaged Parquet, or of a kind that polars can't read") from None
