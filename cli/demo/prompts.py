"""The prompts that the demo sends, and what each is there to show. Data only."""

from dataclasses import dataclass, field
from typing import Any, Literal

Via = Literal["http", "http stream", "grpc"]

_HANDBOOK = (
    "You are the assistant of a waterworks. The handbook says: "
    "The headgate at the river intake is opened before any canal gate. Each canal has a gate, a gauge and a keeper. "
    "The keeper reads the gauge every hour and writes the level into the book. When the level rises above two metres, "
    "the keeper closes the gate by one turn and tells the headgate by telephone. When it falls below one metre, the keeper "
    "opens the gate by one turn. No gate is opened while boats pass. In a drought the fields of the lower villages are "
    "watered at night, those of the upper villages by day, and nobody waters twice in one week. In a flood all canal gates "
    "are closed first and the headgate last, and the keepers stay at their gates until the river falls. Repairs are made in "
    "winter, when the canals are dry. A keeper who finds a leak marks it with a red flag, and the masons mend it within "
    "three days. "
)
_ANALYSIS = (
    "Analyse the trade-offs step by step: a city must choose between a dam, a canal and groundwater pumping for its water. "
    "Compare their costs and consequences, state the cost equations, solve them for the optimal mix, and justify it for a dry "
    "and for a wet decade."
)
_CITY_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "country": {"type": "string", "maxLength": 20}},
    "required": ["city", "country"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class DemoPrompt:
    """`title` is what tables show; `shows` says what it is there for."""

    title: str
    shows: str
    text: str
    via: Via
    model: str = "auto"
    max_tokens: int = 48
    json_schema: dict[str, Any] | None = field(default=None)


PROMPTS = (
    DemoPrompt("capital of France", "an easy question", "What is the capital of France?", "http"),
    DemoPrompt("why is the sky blue", "the same over gRPC", "Why is the sky blue? Answer in two sentences.", "grpc"),
    DemoPrompt(
        "merge two lists",
        "code wants a stronger pool",
        "Write a Python function that merges two sorted lists without sorting again.",
        "http stream",
    ),
    DemoPrompt("dam, canal or pumps", "a long analysis", _ANALYSIS, "grpc", max_tokens=96),
    DemoPrompt(
        "a city as JSON",
        "a JSON schema, kept by the engine",
        "What is the capital of France? Answer as JSON with the city and its country.",
        "http",
        model="small",
        max_tokens=64,
        json_schema=_CITY_SCHEMA,
    ),
    DemoPrompt("handbook: flood", "a long prompt", _HANDBOOK + "What is done first in a flood?", "http stream", model="small"),
    DemoPrompt(
        "handbook: summary",
        "same beginning: cached",
        _HANDBOOK + "Sum the handbook up in one sentence.",
        "http stream",
        model="small",
    ),
    DemoPrompt("a haiku", "a pool by its name", "Write a haiku about a river.", "grpc", model="moe"),
)
