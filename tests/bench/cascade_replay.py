"""Cascades replayed on GSM8K: what reaching the strong model's accuracy costs, as a share of asking it always.

    make bench NAME=cascade_replay ARGS="--data DIR"

DIR holds the routing sets (cascade_data.py). Right, wrong and lengths are recorded; what wrong answers said is not, and
evidence from agreement depends on it: two wrong answers that are the same pass for a right one. So every figure is given for
wrong answers that never coincide, that do as often as measured between two models whose answers we have, and that always do.
Given that rate, which of them coincide is drawn; the rest is the router's own code: planning, running, judging. Evidence from
token probabilities can't be replayed: no set has them.
"""

import argparse
import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import numpy as np

from router.cascading import Course, Judge, run_stages
from router.choosing.cascade import Now, plan_stages
from router.choosing.pricing import Estimate
from router.choosing.stage import Stage
from router.fleet.specs import CascadeSpec
from router.request import Piece, Request, Sampling, TextPrompt
from router.snapshot import Pool, Prices
from router.verifiers import Verifiers
from tests.bench.cascade_data import PRICES_USD, SAMPLED, SAMPLED_AS, SAMPLES, STRONG, Floats, Missing, Replay, load
from tests.bench.cascade_ladders import by_text, expected, held_out, holds_up_to, interval
from tests.bench.report import Report

SEED = 5
DRAWS = 5  # replays of the whole set, each with its own coincidences
COST_AIM = 0.35
WITHIN = 0.005  # of an accuracy
LADDER = ("gemma-2-9b-it", "Meta-Llama-3.1-8B-Instruct", "Meta-Llama-3.1-70B-Instruct", STRONG)
MOST_LIKELY, RIGHT = "measured", "#### 1"


@dataclass(frozen=True)
class Option:
    """What `plan_stages` asks of a choice."""

    pool: Pool
    estimate: Estimate
    quality: float | None
    ready: bool = True


@dataclass(frozen=True)
class Outcome:
    accuracy: float
    cost_share: float
    asked_strong: float

    def figures(self) -> dict[str, float]:
        return {"accuracy": self.accuracy, "cost_share": self.cost_share, "asked_strong": self.asked_strong}


class Voices:
    """What every model says to one question. Wrong answers coincide in pairs at the given rate (Chinese restaurant process)."""

    def __init__(self, data: Replay, question: int, rate: float, rng: Random) -> None:
        self._data, self._question, self._rate, self._rng = data, question, rate, rng
        self._wrong: list[int] = []

    def say(self, right: bool) -> str:
        if right:
            return RIGHT
        known, rate = len(self._wrong), self._rate
        new = rate == 0 or not known or self._rng.random() >= known * rate / ((1 - rate) + known * rate)
        self._wrong.append(1000 + len(set(self._wrong)) if new else self._rng.choice(self._wrong))
        return f"#### {self._wrong[-1]}"

    def sampled(self, count: int) -> list[str]:
        right = int(self._data.sampled_right[self._question])
        drawn = self._rng.sample([True] * right + [False] * (SAMPLES - right), count)
        return [self.say(each) for each in drawn]


class Run:
    """One question through the router's own cascade."""

    def __init__(self, data: Replay, question: int, voices: Voices) -> None:
        self._data, self._question, self._voices = data, question, voices
        self.usd = 0.0
        self.asked: list[str] = []

    async def answer(self, stage: Stage) -> AsyncGenerator[Piece, None]:
        name = stage.pool
        self.asked.append(name)
        model = SAMPLED_AS if name == SAMPLED else name
        count = stage.request.n
        tokens = self._data.tokens[model][self._question]
        self.usd += PRICES_USD[model] * (self._data.prompt_tokens[self._question] + count * tokens) / 1e6
        if name == SAMPLED:
            said = self._voices.sampled(count)
        else:
            said = [self._voices.say(bool(self._data.right[model][self._question]))]
        for index, text in enumerate(said):
            yield Piece(index, text, finish_reason="stop")


async def replayed(data: Replay, spec: CascadeSpec, rate: float, qualities: dict[str, Floats]) -> Outcome:
    """The mean over all questions and DRAWS."""
    judge, rng = Judge(Verifiers({})), Random(SEED)
    right, usd, strong = 0, 0.0, 0
    for _ in range(DRAWS):
        for question, text in enumerate(data.questions):
            run = Run(data, question, Voices(data, question, rate, rng))
            request = Request("q", "auto", TextPrompt(text), Sampling(temperature=0.7, max_tokens=2048))
            options = [_option(data, name, question, qualities) for name in spec.pools]
            course = Course(plan_stages(spec, request, options, Now()))
            said = [piece.text async for piece in run_stages(course, run.answer, judge)]
            right += said == [RIGHT]
            usd += run.usd
            strong += run.asked[-1] == STRONG
    count = DRAWS * len(data.questions)
    return Outcome(right / count, usd / DRAWS / float(data.cost_usd(STRONG).sum()), strong / count)


def _option(data: Replay, name: str, question: int, qualities: dict[str, Floats]) -> Option:
    model = SAMPLED_AS if name == SAMPLED else name
    price = PRICES_USD[model]
    prompt, output = int(data.prompt_tokens[question]), int(data.tokens[model].mean())
    pool = Pool(name, "small", (name,), Prices(price, price, price), 0, 1)
    return Option(pool, Estimate(prompt, 0, output, price * (prompt + output) / 1e6), float(qualities[name][question]))


def oracle(data: Replay, ladder: Sequence[str]) -> Outcome:
    """A verifier that is never wrong: each question goes up until an answer is right."""
    open_, usd = np.ones(len(data.questions), dtype=bool), np.zeros(len(data.questions))
    for model in ladder[:-1]:
        usd += open_ * data.cost_usd(model)
        open_ &= ~data.right[model]
    usd += open_ * data.cost_usd(STRONG)
    right = ~open_ | data.right[STRONG]
    return Outcome(float(right.mean()), float(usd.sum() / data.cost_usd(STRONG).sum()), float(open_.mean()))


def show(report: Report, data: Replay) -> None:
    rates = {"wrong answers never coincide": 0.0, MOST_LIKELY: data.coincidence.rate, "wrong answers always coincide": 1.0}
    flat = {model: np.full(len(data.questions), data.right[model].mean()) for model in PRICES_USD}
    flat[SAMPLED] = np.full(len(data.questions), data.sampled_right.mean() / SAMPLES)
    report.row(f"baseline: {STRONG} always", **data.alone(STRONG))
    for model in LADDER[:-1]:
        report.row(f"{model} always", **data.alone(model))
    strong = float(data.right[STRONG].mean())
    report.row(f"baseline: text alone, {LADDER[0]} or 405B", accuracy=strong, cost_share=by_text(data, LADDER[0]))
    for ladder in ((LADDER[0], STRONG), LADDER, ("gemma-2-2b-it", *LADDER)):
        report.row(f"perfect verifier, {len(ladder)} pools from {ladder[0]}", **oracle(data, ladder).figures())
    pairs = CascadeSpec(LADDER, 0.5, evidence="agreement", samples=1)
    for label, rate in rates.items():
        report.row(f"two agree of 9B, 8B, 70B, else 405B: {label}", **asyncio.run(replayed(data, pairs, rate, flat)).figures())
    for samples, least in ((3, 0.6), (5, 0.8), (5, 1.0)):
        spec = CascadeSpec((SAMPLED, STRONG), least, evidence="agreement", samples=samples)
        for label, rate in rates.items():
            figures = asyncio.run(replayed(data, spec, rate, flat)).figures()
            report.row(f"{samples} samples of a tuned 8B, {least:g} agree: {label}", **figures)
    for label, rate in rates.items():
        report.row(f"two agree, chosen on the other half: {label}", **held_out(data, rate))


def remark(report: Report, data: Replay) -> None:
    seen, (low, high) = data.coincidence, data.coincidence.likely
    report.note(
        f"measured: of {seen.pairs} questions that Mixtral-8x7B and GPT-4 both got wrong, {seen.same} got the same wrong "
        f"answer: {seen.rate:.2f} (95 %: {low:.2f} to {high:.2f}); other pairs, or samples of one model, may do so more often"
    )
    report.note(f"the router's reading of final answers fits the flags of the sets on {seen.read_right:.1%} of real answers")
    low, high = interval(data, LADDER, seen.rate)
    longer = replace(data, prompt_tokens=data.prompt_tokens + 200)
    share = expected(longer, LADDER, seen.rate)[1].sum() / longer.cost_usd(STRONG).sum()
    report.note(
        f"the ladder 9B, 8B, 70B, 405B was picked with all questions in view: at the measured rate {low:+.3f} to {high:+.3f} "
        f"above 405B (95 %), and as accurate up to a rate of {holds_up_to(data, LADDER):.2f}; with 200 tokens of instructions "
        f"before each question its cost share is {share:.3f}"
    )
    report.note(
        "the samples of one model are ten real ones per question, drawn without putting back; lengths are a like model's"
    )
    report.note("prompts are the question alone; these sets have no token probabilities, and no verifier but a perfect one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the routing sets")
    try:
        data = load(parser.parse_args().data)
    except Missing as fault:
        parser.exit(2, f"{fault}\n")
    report = Report(
        "cascade_replay", "Cascades on GSM8K (simulated from recorded outcomes), cost as a share of 405B always", SEED
    )
    show(report, data)
    chosen = held_out(data, data.coincidence.rate)
    report.aim("cost share of cascades chosen on one half, on the other", chosen["cost_share"], at_most=COST_AIM)
    report.aim("accuracy above the strong model's, on the other half", chosen["above_strong"], at_least=-WITHIN)
    runs = [f"{accuracy:.3f}" for accuracy in data.strong_runs]
    report.note(f"within {WITHIN} the accuracy counts as the strong model's: the three runs of 405B have {', '.join(runs)}")
    remark(report, data)
    report.finish()


if __name__ == "__main__":
    main()
