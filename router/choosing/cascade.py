"""Which pools a cascade asks one after the other: a cheap answer first, a dearer one where it is weak. Pure.

A stage that does not pay is left out beforehand. Let c be its expected cost, p the probability that its answer is accepted (the
predicted quality stands for it) and C the expected cost of what follows. With it the request costs c + (1 - p)·C, without it C,
so it is kept where c < p·C. Going backwards from the last pool this gives the least expected cost of all subsets. So a pool
that is dearer than the one after it, or that would hardly be right, is never asked first. Where nothing has a price the
policy's order holds. Cascades of models: FrugalGPT (Chen et al., 2023, arXiv 2305.05176).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from router.choosing.eligible import AUTO
from router.choosing.evidence.weighing import compares_pools
from router.choosing.latency import Timing
from router.choosing.stage import Choice, Stage, held_back
from router.fleet.specs import CascadeSpec
from router.request import Request

__all__ = ["Now", "Stage", "Staged", "plan_stages"]


@dataclass(frozen=True, slots=True)
class Now:
    """`now_s` on the clock of the request's deadline; `timings` as the router has seen its pools."""

    now_s: float = 0.0
    timings: Mapping[str, Timing] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Staged:
    """What to run. No stages and no refusal: the request goes as it would without a cascade.

    cap_usd   the policy's, for all stages together
    why       what was left out, such as "small left out: …"; "" where nothing was
    refusal   not empty: nothing fits the cap, so the request must be refused with this text
    """

    stages: tuple[Stage, ...] = ()
    cap_usd: float = inf
    why: str = ""
    refusal: str = ""

    @property
    def bounds_usd(self) -> tuple[float, ...]:
        """Amounts worth asking the tenant's budgets for, the largest first: all stages, all but the last, …, and each alone.
        The one that is granted is the limit of the run.
        """
        each = [stage.bound_usd for stage in self.stages]
        sums = [sum(each[:count]) for count in range(len(each), 0, -1)]
        return tuple(sorted({min(bound, self.cap_usd) for bound in (*sums, *each)}, reverse=True))

    @property
    def expected_usd(self) -> float:
        """What the run will probably cost."""
        if self.stages and compares_pools(self.stages[0].spec, self.stages[0].asked):
            return _comparing_usd(self.stages)
        following_usd = 0.0
        for stage in reversed(self.stages):
            following_usd = stage.cost_usd + (0.0 if stage.final else (1 - stage.accepted) * following_usd)
        return following_usd


def plan_stages(spec: CascadeSpec, request: Request, choices: Sequence[Choice], now: Now) -> Staged:
    """The stages worth running, in the policy's order; the last is final. `choices` are those that may serve the request.

    A caller who names a pool gets that pool: no stages.
    """
    by_name = {choice.pool.name: choice for choice in choices}
    found = [by_name[name] for name in dict.fromkeys(spec.pools) if name in by_name]
    if request.model != AUTO or not any(choice.ready for choice in found):
        return Staged()
    left_out = [f"{choice.pool.name} left out: no replica is ready" for choice in found if not choice.ready]
    cap_usd = inf if spec.max_cost_usd is None else spec.max_cost_usd
    stages = held_back(spec, request, [choice for choice in found if choice.ready])
    affordable = _affordable(stages, cap_usd, left_out)
    if not affordable:
        return _cut([stage.as_final() for stage in stages], cap_usd)
    kept = _timely(_worthwhile(affordable, left_out), now, left_out)
    return Staged(_with_time_left(kept, now), cap_usd, "; ".join(left_out))


def _affordable(stages: Sequence[Stage], cap_usd: float, left_out: list[str]) -> list[Stage]:
    """The last one that the cap pays for is the final one; before it those that it pays for with all their samples. What
    was spent before a stage is looked at when it is about to begin.
    """
    kept: list[Stage] = []
    for stage in reversed(stages):
        fitting = (stage if kept else stage.as_final()).within(cap_usd)
        if fitting is not None:
            kept.insert(0, fitting)
        else:
            left_out.append(f"{stage.pool} left out: it may cost more than ${cap_usd:g}")
    return kept


def _worthwhile(stages: Sequence[Stage], left_out: list[str]) -> list[Stage]:
    """The rule of this module's head, from the last stage to the first."""
    if compares_pools(stages[-1].spec, stages[-1].asked):
        return _worth_comparing(stages, left_out)
    kept = [stages[-1]]
    following_usd = stages[-1].cost_usd
    for stage in reversed(stages[:-1]):
        if stage.cost_usd < stage.accepted * following_usd or stage.cost_usd == following_usd == 0:
            following_usd = stage.cost_usd + (1 - stage.accepted) * following_usd
            kept.insert(0, stage)
        else:
            quality = stage.choice.quality
            how = "" if quality is None else f", with a predicted quality of {quality:.2f},"
            left_out.append(f"{stage.pool} left out: asking it first{how} would save no money")
    return kept


def _worth_comparing(stages: Sequence[Stage], left_out: list[str]) -> list[Stage]:
    """All or the last alone. Where two pools must say the same, no first stage pays by itself."""
    if len(stages) > 2 and _comparing_usd(stages) < stages[-1].cost_usd:
        return list(stages)
    left_out += [f"{stage.pool} left out: comparing its answer would save no money" for stage in stages[:-1]]
    return [stages[-1]]


def _comparing_usd(stages: Sequence[Stage]) -> float:
    """Expected cost where each stage is reached until two answers are right; whether they are is taken for independent."""
    none_right, one_right, usd = 1.0, 0.0, 0.0
    for stage in stages:
        usd += (none_right + one_right) * stage.cost_usd
        right = stage.accepted
        none_right, one_right = none_right * (1 - right), one_right * (1 - right) + none_right * right
    return usd


def _timely(stages: Sequence[Stage], now: Now, left_out: list[str]) -> list[Stage]:
    """Leaves out what would leave no time for the last one."""
    deadline = stages[-1].asked.deadline
    if deadline is None:
        return list(stages)
    left_s = deadline - now.now_s - _seconds(stages[-1], now)
    kept = []
    for stage in stages[:-1]:
        takes_s = _seconds(stage, now)
        if takes_s > left_s:
            left_out.append(
                f"{stage.pool} left out: it takes {takes_s:.1f} s, and the deadline leaves {max(left_s, 0.0):.1f} s"
            )
        else:
            kept.append(stage)
            left_s -= takes_s
    return [*kept, stages[-1]]


def _with_time_left(stages: Sequence[Stage], now: Now) -> tuple[Stage, ...]:
    """All but the last get a deadline that leaves the last one its time; half of it where nobody knows how long it takes."""
    *first, final = stages
    if final.asked.deadline is None or not first:
        return tuple(stages)
    left_s = max(final.asked.deadline - now.now_s, 0.0)
    by_s = final.asked.deadline - (_seconds(final, now) or left_s / 2)
    return (*(replace(stage, request=replace(stage.request, deadline=by_s)) for stage in first), final)


def _cut(finals: Sequence[Stage], cap_usd: float) -> Staged:
    """No pool's answer surely fits the cap: one stage, where the cap pays for the longest answer, cut to that length."""
    longest = max(finals, key=lambda stage: stage.tokens_for(cap_usd))
    tokens = longest.tokens_for(cap_usd)
    if not tokens:
        return Staged(refusal=f"the policy allows ${cap_usd:g} for an answer, and this prompt alone may cost more")
    return Staged(
        (longest.limited(tokens),), cap_usd, f"cut to {tokens} tokens, for which the ${cap_usd:g} of the policy are enough"
    )


def _seconds(stage: Stage, now: Now) -> float:
    """Expected time to the last token; 0 where the pool has not been seen to answer."""
    timing = now.timings.get(stage.pool)
    if timing is None:
        return 0.0
    guess = stage.choice.estimate
    return timing.ttft_s(guess.prompt_tokens - guess.cached_tokens, 0) + timing.tpot_s * guess.output_tokens / stage.asked.n
