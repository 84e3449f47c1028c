"""Runs a long command with its output in a file, and quotes the end of it when it fails."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.kube.errors import Unavailable
from tools.kube.kit import cache

_QUOTED_LINES = 2


def run(command: Sequence[str | Path], step: str, folder: Path, extra: Mapping[str, str]) -> str:
    """What it printed to standard output; the rest goes to a log of the step's. Raises Unavailable."""
    log = cache() / "logs" / f"{step.replace(' ', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as errors:
        done = subprocess.run(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env={**os.environ, **extra},
            text=True,
            check=False,
        )
    if done.returncode:
        last_words = telling(log.read_text(errors="replace")) or telling(done.stdout) or [f"code {done.returncode}"]
        raise Unavailable(f"the step {step} failed: {' / '.join(last_words)} (its log: {log})")
    return done.stdout


def telling(output: str) -> list[str]:
    """The last lines that say something."""
    lines = [line.strip() for line in output.splitlines() if any(map(str.isalnum, line))]
    return [line for line in lines if not line.startswith("WARNING")][-_QUOTED_LINES:]


def say(text: str) -> None:
    print(f"==> {text} ...", flush=True)
