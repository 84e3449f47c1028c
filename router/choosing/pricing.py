"""What a request will probably cost on a pool, before it runs. Estimates only: the bill is made from reported usage."""

from dataclasses import dataclass

from router.choosing.features import Features
from router.snapshot import Pool


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens and USD. `cached_tokens` is part of `prompt_tokens`; `output_tokens` is over all n choices."""

    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float


def estimate(pool: Pool, features: Features, n: int = 1, cached_share: float = 0.0) -> Estimate:
    """`cached_share`, 0 to 1, is the part of the prompt that the pool's best replica probably holds.

    The prompt is charged once, however many choices are asked for.
    """
    cached_tokens = int(features.prompt_tokens * cached_share)
    output_tokens = features.output_tokens * n
    cost_usd = pool.prices.cost_usd(features.prompt_tokens - cached_tokens, cached_tokens, output_tokens)
    return Estimate(features.prompt_tokens, cached_tokens, output_tokens, cost_usd)
