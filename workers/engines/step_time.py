"""How long one batched step of an engine takes, as a linear model fitted to measurements. Pure. Modelled, never measured here.

    step_s = base_s + decode_token_s · decode tokens + prefill_token_s · prefill tokens + kv_token_s · tokens held as KV

The base is reading the weights, the decode term the batch, the prefill term the arithmetic, the KV term reading the cache. One
line per step is what serving measurements can tell apart; they say nothing about single kernels.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StepTime:
    """Seconds, per step and per token of each sort."""

    base_s: float = 0.0
    decode_token_s: float = 0.0
    prefill_token_s: float = 0.0
    kv_token_s: float = 0.0

    def step_s(self, prefill_tokens: int, decode_tokens: int, kv_tokens: int) -> float:
        """Seconds for a step that computes these tokens while its requests hold `kv_tokens` in the cache."""
        return (
            self.base_s
            + self.prefill_token_s * prefill_tokens
            + self.decode_token_s * decode_tokens
            + self.kv_token_s * kv_tokens
        )


@dataclass(frozen=True, slots=True)
class Measurement:
    """One step as somebody measured it, or the mean step of a serving run."""

    prefill_tokens: float
    decode_tokens: float
    kv_tokens: float
    step_s: float


@dataclass(frozen=True, slots=True)
class Profile:
    """`source` says what was fitted, and how far the fit is off (median and 90th percentile of the relative error)."""

    step_time: StepTime
    source: str


def fit(measured: Sequence[Measurement]) -> StepTime:
    """Least squares of the relative error with no negative coefficient: the most negative is dropped until none is.

    Needs four measurements or more; raises ValueError below.
    """
    import numpy as np  # here, because every program that reads settings imports this module for the profiles' names

    if len(measured) < 4:
        raise ValueError(f"a step-time fit needs at least 4 measurements, not {len(measured)}")
    seconds = np.array([m.step_s for m in measured])
    terms = np.array([[1.0, m.decode_tokens, m.prefill_tokens, m.kv_tokens] for m in measured]) / seconds[:, None]
    kept = [0, 1, 2, 3]
    while True:
        found = np.linalg.lstsq(terms[:, kept], np.ones(len(seconds)), rcond=None)[0]
        if (found >= 0).all():
            break
        del kept[int(np.argmin(found))]
    coefficients = np.zeros(4)
    coefficients[kept] = found
    return StepTime(*map(float, coefficients))


# Serving runs were fitted as mean steps: at concurrency c, c decode tokens, c·input/output prefill tokens, c·(input + output/2)
# tokens of KV, against the measured time per output token. `fit` above made every line but the first two.
PROFILES = {
    "instant": Profile(StepTime(), "no time at all: for tests and for measuring everything else"),
    "cpu-small": Profile(
        StepTime(base_s=0.016, decode_token_s=0.001, prefill_token_s=0.001),
        "by hand from vLLM 0.32 on 2 CPU cores, SmolLM2-135M: 59 token/s alone, 420-560 at 16, 1.2 s for 1202 prompt tokens",
    ),
    "a100-13b": Profile(
        StepTime(base_s=0.0202, decode_token_s=1.2e-4, prefill_token_s=1.41e-4, kv_token_s=4.9e-7),
        "DistServe's own fit for vLLM, OPT-13B on one A100-80G, large batches (82831f1, Apache-2.0)",
    ),
    "a100-70b": Profile(
        StepTime(base_s=0.0419, decode_token_s=6.4e-6, prefill_token_s=1.28e-4, kv_token_s=7.7e-7),
        "Splitwise's measurements, Llama-2-70B fp16 on 8 A100-80G (8f99e7d, MIT): 210 points, off by 6% / 27%",
    ),
    "h100-8b": Profile(
        StepTime(base_s=0.00659, prefill_token_s=1.91e-5, kv_token_s=4.8e-8),
        "AIConfigurator 0.12's serving runs (Apache-2.0), TensorRT-LLM, Llama-3.1-8B on one H100: 16 runs, off by 1% / 3%",
    ),
    "h100-32b": Profile(
        StepTime(base_s=0.00947, decode_token_s=5.33e-5, prefill_token_s=2.79e-5, kv_token_s=2.8e-8),
        "AIConfigurator 0.12's serving runs (Apache-2.0), vLLM 0.12, Qwen3-32B on 4 H100: 14 runs, off by 1% / 2%",
    ),
    "h100-70b": Profile(
        StepTime(base_s=0.0111, decode_token_s=5.29e-5, prefill_token_s=4.76e-5, kv_token_s=2.6e-8),
        "AIConfigurator 0.12's serving runs (Apache-2.0), vLLM, Llama-3.1-70B fp8 on 4 H100: 8 runs, off by 1% / 4%",
    ),
    "h200-moe": Profile(
        StepTime(base_s=0.00818, decode_token_s=1.05e-4, prefill_token_s=1.62e-5, kv_token_s=3.6e-9),
        "AIConfigurator 0.12's serving runs (Apache-2.0), vLLM, MiniMax-M2.5 fp8 (MoE) on 8 H200: 29 runs, off by 4% / 9%",
    ),
}
