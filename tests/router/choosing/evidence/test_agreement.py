"""Which answers are the same, and how many of them are."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.choosing.evidence.agreement import Vote, final_answer, majority
from router.choosing.evidence.sample import Sample, ToolCall


def said(text: str, **more: object) -> str:
    return final_answer(Sample(text), **more)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("16 - 3 - 4 = 9 eggs.\nShe makes 9 * 2 = $18 every day.", "The answer is\n#### 18"),
        ("So it costs $1,200.50.", "= 1200.5"),
        ("Hence \\boxed{42}.", "The answer: 42"),
        ("\\boxed{\\frac{1}{2}}", "Thus \\boxed{ \\frac{1}{2} } follows."),
        ("The answer is (C).", "C"),
        ("**Answer: B**", "I think option B fits best"),
        ('{"a": 1, "b": [2]}', '{ "b":[2], "a":1 }'),
        ("Paris", "  paris\n"),
        ("It is 18.0", "18"),
        ("It falls to -5 degrees.", "-5"),
        ("\\boxed{1{,}000} is wrong, \\boxed{7} right", "7"),
    ],
)
def test_equal_answers_are_equal(one: str, other: str) -> None:
    assert said(one) == said(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("She has 18.", "She has 81."),
        ("A", "B"),
        ("The answer is (A)", "The answer is (B)"),
        ('{"a": 1}', '{"a": 2}'),
        ('{"a": true}', '{"a": 1}'),
        ("The answer is a matter of taste", "The answer is (A)"),
        ("Answer: A matter of taste", "The answer is A."),
        ("In 1999 she wrote:\nroses are red", "In 1999 she wrote:\nviolets are blue"),
        ("5", "-5"),
        ("1" * 60, "1" * 61),
    ],
)
def test_other_answers_are_not(one: str, other: str) -> None:
    assert said(one) != said(other)


def test_a_json_scalar_is_a_value_where_json_was_asked_for() -> None:
    assert said('"x  Y"', is_json=True) == '"x  Y"'
    assert said('"x  Y"') == '"x y"'


def test_tool_calls_are_the_answer_and_their_arguments_are_values() -> None:
    one = Sample("Let me look", tool_calls=(ToolCall("find", '{"a":1,"b":2}'),))
    other = Sample("", tool_calls=(ToolCall("find", '{ "b": 2, "a": 1 }'),))
    assert final_answer(one) == final_answer(other)
    assert final_answer(one) != final_answer(Sample("", tool_calls=(ToolCall("find", '{"a":1}'),)))
    assert final_answer(Sample("", tool_calls=(ToolCall("find", "{broken"),)))


def test_nothing_said_is_no_answer() -> None:
    assert said(" \n") == ""


def test_json_too_deep_to_be_written_is_compared_as_text() -> None:
    deep = "[" * 600 + "]" * 600
    assert said(deep, is_json=True) == deep


@given(st.text(max_size=300))
def test_any_text_has_an_answer_unless_it_is_blank(text: str) -> None:
    assert bool(said(text)) == bool(text.strip())


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", ["1," * 200_000, "\\boxed{" * 50_000, "answer is " * 50_000, "-" * 300_000, "{" * 300_000])
def test_no_text_takes_long(text: str) -> None:
    said(text)


@given(st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=12))
def test_the_majority_is_the_first_sample_of_a_largest_group(answers: list[str]) -> None:
    vote = majority(answers)
    counts = Counter(answer for answer in answers if answer)
    most = max(counts.values(), default=0)
    assert vote.share == most / len(answers)
    if most:
        assert counts[answers[vote.winner]] == most
        assert answers.index(answers[vote.winner]) == vote.winner


def test_of_equal_groups_the_first_heard_wins() -> None:
    assert majority(["b", "a", "a", "b"]) == Vote(0.5, 0)


def test_an_anchored_vote_is_for_the_first_sample_only() -> None:
    assert majority(["a", "b", "b"], anchored=True) == Vote(1 / 3, 0)
    assert majority(["", "b", "b"], anchored=True) == Vote(0.0, 0)
