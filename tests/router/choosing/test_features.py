"""What is read from prompts, by a table of prompts that people send; and that nothing makes it fail or look at everything."""

from dataclasses import fields, replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.choosing.features import PARSE_LIMIT_BYTES, WINDOW_BYTES, Features, extract
from router.request import ChatPrompt, Constraint, Sampling, TextPrompt, TokenPrompt

FLAGS = ("code", "maths", "multi_step", "question")


def chat(*texts: object, **fields: bytes) -> ChatPrompt:
    """Turns of user and assistant, after a system prompt."""
    turns = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(texts)]
    return ChatPrompt(orjson.dumps([{"role": "system", "content": "Be brief."}, *turns]), **fields)


def of_text(text: str) -> Features:
    return extract(TextPrompt(text), Sampling())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("What is the capital of France?", {"question"}),
        ("Name three rivers in Spain.", set()),
        ("Translate 'good morning' to German", set()),
        ("Which class of drugs lowers blood pressure?", {"question"}),
        ("Write a Python function that reverses a list", {"code"}),
        ("Fix this:\n```\nprint(x)\n```", {"code"}),
        ("My pytest run shows a TypeError, what is wrong?", {"code", "question"}),
        ("Refactor the parser.", {"code"}),
        ("Solve 3x + 4 = 19", {"maths"}),
        ("Prove that the square root of 2 is irrational.", {"maths"}),
        ("$$\\int_0^1 x^2 dx$$", {"maths"}),
        ("Think step by step: who is taller?", {"multi_step", "question"}),
        ("Think step-by-step.", {"multi_step"}),
        ("Compare both offers and weigh the pros and cons.", {"multi_step"}),
        ("Explain gravity", set()),
        ("", set()),
        ("?", {"question"}),
    ],
)
def test_subject(text: str, found: set[str]) -> None:
    for features in (of_text(text), extract(chat(text), Sampling())):
        assert {flag for flag in FLAGS if getattr(features, flag)} == found


def test_the_last_user_message_counts_not_the_system_prompt() -> None:
    messages = [
        {"role": "system", "content": "You solve equations in Python code."},
        {"role": "user", "content": "Hello there"},
    ]
    features = extract(ChatPrompt(orjson.dumps(messages)), Sampling())
    assert not features.code
    assert not features.maths
    answered = extract(chat("Solve x^2 = 2", "x is 1.41…", "Thank you"), Sampling())
    assert not answered.maths
    assert answered.turns == 4


def test_messages_in_parts() -> None:
    parts = [{"type": "text", "text": "Prove it"}, {"type": "image_url", "image_url": {"url": "data:" + "A" * 9000}}]
    features = extract(chat(parts), Sampling())
    assert features.maths
    assert features.prompt_tokens < 50


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("The quick brown fox jumps over the lazy dog. " * 100, 900, 1200),
        ("今日は天気がいいですから散歩に行きましょう。" * 100, 1200, 2400),
        ("Съешь же ещё этих мягких французских булок. " * 100, 2000, 3200),
    ],
)
def test_token_estimate(text: str, low: int, high: int) -> None:
    assert low <= of_text(text).prompt_tokens <= high


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("plain", 0, 0),
        ("naïve café, “quoted” – dashed… 👍🏽", 0, 0),
        ("为什么天空是蓝色的", 1, 1),
        ("Почему небо голубое", 0.85, 1),
        ("half 一半 half", 0.1, 0.2),
    ],
)
def test_script(text: str, low: float, high: float) -> None:
    assert low <= of_text(text).other_share <= high


@pytest.mark.parametrize(
    ("sampling", "expected", "largest"),
    [
        (Sampling(), 256, 0),
        (Sampling(max_tokens=16), 16, 16),
        (Sampling(max_tokens=4000), 256, 4000),
        (Sampling(max_tokens=4000, min_tokens=900), 900, 4000),
    ],
)
def test_output(sampling: Sampling, expected: int, largest: int) -> None:
    for prompt in (TextPrompt("x"), TokenPrompt((1, 2, 3))):
        features = extract(prompt, sampling)
        assert (features.output_tokens, features.max_output_tokens) == (expected, largest)


def test_form_and_tools() -> None:
    assert extract(TextPrompt("x"), Sampling(constraint=Constraint("json_object"))).constrained
    assert extract(chat("x", tools_json=b'[{"type":"function"}]'), Sampling()).tools
    assert not extract(chat("x", tools_json=b"[]"), Sampling()).tools


def test_tokens_are_counted_exactly() -> None:
    assert extract(TokenPrompt(tuple(range(1234))), Sampling()).prompt_tokens == 1234


def test_only_start_and_end_are_looked_at() -> None:
    filler = "word " * 4000
    assert of_text("Prove this. " + filler).maths
    assert of_text(filler + " Prove this.").maths
    assert not of_text(filler + " prove this " + filler).maths
    assert len(filler) > WINDOW_BYTES * 2


def test_a_long_conversation_is_sized_without_being_parsed() -> None:
    features = extract(chat("word " * 100_000, "Yes.", "Prove it."), Sampling())
    assert features.maths
    assert 110_000 < features.prompt_tokens < 140_000
    assert features.turns >= 3
    wide = extract(chat("天" * PARSE_LIMIT_BYTES), Sampling())
    assert 0.5 * PARSE_LIMIT_BYTES < wide.prompt_tokens < 1.5 * PARSE_LIMIT_BYTES


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["role", "content", "text", "type"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_read(value: object) -> None:
    assert extract(ChatPrompt(orjson.dumps(value)), Sampling()).prompt_tokens >= 0


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    assert extract(ChatPrompt(data), Sampling()).turns >= 1


@given(st.text(max_size=300))
def test_any_text_is_read(text: str) -> None:
    assert 0 <= extract(TextPrompt(text), Sampling()).other_share <= 1


def test_lone_surrogates_are_read() -> None:
    assert of_text("\ud800 what?").question


def test_without_text_all_else_is_kept() -> None:
    """With a value of its own in each field, so that a new field can't be left behind."""
    own = {field.name: number for number, field in enumerate(fields(Features), 1)}
    seen = Features(**{**own, "window": b"secret"})
    assert seen.without_text() == replace(seen, window=b"")
