"""Pools, choices and policies for the tests of cascades."""

from dataclasses import dataclass

from router.choosing.pricing import Estimate
from router.choosing.stage import Choice
from router.fleet.specs import CascadeSpec
from router.request import Request, Sampling, TextPrompt
from router.snapshot import Pool, Prices

SPEC = CascadeSpec(("small", "mid", "large"), min_confidence=0.55)
ASKED = Request("q", "auto", TextPrompt("?" * 44), Sampling(max_tokens=100))  # 44 bytes: a bound of 300 tokens


@dataclass(frozen=True)
class Given:
    """A choice without the ranking that it came from."""

    pool: Pool
    estimate: Estimate
    quality: float | None = None
    ready: bool = True


def a_choice(
    name: str, usd_per_mtok: float, quality: float | None = None, *, ready: bool = True, output_tokens: int = 100, n: int = 1
) -> Choice:
    """`output_tokens` for each of n; 100 tokens of prompt."""
    pool = Pool(name, "small", (name,), Prices(usd_per_mtok, usd_per_mtok, usd_per_mtok), 0, 1, max_context_tokens=8192)
    tokens = output_tokens * n
    return Given(pool, Estimate(100, 0, tokens, (100 + tokens) * usd_per_mtok / 1e6), quality, ready)


def three(*qualities: float | None, n: int = 1) -> list[Choice]:
    """small at $1 a million tokens, mid at $3, large at $10."""
    prices = {"small": 1.0, "mid": 3.0, "large": 10.0}
    given = qualities or (0.8, 0.9, 0.95)
    return [a_choice(name, usd, quality, n=n) for (name, usd), quality in zip(prices.items(), given, strict=True)]
