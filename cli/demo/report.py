"""How the demo looks: its header, one block per answer, the table of decisions and costs, and what to try next. Draws only."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from cli.demo.answer import Answer
from cli.demo.prompts import DemoPrompt
from cli.demo.stack import OWN_MODELS
from cli.money import usd
from cli.printable import printable
from cli.stack.config import Stack, simulated_pools
from cli.stack.ports import DEFAULT_GRPC, DEFAULT_HTTP
from cli.stack.running import Endpoints

_LONGEST_ANSWER = 260
# From here on the table has room for the reasons; narrower, each answer's own block tells them.
_WIDE_COLUMNS = 110

Asked = tuple[DemoPrompt, Answer]


def header(stack: Stack, notes: Sequence[str]) -> RenderableType:
    """What is about to be started, and which part of it is simulated."""
    fake = simulated_pools(stack)
    lines = [Text("Headgate demo", style="bold"), Text("one endpoint, three pools, every decision explained"), Text("")]
    for pool in stack.pools:
        engines = f"{len(pool.replicas)} × {pool.replicas[0].engine.kind}" if pool.replicas else "elsewhere"
        kind = Text("SIMULATED", style="yellow") if pool.name in fake else Text("real vLLM", style="green")
        lines.append(Text.assemble("  ", (f"{pool.name:<6}", "bold"), f"  {pool.models[0]:<24}", f"{engines:<16}", kind))
    return Group(*lines, *(Text(f"  note: {note}", style="yellow") for note in notes), Text(""))


def block(number: int, prompt: DemoPrompt, answer: Answer) -> RenderableType:
    """One question, its answer, shortened, and why it was served where it was."""
    asked = prompt.text if len(prompt.text) <= 100 else f"{prompt.text[:40]} … {prompt.text[-50:]}"
    text = " ".join(printable(answer.text).split()) or "(an empty answer)"
    if len(text) > _LONGEST_ANSWER:
        text = text[:_LONGEST_ANSWER].rstrip() + " …"
    why = Text.assemble((answer.pool, "bold"), " (", engine(answer), ")", (f" · {printable(answer.reason)}", "dim"))
    head = Text.assemble((f"{number}. ", "bold"), (asked, "bold"), (f"  [{prompt.shows}; {answer.via}]", "dim"))
    return Group(head, _Hanging("   ", Text(text)), _Hanging(" → ", why), Text(""))


@dataclass(frozen=True, slots=True)
class _Hanging:
    """A label and a text that wraps beside it, with nothing to its right: rich's own padding fills every line with blanks."""

    label: str
    text: Text
    style: str = ""

    def __rich_console__(self, screen: Console, options: ConsoleOptions) -> RenderResult:
        margin = len(self.label)
        for number, line in enumerate(self.text.wrap(screen, max(options.max_width - margin, 20))):
            line.rstrip()
            yield Text.assemble((self.label if number == 0 else " " * margin, self.style), line)


def failed(number: int, prompt: DemoPrompt, message: str) -> RenderableType:
    return Text.assemble((f"{number}. {prompt.title}: FAILED: ", "bold red"), printable(message), "\n")


def engine(answer: Answer) -> Text:
    return Text("simulated", style="yellow") if answer.simulated else Text("real", style="green")


def decisions(asked: Sequence[Asked], width: int) -> Table:
    """The table at the end: a row per prompt, and the sum of what they cost."""
    wide = width >= _WIDE_COLUMNS
    table = _empty_table(wide, usd(sum(answer.cost_usd for _, answer in asked)))
    for prompt, answer in asked:
        # Why this pool; why this replica of it stands in the answer's own block.
        why = printable(answer.reason).partition(";")[0]
        tokens = f"{answer.prompt_tokens} ({answer.cached_tokens})"
        figures = (tokens, str(answer.output_tokens), f"{answer.ttft_s * 1000:.0f} ms", usd(answer.cost_usd))
        if wide:
            table.add_row(prompt.title, answer.via, answer.pool, answer.model, engine(answer), *figures, why)
        else:
            table.add_row(prompt.title, answer.pool, engine(answer), *figures)
    return table


def _empty_table(wide: bool, total_usd: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", show_footer=True, footer_style="bold")
    table.add_column("prompt", footer="together", overflow="ellipsis", no_wrap=True, max_width=20)
    for heading in ("via", "pool", "model", "engine") if wide else ("pool", "engine"):
        table.add_column(heading, overflow="ellipsis", no_wrap=True, max_width=22)
    for heading in ("in (cached)", "out", "1st token"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("USD", footer=total_usd, justify="right", no_wrap=True)
    if wide:
        table.add_column("why", overflow="fold")
    return table


def honesty(asked: Sequence[Asked]) -> RenderableType:
    """Which part of what was just shown is real and which is not."""
    fake = sorted({answer.pool for _, answer in asked if answer.simulated})
    real = sorted({f"{answer.pool} ({answer.model})" for _, answer in asked if not answer.simulated})
    always = "routing, prices, streaming, failover and metrics of every pool"
    answers = f"the answers of {' and '.join(real)}, by vLLM on this machine; and " if real else ""
    lines: list[RenderableType] = [_Hanging("Real:      ", Text(f"{answers}{always}."), "bold green")]
    if fake:
        text = (
            f"the engines of {' and '.join(fake)}: words by a hash, times by a model of the hardware. No model ran there. "
            f"To run real ones, name model folders in {' and '.join(OWN_MODELS.values())}."
        )
        lines.append(_Hanging("Simulated: ", Text(text), "bold yellow"))
    return Group(*lines, Text(""))


def next_steps(endpoints: Endpoints, log: Path) -> RenderableType:
    """Lines to paste into another terminal. Not wrapped, so that they can be."""
    body = '{"model": "auto", "messages": [{"role": "user", "content": "Why is the sky blue?"}]}'
    to_grpc = "" if endpoints.grpc == DEFAULT_GRPC else f" --address {endpoints.grpc}"
    to_http = "" if endpoints.http == DEFAULT_HTTP else f" --address {endpoints.http}"
    steps = (
        ("curl", f"curl {endpoints.url}/v1/chat/completions -H 'content-type: application/json' -d '{body}'"),
        ("Python", f'client = openai.OpenAI(base_url="{endpoints.url}/v1", api_key="none")'),
        ("ask", f'{_command()} ask "Why is the sky blue?" --explain{to_grpc}'),
        ("watch", f"{_command()} top{to_http}"),
        ("metrics", f"{endpoints.url}/metrics"),
        ("log", str(log)),
    )
    lines = [Text.assemble((f"  {name:<8}", "bold cyan"), text, no_wrap=True, overflow="ignore") for name, text in steps]
    return Group(Text("Try it now, in another terminal:", style="bold"), *lines, Text(""))


def _command() -> str:
    """How to call this very installation from where the user stands."""
    beside = Path(sys.executable).with_name("headgate")
    if not beside.exists():
        return f"{sys.executable} -m cli"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)


def console() -> Console:
    """For a person's terminal as wide as it is; for a file or a pipe wide enough for the whole table."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=160)
