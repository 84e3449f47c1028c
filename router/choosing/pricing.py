"""What a request will probably cost on a pool before it runs, and what it can cost at most. Bills come from reported usage."""

from typing import NamedTuple

from router.choosing.features import Features
from router.request import ChatPrompt, Prompt, TextPrompt, Used
from router.snapshot import Pool

# A token has a byte or more, so bytes bound tokens. What a chat template adds of its own, system text and tool instructions:
_TEMPLATE_TOKENS = 256
_TOOLS_TOKENS = 768
# Of an engine that does not say how long its answers may get.
UNKNOWN_CONTEXT_TOKENS = 32_768


class Estimate(NamedTuple):
    """Tokens and USD. `cached_tokens` is part of `prompt_tokens`; `output_tokens` is over all n choices."""

    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_usd: float


def estimate(pool: Pool, features: Features, n: int = 1, cached_share: float = 0.0, expected_tokens: float = 0.0) -> Estimate:
    """`cached_share`, 0 to 1, is the part of the prompt that the pool's best replica probably holds. `expected_tokens` is what
    was learnt of this pool's answers to such prompts; 0 where nothing was.

    The prompt is charged once, however many choices are asked for.
    """
    cached_tokens = int(features.prompt_tokens * cached_share)
    each_tokens = features.output_tokens
    if expected_tokens:
        each_tokens = int(expected_tokens)
        if features.max_output_tokens:
            each_tokens = min(each_tokens, features.max_output_tokens)
    output_tokens = each_tokens * n
    cost_usd = pool.prices.cost_usd(features.prompt_tokens - cached_tokens, cached_tokens, output_tokens)
    return Estimate(features.prompt_tokens, cached_tokens, output_tokens, cost_usd)


def bound_usd(pool: Pool, prompt_tokens: int, max_tokens: int | None, n: int) -> float:
    """What a request can't cost more than there. `prompt_tokens` is a bound too; `max_tokens` is for each of n choices."""
    longest = max_tokens or pool.max_context_tokens or UNKNOWN_CONTEXT_TOKENS
    prices = pool.prices
    return (prompt_tokens * max(prices.input, prices.cached_input) + n * longest * prices.output) / 1e6


def prompt_bound_tokens(prompt: Prompt) -> int:
    """More tokens than this the prompt can't be, whatever the tokenizer."""
    if isinstance(prompt, ChatPrompt):
        tools = len(prompt.tools_json) + _TOOLS_TOKENS if len(prompt.tools_json) > 2 else 0
        return len(prompt.messages_json) + tools + _TEMPLATE_TOKENS
    if isinstance(prompt, TextPrompt):
        return len(prompt.text.encode("utf-8", "surrogatepass")) + _TEMPLATE_TOKENS
    return len(prompt.ids)


def used(pool: Pool, uncached_tokens: int, cached_tokens: int, output_tokens: int) -> Used | None:
    """What that takes from the world; None where nothing is known of the pool's power."""
    if (footprint := pool.footprint) is None:
        return None
    energy_wh = footprint.energy_wh(uncached_tokens, cached_tokens, output_tokens)
    return Used(energy_wh, energy_wh * footprint.carbon_g_per_wh, energy_wh * footprint.water_ml_per_wh)
