"""How sampling is said to vLLM; no vLLM is needed for that."""

from typing import Any

import pytest

from workers.engine import Constraint, Generation, InvalidGeneration, Sampling
from workers.engines.vllm.sampling import constraint_fields, sampling_fields
from workers.engines.vllm_parameters import Extras, read_extras, refuse_what_cannot_resume, token_limits


@pytest.mark.parametrize(
    ("extra", "param", "says"),
    [
        ({"no_such": 1}, "no_such", "takes no parameter 'no_such'"),
        ({"no_such": None}, "no_such", "takes no parameter"),
        ({"bad_words": "x"}, "bad_words", "valid list"),
        ({"bad_words": ["ok", 5]}, "bad_words", r"bad_words\.1"),
        ({"allowed_token_ids": [-1]}, "allowed_token_ids", "greater than or equal to 0"),
        ({"thinking_token_budget": 2**70}, "thinking_token_budget", "less than"),
        ({"repetition_detection": {"oops": 1}}, "repetition_detection", r"repetition_detection\.oops"),
        ({"use_beam_search": True}, "use_beam_search", "False"),
        ({"prompt_logprobs": 3}, "prompt_logprobs", "None"),
        ({"truncation_side": "up"}, "truncation_side", "'left' or 'right'"),
    ],
)
def test_extras_that_are_refused(extra: dict[str, Any], param: str, says: str) -> None:
    with pytest.raises(InvalidGeneration, match=says) as caught:
        read_extras(extra)
    assert caught.value.param == param


def test_null_and_the_value_that_asks_for_nothing_are_accepted() -> None:
    asked = {"bad_words": None, "use_beam_search": False, "length_penalty": 1.0, "echo": None, "skip_special_tokens": False}
    assert read_extras(asked) == Extras(use_beam_search=False, length_penalty=1.0, skip_special_tokens=False)


def test_the_caller_comes_before_the_model_s_own_recommendation() -> None:
    fields = sampling_fields(
        Sampling(temperature=0.2, stop=("END",), stop_token_ids=(5, 6)),
        Extras(),
        {"temperature": 0.7, "top_k": 20, "stop_token_ids": [6]},
    )
    assert (fields["temperature"], fields["top_k"]) == (0.2, 20)
    assert fields["stop_token_ids"] == [5, 6]
    assert "top_p" not in fields, "left to vLLM"
    assert "stop" not in fields, "stop strings are matched on our side"
    assert fields["detokenize"] is False


@pytest.mark.parametrize(
    ("constraint", "fields"),
    [
        (Constraint("json_schema", "{}"), {"json": "{}"}),
        (Constraint("json_object"), {"json_object": True}),
        (Constraint("choice", ("a", "b")), {"choice": ["a", "b"]}),
        (Constraint("regex", "a+"), {"regex": "a+"}),
        (Constraint("grammar", "root ::= x"), {"grammar": "root ::= x"}),
        (Constraint("structural_tag", "{}"), {"structural_tag": "{}"}),
    ],
)
def test_constraints(constraint: Constraint, fields: dict[str, Any]) -> None:
    assert constraint_fields(constraint) == fields


@pytest.mark.parametrize(
    ("sampling", "room", "default", "resumed", "limits"),
    [
        (Sampling(), 100, None, 0, (100, 0)),
        (Sampling(), 100, 30, 0, (30, 0)),
        (Sampling(max_tokens=20, min_tokens=5), 100, 30, 0, (20, 5)),
        (Sampling(max_tokens=20, min_tokens=5), 100, None, 3, (17, 2)),
        (Sampling(max_tokens=20, min_tokens=5), 100, None, 9, (11, 0)),
        (Sampling(max_tokens=20), 100, None, 20, (0, 0)),
        (Sampling(max_tokens=500, min_tokens=200), 100, None, 40, (60, 60)),  # what fits is the limit
        (Sampling(max_tokens=0), 100, None, 0, (0, 0)),
    ],
)
def test_token_limits(sampling: Sampling, room: int, default: int | None, resumed: int, limits: tuple[int, int]) -> None:
    assert token_limits(sampling, room, default, resumed) == limits


def test_more_tokens_at_least_than_at_most() -> None:
    with pytest.raises(InvalidGeneration, match="min_tokens"):
        token_limits(Sampling(max_tokens=3, min_tokens=4), 100, None, 0)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0),
        Sampling(temperature=0.8),
        Sampling(temperature=0.0, seed=1),
        Sampling(repetition_penalty=1.3),
        Sampling(logit_bias={1: 1.0}, min_p=0.1, top_k=3),
        Sampling(frequency_penalty=0.0, presence_penalty=0.0),
    ],
)
def test_what_may_be_continued(sampling: Sampling) -> None:
    refuse_what_cannot_resume(Generation("r", "x", sampling), Extras())


@pytest.mark.parametrize(
    ("param", "sampling", "extras"),
    [
        ("seed", Sampling(seed=1), Extras()),
        ("seed", Sampling(seed=1, temperature=0.5), Extras()),
        ("frequency_penalty", Sampling(frequency_penalty=0.5), Extras()),
        ("presence_penalty", Sampling(presence_penalty=-0.5), Extras()),
        ("choice", Sampling(constraint=Constraint("choice", ("a",))), Extras()),
        ("bad_words", Sampling(), Extras(bad_words=["a b"])),
        ("thinking_token_budget", Sampling(), Extras(thinking_token_budget=5)),
    ],
)
def test_what_may_not_be_continued(param: str, sampling: Sampling, extras: Extras) -> None:
    with pytest.raises(InvalidGeneration, match="replay") as caught:
        refuse_what_cannot_resume(Generation("r", "x", sampling), extras)
    assert caught.value.param == param
