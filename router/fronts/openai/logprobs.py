"""Log-probabilities in the two shapes of OpenAI's APIs."""

from collections.abc import Sequence
from typing import Any

from router.request import Alternative, TokenLogprob

_LEAST = -9999.0  # JSON has no minus infinity; this is what vLLM says in its place


def chat_logprobs(tokens: Sequence[TokenLogprob], as_ids: bool) -> dict[str, Any]:
    """`choices[].logprobs` of a chat completion. `as_ids`: tokens by number, for those no text can show."""
    content = [{**_entry(token, as_ids), "top_logprobs": [_entry(other, as_ids) for other in token.top]} for token in tokens]
    return {"content": content, "refusal": None}


def completion_logprobs(tokens: Sequence[TokenLogprob], as_ids: bool, offset: int) -> dict[str, Any]:
    """`choices[].logprobs` of a text completion. `offset`: characters of the answer before the first token."""
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token.token)
    return {
        "text_offset": offsets,
        "token_logprobs": [_finite(token.logprob) for token in tokens],
        "tokens": [_said(token, as_ids) for token in tokens],
        "top_logprobs": [_likeliest(token, as_ids) for token in tokens],
    }


def _likeliest(token: TokenLogprob, as_ids: bool) -> dict[str, float]:
    """The alternatives by text; the chosen token is always among them."""
    chosen = {_said(token, as_ids): _finite(token.logprob)}
    return chosen | {_said(other, as_ids): _finite(other.logprob) for other in token.top}


def _entry(token: TokenLogprob | Alternative, as_ids: bool) -> dict[str, Any]:
    return {"token": _said(token, as_ids), "logprob": _finite(token.logprob), "bytes": list(token.token_bytes)}


def _said(token: TokenLogprob | Alternative, as_ids: bool) -> str:
    return f"token_id:{token.token_id}" if as_ids else token.token


def _finite(logprob: float) -> float:
    return max(logprob, _LEAST)
