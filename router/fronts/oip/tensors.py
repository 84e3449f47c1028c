"""The tensors of the text profile, out of an inference request: `text_input` (BYTES) and `streaming` (BOOL), one element each,
typed or raw. Every fault names the tensor.
"""

from headgate.oip.v2 import grpc_predict_v2_pb2 as oip
from router.fronts.sampling_rules import fault

Tensor = oip.ModelInferRequest.InferInputTensor

DATATYPES = {"text_input": "BYTES", "streaming": "BOOL"}
# Triton's own language-model back ends call it so.
_ALIASES = {"stream": "streaming"}
_SHAPES = ([1], [1, 1])


def read_tensors(wire: oip.ModelInferRequest) -> tuple[str, bool | None]:
    """Text and the streaming flag (None where it is absent). Raises InvalidRequest."""
    raw = wire.raw_input_contents
    if raw and len(raw) != len(wire.inputs):
        raise fault("raw_input_contents", f"must have one entry per input: {len(wire.inputs)}, not {len(raw)}")
    found: dict[str, bytes] = {}
    for index, tensor in enumerate(wire.inputs):
        name = _ALIASES.get(tensor.name, tensor.name)
        where = f"inputs[{tensor.name[:64]}]"
        _check_head(tensor, name, where)
        if name in found:
            raise fault(where, "is given twice")
        found[name] = _raw_element(tensor, raw[index], where) if raw else _typed_element(tensor, where)
    if "text_input" not in found:
        raise fault("inputs[text_input]", "is required")
    streaming = found.get("streaming")
    return _text(found["text_input"]), None if streaming is None else streaming != b"\0"


def _check_head(tensor: Tensor, name: str, where: str) -> None:
    datatype = DATATYPES.get(name)
    if datatype is None:
        raise fault(where, f"is no input of a text model; those are {' and '.join(DATATYPES)}")
    if tensor.datatype != datatype:
        raise fault(f"{where}.datatype", f"must be {datatype}")
    if list(tensor.shape) not in _SHAPES:
        raise fault(f"{where}.shape", "must be [1]: one prompt per request")


def _typed_element(tensor: Tensor, where: str) -> bytes:
    """A BYTES element as it is; a BOOL element as one byte, as it would come raw."""
    contents = tensor.contents
    elements = contents.bytes_contents if tensor.datatype == "BYTES" else contents.bool_contents
    if len(elements) != 1:
        raise fault(f"{where}.contents", f"must hold 1 {tensor.datatype} element, not {len(elements)}")
    element = elements[0]
    return element if isinstance(element, bytes) else bytes((element,))


def _raw_element(tensor: Tensor, raw: bytes, where: str) -> bytes:
    """BYTES lie behind their length, 4 bytes little-endian; BOOL is one byte."""
    if tensor.HasField("contents"):
        raise fault(f"{where}.contents", "must be absent where raw_input_contents is used")
    if tensor.datatype == "BOOL":
        if raw not in (b"\0", b"\1"):
            raise fault(where, "raw contents must be one byte, 0 or 1")
        return raw
    if len(raw) < 4 or int.from_bytes(raw[:4], "little") != len(raw) - 4:
        raise fault(where, "raw contents must be one element behind its length (4 bytes, little-endian)")
    return raw[4:]


def _text(element: bytes) -> str:
    if not element:
        raise fault("inputs[text_input]", "must not be empty")
    try:
        return element.decode()
    except UnicodeDecodeError:
        # Its own text would quote the prompt.
        raise fault("inputs[text_input]", "must be UTF-8") from None
