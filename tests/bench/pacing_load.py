"""What `pacing` runs on: arrivals of real traces, and real outcomes with predictions of them, drawn for each arrival.

Owns reading the files of `--data DIR` (DIR/traces, DIR/routing) and making a workload; no policy is in here. Predictions are
out of fold, by the words of the prompt (ridge), so that choosing sees what a router would and never the row's own outcome.
"""

import csv
import gzip
import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TRACES = {"azure": "azure_llm_2023_code.csv.gz", "mooncake": "mooncake_conversation_first_half.jsonl.gz"}
LLMROUTER, LLMROUTER_PRICES = "llmrouter_9models_14tasks.csv.gz", "llmrouter_model_prices.json"
ROUTERBENCH = tuple(f"routerbench_0shot_{task}_train.csv.gz" for task in ("arc_challenge", "mbpp", "winogrande"))
FOLDS = 5


@dataclass(frozen=True)
class Arrivals:
    """Seconds since the first request, ascending, and its tokens."""

    at_s: Floats
    prompt_tokens: Floats
    output_tokens: Floats


@dataclass(frozen=True)
class Outcomes:
    """Per row and model: what was predicted and what came out, 0 to 1. USD per query, or else per token in and out."""

    predicted: Floats
    recorded: Floats
    usd: Floats | None = None
    usd_per_token: tuple[Floats, Floats] | None = None


@dataclass(frozen=True)
class Load:
    """One window: at `at_s` comes a request with these qualities and costs in USD, request × pool. It ends at `end_s`."""

    at_s: Floats
    quality: Floats
    outcome: Floats
    cost_usd: Floats
    end_s: float

    def slice(self, begin_s: float, end_s: float) -> "Load":
        keep = slice(*np.searchsorted(self.at_s, (begin_s, end_s)))
        return Load(self.at_s[keep] - begin_s, self.quality[keep], self.outcome[keep], self.cost_usd[keep], end_s - begin_s)

    def every(self, first: int, step: int) -> "Load":
        keep = slice(first, None, step)
        return Load(self.at_s[keep], self.quality[keep], self.outcome[keep], self.cost_usd[keep], self.end_s)


def missing(data: Path) -> list[Path]:
    """The files that are needed and not there."""
    traces = [data / "traces" / name for name in TRACES.values()]
    routing = [data / "routing" / name for name in (LLMROUTER, LLMROUTER_PRICES, *ROUTERBENCH)]
    return [path for path in (*traces, *routing) if not path.is_file()]


def read_azure(data: Path) -> Arrivals:
    with gzip.open(data / "traces" / TRACES["azure"], "rt") as lines:
        rows = list(csv.DictReader(lines))
    at_s = np.array([datetime.fromisoformat(row["TIMESTAMP"][:26] + "+00:00").timestamp() for row in rows])
    prompt, output = (np.array([float(row[name]) for row in rows]) for name in ("ContextTokens", "GeneratedTokens"))
    return Arrivals(at_s - at_s[0], prompt, output)


def read_mooncake(data: Path) -> Arrivals:
    with gzip.open(data / "traces" / TRACES["mooncake"], "rt") as lines:
        rows = [json.loads(line) for line in lines]
    at_ms, prompt, output = (
        np.array([float(row[name]) for row in rows]) for name in ("timestamp", "input_length", "output_length")
    )
    return Arrivals((at_ms - at_ms[0]) / 1000, prompt, output)


@cache
def read_llmrouter(data: Path) -> Outcomes:
    prices = json.loads((data / "routing" / LLMROUTER_PRICES).read_text())
    rows = _rows(data / "routing" / LLMROUTER)
    models = [name for name in rows[0] if name in prices]
    recorded = np.array([[float(row[model] or 0) for model in models] for row in rows]).clip(0, 1)
    per_token = tuple(np.array([prices[model][f"{way}_price"] for model in models]) / 1e6 for way in ("input", "output"))
    return Outcomes(
        _predicted([row["question"] for row in rows], recorded), recorded, usd_per_token=(per_token[0], per_token[1])
    )


@cache
def read_routerbench(data: Path) -> Outcomes:
    """A missing outcome counts as wrong, a missing cost as the model's median."""
    rows = [row for name in ROUTERBENCH for row in _rows(data / "routing" / name)]
    models = [name.removesuffix("|total_cost") for name in rows[0] if name.endswith("|total_cost")]
    recorded = np.array([[float(row[model] or 0) for model in models] for row in rows]).clip(0, 1)
    usd = np.array([[float(row[f"{model}|total_cost"] or "nan") for model in models] for row in rows])
    usd = np.where(np.isnan(usd), np.nanmedian(usd, axis=0), usd)
    return Outcomes(_predicted([row["prompt"].split(r"\n\n")[-1] for row in rows], recorded), recorded, usd=usd)


def make_load(arrivals: Arrivals, outcomes: Outcomes, seed: int) -> Load:
    """Each arrival is one row, drawn with replacement; costs are its tokens at the models' prices, or as recorded."""
    drawn = np.random.default_rng(seed).integers(len(outcomes.recorded), size=len(arrivals.at_s))
    if outcomes.usd is not None:
        cost_usd = outcomes.usd[drawn]
    elif outcomes.usd_per_token is not None:
        per_in, per_out = outcomes.usd_per_token
        cost_usd = arrivals.prompt_tokens[:, None] * per_in + arrivals.output_tokens[:, None] * per_out
    else:
        raise ValueError("outcomes: neither usd nor usd_per_token is given")
    return Load(arrivals.at_s, outcomes.predicted[drawn], outcomes.recorded[drawn], cost_usd, float(arrivals.at_s[-1]) + 1e-3)


def _rows(path: Path) -> list[dict[str, str]]:
    csv.field_size_limit(1 << 24)
    with gzip.open(path, "rt", newline="") as lines:
        return list(islice(csv.DictReader(lines), None))


def _predicted(texts: list[str], recorded: Floats) -> Floats:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import GroupKFold

    words = TfidfVectorizer(max_features=4000, sublinear_tf=True).fit_transform(text[:4000] for text in texts)
    groups = [re.sub(r"\W+", " ", text.lower())[:200] for text in texts]
    predicted = np.empty_like(recorded)
    for train, test in GroupKFold(FOLDS).split(words, groups=groups):
        predicted[test] = Ridge(alpha=2.0, solver="lsqr").fit(words[train], recorded[train]).predict(words[test])
    return predicted.clip(0, 1)
