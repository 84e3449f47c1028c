"""What whole answers and streams of the OpenAI front have in common: headers, usage, and the `headgate` object."""

from dataclasses import dataclass, field
from typing import Any

from router.fronts.http.message import JSON
from router.fronts.openai.about import (
    budget_objects,
    cost_headers,
    decision_headers,
    decision_object,
    footprint_object,
)
from router.request import BudgetState, Decision, Finished, ModelCard, Usage, Used
from router.snapshot import Prices

SSE = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"


@dataclass(slots=True)
class Tally:
    """What an HTTP request used in all: one Finished per prompt."""

    id: str
    usage: Usage = field(default_factory=Usage)
    cost_usd: float = 0.0
    resumed: int = 0
    escalated: int = 0
    ttft_s: float = 0.0
    used: Used | None = None
    budgets: tuple[BudgetState, ...] = ()
    decision: Decision = field(default_factory=lambda: Decision("", "", "", ""))
    answers: int = 0

    def add(self, finished: Finished) -> None:
        self.answers += 1
        self.cost_usd += finished.cost_usd
        self.resumed += finished.resumed
        self.escalated += finished.escalated
        self.decision = finished.decision
        self.used = _sum(self.used, finished.used)
        self.budgets = finished.budgets
        if self.answers == 1:
            self.usage, self.ttft_s = finished.usage, finished.ttft_s
            return
        was, new = self.usage, finished.usage
        self.usage = Usage(
            was.prompt_tokens + new.prompt_tokens,
            was.completion_tokens + new.completion_tokens,
            was.cached_tokens + new.cached_tokens,
        )
        self.ttft_s = min(self.ttft_s, finished.ttft_s)


def _sum(one: Used | None, other: Used | None) -> Used | None:
    if one is None or other is None:
        return one or other
    return Used(one.energy_wh + other.energy_wh, one.carbon_g + other.carbon_g, one.water_ml + other.water_ml)


def usage_object(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }


def headgate_object(tally: Tally) -> dict[str, Any]:
    """Who answered, why, and at what cost."""
    return {
        "request_id": tally.id,
        **decision_object(tally.decision),
        "cost_usd": tally.cost_usd,
        "cached_tokens": tally.usage.cached_tokens,
        "resumed": tally.resumed,
        "escalated": tally.escalated,
        "ttft_ms": round(tally.ttft_s * 1000, 3),
        "footprint": footprint_object(tally.used),
        "budgets": budget_objects(tally.budgets),
    }


def answer_headers(tally: Tally) -> bytes:
    """What is known when an answer is whole, as header lines."""
    counts = (
        f"x-headgate-cached-tokens: {tally.usage.cached_tokens}\r\n"
        f"x-headgate-resumed: {tally.resumed}\r\n"
        f"x-headgate-escalated: {tally.escalated}\r\n"
    )
    paid = cost_headers(tally.cost_usd, tally.used, tally.budgets)
    return JSON + decision_headers(tally.id, tally.decision) + counts.encode() + paid


def model_objects(cards: list[ModelCard], created_s: int) -> list[dict[str, Any]]:
    """OpenAI's model objects, one per name; `headgate` lists the pools behind it."""
    named: dict[str, list[ModelCard]] = {}
    for card in cards:
        named.setdefault(card.name, []).append(card)
    return [_model_object(name, behind, created_s) for name, behind in named.items()]


def _model_object(name: str, cards: list[ModelCard], created_s: int) -> dict[str, Any]:
    return {
        "id": name,
        "object": "model",
        "created": created_s,
        "owned_by": "headgate",
        "max_model_len": max(card.max_context_tokens for card in cards) or None,
        "headgate": {"pools": [_pool_object(card) for card in cards]},
    }


def _pool_object(card: ModelCard) -> dict[str, Any]:
    return {
        "pool": card.pool,
        "tier": card.tier,
        "engine": card.engine,
        "simulated": card.simulated,
        "ready_replicas": card.ready_replicas,
        "embeddings": card.embeddings,
        "prices": _prices_object(card.prices),
    }


def _prices_object(prices: Prices) -> dict[str, float]:
    return {
        "input_usd_per_mtok": prices.input,
        "cached_input_usd_per_mtok": prices.cached_input,
        "output_usd_per_mtok": prices.output,
    }
