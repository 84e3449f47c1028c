"""The `headgate` command: reads the command line and calls one module per command. Says errors in plain words, no traceback."""

import io
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.errors import CommandError
from cli.stack.ports import DEFAULT_GRPC, DEFAULT_HTTP

app = typer.Typer(
    name="headgate",
    help="One endpoint for every model you host: it decides which model and which replica answers, and says why.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="Models that can be brought to this machine.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(models_app, name="models")

DEFAULT_FILE = Path("headgate.yaml")
HttpPort = Annotated[
    int | None, typer.Option(help="OpenAI HTTP port; 0 takes a free one. [env: HEADGATE_HTTP_PORT; default: 8080]")
]
GrpcPort = Annotated[int | None, typer.Option(help="gRPC port; 0 takes a free one. [env: HEADGATE_GRPC_PORT; default: 50051]")]


@app.command()
def up(
    file: Annotated[Path, typer.Option("--file", "-f", help="The pools, tenants and settings to run.")] = DEFAULT_FILE,
    http_port: HttpPort = None,
    grpc_port: GrpcPort = None,
    ready_file: Annotated[Path | None, typer.Option(help="Write the addresses here, as JSON, once every pool answers.")] = None,
    on: Annotated[
        Literal["processes", "ray"], typer.Option(help="Run workers as processes, or as Ray Serve applications.")
    ] = "processes",
    check: Annotated[bool, typer.Option("--check", help="Only check the file.")] = False,
) -> None:
    """Run a router and its workers on this machine."""
    from cli.up import up as run_up

    run_up(file, http_port, grpc_port, ready_file, on=on, check=check)


@app.command()
def ask(
    prompt: Annotated[str, typer.Argument(help='What to ask; "-" reads it from standard input.')],
    model: Annotated[str, typer.Option(help="A pool, a model, or auto.")] = "auto",
    explain: Annotated[bool, typer.Option("--explain", help="Show the options, the decision, the cost and the times.")] = False,
    address: Annotated[str, typer.Option(help="The router's gRPC address.", envvar="HEADGATE_ADDRESS")] = DEFAULT_GRPC,
    api_key: Annotated[str, typer.Option(help="Your API key, where keys are configured.", envvar="HEADGATE_API_KEY")] = "",
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer, in tokens.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="0 always takes the likeliest token.")] = None,
) -> None:
    """Ask one question and stream the answer."""
    from cli.ask import Question
    from cli.ask import ask as run_ask

    text = sys.stdin.read() if prompt == "-" else prompt
    run_ask(Question(text, model, max_tokens, explain=explain, temperature=temperature), address, api_key)


@app.command()
def top(
    address: Annotated[str, typer.Option(help="The router's HTTP address.", envvar="HEADGATE_HTTP_ADDRESS")] = DEFAULT_HTTP,
    once: Annotated[bool, typer.Option("--once", help="Print one frame and end.")] = False,
    every_s: Annotated[float, typer.Option("--every", min=0.2, help="Seconds between two looks.")] = 1.0,
) -> None:
    """Watch pools, queues, tokens per second, cache hits and cost."""
    from cli.top import top as run_top

    run_top(address, every_s, once=once)


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the answers: status 0 if every one came.")] = False,
    http_port: HttpPort = None,
    grpc_port: GrpcPort = None,
) -> None:
    """Start three pools here and send real prompts."""
    from cli.demo.command import demo as run_demo

    run_demo(http_port, grpc_port, once=once)


@app.command()
def validate(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help='Kubernetes objects, YAML or JSON; "-" reads standard input.')
    ],
) -> None:
    """Check ModelPools, Tenants and RoutingPolicies in files, without a cluster."""
    from cli.validate import validate as run_validate

    run_validate(files)


@models_app.command("list")
def models_list() -> None:
    """Models that can be fetched, and those that are here."""
    from cli.models import show_list

    show_list()


@models_app.command("fetch")
def models_fetch(name: Annotated[str, typer.Argument(help="A name that `headgate models list` shows.")]) -> None:
    """Bring a model to this machine; a broken download goes on where it stopped."""
    from cli.models import fetch

    fetch(name)


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows ASCII alone gets "?" for the rest, not a traceback
            stream.reconfigure(errors="replace")
    try:
        app()
    except CommandError as error:
        print(f"headgate: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # `headgate … | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


if __name__ == "__main__":
    main()
