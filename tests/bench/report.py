"""How every bench shows its figures: one table on the screen, the same figures as JSON in bench-out/NAME.json.

    report = Report("fleet_state", "Cores that one router spends on knowing 64 busy workers", seed=7)
    report.row("headgate, pushed state", cores=0.041, messages_per_s=1280)
    report.row("baseline: scrape /metrics, ours in Python", cores=1.0, messages_per_s=512)
    report.published("Gateway API picker v1.5.0", "its own machine, 1 core", cores=0.955)
    report.aim("cores", 0.041, at_most=0.05)
    report.note("baseline and router ran one after the other in this run")
    report.finish()

Columns are the keyword names, in the order they first appear; put the unit in the name. A row may leave columns out.
Owns no measuring: benches measure, this only shows and keeps.
"""

import json
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("grpcio", "protobuf", "numpy", "uvloop", "httptools", "aiohttp", "orjson", "pydantic", "vllm")

Figure = float | int | str | bool


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `source` says where a published figure comes from; it is empty for measured ones."""

    label: str
    kind: Literal["measured", "published"]
    figures: dict[str, Figure]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Aim:
    """A goal and whether this run reached it. Missing it is shown, it is not an error."""

    figure: str
    measured: float
    at_most: float | None
    at_least: float | None
    reached: bool


@dataclass(slots=True)
class Report:
    """Collects rows, then prints them and writes them down. `seed` is the one the bench drew its load from."""

    name: str
    title: str
    seed: int
    out_dir: Path = ROOT / "bench-out"
    rows: list[Row] = field(default_factory=list)
    aims: list[Aim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(self, label: str, **figures: Figure) -> None:
        """Adds what this run measured."""
        self.rows.append(Row(label, "measured", figures))

    def published(self, label: str, source: str, **figures: Figure) -> None:
        """Adds a figure that somebody measured elsewhere, so that it never passes for ours."""
        self.rows.append(Row(label, "published", figures, source))

    def aim(self, figure: str, measured: float, *, at_most: float | None = None, at_least: float | None = None) -> bool:
        """Notes a goal and returns whether it was reached."""
        reached = (at_most is None or measured <= at_most) and (at_least is None or measured >= at_least)
        self.aims.append(Aim(figure, measured, at_most, at_least, reached))
        return reached

    def note(self, text: str) -> None:
        """Adds a sentence below the table."""
        self.notes.append(text)

    def finish(self, console: Console | None = None) -> Path:
        """Prints the table and returns the path of the JSON file, which holds the same figures unrounded."""
        machine = describe_machine()
        self._print(console or Console(width=None if sys.stdout.isatty() else 140), machine)
        self.out_dir.mkdir(parents=True, exist_ok=True)
        path = self.out_dir / f"{self.name}.json"
        record = {
            "name": self.name,
            "title": self.title,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": self.seed,
            "commit": describe_commit(),
            "machine": machine,
            "versions": describe_versions(),
            "rows": [asdict(row) for row in self.rows],
            "aims": [asdict(aim) for aim in self.aims],
            "notes": self.notes,
        }
        path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        return path

    def _print(self, console: Console, machine: dict[str, Figure]) -> None:
        columns = list(dict.fromkeys(name for row in self.rows for name in row.figures))
        table = Table(title=self.title, title_justify="left")
        table.add_column("", min_width=24)
        for name in columns:
            table.add_column(name.replace("_", " "), justify="right")
        for row in self.rows:
            label = row.label if row.kind == "measured" else f"{row.label} (published)"
            table.add_row(label.replace("[", r"\["), *(_shown(row.figures.get(name)) for name in columns))
        console.print(table)
        for aim in self.aims:
            console.print(_shown_aim(aim), markup=False)
        sources = [f"{row.label}: published, not measured here: {row.source}" for row in self.rows if row.source]
        for text in (*sources, *self.notes):
            console.print(f"· {text}", markup=False)
        where = f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_1min']}"
        console.print(f"{where}; seed {self.seed}; commit {describe_commit()}; bench-out/{self.name}.json", markup=False)


def describe_machine() -> dict[str, Figure]:
    """Hardware and kernel, with the load at this moment: a busy machine explains a strange figure."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
    }


def describe_versions() -> dict[str, str]:
    """Installed versions of the packages that decide speed; those that are absent are left out."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe_commit() -> str:
    """Short commit of the checkout, with `+changes` when the tree differs from it; `unknown` outside of git."""
    commit = _git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return "unknown"
    return commit + ("+changes" if _git("status", "--porcelain") else "")


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _shown(figure: Figure | None) -> str:
    """Four significant digits are what these machines can tell apart."""
    if figure is None:
        return "–"
    if isinstance(figure, bool):
        return "yes" if figure else "no"
    if isinstance(figure, float):
        return f"{figure:,.0f}" if abs(figure) >= 1000 else f"{figure:.4g}"
    return f"{figure:,}" if isinstance(figure, int) else figure


def _shown_aim(aim: Aim) -> str:
    bounds = [f"≤ {aim.at_most:g}"] if aim.at_most is not None else []
    bounds += [f"≥ {aim.at_least:g}"] if aim.at_least is not None else []
    return f"aim {' and '.join(bounds)} {aim.figure}: {aim.measured:.4g}, {'reached' if aim.reached else 'MISSED'}"
