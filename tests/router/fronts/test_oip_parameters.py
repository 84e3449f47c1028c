"""Parameters of the Open Inference Protocol: what becomes of each, and how each fault is told."""

from typing import Any

import pytest

from headgate.oip.v2 import grpc_predict_v2_pb2 as oip
from router.errors import InvalidRequest
from router.fronts.oip.parameters import Parameters, read_parameters
from router.request import Constraint, Sampling


def parameters(unknown: Any = "refuse", **values: bool | int | float | str) -> Parameters:
    kinds = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    wire = {name: oip.InferParameter(**{kinds[type(value)]: value}) for name, value in values.items()}
    return read_parameters(oip.ModelInferRequest(parameters=wire).parameters, unknown)


def test_parameters_become_sampling() -> None:
    said = parameters(
        max_tokens=9, temperature=0, top_p=0.5, top_k=3, seed=-1, ignore_eos=True, stop="END", n=2, session_id="s"
    )
    sampling = Sampling(max_tokens=9, temperature=0.0, top_p=0.5, top_k=3, seed=-1, ignore_eos=True, stop=("END",))
    assert said == Parameters(sampling, 2, "s")


def test_the_plain_protocol_has_no_fractions_so_strings_do() -> None:
    said = parameters(temperature="0.7", max_tokens="16", ignore_eos="false", stop='["a", "b"]', stop_token_ids="[1, 2]")
    assert said.sampling == Sampling(temperature=0.7, max_tokens=16, stop=("a", "b"), stop_token_ids=(1, 2))
    unsigned = oip.ModelInferRequest(parameters={"max_tokens": oip.InferParameter(uint64_param=5)})
    assert read_parameters(unsigned.parameters, "refuse").sampling.max_tokens == 5


@pytest.mark.parametrize(("text", "stop"), [("[", ("[",)), ("[1]", ("[1]",)), ("[]", ()), ('["x"]', ("x",)), ("é", ("é",))])
def test_a_stop_that_is_no_array_of_strings_is_the_stop_itself(text: str, stop: tuple[str, ...]) -> None:
    assert parameters(stop=text).sampling.stop == stop


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ({"json_schema": '{"type":"object"}'}, Constraint("json_schema", '{"type":"object"}')),
        ({"json_object": True}, Constraint("json_object")),
        ({"choice": '["a","b"]'}, Constraint("choice", ("a", "b"))),
        ({"regex": "x+"}, Constraint("regex", "x+")),
    ],
)
def test_forms(values: dict[str, Any], constraint: Constraint) -> None:
    assert parameters(**values).sampling.constraint == constraint


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 2**40}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": "9" * 9999}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"temperature": False}, "temperature"),
        ({"temperature": 3.0}, "temperature"),
        ({"ignore_eos": 1}, "ignore_eos"),
        ({"ignore_eos": "yes"}, "ignore_eos"),
        ({"stop": 1}, "stop"),
        ({"stop_token_ids": "[true]"}, "stop_token_ids"),
        ({"stop_token_ids": "1,2"}, "stop_token_ids"),
        ({"json_object": False}, "json_object"),
        ({"json_schema": "[]"}, "json_schema"),
        ({"json_schema": "{}", "regex": "x"}, "regex"),
        ({"logprobs": 3}, "logprobs"),
        ({"colour": "secret"}, "colour"),
        ({"c" * 999: 1}, "c" * 64),
    ],
)
def test_faults_name_the_parameter(values: dict[str, Any], where: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parameters(**values)
    assert refused.value.param in (f"parameters[{where}]", f"parameters[{next(iter(values))}]")
    assert refused.value.message.startswith(f"{refused.value.param}: ")
    assert "secret" not in refused.value.message


def test_a_fault_in_a_list_names_its_element() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parameters(stop_token_ids="[1, -1]")
    assert refused.value.param == "parameters[stop_token_ids][1]"


def test_unknown_parameters_pass_where_the_router_is_told_so() -> None:
    assert parameters("pass", colour="red", size=3).sampling.extra_json in (
        '{"colour":"red","size":3}',
        '{"size":3,"colour":"red"}',
    )


def test_a_parameter_without_a_value_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="has no value"):
        read_parameters(oip.ModelInferRequest(parameters={"top_p": oip.InferParameter()}).parameters, "refuse")
