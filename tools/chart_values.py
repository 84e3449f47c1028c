"""The table of values in helm/README.md, from the "# --" comments of helm/values.yaml.

tools/chart_values.py             writes the table
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).resolve().parent.parent / "helm"
BEGIN, END = "<!-- values: begin (tools/chart_values.py) -->", "<!-- values: end -->"
_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z][A-Za-z0-9]*):(?P<rest>.*)$")


@dataclass(frozen=True)
class Value:
    """One documented key: its dotted path, its default as YAML in one line, and its meaning."""

    path: str
    default: str
    meaning: str


def documented(text: str) -> Iterator[Value]:
    """Every key that a "# --" comment stands right above. Keys below a documented one are part of its default."""
    defaults = yaml.safe_load(text)
    above: list[str] = []
    meaning = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            meaning = stripped.removeprefix("# -- ")
        elif found := _KEY.match(line):
            above = [*above[: len(found["indent"]) // 2], found["key"]]
            if meaning:
                yield Value(".".join(above), _default(defaults, above), meaning)
            meaning = ""


def _default(defaults: Any, path: list[str]) -> str:
    for key in path:
        defaults = defaults[key]
    return yaml.safe_dump(defaults, default_flow_style=True, width=10_000).removesuffix("...\n").strip()


def table(text: str) -> str:
    rows = [f"| `{value.path}` | `{value.default}` | {value.meaning.replace('|', '&#124;')} |" for value in documented(text)]
    return "\n".join([BEGIN, "| key | default | meaning |", "|---|---|---|", *rows, END])


def with_table(readme: str, values: str) -> str:
    """The page with the table in the place of the one between the marks."""
    before, _, rest = readme.partition(BEGIN)
    return before + table(values) + rest.partition(END)[2]


def main() -> int:
    page = CHART / "README.md"
    page.write_text(with_table(page.read_text(), (CHART / "values.yaml").read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
