"""The auto rule: tier and words, by a table."""

import pytest
from pydantic import ValidationError

from router.choosing.features import Features
from router.choosing.rule import AutoRule, needed_tier


def seen(prompt_tokens: int = 50, **fields: object) -> Features:
    return Features(prompt_tokens=prompt_tokens, output_tokens=256, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "tier", "why"),
    [
        (seen(question=True), "small", "short plain question: small is enough"),
        (seen(), "small", "short plain prompt: small is enough"),
        (seen(constrained=True), "small", "a fixed output form: small is enough"),
        (seen(code=True), "moe", "code: moe needed"),
        (seen(maths=True), "moe", "maths: moe needed"),
        (seen(999, code=True), "moe", "code: moe needed"),
        (seen(1200, code=True), "large", "code and 1,200 tokens: large needed"),
        (seen(1200), "small", "1,200 tokens: small is enough"),
        (seen(6000), "large", "6,000 tokens: large needed"),
        (seen(maths=True, multi_step=True), "large", "maths and several steps: large needed"),
        (seen(tools=True, constrained=True), "moe", "tools and a fixed output form: moe needed"),
        (
            seen(turns=8, max_output_tokens=2000, other_share=0.4),
            "large",
            "a long answer and 8 turns and not in Latin script: large needed",
        ),
    ],
)
def test_tier(features: Features, tier: str, why: str) -> None:
    assert needed_tier(features, AutoRule()) == (tier, why)


def test_a_finding_can_be_switched_off() -> None:
    rule = AutoRule(code_points=0)
    assert needed_tier(seen(code=True, question=True), rule) == ("small", "short plain question: small is enough")


@pytest.mark.parametrize("wrong", [{"code_points": -1}, {"cod_points": 1}, {"other_share": 0}, {"long_prompt_tokens": "x"}])
def test_the_settings_are_strict(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as fault:
        AutoRule.model_validate(wrong)
    assert fault.value.errors()[0]["loc"] == tuple(wrong)
