"""Bounds of sampling parameters: what passes, what does not, and that the fault names the field."""

import math
from typing import Any

import pytest

from router.errors import InvalidRequest
from router.fronts.sampling_rules import check
from router.request import Constraint, Sampling


def path(field: str) -> str:
    return f"p.{field}"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"temperature": 0.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "max_tokens": 1, "min_tokens": 0, "seed": -(2**63)},
        {"temperature": 2.0, "top_p": 1e-9, "top_k": -1, "min_p": 1.0, "seed": 2**63 - 1, "logprobs": 0},
        {"presence_penalty": -2.0, "frequency_penalty": 2.0, "repetition_penalty": 0.1, "logprobs": 20},
        {"min_tokens": 5, "max_tokens": 5},
        {"stop": ("x" * 1024,) * 64, "stop_token_ids": (0, 2**31 - 1), "logit_bias": ((0, -100.0), (1, 100.0))},
        {"constraint": Constraint("json_schema", "{}")},
        {"constraint": Constraint("json_object")},
        {"constraint": Constraint("choice", ("a",))},
        {"constraint": Constraint("regex", "a+")},
        {"extra_json": '{"bad_words": ["x"]}'},
    ],
)
def test_what_the_engine_takes_passes(values: dict[str, Any]) -> None:
    check(Sampling(**values), path)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        *(({name: number}, f"p.{name}") for name in ("temperature", "min_p") for number in (-0.1, 2.1, math.nan, math.inf)),
        *(({"top_p": number}, "p.top_p") for number in (0.0, 1.01, -1.0, math.nan)),
        *(({"repetition_penalty": number}, "p.repetition_penalty") for number in (0.0, -1.0, math.inf, math.nan)),
        ({"presence_penalty": 2.5}, "p.presence_penalty"),
        ({"frequency_penalty": -2.5}, "p.frequency_penalty"),
        ({"top_k": -2}, "p.top_k"),
        ({"max_tokens": 0}, "p.max_tokens"),
        ({"max_tokens": 2**31}, "p.max_tokens"),
        ({"min_tokens": -1}, "p.min_tokens"),
        ({"min_tokens": 6, "max_tokens": 5}, "p.min_tokens"),
        ({"logprobs": 21}, "p.logprobs"),
        ({"seed": 2**63}, "p.seed"),
        ({"stop": ("a", "")}, "p.stop[1]"),
        ({"stop": ("x" * 1025,)}, "p.stop[0]"),
        ({"stop": ("a",) * 65}, "p.stop"),
        ({"stop_token_ids": (1, 2**31)}, "p.stop_token_ids[1]"),
        ({"stop_token_ids": (-1,)}, "p.stop_token_ids[0]"),
        ({"stop_token_ids": (1,) * 1025}, "p.stop_token_ids"),
        ({"logit_bias": ((7, 100.5),)}, "p.logit_bias[7]"),
        ({"logit_bias": ((7, math.nan),)}, "p.logit_bias[7]"),
        ({"logit_bias": ((2**31, 1.0),)}, "p.logit_bias[2147483648]"),
        ({"logit_bias": tuple((i, 0.0) for i in range(1025))}, "p.logit_bias"),
        ({"constraint": Constraint("json_schema", "[]")}, "p.json_schema"),
        ({"constraint": Constraint("json_schema", "{secret")}, "p.json_schema"),
        ({"constraint": Constraint("json_schema", '{"a":' * 5000 + "1" + "}" * 5000)}, "p.json_schema"),
        ({"constraint": Constraint("structural_tag", "")}, "p.structural_tag"),
        ({"constraint": Constraint("choice", ())}, "p.choice"),
        ({"constraint": Constraint("choice", ("a", ""))}, "p.choice"),
        ({"constraint": Constraint("regex", "")}, "p.regex"),
        ({"constraint": Constraint("grammar", "")}, "p.grammar"),
        ({"extra_json": "3"}, "p.extra_json"),
    ],
)
def test_the_rest_is_refused_with_the_fields_path(values: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check(Sampling(**values), path)
    assert refused.value.param == where
    assert refused.value.message.startswith(f"{where}: must ")
    assert "secret" not in refused.value.message
