"""Runs the stages of a cascade: an answer that is held back, judged, and passed on whole or dropped for the next pool's.

The caller sees the pieces of exactly one stage. Whatever was used is spent, passed on or not. A stage that fails for good
counts as weak. Where the money or the time for a better answer is gone, or the last pool can't begin, the best answer so far is
passed on, weak as it is. `choosing/cascade.py` plans what is run here; dispatch places and streams each stage.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from math import inf

import orjson

from router.choosing.cascade import Stage, Staged
from router.choosing.evidence.sample import Sample, samples_of
from router.choosing.evidence.weighing import Judgement, Told, judge, verified, weigh
from router.errors import BudgetExhausted, DeadlineExceeded, HeadgateError
from router.request import Piece
from router.verifiers import Verifiers

# Of all samples of one stage together. An answer beyond it goes to the next pool.
MOST_HELD_CHARS = 4 * 1024 * 1024

AnswerStage = Callable[[Stage], AsyncGenerator[Piece, None]]
JudgeStage = Callable[[Stage, Sequence[Sample], Sequence[Sample]], Awaitable[Judgement]]


class Judge:
    """Decides on finished answers. One per router."""

    def __init__(self, verifiers: Verifiers) -> None:
        self._verifiers = verifiers

    async def __call__(self, stage: Stage, samples: Sequence[Sample], earlier: Sequence[Sample]) -> Judgement:
        """`earlier`: the first sample of each stage before. Never raises for what an answer or a verifier may be like."""
        weighed = weigh(stage.spec, Told(stage.asked, samples, earlier, stage.cut_by_us))
        if stage.spec.evidence == "verifier" and not weighed.broken:
            score = await self._verifiers.score(stage.pool, stage.request, [_said(sample) for sample in samples])
            weighed = verified(score, samples)
        return judge(weighed, stage.spec, stage.choice.quality)


@dataclass(slots=True)
class Course:
    """How one cascade goes: `run_stages` keeps it, dispatch reads it from the first piece on.

    limit_usd   what was reserved for the request; the policy's cap holds beside it
    spent_usd   by all stages so far; asked before each
    begun       the stages that were asked, in order
    judged      what was thought of those that were held back; a stage that failed is not among them
    shown       the stage whose pieces the caller sees
    reason      for the decision, such as "asked small first: its mean token probability was 0.41 < 0.55, so large"
    """

    staged: Staged
    limit_usd: float = inf
    spent_usd: Callable[[], float] = float
    begun: list[Stage] = field(default_factory=list)
    judged: list[tuple[Stage, Judgement]] = field(default_factory=list)
    shown: Stage | None = None
    reason: str = ""

    @property
    def escalated(self) -> int:
        """Pools that were asked in vain."""
        return max(len(self.begun) - 1, 0)

    def within_limits(self, planned: Stage) -> Stage | None:
        """The stage as there is money left for it; None where there is too little of that, or no time."""
        stage = planned.within(min(self.limit_usd, self.staged.cap_usd) - self.spent_usd())
        if stage is None:
            self.tell(f"what is left of the money is too little for {planned.pool}")
        elif not stage.final and _is_late(stage.request.deadline):
            self.tell(f"no time is left for {planned.pool}")
            return None
        return stage

    def tell(self, what: str) -> None:
        self.reason = f"{self.reason}; {what}" if self.reason else what

    def thought(self, stage: Stage, why: str) -> None:
        self.tell(f"asked {stage.pool} first: {why}" if len(self.begun) == 1 else f"then {stage.pool}: {why}")

    def show(self, stage: Stage, ending: str) -> None:
        self.shown = stage
        self.reason += ending if self.reason else ""
        if self.staged.why:
            self.tell(self.staged.why)
        if not self.reason:
            self.tell(f"{stage.pool} alone of its cascade may serve this")


@dataclass(frozen=True, slots=True)
class _Held:
    """A whole answer that was not passed on yet."""

    stage: Stage
    pieces: tuple[Piece, ...]
    judgement: Judgement
    samples: tuple[Sample, ...] = ()

    @property
    def rank(self) -> float:
        return self.judgement.confidence or 0.0


async def run_stages(course: Course, answer_stage: AnswerStage, judge_stage: JudgeStage) -> AsyncGenerator[Piece, None]:
    """The pieces of the first stage that is good enough, or of the best there was. Raises what the last stage raises, where no
    answer is held. `answer_stage` streams a stage on as many replicas as it takes; it is closed when nobody wants its pieces.
    """
    best: _Held | None = None
    earlier: list[Sample] = []
    fault: HeadgateError | None = None
    for planned in course.staged.stages:
        if (stage := course.within_limits(planned)) is None:
            continue
        course.begun.append(stage)
        try:
            if stage.final:
                async with aclosing(_streamed(course, stage, answer_stage)) as pieces:
                    async for piece in pieces:
                        yield piece
                return
            held = await _held(stage, answer_stage, judge_stage, earlier)
        except HeadgateError as failed:
            if course.shown is not None:  # the caller has a part of it
                raise
            fault = failed
            course.thought(stage, f"it failed ({failed.code})")
            if isinstance(failed, DeadlineExceeded) and _is_late(stage.asked.deadline):
                break
            continue
        course.judged.append((stage, held.judgement))
        course.thought(stage, held.judgement.why)
        earlier += held.samples[:1]
        # Of equally weak ones the later pool's: it is the stronger pool.
        if held.pieces and (best is None or held.judgement.accepted or held.rank >= best.rank):
            best = held
        if held.judgement.accepted:
            break
    if best is None:
        raise fault or BudgetExhausted(course.reason or "no pool of the cascade could be asked")
    course.show(best.stage, "" if best.judgement.accepted else f", so the answer of {best.stage.pool} stands")
    for piece in _as_asked(best):
        yield piece


async def _streamed(course: Course, stage: Stage, answer_stage: AnswerStage) -> AsyncGenerator[Piece, None]:
    async with aclosing(answer_stage(stage)) as pieces:
        async for piece in pieces:
            if course.shown is None:
                course.show(stage, f", so {stage.pool}")
            yield piece


async def _held(stage: Stage, answer_stage: AnswerStage, judge_stage: JudgeStage, earlier: Sequence[Sample]) -> _Held:
    """The whole answer of a stage, and what is thought of it. Closing the stage early gives its engines free."""
    pieces: list[Piece] = []
    chars = 0
    async with aclosing(answer_stage(stage)) as stream:
        async for piece in stream:
            pieces.append(piece)
            chars += len(piece.text) + len(piece.tool_calls_json)
            if chars > MOST_HELD_CHARS:
                return _Held(stage, (), Judgement(False, "it was too long to be held back"))
    samples = samples_of(pieces, stage.request.n)
    return _Held(stage, tuple(pieces), await judge_stage(stage, samples, earlier), samples)


def _as_asked(held: _Held) -> Iterator[Piece]:
    """The pieces as if the caller's own request had been sent: of several tries one, log-probabilities only if asked for."""
    winner = held.judgement.winner
    bare = held.stage.asked.sampling.logprobs is None
    for piece in held.pieces:
        if winner is not None and piece.index != winner:
            continue
        yield replace(piece, index=0 if winner is not None else piece.index, logprobs=() if bare else piece.logprobs)


def _said(sample: Sample) -> str:
    """The answer as a verifier is shown it: its text, or its tool calls as JSON."""
    if not sample.tool_calls:
        return sample.text
    calls = [{"name": call.name, "arguments": call.arguments} for call in sample.tool_calls]
    return sample.text + orjson.dumps(calls).decode()


def _is_late(deadline: float | None) -> bool:
    return deadline is not None and asyncio.get_running_loop().time() >= deadline
