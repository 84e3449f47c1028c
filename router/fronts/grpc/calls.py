"""What every gRPC call has in common, around whichever servicer answers it. Knows no service and no message.

Bytes that are no message of the method become INVALID_ARGUMENT (grpc itself logs a traceback and says UNKNOWN), errors become a
status, and request streams end when the server drains, so that an idle one does not hold the drain up.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from router.errors import InvalidRequest
from router.fronts.grpc.errors import refuse

# Quoted: generic for type checkers only.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Behaviour: TypeAlias = Callable[..., Any]


class Unreadable:
    """Stands for a message that could not be parsed: a deserialiser must not raise, and can't answer the call itself."""


UNREADABLE = Unreadable()


class GuardedServer:
    """Stands in for the server while services register with it, and wraps each of their methods.

    `idle` is set while no call is under way. Once `draining` is set, none of them waits for its caller to go on.
    """

    def __init__(self, server: grpc.aio.Server, draining: asyncio.Event) -> None:
        self._server = server
        self._draining = draining
        self.idle = asyncio.Event()
        self.idle.set()
        self._running = 0

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """Generated code registers every method twice; `add_registered_method_handlers` takes care of both."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        guarded = {name: self._guarded(handler) for name, handler in handlers.items()}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, guarded),))

    def _guarded(self, handler: Handler) -> Handler:
        parse, serialize = _tolerant(handler.request_deserializer), handler.response_serializer
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._unary(handler.unary_unary), parse, serialize)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._stream(handler.unary_stream), parse, serialize)
        if handler.stream_stream is not None:
            behaviour = self._stream(self._drainable(handler.stream_stream))
            return grpc.stream_stream_rpc_method_handler(behaviour, parse, serialize)
        raise ValueError("a client-streaming method has no guard")

    def _enter(self) -> None:
        self._running += 1
        self.idle.clear()

    def _leave(self) -> None:
        self._running -= 1
        if not self._running:
            self.idle.set()

    def _unary(self, behaviour: Behaviour) -> Behaviour:
        async def guarded(message: object, context: Context) -> object:
            self._enter()
            try:
                return await behaviour(readable(message), context)
            except Exception as error:  # noqa: BLE001 - every error needs a status; `refuse` logs what nobody foresaw
                return await refuse(context, error)
            finally:
                self._leave()

        return guarded

    def _stream(self, behaviour: Behaviour) -> Behaviour:
        async def guarded(message: object, context: Context) -> AsyncGenerator[object, None]:
            self._enter()
            try:
                async with aclosing(behaviour(readable(message), context)) as answers:
                    async for answer in answers:
                        yield answer
            except Exception as error:  # noqa: BLE001 - as above
                await refuse(context, error)
            finally:
                self._leave()

        return guarded

    def _drainable(self, behaviour: Behaviour) -> Behaviour:
        async def drainable(stream: AsyncIterator[object], context: Context) -> AsyncGenerator[object, None]:
            async with aclosing(self._requests(stream)) as requests, aclosing(behaviour(requests, context)) as answers:
                async for answer in answers:
                    yield answer

        return drainable

    async def _requests(self, stream: AsyncIterator[object]) -> AsyncGenerator[object, None]:
        """The caller's messages until it has sent all, or the server drains between two of them."""
        drained = asyncio.ensure_future(self._draining.wait())
        following: asyncio.Future[object] | None = None
        try:
            while True:
                following = asyncio.ensure_future(anext(stream, None))
                following.add_done_callback(_seen)
                await asyncio.wait((following, drained), return_when=asyncio.FIRST_COMPLETED)
                if not following.done() or (message := following.result()) is None:
                    return
                yield readable(message)
        finally:
            drained.cancel()
            if following is not None:
                following.cancel()


def _seen(read: "asyncio.Future[object]") -> None:
    """A read that fails after its call has ended is nobody's business; asyncio would log it as never retrieved."""
    if not read.cancelled():
        read.exception()


def readable(message: object) -> object:
    """The message itself; raises InvalidRequest for bytes that were none."""
    if message is UNREADABLE:
        raise InvalidRequest("request: these bytes are no message of this method", param="request")
    return message


def _tolerant(parse: Callable[[bytes], object] | None) -> Callable[[bytes], object]:
    if parse is None:
        raise ValueError("a method without a deserialiser can't be guarded")

    def tolerant(raw: bytes) -> object:
        try:
            return parse(raw)
        except DecodeError:
            return UNREADABLE

    return tolerant
