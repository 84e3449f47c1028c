"""A plain gRPC client that has no generated code: it learns everything from the server by reflection."""

import asyncio

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from router.fronts.grpc_front import GrpcFront
from tests.router.fronts.grpc_fakes import FakeDispatcher, serving, settings

SERVICES = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1alpha.ServerReflection",
    "headgate.v1.Inference",
    "inference.GRPCInferenceService",
]


def ask_by_reflection(address: str, model: str = "small") -> tuple[list[str], str, str]:
    """Services, an answer's text through headgate.v1, and one through the Open Inference Protocol."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        services = sorted(database.get_services())
        pool = DescriptorPool(database)

        def messages(service: str, name: str) -> tuple[type, type]:
            method = pool.FindServiceByName(service).FindMethodByName(name)
            return GetMessageClass(method.input_type), GetMessageClass(method.output_type)

        asked, answered = messages("headgate.v1.Inference", "Generate")
        call = channel.unary_stream(
            "/headgate.v1.Inference/Generate",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        text = "".join(message.delta.text for message in call(asked(model="auto", text="hello"), timeout=20))

        asked, answered = messages("inference.GRPCInferenceService", "ModelInfer")
        call = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            request_serializer=asked.SerializeToString,
            response_deserializer=answered.FromString,
        )
        wire = asked(model_name=model)
        tensor = wire.inputs.add(name="text_input", datatype="BYTES", shape=[1])
        tensor.contents.bytes_contents.append(b"hello")
        answer = call(wire, timeout=20)
        return services, text, answer.outputs[0].contents.bytes_contents[0].decode()


async def test_a_client_without_generated_code_finds_the_services_and_gets_answers() -> None:
    fake = FakeDispatcher()
    async with serving(fake):
        services, text, oip_text = await asyncio.to_thread(ask_by_reflection, fake.address)
    assert services == SERVICES
    assert text == oip_text == "Grüße 👋"
    assert fake.closed == 2


async def test_an_idle_reflection_stream_does_not_hold_a_drain_up() -> None:
    front = GrpcFront(FakeDispatcher(), settings())
    host, port = await front.start()
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        method = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        call = channel.stream_stream(method, request_serializer=bytes, response_deserializer=bytes)()
        await call.write(b"\x3a\x00")  # list_services
        assert b"headgate.v1.Inference" in await call.read()
        async with asyncio.timeout(20):
            await front.drain(600)
        assert await call.read() is grpc.aio.EOF
        assert await call.code() == grpc.StatusCode.OK
    await front.close()
