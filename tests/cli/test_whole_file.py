"""A file is there once it is whole, or not at all."""

import gzip
import os
from pathlib import Path

import pytest

from cli.errors import CommandError
from cli.whole_file import check_place, whole_file


def test_it_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_text("old")
    with whole_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), ValueError(), CommandError("no")], ids=["ctrl-c", "fault", "refused"])
def test_whatever_stops_the_writer_leaves_nothing(tmp_path: Path, stop: BaseException) -> None:
    def write() -> None:
        with whole_file(tmp_path / "out") as file:
            file.write(b"half")
            raise stop

    with pytest.raises(type(stop)):
        write()
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="out: can't be written: No space left"), whole_file(tmp_path / "out"):
        raise OSError(28, "No space left on device")


def test_compressed_by_its_name(tmp_path: Path) -> None:
    with whole_file(tmp_path / "out.gz") as file:
        file.write(b"text")
    assert gzip.decompress((tmp_path / "out.gz").read_bytes()) == b"text"


@pytest.mark.parametrize(
    ("path", "message"),
    [(".", "is a directory"), ("/dev/null", "is no regular file"), ("no/such/out", "can't be written: No such file")],
)
def test_bad_places(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(CommandError, match=message) as refused:
        check_place(tmp_path / path)
    assert refused.value.exit_code == 2
