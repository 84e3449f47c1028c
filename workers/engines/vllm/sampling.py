"""How a request's sampling becomes vLLM's SamplingParams. Importing this module does not import vLLM."""

from collections.abc import Mapping
from typing import Any

from workers.engine import Constraint, Sampling
from workers.engines.vllm_parameters import Extras

# Sampling field → SamplingParams field, where None leaves the choice to the model's own generation config, then to vLLM.
NAMES = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "repetition_penalty": "repetition_penalty",
}

# Constraint kind → StructuredOutputsParams field.
CONSTRAINTS = {
    "json_schema": "json",
    "regex": "regex",
    "grammar": "grammar",
    "choice": "choice",
    "json_object": "json_object",
    "structural_tag": "structural_tag",
}


def sampling_fields(sampling: Sampling, extras: Extras, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """SamplingParams' arguments, all but the token limits and the constraint.

    `defaults` is what the model's folder recommends (`get_diff_sampling_param`). Stop strings are left out: they are ours.
    """
    fields: dict[str, Any] = {theirs: defaults[theirs] for theirs in NAMES.values() if theirs in defaults}
    fields |= {theirs: value for ours, theirs in NAMES.items() if (value := getattr(sampling, ours)) is not None}
    fields |= {
        "seed": sampling.seed,
        "stop_token_ids": list(dict.fromkeys((*sampling.stop_token_ids, *defaults.get("stop_token_ids", ())))),
        "ignore_eos": sampling.ignore_eos,
        "logprobs": sampling.logprobs if extras.logprob_token_ids is None else None,
        "logprob_token_ids": extras.logprob_token_ids if sampling.logprobs is not None else None,
        "logit_bias": dict(sampling.logit_bias) or None,
        "bad_words": list(extras.bad_words),
        "allowed_token_ids": extras.allowed_token_ids,
        "thinking_token_budget": extras.thinking_token_budget,
        "watermarking": extras.watermarking,
        "extra_args": dict(extras.vllm_xargs) or None,
        "detokenize": False,
    }
    return fields


def constraint_fields(constraint: Constraint) -> dict[str, Any]:
    """StructuredOutputsParams' arguments."""
    value: Any = constraint.value
    if constraint.kind == "choice":
        value = list(constraint.value)
    elif constraint.kind == "json_object":
        value = True
    return {CONSTRAINTS[constraint.kind]: value}
