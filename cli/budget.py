"""`headgate budget`: what the tenant of a key, and those above it, may spend and have spent."""

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import grpc
from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from cli.columns import Column, fitted
from cli.money import usd
from cli.printable import printable
from cli.times import span
from cli.wire import channel, credentials, explain
from headgate.v1 import inference_pb2, inference_pb2_grpc

State = inference_pb2.BudgetState

_TIMEOUT_S = 20.0
_BAR_COLUMNS = 12
_EVERY = {"": "in all", "hour": "an hour", "day": "a day", "week": "a week", "month": "a month"}


def budget(address: str, api_key: str, *, as_json: bool = False) -> None:
    """The command."""
    with channel(address) as connection:
        stub = inference_pb2_grpc.InferenceStub(connection)
        try:
            states = stub.Budget(inference_pb2.BudgetRequest(), metadata=credentials(api_key), timeout=_TIMEOUT_S).budgets
        except grpc.RpcError as error:
            raise explain(error, address) from None
    if as_json:
        print(json.dumps({"budgets": budget_objects(states)}, indent=2))
        return
    console = Console(highlight=False)
    if states:
        console.print(budgets_table(console, states, time.time()))
    else:
        console.print("no budget holds for this key: it may spend without limit")


def budgets_table(console: Console, states: Sequence[State], now_s: float) -> Table:
    """The tenant's own first, then those above it."""
    columns: list[Column[State]] = [
        Column("tenant", lambda state: printable(state.tenant), text=True),
        Column("budget, USD", lambda state: f"{usd(state.limit_usd)} {_EVERY.get(state.window, printable(state.window))}"),
        Column("spent", lambda state: usd(state.spent_usd)),
        Column("left", _left),
        Column("", _bar, worth=2, text=True),
        Column("ends in", lambda state: span(state.resets_at_s - now_s) if state.resets_at_s else "never", worth=4, text=True),
        Column("UTC", _end, worth=1, text=True),
        Column("limit", lambda state: "hard" if state.hard else "soft", worth=3, text=True),
    ]
    return fitted(console, "budgets (spent: with what is reserved)", columns, states)


def budget_objects(states: Sequence[State]) -> list[dict[str, object]]:
    """As GET /v1/headgate/budget has them."""
    return [
        {
            "tenant": state.tenant,
            "limit_usd": state.limit_usd,
            "spent_usd": state.spent_usd,
            "remaining_usd": state.remaining_usd,
            "window": state.window,
            "resets_at_s": state.resets_at_s,
            "hard": state.hard,
        }
        for state in states
    ]


def _share(state: State) -> float:
    return state.spent_usd / state.limit_usd if state.limit_usd > 0 else 1.0


def _colour(state: State) -> str:
    share = _share(state)
    return "red" if share >= 1 else "yellow" if share >= 0.8 else "green"


def _left(state: State) -> Text:
    return Text(usd(state.remaining_usd), style=_colour(state))


def _bar(state: State) -> ProgressBar:
    colour = _colour(state)
    share = min(max(_share(state), 0.0), 1.0)
    return ProgressBar(1.0, share, width=_BAR_COLUMNS, complete_style=colour, finished_style=colour)


def _end(state: State) -> str:
    return f"{datetime.fromtimestamp(state.resets_at_s, UTC):%d %b %H:%M}" if state.resets_at_s else ""
