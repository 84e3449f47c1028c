"""What came back for one prompt, whichever way it was asked. A value, and how to read it out of the router's HTTP answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """`via` is the client that was used, in words. Tokens are counts; `ttft_s` is what the router measured."""

    text: str
    via: str
    pool: str
    model: str
    simulated: bool
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    ttft_s: float
    cost_usd: float
    reason: str


def from_openai(text: str, usage: Mapping[str, Any], headgate: Mapping[str, Any], via: str) -> Answer:
    """From the `usage` and `headgate` objects of an answer, or of a stream's last chunk. Raises KeyError on a missing field."""
    return Answer(
        text=text,
        via=via,
        pool=headgate["pool"],
        model=headgate["model"],
        simulated=headgate["simulated"],
        prompt_tokens=usage["prompt_tokens"],
        cached_tokens=headgate["cached_tokens"],
        output_tokens=usage["completion_tokens"],
        ttft_s=headgate["ttft_ms"] / 1000,
        cost_usd=headgate["cost_usd"],
        reason=headgate["reason"],
    )
