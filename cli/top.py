"""`headgate top`: a live view of a router's pools and models, from its metrics page. Draws; the figures are cli/board.py's."""

import time
from collections import deque
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.board import Board, board
from cli.errors import CommandError
from cli.money import usd
from cli.printable import printable
from cli.router_page import Page, fetch

_WINDOW_S = 60.0
_NOTHING = "–"
# Narrower than this, what can be missed is left out.
_WIDE_COLUMNS = 100
_BAR_COLUMNS = 12
# A small screen has room for no more.
_MOST_BUDGETS = 4
_NEARLY = 0.8


def top(address: str, every_s: float, *, once: bool) -> None:
    """The command. `address` is host:port or a URL."""
    url = (address if "://" in address else f"http://{address}").rstrip("/")
    console = Console(highlight=False)
    if once or console.is_dumb_terminal or not console.is_terminal:
        console.print(_single_frame(url, every_s, console.width))
        return
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            for frame in _frames(url, every_s, console):
                live.update(frame, refresh=True)
    except KeyboardInterrupt:
        return


def _read(url: str) -> tuple[float, Page]:
    try:
        return time.monotonic(), fetch(url)
    except (OSError, ValueError) as fault:
        todo = "start one with `headgate demo` or `headgate up`, or name another with --address HOST:PORT (its HTTP port)"
        raise CommandError(f"no router's metrics at {url}/metrics: {fault}", todo=todo) from fault


def _single_frame(url: str, every_s: float, width: int) -> RenderableType:
    before_s, before = _read(url)
    time.sleep(every_s)
    now_s, now = _read(url)
    figures = board(now, before, now_s - before_s, measured_from=Page())
    return frame(figures, url, width, f"rates: last {now_s - before_s:.0f} s; first token and cached: since the router started")


def _frames(url: str, every_s: float, console: Console) -> Iterator[RenderableType]:
    """For ever, one frame each `every_s`. A router that is away for a while is waited for."""
    readings = deque([_read(url)])
    yield Text(f"reading {url}/metrics …")
    while True:
        time.sleep(every_s)
        try:
            readings.append(_read(url))
        except CommandError as fault:
            yield Group(Text(fault.message, style="red"), Text("waiting for it to come back; Ctrl-C ends", style="dim"))
            continue
        while readings[-1][0] - readings[1][0] > _WINDOW_S:
            readings.popleft()
        (before_s, before), (now_s, now) = readings[0], readings[-1]
        window_s = now_s - before_s
        yield frame(board(now, before, window_s), url, console.width, f"rates and times: last {window_s:.0f} s · Ctrl-C ends")


def frame(figures: Board, url: str, width: int, note: str) -> RenderableType:
    """One screen, `width` columns wide."""
    wide = width >= _WIDE_COLUMNS
    head = Text.assemble(("headgate", "bold"), f"  {url}  ", (time.strftime("%H:%M:%S"), "dim"))
    facts = (
        f"{figures.running} running · {figures.answers} answered · {figures.errors} errors · "
        f"{figures.resumed} resumed · {usd(figures.cost_usd)} USD"
    )
    parts: list[RenderableType] = [head, Text(facts)]
    if choices := _choices(figures):
        parts.append(Text(choices))
    parts += [Text(), _pools(figures, wide), Text(), _models(figures, wide), Text()]
    if figures.budgets:
        parts += [_budgets(figures), Text()]
    return Group(*parts, Text(note, style="dim"))


def _choices(figures: Board) -> str:
    """What happened of what does not always happen."""
    counts = ((figures.escalated, "escalated"), (figures.explored, "tried to learn"), (figures.refused, "out of money"))
    said = [f"{count} {what}" for count, what in counts if count]
    if figures.standing not in ("", "learning"):
        said.append(f"choice by {figures.standing} (drift)")
    return " · ".join(said)


def _budgets(figures: Board) -> Table:
    table = _table("budget", ("USD", "spent", "left"))
    table.add_column("")
    for row in figures.budgets[:_MOST_BUDGETS]:
        colour = "red" if row.share >= 1 else "yellow" if row.share >= _NEARLY else "green"
        table.add_row(
            Text(printable(f"{row.tenant} ({row.window})" if row.window else row.tenant)),
            usd(row.limit_usd),
            usd(row.spent_usd),
            Text(usd(max(row.limit_usd - row.spent_usd, 0.0)), style=colour),
            ProgressBar(1.0, min(row.share, 1.0), width=_BAR_COLUMNS, complete_style=colour, finished_style=colour),
        )
    if (more := len(figures.budgets) - _MOST_BUDGETS) > 0:
        table.add_row(Text(f"and {more} with more left", style="dim"))
    return table


def _pools(figures: Board, wide: bool) -> Table:
    extra = ("running", "KV used") if wide else ("KV",)
    # What nobody predicted, or knows of, has no column.
    predicted = wide and any(pool.quality is not None for pool in figures.pools)
    metered = wide and any(pool.energy_wh for pool in figures.pools)
    known = (*(("quality",) if predicted else ()), *(("Wh",) if metered else ()))
    table = _table("pool", ("ready", "in flight", "queue", *extra, "USD", "USD/h", *known))
    for pool in figures.pools:
        kv_used = f"{pool.kv_used:.0%}"
        table.add_row(
            printable(pool.name),
            Text(str(pool.ready), style="green" if pool.ready else "bold red"),
            str(pool.in_flight),
            f"{pool.waiting:.1f}",
            *((f"{pool.running:.1f}", kv_used) if wide else (kv_used,)),
            usd(pool.cost_usd),
            usd(pool.cost_usd_per_hour),
            *((_NOTHING if pool.quality is None else f"{pool.quality:.2f}",) if predicted else ()),
            *((f"{pool.energy_wh:.3g}",) if metered else ()),
        )
    if not figures.pools:
        table.add_row("no pool yet")
    return table


def _models(figures: Board, wide: bool) -> Table:
    extra = ("req/s",) if wide else ()
    table = _table("model", ("answers", *extra, "in t/s", "out t/s", "cached", "TTFT p50", "p95"))
    for model in figures.models:
        table.add_row(
            printable(model.name),
            str(model.answers),
            *((f"{model.answers_per_s:.2f}",) if wide else ()),
            f"{model.tokens_in_per_s:.1f}",
            f"{model.tokens_out_per_s:.1f}",
            _NOTHING if model.cached_share is None else f"{model.cached_share:.0%}",
            _time(model.ttft_p50_s),
            _time(model.ttft_p95_s),
        )
    if not figures.models:
        table.add_row(Text("no answers yet", style="dim"))
    return table


def _table(first: str, others: tuple[str, ...]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", expand=False)
    table.add_column(first, overflow="ellipsis", no_wrap=True, max_width=24)
    for heading in others:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def _time(seconds: float | None) -> str:
    if seconds is None:
        return _NOTHING
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
