"""`headgate quote`: where a question would go, what it would cost there and why, without running it."""

import json
import time
from collections.abc import Iterator, Sequence

import grpc
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli.budget import budget_objects, budgets_table
from cli.columns import Column, fitted
from cli.money import usd
from cli.printable import printable
from cli.question import Question, to_request
from cli.wire import channel, credentials, explain
from headgate.v1 import inference_pb2, inference_pb2_grpc

Option = inference_pb2.QuoteResponse.Option

_TIMEOUT_S = 60.0


def quote(question: Question, address: str, api_key: str, *, as_json: bool = False) -> None:
    """The command."""
    request = to_request(question)
    with channel(address) as connection:
        stub = inference_pb2_grpc.InferenceStub(connection)
        try:
            offer = stub.Quote(request, metadata=credentials(api_key), timeout=_TIMEOUT_S)
        except grpc.RpcError as error:
            raise explain(error, address) from None
    if as_json:
        print(json.dumps(offer_object(offer), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(offer_page(console, offer, time.time()))


def offer_page(console: Console, offer: inference_pb2.QuoteResponse, now_s: float) -> RenderableType:
    """Options, why each, budgets, and whether the request would be refused."""
    return Group(*_parts(console, offer, now_s))


def offer_object(offer: inference_pb2.QuoteResponse) -> dict[str, object]:
    """As POST /v1/headgate/quote has it."""
    return {
        "options": [_option_object(option) for option in offer.options],
        "budgets": budget_objects(offer.budgets),
        "refusal": offer.refusal,
    }


def footprint(used: inference_pb2.Footprint) -> str:
    """Energy, carbon, water in one line."""
    return f"{_small(used.energy_wh)} Wh, {_small(used.carbon_g)} g CO2e, {_small(used.water_ml)} ml water"


def _parts(console: Console, offer: inference_pb2.QuoteResponse, now_s: float) -> Iterator[RenderableType]:
    if offer.options:
        yield _options_table(console, offer.options)
        yield Text()
        yield from _reasons(offer.options)
    if offer.budgets:
        yield Text()
        yield budgets_table(console, offer.budgets, now_s)
    if offer.refusal:
        yield Text()
        yield Text(f"would be refused now: {printable(offer.refusal)}", style="bold red")


def _options_table(console: Console, options: Sequence[Option]) -> Table:
    """The place that would be taken first. What nobody knows has no column."""
    rows = list(options)
    columns: list[Column[Option]] = [
        Column(" ", lambda option: "→" if option is rows[0] else " ", text=True),
        Column("pool", lambda option: printable(option.decision.pool), text=True),
        Column("model", lambda option: printable(option.decision.model), worth=6, text=True),
        Column("engine", lambda option: "simulated" if option.decision.simulated else "real", worth=3, text=True),
        Column("quality", _quality, worth=8),
        Column("in", lambda option: str(option.prompt_tokens), worth=5),
        Column("cached", lambda option: str(option.cached_tokens), worth=4),
        Column("out", lambda option: f"~{option.output_tokens}", worth=7),
        Column("USD", lambda option: usd(option.cost_usd)),
        Column("at most", lambda option: usd(option.max_cost_usd) if option.max_cost_usd else "", worth=8),
        Column("TTFT", lambda option: f"{option.ttft_s * 1000:.0f} ms" if option.ttft_s else "", worth=2),
        Column("Wh", _energy, worth=1),
        Column("utility", lambda option: f"{option.utility:.3f}" if option.utility else "", worth=2),
    ]
    return fitted(console, "options (estimated)", columns, rows)


def _quality(option: Option) -> str:
    """Nothing where nothing was predicted."""
    if not option.decision.HasField("quality"):
        return ""
    doubt = f" ±{option.uncertainty:.2f}" if option.HasField("uncertainty") else ""
    return f"{option.decision.quality:.2f}{doubt}"


def _energy(option: Option) -> str:
    return _small(option.footprint.energy_wh) if option.HasField("footprint") else ""


def _reasons(options: Sequence[Option]) -> Iterator[RenderableType]:
    policy = next((option.decision.policy for option in options if option.decision.policy), "")
    yield Text(f"why, by policy {printable(policy)}" if policy else "why", style="bold")
    for place, option in enumerate(options):
        decision = option.decision
        notes = ("simulated" if decision.simulated else "", "taken to learn about it" if decision.exploring else "")
        noted = ", ".join(note for note in notes if note)
        pool = f"{decision.pool} ({noted})" if noted else decision.pool
        yield Padding(Text(printable(f"{pool}: {decision.reason}"), style="dim" if place else ""), (0, 0, 0, 2))


def _option_object(option: Option) -> dict[str, object]:
    decision, used = option.decision, option.footprint
    return {
        "pool": decision.pool,
        "model": decision.model,
        "replica": decision.replica,
        "reason": decision.reason,
        "simulated": decision.simulated,
        "quality": decision.quality if decision.HasField("quality") else None,
        "policy": decision.policy,
        "exploring": decision.exploring,
        "uncertainty": option.uncertainty if option.HasField("uncertainty") else None,
        "cost_usd": option.cost_usd,
        "max_cost_usd": option.max_cost_usd,
        "prompt_tokens": option.prompt_tokens,
        "cached_tokens": option.cached_tokens,
        "output_tokens": option.output_tokens,
        "footprint": {"energy_wh": used.energy_wh, "carbon_g": used.carbon_g, "water_ml": used.water_ml}
        if option.HasField("footprint")
        else None,
        "utility": option.utility,
        "ttft_ms": round(option.ttft_s * 1000, 3),
    }


def _small(figure: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{figure:.3g}" if figure >= 1e-4 or figure == 0 else usd(figure)
