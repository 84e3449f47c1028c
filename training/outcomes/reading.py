"""Files of outcomes → one table of prompts × pools, or every fault at once.

Rows with the same prompt are put together as long as no pool is told twice; a second outcome begins another row, of the same
group. So one file per pool, a row per answer and a row per prompt all come to the same table.
"""

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.outcomes.columns import BadColumns, Columns, Layout, layout_of
from training.outcomes.faults import Faults, OutcomesRefused
from training.outcomes.formats import open_source
from training.outcomes.sheet import Kind, Sheet, read_sheet
from training.outcomes.table import Floats, Outcomes

# Of one answer: quality, cost_usd, output_tokens; NaN where nobody tells.
Told = tuple[float, float, float]
_KINDS: tuple[Kind, ...] = ("quality", "cost_usd", "output_tokens")


@dataclass(slots=True)
class _Table:
    """What was read so far, a row per prompt."""

    prompts: list[str] = field(default_factory=list)
    domains: list[str] = field(default_factory=list)
    told: list[dict[str, Told]] = field(default_factory=list)
    last_row: dict[str, int] = field(default_factory=dict)

    def add(self, prompt: str, domain: str, told: dict[str, Told]) -> None:
        row = self.last_row.get(prompt)
        if row is None or not self.told[row].keys().isdisjoint(told):
            self.last_row[prompt] = len(self.prompts)
            self.prompts.append(prompt)
            self.domains.append(domain)
            self.told.append(told)
        else:
            self.told[row] |= told
            self.domains[row] = self.domains[row] or domain


def read_outcomes(files: Sequence[Path], told: Columns, say: Callable[[str], None] = lambda _: None) -> Outcomes:
    """All files as one table. Raises OutcomesRefused with the faults of all of them. `say` is told of each file read."""
    table, faults = _Table(), Faults()
    for file in files:
        before = len(faults.found)
        try:
            rows = _read(file, told, table, faults)
        except OutcomesRefused as wrong:
            faults.found.extend(wrong.faults)
            continue
        if len(faults.found) == before:
            say(f"{file}: {rows:,} rows")
    faults.settle()
    return _assembled(table, told)


def _read(file: Path, told: Columns, table: _Table, faults: Faults) -> int:
    """Adds what the file tells; returns its number of rows. Faults of cells are added, of the whole file raised."""
    source = open_source(file)
    try:
        layout = layout_of(source.columns, told)
    except BadColumns as wrong:
        raise OutcomesRefused(tuple(f"{file}: {fault}" for fault in wrong.faults)) from None
    sheet = read_sheet(source, layout.columns, faults)
    prompts = sheet.prompts(layout.prompt)
    domains = sheet.names(layout.domain) if layout.domain else [""] * len(prompts)
    answers = _long(sheet, layout, told) if layout.pool else _wide(sheet, layout, told)
    if not prompts:
        faults.add(file, "has no rows under its header")
    for prompt, domain, answer in zip(prompts, domains, answers, strict=True):
        table.add(prompt, domain, answer)
    return len(prompts)


def _wide(sheet: Sheet, layout: Layout, told: Columns) -> list[dict[str, Told]]:
    """What each row tells of every pool; a pool without a quality is left out."""
    rows: list[dict[str, Told]] = [{} for _ in sheet.numbers]
    nothing = np.full(len(rows), math.nan)
    for pool, column in layout.quality.items():
        quality = sheet.numbers_of(column, "quality", told.scale)
        cost, tokens = (
            sheet.numbers_of(which[pool], kind) if pool in which else nothing
            for which, kind in ((layout.cost_usd, _KINDS[1]), (layout.output_tokens, _KINDS[2]))
        )
        if pool in layout.fixed_cost_usd:
            cost = np.full(len(rows), layout.fixed_cost_usd[pool])
        for row in np.flatnonzero(~np.isnan(quality)):
            rows[row][pool] = (float(quality[row]), float(cost[row]), float(tokens[row]))
    return rows


def _long(sheet: Sheet, layout: Layout, told: Columns) -> list[dict[str, Told]]:
    """One pool in each row; none where its quality is not said."""
    pools = sheet.names(layout.pool, needed=True)
    nothing = np.full(len(pools), math.nan)
    quality = sheet.numbers_of(layout.long_quality, "quality", told.scale)
    cost = sheet.numbers_of(layout.long_cost, "cost_usd") if layout.long_cost else nothing
    tokens = sheet.numbers_of(layout.long_tokens, "output_tokens") if layout.long_tokens else nothing
    fixed = layout.fixed_cost_usd
    return [
        {} if math.isnan(quality[row]) else {pool: (float(quality[row]), float(fixed.get(pool, cost[row])), float(tokens[row]))}
        for row, pool in enumerate(pools)
    ]


def _assembled(table: _Table, told: Columns) -> Outcomes:
    """Rows that tell of no pool at all are left out."""
    found = tuple(dict.fromkeys(pool for row in table.told for pool in row))
    pools = _renamed(found, told)
    place = {pool: at for at, pool in enumerate(found)}
    kept = [row for row, answers in enumerate(table.told) if answers]
    values: Floats = np.full((len(kept), len(pools), len(_KINDS)), math.nan)
    for at, row in enumerate(kept):
        for pool, answer in table.told[row].items():
            values[at, place[pool]] = answer
    domains = tuple(table.domains[row] for row in kept)
    quality, cost_usd, tokens = (np.ascontiguousarray(values[:, :, kind]) for kind in range(len(_KINDS)))
    prompts = tuple(table.prompts[row] for row in kept)
    return Outcomes(prompts, pools, quality, cost_usd, tokens, domains if any(domains) else None)


def _renamed(found: tuple[str, ...], told: Columns) -> tuple[str, ...]:
    """The pools' names in Headgate. Raises OutcomesRefused for names that are nobody's, or two pools'."""
    faults = []
    for name in told.renamed.keys() - set(found):
        close = difflib.get_close_matches(name, found, n=1)
        meant = f'; did you mean "{close[0]}"?' if close else ""
        there = ", ".join(f'"{pool}"' for pool in found[:12])
        faults.append(f'--pool {told.renamed[name]}={name}: no pool "{name}" in the outcomes; there are: {there}{meant}')
    for named, flag in ((told.cost_usd, "--cost"), (told.output_tokens, "--tokens")):
        unknown = [(name, said) for name, said in named.items() if name not in found and "*" not in name]
        faults += [f'{flag} {name}={said}: no quality of a pool "{name}"' for name, said in unknown]
    pools = tuple(told.renamed.get(pool, pool) for pool in found)
    faults += [f'two pools would be named "{name}" (--pool)' for name in sorted(set(pools)) if pools.count(name) > 1]
    if faults:
        raise OutcomesRefused(tuple(sorted(faults)))
    return pools
