"""Tensors of the Open Inference Protocol: what is read out of them, and how each fault is told."""

from typing import Any

import pytest

from headgate.oip.v2 import grpc_predict_v2_pb2 as oip
from router.errors import InvalidRequest
from router.fronts.oip.tensors import read_tensors

TEXT = {"name": "text_input", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [b"hello"]}}
FLAG = {"name": "streaming", "datatype": "BOOL", "shape": [1], "contents": {"bool_contents": [True]}}
BARE_TEXT, BARE_FLAG = ({key: each[key] for key in ("name", "datatype", "shape")} for each in (TEXT, FLAG))
RAW = b"\5\0\0\0hello"


def tensors(*inputs: dict[str, Any], raw: tuple[bytes, ...] = ()) -> tuple[str, bool | None]:
    return read_tensors(oip.ModelInferRequest(inputs=inputs, raw_input_contents=raw))


@pytest.mark.parametrize(
    ("inputs", "raw", "expected"),
    [
        ([TEXT], (), ("hello", None)),
        ([TEXT | {"shape": [1, 1]}, FLAG], (), ("hello", True)),
        ([FLAG | {"name": "stream", "contents": {"bool_contents": [False]}}, TEXT], (), ("hello", False)),
        ([BARE_TEXT], (RAW,), ("hello", None)),
        ([BARE_FLAG, BARE_TEXT], (b"\1", RAW), ("hello", True)),
    ],
)
def test_text_and_flag_are_read(
    inputs: list[dict[str, Any]], raw: tuple[bytes, ...], expected: tuple[str, bool | None]
) -> None:
    assert tensors(*inputs, raw=raw) == expected


@pytest.mark.parametrize(
    ("inputs", "raw", "where"),
    [
        ([], (), "inputs[text_input]"),
        ([FLAG], (), "inputs[text_input]"),
        ([TEXT, TEXT], (), "inputs[text_input]"),
        ([TEXT, FLAG, FLAG | {"name": "stream"}], (), "inputs[stream]"),
        ([TEXT, TEXT | {"name": "image"}], (), "inputs[image]"),
        ([TEXT | {"datatype": "INT32"}], (), "inputs[text_input].datatype"),
        ([TEXT, FLAG | {"datatype": "BYTES"}], (), "inputs[streaming].datatype"),
        ([TEXT | {"shape": []}], (), "inputs[text_input].shape"),
        ([TEXT | {"shape": [2]}], (), "inputs[text_input].shape"),
        ([TEXT | {"shape": [-1]}], (), "inputs[text_input].shape"),
        ([TEXT | {"contents": {}}], (), "inputs[text_input].contents"),
        ([TEXT | {"contents": {"int_contents": [1]}}], (), "inputs[text_input].contents"),
        ([TEXT | {"contents": {"bytes_contents": [b"a", b"b"]}}], (), "inputs[text_input].contents"),
        ([TEXT | {"contents": {"bytes_contents": [b""]}}], (), "inputs[text_input]"),
        ([TEXT | {"contents": {"bytes_contents": [b"secret\xff"]}}], (), "inputs[text_input]"),
        ([BARE_TEXT], (RAW, RAW), "raw_input_contents"),
        ([TEXT], (RAW,), "inputs[text_input].contents"),
        ([BARE_TEXT], (b"\5\0\0",), "inputs[text_input]"),
        ([BARE_TEXT], (RAW + b"!",), "inputs[text_input]"),
        ([BARE_TEXT], (b"\xff\xff\xff\xff",), "inputs[text_input]"),
        ([BARE_TEXT, BARE_FLAG], (RAW, b"\2"), "inputs[streaming]"),
        ([BARE_TEXT, BARE_FLAG], (RAW, b""), "inputs[streaming]"),
    ],
)
def test_faults_name_the_tensor(inputs: list[dict[str, Any]], raw: tuple[bytes, ...], where: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        tensors(*inputs, raw=raw)
    assert refused.value.param == where
    assert refused.value.message.startswith(f"{where}: ")
    assert "secret" not in refused.value.message
