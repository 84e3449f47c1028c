"""Opens a file of text, plain or gzip, and decodes it line by line. Says what is wrong in plain words.

Lines are decoded one at a time, so that a byte that is not UTF-8 has a line number.
"""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from training.outcomes.faults import OutcomesRefused

LONGEST_LINE_BYTES = 64 * 1024 * 1024
# First bytes of what people hand over by mistake.
_FORMATS = (
    (b"PAR1", "is a Parquet file: name it .parquet"),
    (b"PK\x03\x04", "is a spreadsheet or a zip archive: save it as CSV UTF-8"),
    (b"\xff\xfe", "is UTF-16 text: save it as UTF-8"),
    (b"\xfe\xff", "is UTF-16 text: save it as UTF-8"),
    (b"\x1f\x8b", "is compressed by gzip, but not named .gz"),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd: only gzip can be read"),
)
_BOM = b"\xef\xbb\xbf"


def refused(file: Path, text: str) -> OutcomesRefused:
    return OutcomesRefused((f"{file}: {text}",))


@contextmanager
def opened(file: Path) -> Iterator[IO[bytes]]:
    """The content, decompressed where the name ends in .gz. Raises OutcomesRefused for what can't be opened or read."""
    try:
        with open(file, "rb") as raw:
            if file.suffix.lower() != ".gz":
                yield raw
                return
            if raw.peek(2)[:2] != b"\x1f\x8b":
                raise refused(file, "is empty" if not raw.peek(1) else "is named .gz, but not compressed by gzip")
            with gzip.open(raw) as unpacked:
                yield cast(IO[bytes], unpacked)
    except FileNotFoundError:
        raise refused(file, "no such file") from None
    except IsADirectoryError:
        raise refused(file, "is a directory; name the files in it") from None
    except PermissionError:
        raise refused(file, "may not be read by this user") from None
    except BrokenPipeError:  # not of this file: of what its reader writes to
        raise
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise refused(file, "the compressed data is damaged or cut short") from None
    except OSError as fault:
        raise refused(file, fault.strerror or "can't be read") from None


def lines(file: Path) -> Iterator[str]:
    """Its lines with their ends, without a byte order mark. Raises OutcomesRefused with the line's number."""
    with opened(file) as stream:
        for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE_BYTES), b""), 1):
            if number == 1:
                _check_format(file, line)
                line = line.removeprefix(_BOM)  # noqa: PLW2901
            if len(line) == LONGEST_LINE_BYTES:
                raise refused(file, f"line {number} is longer than {LONGEST_LINE_BYTES >> 20} MiB")
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as fault:
                what = f"line {number} is not UTF-8 (byte {fault.start + 1} of it is {line[fault.start]:#04x})"
                raise refused(file, f"{what}; save the file as UTF-8") from None


def _check_format(file: Path, first: bytes) -> None:
    for mark, what in _FORMATS:
        if first.startswith(mark):
            raise refused(file, what)
