"""headgate.v1.Inference: decode → dispatch → encode, nothing else. Errors are raised; `calls.py` gives them a status."""

# ruff: noqa: N802 - methods bear the names of the proto

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from headgate.v1 import inference_pb2
from router.config import Limits
from router.fronts.grpc.calls import Context
from router.fronts.grpc.errors import REQUEST_ID
from router.fronts.grpc.reply import encode_budgets, encode_event, encode_models, encode_offer
from router.fronts.grpc.request import decode_feedback, decode_request, read_caller
from router.request import Request
from router.snapshot import Tenant

if TYPE_CHECKING:
    from router.service import Service


class InferenceServicer:
    """One per server."""

    def __init__(self, service: "Service", limits: Limits) -> None:
        self._service = service
        self._limits = limits

    async def Generate(
        self, wire: inference_pb2.GenerateRequest, context: Context
    ) -> AsyncGenerator[inference_pb2.GenerateResponse, None]:
        request, tenant = self._admit(wire, context)
        # Closing this generator (the caller cancelled, or its deadline passed) must end the request in the engine first.
        async with aclosing(self._service.generate(request, tenant)) as events:
            async for event in events:
                yield encode_event(event)

    async def Quote(self, wire: inference_pb2.GenerateRequest, context: Context) -> inference_pb2.QuoteResponse:
        return encode_offer(await self._service.quote(*self._admit(wire, context)))

    async def Feedback(self, wire: inference_pb2.FeedbackRequest, context: Context) -> inference_pb2.FeedbackResponse:
        tenant = self._tenant(context)
        return inference_pb2.FeedbackResponse(pool=self._service.feedback(decode_feedback(wire), tenant))

    async def Budget(self, _wire: inference_pb2.BudgetRequest, context: Context) -> inference_pb2.BudgetResponse:
        budgets = await self._service.budget(self._tenant(context))
        return inference_pb2.BudgetResponse(budgets=encode_budgets(budgets))

    async def ListModels(self, _wire: inference_pb2.ListModelsRequest, context: Context) -> inference_pb2.ListModelsResponse:
        return encode_models(self._service.models(self._tenant(context)))

    def _admit(self, wire: inference_pb2.GenerateRequest, context: Context) -> tuple[Request, Tenant]:
        """Who asks, then what: a stranger learns nothing about what a request may hold."""
        caller = read_caller(context, self._limits, asyncio.get_running_loop().time())
        tenant = self._service.authenticate(caller.bearer)
        request = decode_request(wire, caller, tenant, self._limits)
        context.set_trailing_metadata(((REQUEST_ID, request.id),))
        return request, tenant

    def _tenant(self, context: Context) -> Tenant:
        caller = read_caller(context, self._limits, asyncio.get_running_loop().time())
        return self._service.authenticate(caller.bearer)
