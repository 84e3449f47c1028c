"""`router.request` → Open Inference Protocol messages. Encoding only.

Outputs are `text_output` and `finish_reason` (BYTES; empty while the answer goes on), one element per choice. The message that
ends an answer carries as parameters what it used and cost, and who served it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from headgate.oip.v2 import grpc_predict_v2_pb2 as oip
from router.errors import HeadgateError
from router.fronts.grpc.errors import text_of
from router.request import Finished, ModelCard, tightest_budget

OUTPUTS = ("text_output", "finish_reason")
VERSION = "1"


@dataclass(frozen=True, slots=True)
class Form:
    """How a caller wants its answers: its own mark, the outputs it named, and typed or raw as it asked."""

    model_name: str
    id: str
    outputs: tuple[str, ...] = OUTPUTS
    raw: bool = False


def response(form: Form, texts: Sequence[str], reasons: Sequence[str]) -> oip.ModelInferResponse:
    """One text and one reason per choice."""
    message = oip.ModelInferResponse(model_name=form.model_name, model_version=VERSION, id=form.id)
    for name in form.outputs:
        elements = [text.encode() for text in (texts if name == "text_output" else reasons)]
        tensor = message.outputs.add(name=name, datatype="BYTES", shape=(len(elements),))
        if form.raw:
            message.raw_output_contents.append(b"".join(len(each).to_bytes(4, "little") + each for each in elements))
        else:
            tensor.contents.bytes_contents.extend(elements)
    return message


def conclude(message: oip.ModelInferResponse, request_id: str, finished: Finished) -> None:
    """Makes this message the last one of its answer."""
    decision, usage = finished.decision, finished.usage
    values: dict[str, bool | int | float | str] = {
        "triton_final_response": True,
        "request_id": request_id,
        "pool": decision.pool,
        "model": decision.model,
        "replica": decision.replica,
        "reason": decision.reason,
        "simulated": decision.simulated,
        "cost_usd": finished.cost_usd,
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "resumed": finished.resumed,
        "ttft_ms": finished.ttft_s * 1e3,
        **_about_the_choice(finished),
    }
    for key, value in values.items():
        set_parameter(message, key, value)


def _about_the_choice(finished: Finished) -> dict[str, bool | int | float | str]:
    """What is known of it; most of it is not always."""
    decision, used = finished.decision, finished.used
    values: dict[str, bool | int | float | str] = {}
    if decision.quality is not None:
        values["quality"] = decision.quality
    if decision.policy:
        values["policy"] = decision.policy
    if decision.exploring:
        values["exploring"] = True
    if finished.escalated:
        values["escalated"] = finished.escalated
    if used is not None:
        values |= {"energy_wh": used.energy_wh, "carbon_g": used.carbon_g, "water_ml": used.water_ml}
    if (tightest := tightest_budget(finished.budgets)) is not None:
        values |= {"budget_limit_usd": tightest.limit_usd, "budget_remaining_usd": tightest.remaining_usd}
    return values


def set_parameter(message: oip.ModelInferResponse, key: str, value: bool | int | float | str) -> None:
    parameter = message.parameters[key]
    match value:
        case bool():
            parameter.bool_param = value
        case int():
            parameter.int64_param = value
        case float():
            parameter.double_param = value
        case str():
            parameter.string_param = value


def failure(wire: oip.ModelInferRequest, error: HeadgateError) -> oip.ModelStreamInferResponse:
    """One request of a stream failed; the stream goes on, so the error travels as a message."""
    about = oip.ModelInferResponse(model_name=wire.model_name[:256], id=wire.id[:128])
    set_parameter(about, "triton_final_response", True)
    set_parameter(about, "error", error.code)
    set_parameter(about, "retryable", error.retryable)
    if error.retry_after_s is not None:
        set_parameter(about, "retry_after_ms", max(0, round(error.retry_after_s * 1e3)))
    return oip.ModelStreamInferResponse(error_message=text_of(error), infer_response=about)


def metadata(name: str, card: ModelCard | None) -> oip.ModelMetadataResponse:
    """The text profile's tensors; the same for every model. `card` is None for a choice such as "auto"."""
    tensor = oip.ModelMetadataResponse.TensorMetadata
    return oip.ModelMetadataResponse(
        name=name,
        versions=[VERSION],
        platform=f"headgate_{card.engine}" if card is not None and card.engine else "headgate",
        inputs=[
            tensor(name="text_input", datatype="BYTES", shape=[1]),
            tensor(name="streaming", datatype="BOOL", shape=[1]),
        ],
        outputs=[tensor(name=output, datatype="BYTES", shape=[-1]) for output in OUTPUTS],
    )
