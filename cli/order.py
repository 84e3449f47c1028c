"""What `headgate train` is asked for, and how it says what it is doing."""

import sys
from dataclasses import dataclass
from pathlib import Path

from cli.printable import printable

SPLIT = "split"


@dataclass(frozen=True, slots=True)
class Order:
    """What the user wants. `evaluate` is "", "split" or a file's name."""

    files: tuple[Path, ...]
    output: Path
    evaluate: str = ""
    report: Path | None = None
    seed: int = 0


def say(text: str) -> None:
    print(printable(text), file=sys.stderr, flush=True)
