"""The `headgate` command: reads the command line and calls one module per command. Says errors in plain words, no traceback."""

import importlib.util
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
budget_app = typer.Typer(help="Show what your tenant may spend and has spent.", rich_markup_mode=None)
app.add_typer(budget_app, name="budget")

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
    from cli.ask import ask as run_ask
    from cli.question import Question

    text = sys.stdin.read() if prompt == "-" else prompt
    run_ask(Question(text, model, max_tokens, explain=explain, temperature=temperature), address, api_key)


@app.command()
def quote(
    prompt: Annotated[str, typer.Argument(help='What would be asked; "-" reads it from standard input.')],
    model: Annotated[str, typer.Option(help="A pool, a model, or auto.")] = "auto",
    address: Annotated[str, typer.Option(help="The router's gRPC address.", envvar="HEADGATE_ADDRESS")] = DEFAULT_GRPC,
    api_key: Annotated[str, typer.Option(help="Your API key, where keys are configured.", envvar="HEADGATE_API_KEY")] = "",
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Longest answer, in tokens.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as POST /v1/headgate/quote has it.")] = False,
) -> None:
    """Say where a question would go, what it would cost and why, without running it."""
    from cli.question import Question
    from cli.quote import quote as run_quote

    text = sys.stdin.read() if prompt == "-" else prompt
    run_quote(Question(text, model, max_tokens), address, api_key, as_json=as_json)


@budget_app.callback(invoke_without_command=True)
def budget(
    context: typer.Context,
    address: Annotated[str, typer.Option(help="The router's gRPC address.", envvar="HEADGATE_ADDRESS")] = DEFAULT_GRPC,
    api_key: Annotated[str, typer.Option(help="Your API key, where keys are configured.", envvar="HEADGATE_API_KEY")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as GET /v1/headgate/budget has it.")] = False,
) -> None:
    """Show what your tenant may spend and has spent."""
    if context.invoked_subcommand is None:
        from cli.budget import budget as run_budget

        run_budget(address, api_key, as_json=as_json)


@budget_app.command("set")
def budget_set(
    tenant: Annotated[str, typer.Argument(help="The tenant whose budget it is.")],
    spent: Annotated[float, typer.Option(help="What it has spent in the present window, in USD.")],
    window: Annotated[
        Literal["hour", "day", "week", "month", "forever"] | None,
        typer.Option(help="The budget's window, where it has several."),
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(help="The routers' Redis; its password is HEADGATE_REDIS_PASSWORD.", envvar="HEADGATE_REDIS_URL"),
    ] = None,
    file: Annotated[
        Path, typer.Option("--file", "-f", help="Without a URL: the file of a running `headgate up`.")
    ] = DEFAULT_FILE,
) -> None:
    """For operators: say what a tenant has spent, for a record that Redis lost."""
    from cli.budget_set import budget_set as run_set

    run_set(tenant, spent, "" if window == "forever" else window, redis, file)


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


@app.command()
def train(  # noqa: PLR0913, PLR0917  (an argument is an option to typer)
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Outcomes: csv, tsv, jsonl or parquet, also with .gz.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The artefact to write.")],
    evaluate: Annotated[
        str,
        typer.Option(
            "--eval", metavar="split|FILE", help="Test on a fifth held back, or on other outcomes; default: cross-validation."
        ),
    ] = "",
    report: Annotated[Path | None, typer.Option(help="Write the report here too, as one HTML page.")] = None,
    pools: Annotated[
        list[str] | None, typer.Option("--pool", metavar="NAME=NAME", help="Headgate's name = the file's.")
    ] = None,
    prompt_column: Annotated[str, typer.Option(help="Column of the prompts.")] = "prompt",
    domain_column: Annotated[
        str, typer.Option(help="Column of the subject or task. [default: domain, where there is one]")
    ] = "",
    pool_column: Annotated[str, typer.Option(help="Column of the pool, in the long form.")] = "pool",
    quality: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=COLUMN", help="Quality of a pool; '*=*_correct' takes all such. Long form: COLUMN alone."),
    ] = None,
    cost: Annotated[list[str] | None, typer.Option(metavar="NAME=COLUMN|USD", help="Cost of a pool's answers in USD.")] = None,
    tokens: Annotated[list[str] | None, typer.Option(metavar="NAME=COLUMN", help="Output tokens of a pool's answers.")] = None,
    scale: Annotated[str, typer.Option(metavar="LOW:HIGH", help="What quality runs from and to.")] = "0:1",
    seed: Annotated[int, typer.Option(min=0, help="The same outcomes and seed give the same artefact.")] = 0,
) -> None:
    """Learn from outcomes which pool answers which prompt well; writes what the router reads, and says how good it is."""
    missing = [name for name in ("matplotlib", "polars", "sklearn") if importlib.util.find_spec(name) is None]
    if missing:
        raise CommandError(f"training needs {', '.join(missing)}", todo="install them: pip install 'headgate[train]'")
    from cli.order import Order
    from cli.train import columns_of
    from cli.train import train as run_train

    named = {"--pool": pools, "--quality": quality, "--cost": cost, "--tokens": tokens}
    columns = columns_of(prompt_column, domain_column, pool_column, scale, {flag: said or [] for flag, said in named.items()})
    run_train(Order(tuple(files), output, evaluate, report, seed), columns)


@app.command()
def predict(
    artefact: Annotated[Path, typer.Argument(help="What `headgate train` wrote.")],
    prompts: Annotated[
        Path, typer.Argument(help='JSON lines: {"prompt": …}, {"messages": […]} or a string; also .gz; "-": standard input.')
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write here; default: standard output.")] = None,
) -> None:
    """Say what a trained predictor makes of prompts: a JSON line for each, with the router's own numbers."""
    from cli.predict import predict as run_predict

    run_predict(artefact, prompts, output)


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
