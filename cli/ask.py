"""`headgate ask`: one question over gRPC, its answer printed as it comes; with --explain also the options and the decision."""

import sys
import time
from collections.abc import Iterable, Iterator

import grpc
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.errors import CommandError
from cli.money import usd
from cli.printable import Stripper, printable
from cli.question import Question, to_request
from cli.quote import footprint, offer_page
from cli.wire import channel, credentials, explain
from headgate.v1 import inference_pb2, inference_pb2_grpc

_TIMEOUT_S = 600.0


def ask(question: Question, address: str, api_key: str) -> None:
    """The command. The answer alone goes to standard output; everything about it goes to standard error."""
    notes = Console(stderr=True, highlight=False)
    metadata = credentials(api_key)
    with channel(address) as connection:
        stub = inference_pb2_grpc.InferenceStub(connection)
        request = to_request(question)
        try:
            if question.explain:
                quoted = stub.Quote(request, metadata=metadata, timeout=_TIMEOUT_S)
                notes.print(offer_page(notes, quoted, time.time()), Text())
            finished = _print_answer(stub.Generate(request, metadata=metadata, timeout=_TIMEOUT_S), notes)
        except grpc.RpcError as error:
            raise explain(error, address) from None
        except KeyboardInterrupt:  # leaving the channel cancels the call, which frees the engine's slot
            raise CommandError("stopped; the request was cancelled", exit_code=130) from None
    if question.explain:
        notes.print(account(finished))


def _print_answer(stream: Iterable[inference_pb2.GenerateResponse], notes: Console) -> inference_pb2.Finished:
    safe = Stripper()
    ended_line = True
    finished = None
    for response in stream:
        if response.HasField("started") and response.started.decision.simulated:
            notes.print("simulated answer (no model ran):", style="yellow")
        elif response.HasField("delta"):
            text = safe.feed(response.delta.text)
            sys.stdout.write(text)
            sys.stdout.flush()
            ended_line = text.endswith("\n") if text else ended_line
        elif response.HasField("finished"):
            finished = response.finished
    if not ended_line:
        sys.stdout.write("\n")
        sys.stdout.flush()
    if finished is None:
        raise CommandError("the answer broke off", todo="ask again")
    return finished


def account(finished: inference_pb2.Finished) -> Table:
    """What the answer took and why it was served where it was."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, said in _facts(finished):
        table.add_row(name, Text(said))  # as it is: brackets are no markup
    return table


def _facts(finished: inference_pb2.Finished) -> Iterator[tuple[str, str]]:
    decision, usage = finished.decision, finished.usage
    engine = "simulated engine" if decision.simulated else "real engine"
    yield "served by", f"{printable(decision.pool)} · {printable(decision.model)} · {printable(decision.replica)} · {engine}"
    yield "because", printable(decision.reason)
    if decision.policy:
        yield "policy", printable(decision.policy)
    if decision.HasField("quality"):
        to_learn = "; taken to learn about this pool" if decision.exploring else ""
        yield "quality", f"{decision.quality:.2f} predicted{to_learn}"
    yield "tokens", f"{usage.prompt_tokens} in ({usage.cached_tokens} cached), {usage.completion_tokens} out"
    yield "cost", f"{usd(finished.cost_usd)} USD"
    for state in finished.budgets:
        yield "budget", f"{usd(state.remaining_usd)} of {usd(state.limit_usd)} USD left, {printable(state.tenant)}"
    if finished.HasField("footprint"):
        yield "footprint", f"{footprint(finished.footprint)} (estimated)"
    yield "time", f"first token {finished.ttft_s * 1000:.0f} ms, whole answer {finished.total_s:.2f} s"
    if finished.escalated:
        yield "escalated", f"{finished.escalated} ×: a cheaper answer was not good enough; the cost has it too"
    if finished.resumed:
        yield "resumed", f"{finished.resumed} × on another replica; no token was lost"
