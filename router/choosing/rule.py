"""The rule behind `model: auto`: what the prompt is, and the weakest tier that will do. Points, so that it can be read.

A stand-in for a trained predictor of quality: it knows nothing of the models but their tier.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field

from router.choosing.features import Features
from router.snapshot import Tier

STRENGTH: Mapping[Tier, int] = MappingProxyType({"small": 0, "moe": 1, "large": 2})


class AutoRule(BaseModel):
    """Points and thresholds.

    *_points            what a finding counts; 0 switches it off
    moe_at_points       from this sum on the small tier is not enough
    large_at_points     from this sum on nothing but the large tier is
    *_tokens            from here on a prompt, or the longest answer that the caller allows, counts as long
    many_turns          messages of a conversation, the system's included
    other_share         part of the letters, 0 to 1, outside of the Latin script
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    moe_at_points: int = Field(default=2, ge=0)
    large_at_points: int = Field(default=3, ge=0)
    code_points: int = Field(default=2, ge=0)
    maths_points: int = Field(default=2, ge=0)
    multi_step_points: int = Field(default=2, ge=0)
    tools_points: int = Field(default=1, ge=0)
    constrained_points: int = Field(default=1, ge=0)
    long_prompt_tokens: int = Field(default=1000, ge=1)
    long_prompt_points: int = Field(default=1, ge=0)
    very_long_prompt_tokens: int = Field(default=6000, ge=1)
    very_long_prompt_points: int = Field(default=3, ge=0)
    long_answer_tokens: int = Field(default=1000, ge=1)
    long_answer_points: int = Field(default=1, ge=0)
    many_turns: int = Field(default=8, ge=1)
    many_turns_points: int = Field(default=1, ge=0)
    other_share: float = Field(default=0.3, gt=0, le=1)
    other_share_points: int = Field(default=1, ge=0)


def needed_tier(features: Features, rule: AutoRule) -> tuple[Tier, str]:
    """The weakest tier that will do, and what was found, such as "code and 1,200 tokens: large needed"."""
    points = 0
    found = []
    for name, worth in _findings(features, rule):
        if worth:
            points += worth
            found.append(name)
    what = " and ".join(found) or ("short plain question" if features.question else "short plain prompt")
    if points >= rule.large_at_points:
        return "large", f"{what}: large needed"
    if points >= rule.moe_at_points:
        return "moe", f"{what}: moe needed"
    return "small", f"{what}: small is enough"


def _findings(features: Features, rule: AutoRule) -> Iterator[tuple[str, int]]:
    if features.code:
        yield "code", rule.code_points
    if features.maths:
        yield "maths", rule.maths_points
    if features.multi_step:
        yield "several steps", rule.multi_step_points
    if features.tools:
        yield "tools", rule.tools_points
    if features.constrained:
        yield "a fixed output form", rule.constrained_points
    if features.prompt_tokens >= rule.very_long_prompt_tokens:
        yield f"{features.prompt_tokens:,} tokens", rule.very_long_prompt_points
    elif features.prompt_tokens >= rule.long_prompt_tokens:
        yield f"{features.prompt_tokens:,} tokens", rule.long_prompt_points
    if features.max_output_tokens >= rule.long_answer_tokens:
        yield "a long answer", rule.long_answer_points
    if features.turns >= rule.many_turns:
        yield f"{features.turns} turns", rule.many_turns_points
    if features.other_share >= rule.other_share:
        yield "not in Latin script", rule.other_share_points
