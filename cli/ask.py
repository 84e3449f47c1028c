"""`headgate ask`: one question over gRPC, its answer printed as it comes; with --explain also the options and the decision."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import grpc
from rich.console import Console
from rich.table import Table

from cli.errors import CommandError
from cli.money import usd
from cli.printable import Stripper, printable
from cli.wire import channel, credentials, explain
from headgate.v1 import generation_pb2, inference_pb2, inference_pb2_grpc

_TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    model: str = "auto"
    max_tokens: int | None = None
    explain: bool = False
    temperature: float | None = None


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
                notes.print(options_table(quoted.options))
            finished = _print_answer(stub.Generate(request, metadata=metadata, timeout=_TIMEOUT_S), notes)
        except grpc.RpcError as error:
            raise explain(error, address) from None
        except KeyboardInterrupt:  # leaving the channel cancels the call, which frees the engine's slot
            raise CommandError("stopped; the request was cancelled", exit_code=130) from None
    if question.explain:
        notes.print(account(finished))


def to_request(question: Question) -> inference_pb2.GenerateRequest:
    if not question.text.strip():
        raise CommandError("there is no question", todo='write one: headgate ask "…"', exit_code=2)
    message = inference_pb2.ChatMessage(role="user", content=question.text)
    sampling = generation_pb2.Sampling(max_tokens=question.max_tokens, temperature=question.temperature)
    return inference_pb2.GenerateRequest(model=question.model, chat=inference_pb2.Chat(messages=[message]), sampling=sampling)


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


def options_table(options: Sequence[inference_pb2.QuoteResponse.Option]) -> Table:
    """Where the request could go, the place that is taken first; tokens and costs are estimates."""
    table = Table(title="options (estimated)", title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    for heading in ("", "pool", "model", "engine"):
        table.add_column(heading, overflow="ellipsis", no_wrap=True, max_width=28)
    for heading in ("in", "cached", "out", "USD"):
        table.add_column(heading, justify="right", no_wrap=True)
    for rank, option in enumerate(options):
        decision = option.decision
        table.add_row(
            "→" if rank == 0 else "",
            printable(decision.pool),
            printable(decision.model),
            "simulated" if decision.simulated else "real",
            str(option.prompt_tokens),
            str(option.cached_tokens),
            f"~{option.output_tokens}",
            usd(option.cost_usd),
            style="" if rank == 0 else "dim",
        )
    return table


def account(finished: inference_pb2.Finished) -> Table:
    """What the answer took and why it was served where it was."""
    decision, usage = finished.decision, finished.usage
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    engine = "simulated engine" if decision.simulated else "real engine"
    table.add_row("served by", f"{printable(decision.pool)} · {printable(decision.model)} · {decision.replica} · {engine}")
    table.add_row("because", printable(decision.reason))
    table.add_row("tokens", f"{usage.prompt_tokens} in ({usage.cached_tokens} cached), {usage.completion_tokens} out")
    table.add_row("cost", f"{usd(finished.cost_usd)} USD")
    table.add_row("time", f"first token {finished.ttft_s * 1000:.0f} ms, whole answer {finished.total_s:.2f} s")
    if finished.resumed:
        table.add_row("resumed", f"{finished.resumed} × on another replica; no token was lost")
    return table
