"""GSM8K as the cascade replay sees it: who was right on each question, at what cost, and how often wrong answers are the same.

Three public sets over the same 673 questions: ZeroEval (43 models, right or wrong, output tokens), RouterDC (ten samples of
each of seven 7-8B models, how many were right), RouteLLM (full answers of two models).
"""

import csv
import gzip
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from router.choosing.evidence.agreement import final_answer
from router.choosing.evidence.sample import Sample
from tests.bench.report import Figure

STRONG = "Llama-3.1-405B-Inst@sambanova"  # the most accurate of the three 405B runs
OTHER_RUNS = ("Meta-Llama-3.1-405B-Instruct@hyperbolic", "Llama-3.1-405B-Instruct-Turbo")
# USD per million tokens, input and output alike: one seller's list (Fireworks, in LiteLLM's table), by model or size class.
PRICES_USD = {
    "gemma-2-2b-it": 0.1,
    "Phi-3.5-mini-instruct": 0.1,
    "Meta-Llama-3.1-8B-Instruct": 0.1,
    "Meta-Llama-3-8B-Instruct": 0.2,
    "Qwen2-7B-Instruct": 0.2,
    "Mistral-Nemo-Instruct-2407": 0.2,
    "gemma-2-9b-it": 0.2,
    "Mixtral-8x7B-Instruct-v0.1": 0.5,
    "Qwen2-72B-Instruct": 0.9,
    "Meta-Llama-3-70B-Instruct": 0.9,
    "Meta-Llama-3.1-70B-Instruct": 0.9,
    STRONG: 3.0,
}
FILES = ("zeroeval_gsm8k.csv.gz", "routellm_gsm8k.csv.gz", "routerdc7_gsm8k_test.csv.gz")
SAMPLED = "cognitivecomputations/dolphin-2.9-llama3-8b"  # the best of the seven with ten samples, a tuned Llama-3-8B
SAMPLED_AS = "Meta-Llama-3-8B-Instruct"  # whose lengths and price stand for it: RouterDC has none
SAMPLES = 10
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]


class Missing(Exception):
    """A file is not there; the text says which and how to give it."""


@dataclass(frozen=True)
class Coincidence:
    """Of the pairs of wrong answers by two models, how many say the same; and whether our reading of answers can be trusted."""

    pairs: int
    same: int
    read_right: float

    @property
    def rate(self) -> float:
        return self.same / self.pairs

    @property
    def likely(self) -> tuple[float, float]:
        """95 % interval (Jeffreys)."""
        from scipy.stats import beta

        low, high = beta.ppf((0.025, 0.975), self.same + 0.5, self.pairs - self.same + 0.5)
        return float(low), float(high)


@dataclass(frozen=True)
class Replay:
    """Arrays have an entry per question. `right`, `tokens` by model; `sampled_right` of SAMPLED's ten samples; `strong_runs`:
    the accuracy of each run of 405B.
    """

    questions: list[str]
    prompt_tokens: Floats
    right: dict[str, Flags]
    tokens: dict[str, Floats]
    sampled_right: NDArray[np.int64]
    coincidence: Coincidence
    strong_runs: tuple[float, ...]

    def cost_usd(self, model: str, prompt_tokens: Floats | None = None) -> Floats:
        prompt = self.prompt_tokens if prompt_tokens is None else prompt_tokens
        return PRICES_USD[model] * (prompt + self.tokens[model]) / 1e6

    def alone(self, model: str) -> dict[str, Figure]:
        cost = float(self.cost_usd(model).mean() / self.cost_usd(STRONG).mean())
        return {"accuracy": float(self.right[model].mean()), "cost_share": cost}


def load(folder: Path) -> Replay:
    """Raises Missing."""
    zeroeval, routellm, routerdc = (_rows(folder / name) for name in FILES)
    sampled = {_plain(row["question"]): round(float(row[SAMPLED]) * SAMPLES) for row in routerdc}
    gold = {_plain(row["question"]): row["answer"].replace("#", " ").strip() for row in zeroeval}
    kept = [row for row in zeroeval if _plain(row["question"]) in sampled]
    return Replay(
        [row["question"] for row in kept],
        np.array([float(row["q_tokens"]) for row in kept]),
        {model: np.array([row[f"{model}|correct"] == "1" for row in kept]) for model in PRICES_USD},
        {model: np.array([float(row[f"{model}|out_tokens"]) for row in kept]) for model in PRICES_USD},
        np.array([sampled[_plain(row["question"])] for row in kept]),
        _coincidence(routellm, gold),
        tuple(sum(row[f"{run}|correct"] == "1" for row in kept) / len(kept) for run in (STRONG, *OTHER_RUNS)),
    )


def _coincidence(routellm: list[dict[str, str]], gold: dict[str, str]) -> Coincidence:
    pairs = same = read_right = read = 0
    for row in routellm:
        truth = final_answer(Sample(gold[_plain(row["prompt"])]))
        said = [final_answer(Sample(row[f"{model}_response"])) for model in ("mixtral_8x7b", "gpt4_1106")]
        right = [row[f"{model}_correct"] == "True" for model in ("mixtral_8x7b", "gpt4_1106")]
        read += 2
        read_right += sum((answer == truth) == flag for answer, flag in zip(said, right, strict=True))
        if not any(right):
            pairs += 1
            same += said[0] == said[1]
    return Coincidence(pairs, same, read_right / read)


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise Missing(
            f'{path} is not there; give the folder of the routing sets: make bench NAME=cascade_replay ARGS="--data DIR"'
        )
    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def _plain(text: str) -> str:
    return " ".join(text.split())
