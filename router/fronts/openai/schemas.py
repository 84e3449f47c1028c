"""JSON schemas of what Headgate offers beside OpenAI's own endpoints: quotes, budgets, verdicts."""

from router.fronts.openai.kinds import Schema
from router.verdict import LABEL_SCORES

_LABEL = f"Free text; without a score, {', '.join(LABEL_SCORES)} stand for one"
_BETTER_THAN = "Another request of yours, whose answer this one's is better than"

FEEDBACK: Schema = {
    "type": "object",
    "properties": {
        "request_id": {"type": "string", "minLength": 1, "maxLength": 128},
        "score": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
        "label": {"type": ["string", "null"], "maxLength": 256, "description": _LABEL},
        "better_than": {"type": ["string", "null"], "minLength": 1, "maxLength": 128, "description": _BETTER_THAN},
    },
    "required": ["request_id"],
    "anyOf": [
        {"required": ["score"], "properties": {"score": {"type": "number"}}},
        {"required": ["label"], "properties": {"label": {"type": "string", "minLength": 1}}},
        {"required": ["better_than"], "properties": {"better_than": {"type": "string"}}},
    ],
    "additionalProperties": False,
}
_NUMBER: Schema = {"type": "number"}
_BUDGETS: Schema = {
    "type": "array",
    "description": "The tenant's own first, then those above it; empty where it may spend without limit",
    "items": {
        "type": "object",
        "properties": {
            "tenant": {"type": "string"},
            "limit_usd": _NUMBER,
            "spent_usd": {**_NUMBER, "description": "reservations of requests under way included"},
            "remaining_usd": _NUMBER,
            "window": {"enum": ["", "hour", "day", "week", "month"]},
            "resets_at_s": {"type": "integer", "description": "Unix time; 0 for never"},
            "hard": {"type": "boolean", "description": "what would exceed it is refused"},
        },
    },
}
_FOOTPRINT: Schema = {
    "type": ["object", "null"],
    "description": "An estimate from the pool's figures; null where it has none",
    "properties": {"energy_wh": _NUMBER, "carbon_g": _NUMBER, "water_ml": _NUMBER},
}
_OPTION: Schema = {
    "type": "object",
    "properties": {
        **{key: {"type": "string"} for key in ("pool", "model", "replica", "reason", "policy")},
        **{key: {"type": "boolean"} for key in ("simulated", "exploring")},
        "quality": {"type": ["number", "null"], "description": "Predicted probability that the answer is good"},
        "uncertainty": {"type": ["number", "null"], "description": "Standard deviation of the quality"},
        "cost_usd": _NUMBER,
        "max_cost_usd": {**_NUMBER, "description": "What would be reserved: it can't cost more"},
        **{key: {"type": "integer"} for key in ("prompt_tokens", "cached_tokens", "output_tokens")},
        "footprint": _FOOTPRINT,
        "utility": {**_NUMBER, "description": "What the options are ranked by"},
        "ttft_ms": _NUMBER,
    },
}
QUOTE: Schema = {
    "type": "object",
    "properties": {
        "object": {"const": "headgate.quote"},
        "request_id": {"type": "string"},
        "options": {"type": "array", "description": "The first is the one that would be taken now", "items": _OPTION},
        "budgets": _BUDGETS,
        "refusal": {"type": "string", "description": "Why the request would be refused now; empty where it would not be"},
    },
}
BUDGET: Schema = {
    "type": "object",
    "properties": {"object": {"const": "headgate.budget"}, "tenant": {"type": "string"}, "budgets": _BUDGETS},
}
