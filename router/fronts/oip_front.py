"""The Open Inference Protocol v2 (inference.GRPCInferenceService), mapped to text generation as other LLM servers map it.

    in    text_input BYTES [1], optional streaming BOOL [1]; sampling as request parameters (`oip/parameters.py`)
    out   text_output and finish_reason BYTES, one element per choice (`oip/reply.py`)

ModelInfer answers whole. ModelStreamInfer takes any number of requests on one stream, answers them in order, each in pieces as
tokens come, or whole where `streaming` is false; a request that fails is told as `error_message` and the next one is served.
Errors are raised; `grpc/calls.py` gives them their status.
"""

# ruff: noqa: N802 - methods bear the names of the proto

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from headgate.oip.v2 import grpc_predict_v2_pb2 as oip
from router.config import RouterConfig
from router.errors import HeadgateError, NotFound
from router.fronts.grpc.calls import Context
from router.fronts.grpc.errors import REQUEST_ID
from router.fronts.grpc.request import LONGEST_ID_CHARS, Caller, name, read_caller, request_id, session
from router.fronts.oip.parameters import read_parameters
from router.fronts.oip.reply import OUTPUTS, VERSION, Form, conclude, failure, metadata, response
from router.fronts.oip.tensors import read_tensors
from router.fronts.sampling_rules import fault
from router.request import Finished, ModelCard, Piece, Request, TextPrompt
from router.snapshot import Tenant

if TYPE_CHECKING:
    from router.service import Service

AUTO = "auto"


class OipServicer:
    """One per server."""

    def __init__(self, service: "Service", config: RouterConfig) -> None:
        self._service = service
        self._limits = config.limits
        self._unknown = config.unknown_parameters

    async def ServerLive(self, _wire: oip.ServerLiveRequest, _context: Context) -> oip.ServerLiveResponse:
        return oip.ServerLiveResponse(live=True)

    async def ServerReady(self, _wire: oip.ServerReadyRequest, _context: Context) -> oip.ServerReadyResponse:
        return oip.ServerReadyResponse(ready=self._service.ready())

    async def ServerMetadata(self, _wire: oip.ServerMetadataRequest, _context: Context) -> oip.ServerMetadataResponse:
        return oip.ServerMetadataResponse(name="headgate", version=_own_version(), extensions=["model_stream_infer"])

    async def ModelReady(self, wire: oip.ModelReadyRequest, context: Context) -> oip.ModelReadyResponse:
        cards = self._cards(wire.name, wire.version, context)
        return oip.ModelReadyResponse(ready=self._service.ready() and any(card.ready_replicas for card in cards))

    async def ModelMetadata(self, wire: oip.ModelMetadataRequest, context: Context) -> oip.ModelMetadataResponse:
        cards = self._cards(wire.name, wire.version, context)
        if not cards:
            raise NotFound("name: no such model", param="name")
        return metadata(wire.name, None if wire.name == AUTO else cards[0])

    async def ModelInfer(self, wire: oip.ModelInferRequest, context: Context) -> oip.ModelInferResponse:
        caller, tenant = self._caller(context)
        request, form, streaming = self._decode(wire, caller, tenant)
        if streaming:
            raise fault("inputs[streaming]", "ModelInfer answers whole; ModelStreamInfer streams")
        context.set_trailing_metadata(((REQUEST_ID, request.id),))
        return await self._whole(request, tenant, form)

    async def ModelStreamInfer(
        self, wires: AsyncIterator[oip.ModelInferRequest], context: Context
    ) -> AsyncGenerator[oip.ModelStreamInferResponse, None]:
        self._caller(context)
        async for wire in wires:
            try:
                # Anew for each request: a deadline is counted from when its request came.
                caller, tenant = self._caller(context)
                request, form, streaming = self._decode(wire, caller, tenant)
                if streaming is False:
                    yield oip.ModelStreamInferResponse(infer_response=await self._whole(request, tenant, form))
                    continue
                async with aclosing(self._pieces(request, tenant, form)) as answers:
                    async for answer in answers:
                        yield answer
            except HeadgateError as error:
                yield failure(wire, error)

    async def _whole(self, request: Request, tenant: Tenant, form: Form) -> oip.ModelInferResponse:
        texts, reasons = [""] * request.n, [""] * request.n
        pieces: list[list[str]] = [[] for _ in texts]
        finished: Finished | None = None
        async with aclosing(self._service.generate(replace(request, stream=False), tenant)) as events:
            async for event in events:
                if isinstance(event, Piece):
                    pieces[event.index].append(event.text)
                    reasons[event.index] = event.finish_reason or reasons[event.index]
                elif isinstance(event, Finished):
                    finished = event
        message = response(form, ["".join(each) for each in pieces], reasons)
        if finished is not None:
            conclude(message, request.id, finished)
        return message

    async def _pieces(self, request: Request, tenant: Tenant, form: Form) -> AsyncGenerator[oip.ModelStreamInferResponse, None]:
        # A choice's last piece waits for the next event: where that is the end, both travel as one message.
        held: oip.ModelStreamInferResponse | None = None
        async with aclosing(self._service.generate(request, tenant)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    held = held or oip.ModelStreamInferResponse(infer_response=response(form, [""], [""]))
                    conclude(held.infer_response, request.id, event)
                if held is not None:
                    yield held
                    held = None
                if isinstance(event, Piece):
                    message = oip.ModelStreamInferResponse(
                        infer_response=response(form, [event.text], [event.finish_reason or ""])
                    )
                    if request.n > 1:
                        message.infer_response.parameters["index"].int64_param = event.index
                    if event.finish_reason is None:
                        yield message
                    else:
                        held = message

    def _decode(self, wire: oip.ModelInferRequest, caller: Caller, tenant: Tenant) -> tuple[Request, Form, bool | None]:
        """What is asked, how to answer it, and the streaming flag. Raises InvalidRequest."""
        _check_version(wire.model_version, "model_version")
        if len(wire.id) > LONGEST_ID_CHARS:
            raise fault("id", f"must have at most {LONGEST_ID_CHARS} characters")
        text, streaming = read_tensors(wire)
        said = read_parameters(wire.parameters, self._unknown)
        if not 1 <= said.n <= self._limits.max_n:
            raise fault("parameters[n]", f"must be in [1, {self._limits.max_n}]")
        model = name(wire.model_name, "model_name")
        form = Form(model, wire.id, _outputs(wire), raw=bool(wire.raw_input_contents))
        # The protocol's id is the caller's own mark and need not be unique: it comes back, but it does not name the request.
        request = Request(
            id=request_id(""),
            model=model,
            prompt=TextPrompt(text),
            sampling=said.sampling,
            n=said.n,
            tenant=tenant.name,
            session=session(said.session or caller.session),
            deadline=caller.deadline,
        )
        return request, form, streaming

    def _caller(self, context: Context) -> tuple[Caller, Tenant]:
        caller = read_caller(context, self._limits, asyncio.get_running_loop().time())
        return caller, self._service.authenticate(caller.bearer)

    def _cards(self, model: str, model_version: str, context: Context) -> list[ModelCard]:
        """What stands behind this name, for this caller: several where it is "auto"."""
        _check_version(model_version, "version")
        wanted = name(model, "name")
        _, tenant = self._caller(context)
        return [card for card in self._service.models(tenant) if wanted in (AUTO, card.name, card.pool)]


def _outputs(wire: oip.ModelInferRequest) -> tuple[str, ...]:
    for output in wire.outputs:
        if output.name not in OUTPUTS:
            raise fault(f"outputs[{output.name[:64]}]", f"is no output of a text model; those are {' and '.join(OUTPUTS)}")
    return tuple(dict.fromkeys(output.name for output in wire.outputs)) or OUTPUTS


def _check_version(text: str, where: str) -> None:
    if text not in ("", VERSION):
        raise NotFound(f"{where}: models have one version, {VERSION}", param=where)


def _own_version() -> str:
    try:
        return version("headgate")
    except PackageNotFoundError:
        return "unknown"
