"""File name → reader. The one place that knows which formats there are."""

from collections.abc import Callable
from pathlib import Path

from training.outcomes.csv_source import open_csv
from training.outcomes.jsonl_source import open_jsonl
from training.outcomes.opening import refused
from training.outcomes.source import Source


def _open_parquet(file: Path) -> Source:
    from training.outcomes.parquet_source import open_parquet  # polars takes a while to load

    return open_parquet(file)


READERS: dict[str, Callable[[Path], Source]] = {
    ".csv": open_csv,
    ".tsv": open_csv,
    ".jsonl": open_jsonl,
    ".ndjson": open_jsonl,
    ".parquet": _open_parquet,
    ".pq": _open_parquet,
}


def open_source(file: Path) -> Source:
    """By the file's ending, .gz left aside. Raises OutcomesRefused."""
    if not file.exists():
        raise refused(file, "no such file")
    if file.is_dir():
        raise refused(file, "is a directory; name the files in it")
    plain = file.with_suffix("") if file.suffix.lower() == ".gz" else file
    reader = READERS.get(plain.suffix.lower())
    if reader is None:
        hint = "; save the sheet as CSV UTF-8" if plain.suffix.lower().startswith(".xls") else ""
        ending = f"ends in {plain.suffix}" if plain.suffix else "has no ending"
        raise refused(file, f"its name {ending}; can be read: {', '.join(READERS)}, each also with .gz{hint}")
    return reader(file)
