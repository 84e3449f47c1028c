"""The routing outcomes that the bench reads from a folder. Owns which columns are pools, what costs what, what is left out."""

import csv
import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.outcomes.table import Floats, Outcomes

PAIR = {"weak": "mixtral_8x7b_correct", "strong": "gpt4_1106_correct"}
_WORDS = {"True": 1.0, "False": 0.0, "": float("nan")}
ROUTERBENCH = ("arc_challenge", "mbpp", "winogrande")


class NoData(Exception):
    """A file is missing; the text names it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One set. cost float64[N, K] of each answer; without it the set is judged by APGR, from the first pool to the second."""

    name: str
    table: Outcomes
    cost: Floats | None
    aim: float
    unseen_aim: float | None = None

    @property
    def figure(self) -> str:
        return "apgr" if self.cost is None else "aiq"


def trials(folder: Path) -> list[Trial]:
    """Raises NoData."""
    return [
        Trial("RouteLLM MMLU", _pair(folder, "routellm_mmlu.csv.gz", "domain"), None, 0.74, 0.60),
        Trial("RouteLLM GSM8K", _pair(folder, "routellm_gsm8k.csv.gz", ""), None, 0.68),
        _llmrouter(folder),
        _routerbench(folder),
    ]


def _rows(folder: Path, name: str) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    try:
        with gzip.open(folder / name, "rt", encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except OSError as fault:
        raise NoData(f"{folder / name}: {fault.strerror or fault}") from fault


def _number(cell: str) -> float:
    return _WORDS[cell] if cell in _WORDS else float(cell)


def _pair(folder: Path, name: str, domain: str) -> Outcomes:
    rows = [row for row in _rows(folder, name) if row["contaminated"].lower() != "true"]
    quality = np.array([[_number(row[column]) for column in PAIR.values()] for row in rows])
    named = tuple(row[domain] for row in rows) if domain else None
    return Outcomes(tuple(row["prompt"] for row in rows), tuple(PAIR), quality, domain=named)


def _llmrouter(folder: Path) -> Trial:
    rows = _rows(folder, "llmrouter_9models_14tasks.csv.gz")
    try:
        prices = json.loads((folder / "llmrouter_model_prices.json").read_text())
    except OSError as fault:
        raise NoData(f"{folder / 'llmrouter_model_prices.json'}: {fault.strerror}") from fault
    pools = tuple(column for column in rows[0] if column not in ("question", "task", "upstream_split"))
    quality = np.clip(np.array([[_number(row[pool]) for pool in pools] for row in rows]), 0.0, 1.0)
    cost = np.tile([prices[pool]["input_price"] for pool in pools], (len(rows), 1))
    table = Outcomes(tuple(row["question"] for row in rows), pools, quality, cost, domain=tuple(row["task"] for row in rows))
    return Trial("LLMRouter, 9 pools", table, cost, 0.68)


def _routerbench(folder: Path) -> Trial:
    """The three sets together; a missing outcome counts as wrong, a missing cost as the pool's median in its set."""
    prompts: list[str] = []
    domains: list[str] = []
    qualities, costs = [], []
    pools: tuple[str, ...] = ()
    for name in ROUTERBENCH:
        rows = _rows(folder, f"routerbench_0shot_{name}_train.csv.gz")
        pools = pools or tuple(column.partition("|")[0] for column in rows[0] if column.endswith("|total_cost"))
        cost = np.array([[_number(row[f"{pool}|total_cost"]) for pool in pools] for row in rows])
        qualities.append(np.nan_to_num(np.array([[_number(row[pool]) for pool in pools] for row in rows])))
        costs.append(np.where(np.isnan(cost), np.nanmedian(cost, axis=0), cost))
        prompts += [row["prompt"] for row in rows]
        domains += [name] * len(rows)
    cost = np.concatenate(costs)
    table = Outcomes(tuple(prompts), pools, np.concatenate(qualities), cost, domain=tuple(domains))
    return Trial("RouterBench, 3 sets", table, cost, 0.87)
