"""Vectors → the answer of /v1/embeddings, with what they cost."""

import base64
import sys
from array import array
from typing import Any

from router.fronts.http.message import JSON
from router.fronts.openai.about import budget_objects, cost_headers, decision_headers, decision_object, footprint_object
from router.request import Embedding


def embedding_object(call_id: str, found: Embedding, *, packed: bool) -> dict[str, Any]:
    """`packed`: vectors in base64 instead of numbers."""
    tokens = found.prompt_tokens
    return {
        "object": "list",
        "model": found.decision.model,
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
            for index, vector in enumerate(found.vectors)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        "headgate": {
            "request_id": call_id,
            **decision_object(found.decision),
            "cost_usd": found.cost_usd,
            "footprint": footprint_object(found.used),
            "budgets": budget_objects(found.budgets),
        },
    }


def embedding_headers(call_id: str, found: Embedding) -> bytes:
    return JSON + decision_headers(call_id, found.decision) + cost_headers(found.cost_usd, found.used, found.budgets)


def _packed(vector: tuple[float, ...]) -> str:
    """Base64 of little-endian 32-bit floats, as OpenAI packs vectors."""
    floats = array("f", vector)
    if sys.byteorder == "big":
        floats.byteswap()
    return base64.b64encode(floats.tobytes()).decode()
