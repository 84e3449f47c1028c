"""A request under way: its plan, the answers that were begun for it, and what they have used so far. No I/O.

A request without a cascade has one round. A cascade has one for each pool that was asked: dropped answers are paid too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from router.admission.money import Hold
from router.cascading import Course
from router.choosing.evidence.form import fault_of
from router.choosing.evidence.sample import Sample
from router.choosing.pricing import used
from router.choosing.stage import Stage
from router.continuation import Answer
from router.errors import AnswerLost
from router.request import Decision, Request, Usage, Used
from router.routing import Plan
from router.snapshot import Pool, Tenant


@dataclass(slots=True)
class Round:
    """Answers of one pool. `names` are the pools to try; `pool` and `decision` say where it is now. `staged`: of a cascade.

    ttft_s   from sending to the first token, as its replica took it; None before
    """

    request: Request
    names: Sequence[str]
    answers: list[Answer]
    staged: bool = False
    pool: Pool | None = None
    decision: Decision | None = None
    ttft_s: float | None = None

    @property
    def begun(self) -> bool:
        return any(answer.begun for answer in self.answers)

    @property
    def usage(self) -> Usage:
        """The prompt counts once, however many choices were asked for."""
        first = self.answers[0]
        return Usage(first.prompt_tokens, sum(answer.tokens for answer in self.answers), first.cached_tokens)


@dataclass(slots=True)
class Job:
    """`expected_usd` is what its hold was taken for. `course`: of its cascade, where it has one."""

    request: Request
    tenant: Tenant
    plan: Plan
    hold: Hold
    expected_usd: float
    began_s: float
    course: Course | None = None
    rounds: list[Round] = field(default_factory=list)
    resumed: int = 0
    ttft_s: float | None = None
    settled: bool = False

    def begin(self, stage: Stage | None = None) -> Round:
        """The next round: of this stage, or of the request as it came."""
        if stage is None:
            names: Sequence[str] = [choice.pool.name for choice in self.plan.choices]
            round_ = Round(self.request, names, _answers(self.request, lambda _: self.request))
        else:
            round_ = Round(stage.request, [stage.pool], _answers(stage.request, stage.asked_as), staged=True)
        self.rounds.append(round_)
        return round_

    @property
    def shown(self) -> Round:
        """The round whose answer the caller sees. Raises AnswerLost where nothing was begun."""
        stage = self.course.shown if self.course is not None else None
        for round_ in reversed(self.rounds):
            if stage is None or round_.names == [stage.pool]:
                return round_
        raise AnswerLost("an answer ended before it began")

    def decided(self) -> Decision:
        """Where the answer that the caller sees is from, and why."""
        decision = self.shown.decision
        if decision is None:
            raise AnswerLost("an answer began before it had a replica")
        if self.course is not None and self.course.reason:
            return replace(decision, reason=f"{self.course.reason}; {decision.reason}")
        return decision

    def asked(self) -> list[str]:
        """The pools whose answers were found too weak, in order, and the one whose answer the caller sees."""
        if self.course is None or self.course.shown is None:
            return [self.decided().pool]
        begun = [stage.pool for stage in self.course.begun]
        return begun[: begun.index(self.course.shown.pool) + 1]

    def broke_form(self) -> bool:
        """Whether the answer that the caller sees ended by itself and does not have the form that was asked for."""
        if self.request.sampling.constraint is None:
            return False
        ended = [answer for answer in self.shown.answers if answer.finish_reason == "stop"]
        return any(fault_of(Sample(answer.text, (), "stop"), self.request) for answer in ended)

    def usage(self) -> Usage:
        """Of all rounds together."""
        if len(self.rounds) == 1:
            return self.rounds[0].usage
        all_of = [round_.usage for round_ in self.rounds]
        return Usage(
            sum(usage.prompt_tokens for usage in all_of),
            sum(usage.completion_tokens for usage in all_of),
            sum(usage.cached_tokens for usage in all_of),
        )

    def cost_usd(self) -> float:
        """Likewise, so far. Rounded far below a token's price, so that no binary fraction shows in an answer."""
        return round(sum(_cost_usd(round_) for round_ in self.rounds), 12)

    def used(self) -> Used | None:
        """Likewise; None where no pool's power is known."""
        parts = [part for round_ in self.rounds if (part := _used(round_)) is not None]
        if not parts:
            return None
        return Used(
            sum(part.energy_wh for part in parts), sum(part.carbon_g for part in parts), sum(part.water_ml for part in parts)
        )


def _answers(request: Request, asked_as: Callable[[int], Request]) -> list[Answer]:
    return [Answer(index, asked_as(index)) for index in range(request.n)]


def _cost_usd(round_: Round) -> float:
    if round_.pool is None:
        return 0.0
    usage = round_.usage
    uncached_tokens = usage.prompt_tokens - usage.cached_tokens
    return round_.pool.prices.cost_usd(uncached_tokens, usage.cached_tokens, usage.completion_tokens)


def _used(round_: Round) -> Used | None:
    if round_.pool is None or round_.pool.footprint is None:
        return None
    usage = round_.usage
    return used(round_.pool, usage.prompt_tokens - usage.cached_tokens, usage.cached_tokens, usage.completion_tokens)
