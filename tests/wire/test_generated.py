"""The committed code of proto/headgate is what the pinned generator makes of it."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def generated(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): file.read_text()
        for pattern in ("*_pb2*.py", "*_pb2*.pyi")
        for file in folder.rglob(pattern)
    }


def test_generated_code_is_current(tmp_path: Path) -> None:
    subprocess.run([ROOT / "tools" / "proto.sh", sys.executable, tmp_path], check=True)
    made = generated(tmp_path)
    assert made, "the generator wrote nothing"
    assert generated(ROOT / "proto") == made, "run `make proto` and commit the result"
