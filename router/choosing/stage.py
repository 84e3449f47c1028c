"""One stage of a cascade: a pool, and the request as this pool is asked it. Pure values; `cascade.py` makes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from router.choosing.evidence.weighing import compares_pools, draws_samples
from router.choosing.pricing import Estimate, bound_usd, prompt_bound_tokens
from router.fleet.specs import CascadeSpec
from router.request import Request
from router.snapshot import Pool

SAMPLE_TEMPERATURE = 0.7  # of samples that are to differ, where the caller set none or asked for the likeliest answer
STAGE_MAX_TOKENS = 4096  # of an answer that is held back; one that needs more goes on to the next pool
LEAST_TOKENS = 256  # the money must pay for so many, and for LEAST_TIMES as many as expected, or the stage is not begun
LEAST_TIMES = 4
UNKNOWN_ACCEPTED = 0.5  # probability, where no quality is predicted


class Choice(Protocol):
    """What a cascade asks of a pool that may serve the request; `choose.PoolChoice` is one."""

    @property
    def pool(self) -> Pool: ...
    @property
    def ready(self) -> bool: ...
    @property
    def estimate(self) -> Estimate: ...
    @property
    def quality(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Stage:
    """request   as sent: n samples, with log-probabilities where they are the evidence, with a deadline of its own
    asked        as the caller sent it
    final        its answer streams through; that of any other stage is held back and judged
    votes        its samples are tries at one answer, of which one is passed on
    most_prompt_tokens   the prompt can't be longer
    cut_by_us    the caller set no max_tokens, the stage has one
    """

    choice: Choice
    request: Request
    asked: Request
    spec: CascadeSpec
    final: bool
    most_prompt_tokens: int
    votes: bool = False
    cut_by_us: bool = False

    @property
    def pool(self) -> str:
        return self.choice.pool.name

    @property
    def bound_usd(self) -> float:
        """It can't cost more."""
        return bound_usd(self.choice.pool, self.most_prompt_tokens, self.request.sampling.max_tokens, self.request.n)

    @property
    def cost_usd(self) -> float:
        """What it will probably cost, all samples together."""
        guess, prices = self.choice.estimate, self.choice.pool.prices
        uncached_tokens = guess.prompt_tokens - guess.cached_tokens
        return prices.cost_usd(uncached_tokens, guess.cached_tokens, self._expected_tokens * self.request.n)

    @property
    def accepted(self) -> float:
        """Probability that its answer will be good enough; the predicted quality stands for it."""
        return UNKNOWN_ACCEPTED if self.choice.quality is None else self.choice.quality

    @property
    def _expected_tokens(self) -> float:
        return self.choice.estimate.output_tokens / self.asked.n

    def asked_as(self, index: int) -> Request:
        """The request as choice `index` of this stage is to be sampled. Where samples vote, the first is the caller's own and
        the others are drawn at a temperature that lets them differ.
        """
        sampling = self.request.sampling
        if not self.votes or index == 0 or sampling.temperature:
            return self.request
        return replace(self.request, sampling=replace(sampling, temperature=SAMPLE_TEMPERATURE))

    def as_final(self) -> "Stage":
        """The same pool, asked as the caller asked."""
        return Stage(self.choice, self.asked, self.asked, self.spec, True, self.most_prompt_tokens)

    def within(self, usd: float) -> "Stage | None":
        """This stage, such that it can't cost more; None where that leaves too little for an answer.

        Only an answer without a limit of the caller's own is made shorter.
        """
        if self.bound_usd <= usd:
            return self
        if self.asked.sampling.max_tokens is not None:
            return None
        most = self.tokens_for(usd)
        return self.limited(most) if most >= max(LEAST_TOKENS, LEAST_TIMES * self._expected_tokens) else None

    def limited(self, max_tokens: int) -> "Stage":
        """With this limit on each answer."""
        sampling = replace(self.request.sampling, max_tokens=max_tokens)
        return replace(self, request=replace(self.request, sampling=sampling), cut_by_us=self.asked.sampling.max_tokens is None)

    def tokens_for(self, usd: float) -> int:
        """How long each answer may be for this money; 0 where the prompt alone may cost more."""
        prices = self.choice.pool.prices
        left_usd = usd - self.most_prompt_tokens * max(prices.input, prices.cached_input) / 1e6
        if left_usd < 0:
            return 0
        return int(left_usd * 1e6 / (prices.output * self.request.n)) if prices.output else STAGE_MAX_TOKENS


def held_back(spec: CascadeSpec, request: Request, choices: Sequence[Choice]) -> list[Stage]:
    """The stages that ask these pools for an answer to be judged."""
    votes = draws_samples(spec, request)
    told_otherwise = votes or compares_pools(spec, request) or spec.evidence == "verifier"
    sampling = request.sampling
    cut_by_us = sampling.max_tokens is None
    sampling = replace(
        sampling,
        max_tokens=STAGE_MAX_TOKENS if cut_by_us else sampling.max_tokens,
        logprobs=0 if sampling.logprobs is None and not told_otherwise else sampling.logprobs,
    )
    # Nobody reads along, so tokens may come in large portions.
    sent = replace(request, sampling=sampling, stream=False, n=spec.samples if votes else request.n)
    most_tokens = prompt_bound_tokens(request.prompt)
    return [Stage(choice, sent, request, spec, False, most_tokens, votes, cut_by_us) for choice in choices]
