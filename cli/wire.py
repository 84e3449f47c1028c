"""A gRPC channel to a router, and its errors in words. The only place where the command line touches grpc set-up."""

from collections.abc import Sequence

import grpc

from cli.errors import CommandError
from cli.printable import printable
from cli.times import span

_OPTIONS = (("grpc.max_receive_message_length", 64 * 1024 * 1024),)
_LOCAL = ("127.", "localhost:", "[::1]:")

Metadata = Sequence[tuple[str, str]]


def channel(address: str) -> grpc.Channel:
    """`address` is host:port. A proxy from the environment is not used for this machine's own addresses."""
    options = (*_OPTIONS, ("grpc.enable_http_proxy", 0)) if address.startswith(_LOCAL) else _OPTIONS
    return grpc.insecure_channel(address, options=options)


def credentials(api_key: str) -> Metadata:
    return (("authorization", f"Bearer {api_key}"),) if api_key else ()


def explain(error: grpc.RpcError, address: str) -> CommandError:
    """What went wrong and what to do next, from a failed call."""
    code, said = error.code(), printable(error.details() or "")
    trailing = {item.key: str(item.value) for item in error.trailing_metadata() or ()}
    if code == grpc.StatusCode.UNAVAILABLE and "x-headgate-error" not in trailing:
        todo = "start one with `headgate demo` or `headgate up -f headgate.yaml`, or name another with --address HOST:PORT"
        return CommandError(f"no router answers at {address}", todo=todo)
    if trailing.get("x-headgate-error") == "budget_exceeded":
        when = _when(trailing.get("retry-after-ms", ""))
        return CommandError(said or code.name, todo=f"see `headgate budget`{when}; a lower --max-tokens may still fit")
    field = f" (field {trailing['x-headgate-param']})" if trailing.get("x-headgate-param") else ""
    return CommandError(f"{said or code.name}{field}", todo=_TODO.get(code, ""))


def _when(retry_after_ms: str) -> str:
    return f"; there is new money in {span(int(retry_after_ms) / 1000)}" if retry_after_ms.isdecimal() else ""


_TODO = {
    grpc.StatusCode.UNAUTHENTICATED: "give your key with --api-key or HEADGATE_API_KEY",
    grpc.StatusCode.PERMISSION_DENIED: "ask with a model that your key may use, or --model auto",
    grpc.StatusCode.NOT_FOUND: "see the names at GET /v1/models, or use --model auto",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "try again in a moment",
    grpc.StatusCode.UNAVAILABLE: "try again in a moment; `headgate top` shows which pools are ready",
    grpc.StatusCode.UNIMPLEMENTED: "is this the router's gRPC port? HTTP has one of its own",
}
