"""What answers and quotes tell of a choice and of its money, as JSON and as header lines.

Every key is always there, null or empty where nothing is known; a header line is left out then.
"""

from collections.abc import Sequence
from typing import Any

from router.request import BudgetState, Decision, Offer, Quote, Used, tightest_budget

_CONTROL = dict.fromkeys((*range(32), 127), " ")


def decision_object(decision: Decision) -> dict[str, Any]:
    return {
        "pool": decision.pool,
        "model": decision.model,
        "replica": decision.replica,
        "reason": decision.reason,
        "simulated": decision.simulated,
        "quality": decision.quality,
        "policy": decision.policy,
        "exploring": decision.exploring,
    }


def footprint_object(used: Used | None) -> dict[str, float] | None:
    if used is None:
        return None
    return {"energy_wh": used.energy_wh, "carbon_g": used.carbon_g, "water_ml": used.water_ml}


def budget_objects(budgets: Sequence[BudgetState]) -> list[dict[str, Any]]:
    """The tenant's own first, then those above it."""
    return [
        {
            "tenant": budget.tenant,
            "limit_usd": budget.limit_usd,
            "spent_usd": budget.spent_usd,
            "remaining_usd": budget.remaining_usd,
            "window": budget.window,
            "resets_at_s": budget.resets_at_s,
            "hard": budget.hard,
        }
        for budget in budgets
    ]


def offer_object(offer: Offer) -> dict[str, Any]:
    return {
        "options": [_option_object(option) for option in offer.options],
        "budgets": budget_objects(offer.budgets),
        "refusal": offer.refusal,
    }


def decision_headers(request_id: str, decision: Decision) -> bytes:
    """What is known when an answer starts."""
    lines = [
        f"x-headgate-request-id: {request_id}",
        f"x-headgate-pool: {_clean(decision.pool)}",
        f"x-headgate-model: {_clean(decision.model)}",
        f"x-headgate-replica: {_clean(decision.replica)}",
        f"x-headgate-reason: {_clean(decision.reason)}",
        f"x-headgate-simulated: {'true' if decision.simulated else 'false'}",
    ]
    if decision.quality is not None:
        lines.append(f"x-headgate-quality: {decision.quality:.4g}")
    if decision.policy:
        lines.append(f"x-headgate-policy: {_clean(decision.policy)}")
    if decision.exploring:
        lines.append("x-headgate-exploring: true")
    return _lines(lines)


def cost_headers(cost_usd: float, used: Used | None, budgets: Sequence[BudgetState]) -> bytes:
    """What is known when an answer is whole. Of several budgets, the headers tell of the one that ends first."""
    lines = [f"x-headgate-cost-usd: {cost_usd:.9g}"]
    if used is not None:
        lines += [
            f"x-headgate-energy-wh: {used.energy_wh:.6g}",
            f"x-headgate-carbon-g: {used.carbon_g:.6g}",
            f"x-headgate-water-ml: {used.water_ml:.6g}",
        ]
    if (budget := tightest_budget(budgets)) is not None:
        lines += [
            f"x-headgate-budget-tenant: {_clean(budget.tenant)}",
            f"x-headgate-budget-limit-usd: {budget.limit_usd:.9g}",
            f"x-headgate-budget-remaining-usd: {budget.remaining_usd:.9g}",
        ]
        if budget.resets_at_s:
            lines.append(f"x-headgate-budget-resets-at: {budget.resets_at_s}")
    return _lines(lines)


def _option_object(quote: Quote) -> dict[str, Any]:
    return {
        **decision_object(quote.decision),
        "uncertainty": quote.uncertainty,
        "cost_usd": quote.cost_usd,
        "max_cost_usd": quote.max_cost_usd,
        "prompt_tokens": quote.prompt_tokens,
        "cached_tokens": quote.cached_tokens,
        "output_tokens": quote.output_tokens,
        "footprint": footprint_object(quote.used),
        "utility": quote.utility,
        "ttft_ms": round(quote.ttft_s * 1000, 3),
    }


def _lines(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


def _clean(text: str) -> str:
    """Text that can't break out of its header line."""
    if text.isascii() and text.isprintable():
        return text
    return text.translate(_CONTROL).encode("ascii", "replace").decode()
