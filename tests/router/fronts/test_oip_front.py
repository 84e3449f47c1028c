"""The Open Inference Protocol over real gRPC: whole and streamed answers, readiness, metadata, faults."""

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

import grpc
import pytest

from headgate.oip.v2 import grpc_predict_v2_pb2 as oip
from headgate.oip.v2 import grpc_predict_v2_pb2_grpc as oip_grpc
from router.errors import BudgetExhausted, NoReplica, Rejected
from router.fronts.grpc_front import GrpcFront
from router.request import Piece, Sampling, TextPrompt
from tests.router.fronts.grpc_fakes import ANSWER, FINISHED, RICH, FakeDispatcher, refusal, serving, settings, trailers, until


def text_input(text: str = "hello", **changes: Any) -> dict[str, Any]:
    tensor = {"name": "text_input", "datatype": "BYTES", "shape": [1], "contents": {"bytes_contents": [text.encode()]}}
    return tensor | changes


def flag(value: bool, **changes: Any) -> dict[str, Any]:
    return {"name": "streaming", "datatype": "BOOL", "shape": [1], "contents": {"bool_contents": [value]}} | changes


def ask(*inputs: dict[str, Any], **fields: Any) -> oip.ModelInferRequest:
    return oip.ModelInferRequest(**({"model_name": "small", "inputs": inputs or [text_input()]} | fields))


def texts(response: oip.ModelInferResponse, name: str = "text_output") -> list[str]:
    (tensor,) = (output for output in response.outputs if output.name == name)
    assert (tensor.datatype, list(tensor.shape)) == ("BYTES", [len(tensor.contents.bytes_contents)])
    return [element.decode() for element in tensor.contents.bytes_contents]


def parameters(response: oip.ModelInferResponse) -> dict[str, Any]:
    return {key: getattr(each, each.WhichOneof("parameter_choice")) for key, each in response.parameters.items()}


async def streamed(channel: grpc.aio.Channel, wires: Iterable[oip.ModelInferRequest]) -> list[oip.ModelStreamInferResponse]:
    return [answer async for answer in oip_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer(iter(wires), timeout=20)]


@pytest.mark.parametrize(
    ("message", "numbers"),
    [
        ("ModelInferRequest", "model_name=1 model_version=2 id=3 parameters=4 inputs=5 outputs=6 raw_input_contents=7"),
        ("ModelInferResponse", "model_name=1 model_version=2 id=3 parameters=4 outputs=5 raw_output_contents=6"),
        ("InferParameter", "bool_param=1 int64_param=2 string_param=3 double_param=4 uint64_param=5"),
        ("ModelStreamInferResponse", "error_message=1 infer_response=2"),
    ],
)
def test_field_numbers_are_the_published_ones(message: str, numbers: str) -> None:
    fields = oip.DESCRIPTOR.message_types_by_name[message].fields
    assert " ".join(f"{field.name}={field.number}" for field in fields) == numbers


async def test_an_answer_comes_whole_with_what_it_cost() -> None:
    async with serving(fake := FakeDispatcher()) as channel:
        stub = oip_grpc.GRPCInferenceServiceStub(channel)
        call = stub.ModelInfer(ask(id="mine"), metadata=(("x-session-id", "s-1"),))
        response = await call
        trailing = dict(await call.trailing_metadata())
    assert (response.model_name, response.model_version, response.id) == ("small", "1", "mine")
    assert (texts(response), texts(response, "finish_reason")) == (["Grüße 👋"], ["stop"])
    request = fake.asked[0]
    assert (request.prompt, request.model, request.session) == (TextPrompt("hello"), "small", "s-1")
    assert request.id != "mine"
    assert trailing["x-headgate-request-id"] == request.id
    assert parameters(response) == {
        "triton_final_response": True,
        "request_id": request.id,
        "pool": "small",
        "model": "m-1",
        "replica": "small-0",
        "reason": "the only pool; shortest queue",
        "simulated": True,
        "cost_usd": 0.000012,
        "prompt_tokens": 7,
        "completion_tokens": 3,
        "cached_tokens": 2,
        "resumed": 1,
        "ttft_ms": 500.0,
    }


async def test_the_end_of_an_answer_tells_all_of_its_choice_and_money() -> None:
    async with serving(FakeDispatcher(events=(*ANSWER[:-1], RICH))) as channel:
        told = parameters(await oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer(ask()))
        (*_, last) = await streamed(channel, [ask()])
    expected = {
        "quality": 0.75,
        "policy": "thrifty",
        "exploring": True,
        "escalated": 1,
        "energy_wh": 0.5,
        "carbon_g": 0.25,
        "water_ml": 2.0,
        "budget_limit_usd": 10.0,
        "budget_remaining_usd": 7.5,
    }
    assert expected.items() <= told.items()
    assert expected.items() <= parameters(last.infer_response).items()


async def test_a_stream_that_is_out_of_money_says_when_there_will_be_some() -> None:
    async with serving(FakeDispatcher(events=(), fault=BudgetExhausted("spent", retry_after_s=1.5))) as channel:
        (answer,) = await streamed(channel, [ask()])
    told = parameters(answer.infer_response)
    assert (answer.error_message, told["error"], told["retry_after_ms"]) == ("spent", "budget_exceeded", 1500)


async def test_raw_contents_are_answered_raw() -> None:
    prompt = "Grüße".encode()
    raw = [b"\0", len(prompt).to_bytes(4, "little") + prompt]
    inputs = [flag(False, contents=None), text_input(contents=None, shape=[1, 1])]
    async with serving(fake := FakeDispatcher()) as channel:
        wire = ask(*inputs, raw_input_contents=raw)
        response = await oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer(wire)
    assert fake.asked[0].prompt == TextPrompt("Grüße")
    assert [output.name for output in response.outputs] == ["text_output", "finish_reason"]
    assert not response.outputs[0].HasField("contents")
    text = "Grüße 👋".encode()
    assert list(response.raw_output_contents) == [len(text).to_bytes(4, "little") + text, b"\4\0\0\0stop"]


async def test_only_the_named_outputs_come() -> None:
    async with serving(FakeDispatcher()) as channel:
        stub = oip_grpc.GRPCInferenceServiceStub(channel)
        response = await stub.ModelInfer(ask(outputs=[{"name": "finish_reason"}]))
        error = await refusal(stub.ModelInfer(ask(outputs=[{"name": "logits"}])))
    assert [output.name for output in response.outputs] == ["finish_reason"]
    assert trailers(error)["x-headgate-param"] == "outputs[logits]"


async def test_several_choices_are_elements_of_one_tensor() -> None:
    events = (ANSWER[0], Piece(index=1, text="b", finish_reason="length"), Piece(text="a", finish_reason="stop"), FINISHED)
    async with serving(fake := FakeDispatcher(events=events)) as channel:
        wire = ask(parameters={"n": {"int64_param": 2}})
        response = await oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer(wire)
        answers = [answer.infer_response for answer in await streamed(channel, [wire])]
    assert fake.asked[0].n == 2
    assert (texts(response), texts(response, "finish_reason")) == (["a", "b"], ["stop", "length"])
    assert [(parameters(each)["index"], *texts(each)) for each in answers] == [(1, "b"), (0, "a")]


async def test_a_stream_answers_its_requests_in_order_in_pieces() -> None:
    async with serving(fake := FakeDispatcher()) as channel:
        answers = await streamed(channel, [ask(id="1"), ask(text_input("again"), flag(True), id="2")])
    assert [request.prompt.text for request in fake.asked] == ["hello", "again"]
    assert not any(answer.error_message for answer in answers)
    told = [(each.infer_response.id, *texts(each.infer_response)) for each in answers]
    assert told == [("1", "Grüße"), ("1", " 👋"), ("2", "Grüße"), ("2", " 👋")]
    # The last piece and the bill are one message.
    assert [texts(each.infer_response, "finish_reason") for each in answers[:2]] == [[""], ["stop"]]
    assert not answers[0].infer_response.parameters
    assert parameters(answers[1].infer_response)["cost_usd"] == 0.000012
    assert parameters(answers[1].infer_response)["triton_final_response"]


async def test_a_stream_may_be_asked_for_whole_answers() -> None:
    async with serving(FakeDispatcher()) as channel:
        (answer,) = await streamed(channel, [ask(text_input(), flag(False, name="stream"))])
    assert texts(answer.infer_response) == ["Grüße 👋"]


async def test_an_answer_without_text_still_ends_with_its_bill() -> None:
    async with serving(FakeDispatcher(events=(ANSWER[0], FINISHED))) as channel:
        (answer,) = await streamed(channel, [ask()])
    assert texts(answer.infer_response) == [""]
    assert parameters(answer.infer_response)["prompt_tokens"] == 7


async def test_a_failed_request_leaves_its_stream_open() -> None:
    async with serving(fake := FakeDispatcher()) as channel:
        call = oip_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer()
        await call.write(ask(text_input(shape=[2]), id="bad"))
        bad = await call.read()
        fake.fault, fake.events = Rejected("full"), ANSWER[:2]
        await call.write(ask(id="full"))
        piece, full = await call.read(), await call.read()
        fake.fault, fake.events = None, ANSWER
        await call.write(ask(id="good"))
        await call.done_writing()
        good = await call.read()
    assert bad.error_message == "inputs[text_input].shape: must be [1]: one prompt per request"
    assert (bad.infer_response.id, parameters(bad.infer_response)["error"]) == ("bad", "invalid_request")
    assert (texts(piece.infer_response), full.error_message) == (["Grüße"], "full")
    assert parameters(full.infer_response) == {"error": "overloaded", "retryable": True, "triton_final_response": True}
    assert (good.infer_response.id, good.error_message) == ("good", "")


async def test_a_stranger_gets_no_stream() -> None:
    async with serving(FakeDispatcher(key="k")) as channel:
        stub = oip_grpc.GRPCInferenceServiceStub(channel)
        for call in (
            stub.ModelInfer(ask()),
            stub.ModelStreamInfer(iter([ask()])),
            stub.ModelReady(oip.ModelReadyRequest(name="m")),
        ):
            assert (await refusal(call)).code() == grpc.StatusCode.UNAUTHENTICATED
        assert (await stub.ServerLive(oip.ServerLiveRequest())).live


async def test_closing_a_stream_ends_its_request_in_the_engine() -> None:
    fake = FakeDispatcher(events=ANSWER[:2], hold=asyncio.Event())
    async with serving(fake) as channel:
        call = oip_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer()
        await call.write(ask())
        assert texts((await call.read()).infer_response) == ["Grüße"]
        call.cancel()
        await until(lambda: fake.closed == 1)
    assert fake.open == 0


async def test_an_idle_stream_does_not_hold_a_drain_up() -> None:
    front = GrpcFront(FakeDispatcher(), settings())
    host, port = await front.start()
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        call = oip_grpc.GRPCInferenceServiceStub(channel).ModelStreamInfer()
        await call.write(ask())
        assert (await call.read()).infer_response.id == (await call.read()).infer_response.id
        async with asyncio.timeout(20):
            await front.drain(600)
        assert await call.read() is grpc.aio.EOF
        assert await call.code() == grpc.StatusCode.OK
    await front.close()


async def test_readiness_and_metadata() -> None:
    async with serving(fake := FakeDispatcher()) as channel:
        stub = oip_grpc.GRPCInferenceServiceStub(channel)

        async def ready(name: str, version: str = "") -> bool:
            return (await stub.ModelReady(oip.ModelReadyRequest(name=name, version=version))).ready

        assert [await ready(name) for name in ("small", "m-1", "auto", "asleep", "nobody")] == [True, True, True, False, False]
        assert await ready("small", "1")
        assert (await refusal(stub.ModelReady(oip.ModelReadyRequest(name="small", version="2")))).code().name == "NOT_FOUND"
        assert (await refusal(stub.ModelReady(oip.ModelReadyRequest()))).code().name == "INVALID_ARGUMENT"
        assert (await stub.ServerReady(oip.ServerReadyRequest())).ready
        fake.is_ready = False
        assert not (await stub.ServerReady(oip.ServerReadyRequest())).ready
        assert not await ready("auto")

        server = await stub.ServerMetadata(oip.ServerMetadataRequest())
        assert (server.name, list(server.extensions)) == ("headgate", ["model_stream_infer"])
        model = await stub.ModelMetadata(oip.ModelMetadataRequest(name="m-1"))
        assert (model.name, list(model.versions), model.platform) == ("m-1", ["1"], "headgate_simulated")
        assert [(each.name, each.datatype, list(each.shape)) for each in model.inputs] == [
            ("text_input", "BYTES", [1]),
            ("streaming", "BOOL", [1]),
        ]
        assert [(each.name, list(each.shape)) for each in model.outputs] == [("text_output", [-1]), ("finish_reason", [-1])]
        assert (await stub.ModelMetadata(oip.ModelMetadataRequest(name="auto"))).platform == "headgate"
        error = await refusal(stub.ModelMetadata(oip.ModelMetadataRequest(name="nobody")))
        assert error.code() == grpc.StatusCode.NOT_FOUND


async def test_errors_of_the_dispatcher_keep_their_status() -> None:
    async with serving(FakeDispatcher(events=(), fault=NoReplica("none is ready", retry_after_s=2))) as channel:
        error = await refusal(oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer(ask()))
    assert error.code() == grpc.StatusCode.UNAVAILABLE
    assert trailers(error)["retry-after-ms"] == "2000"


@pytest.mark.parametrize(
    ("wire", "where"),
    [
        (ask(model_name=""), "model_name"),
        (ask(id="x" * 129), "id"),
        (ask(text_input(), flag(True)), "inputs[streaming]"),
        (ask(parameters={"n": {"int64_param": 99}}), "parameters[n]"),
        (ask(parameters={"top_p": {"double_param": 7}}), "parameters[top_p]"),
    ],
)
async def test_wrong_requests_name_what_is_wrong(wire: oip.ModelInferRequest, where: str) -> None:
    async with serving(FakeDispatcher()) as channel:
        error = await refusal(oip_grpc.GRPCInferenceServiceStub(channel).ModelInfer(wire))
    assert error.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert trailers(error)["x-headgate-param"] == where
    assert where in (error.details() or "")


async def test_triton_clients_may_ask_for_what_is_always_done() -> None:
    wire = ask(parameters={"triton_enable_empty_final_response": {"bool_param": True}})
    async with serving(fake := FakeDispatcher()) as channel:
        assert await streamed(channel, itertools.repeat(wire, 2))
    assert [request.sampling for request in fake.asked] == [Sampling(), Sampling()]
