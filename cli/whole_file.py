"""Writes a file that is there only once it is whole: beside its place first, then renamed. An edge: it writes."""

import gzip
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from cli.errors import CommandError


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Compressed where the name ends in .gz. Raises CommandError; whatever stops the writer, the old file stays as it was."""
    check_place(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:64]}.")
    except OSError as fault:
        raise CommandError(f"{path}: can't be written: {fault.strerror}", exit_code=2) from None
    try:
        with os.fdopen(handle, "wb") as plain:
            if path.suffix == ".gz":
                with gzip.open(plain, "wb") as packed:
                    yield cast(IO[bytes], packed)
            else:
                yield plain
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as fault:
        raise CommandError(f"{path}: can't be written: {fault.strerror}", exit_code=2) from None
    finally:
        Path(name).unlink(missing_ok=True)


def check_place(path: Path) -> None:
    """Raises CommandError where no file could be written: to be asked before long work."""
    if path.is_dir():
        raise CommandError(f"{path}: is a directory; name a file in it", exit_code=2)
    if path.exists() and not path.is_file():  # renaming over /dev/null would replace the device
        raise CommandError(f"{path}: is no regular file", exit_code=2)
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as fault:
        raise CommandError(f"{path}: can't be written: {fault.strerror}", exit_code=2) from None
