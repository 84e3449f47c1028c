"""Which request parameters vLLM takes beyond ours, and what a continued answer can't carry over. For the two engines that speak
to a vLLM: in this process, and behind HTTP.

`Extras` is the whole list of names that `Sampling.extra` may hold; any other is refused by name. Pure; does not import vLLM.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from workers.engine import Generation, InvalidGeneration, Sampling

Int64 = Annotated[int, Field(ge=-(2**63), lt=2**63)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]


class Repetition(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    max_pattern_size: int = 0
    min_pattern_size: int = 0
    min_count: int = 0


class Extras(BaseModel):
    """vLLM's request parameters that have no field in `Sampling`, under the names its own HTTP server gives them.

    Sampling: bad_words, allowed_token_ids, logprob_token_ids, thinking_token_budget, repetition_detection, watermarking,
    vllm_xargs. Text: skip_special_tokens, spaces_between_special_tokens. Prompt: truncate_prompt_tokens (-1: what fits),
    truncation_side, add_special_tokens. Chat template: add_generation_prompt, continue_final_message, documents,
    reasoning_effort, tool_choice, parallel_tool_calls. The rest is accepted only with the value that asks for nothing.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    bad_words: list[str] = []
    allowed_token_ids: list[TokenId] | None = None
    logprob_token_ids: list[TokenId] | None = None
    thinking_token_budget: Int64 | None = None
    repetition_detection: Repetition | None = None
    watermarking: bool | None = None
    vllm_xargs: dict[str, Any] = {}

    skip_special_tokens: bool = True
    spaces_between_special_tokens: bool = True

    truncate_prompt_tokens: Annotated[int, Field(ge=-1, lt=2**31)] | None = None
    truncation_side: Literal["left", "right"] | None = None
    add_special_tokens: bool | None = None

    add_generation_prompt: bool = True
    continue_final_message: bool = False
    documents: list[dict[str, Any]] | None = None
    reasoning_effort: str | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None

    user: str | None = None
    echo: Literal[False] | None = None
    suffix: None = None
    use_beam_search: Literal[False] | None = None
    length_penalty: Annotated[float, Field(ge=1, le=1)] | None = None
    prompt_logprobs: None = None


def read_extras(extra: Mapping[str, object]) -> Extras:
    """Raises InvalidGeneration that names the first parameter at fault. Null asks for the default, as in vLLM."""
    try:
        return Extras.model_validate({name: value for name, value in extra.items() if value is not None or name not in FIELDS})
    except ValidationError as fault:
        first = fault.errors(include_input=False, include_url=False)[0]
        name = str(first["loc"][0])
        if first["type"] == "extra_forbidden" and len(first["loc"]) == 1:
            raise InvalidGeneration(f"vLLM takes no parameter {name!r}", name) from None
        raise InvalidGeneration(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", name) from None


FIELDS = frozenset(Extras.model_fields)


def token_limits(sampling: Sampling, room_tokens: int, default_max_tokens: int | None, resumed: int) -> tuple[int, int]:
    """(max_tokens, min_tokens) that are left after `resumed` tokens. `room_tokens` is what fits behind the prompt.

    A limit beyond the room is cut to it, as vLLM's own server does.
    """
    asked = sampling.max_tokens if sampling.max_tokens is not None else default_max_tokens
    whole = room_tokens if asked is None else min(asked, room_tokens)
    least = sampling.min_tokens or 0
    if asked is not None and least > asked:
        raise InvalidGeneration(f"min_tokens is {least}, more than max_tokens, which is {asked}", "min_tokens")
    return max(0, whole - resumed), max(0, min(least, whole) - resumed)


def refuse_what_cannot_resume(generation: Generation, extras: Extras) -> None:
    """vLLM sees a resumed answer's first part as prompt. Refuses every setting under which that changes the rest.

    The router replays such requests from their start and never asks for this; see docs on continuing answers.
    """
    sampling = generation.sampling
    state = {
        "seed": sampling.seed is not None and sampling.temperature != 0,  # the generator restarts
        "frequency_penalty": bool(sampling.frequency_penalty),  # counts generated tokens alone
        "presence_penalty": bool(sampling.presence_penalty),
        "bad_words": bool(extras.bad_words),  # matched against generated tokens alone
        "thinking_token_budget": extras.thinking_token_budget is not None,
        "repetition_detection": extras.repetition_detection is not None,
    }
    if sampling.constraint is not None:
        state[sampling.constraint.kind] = True  # the grammar restarts
    for name, carried in state.items():
        if carried:
            raise InvalidGeneration(f"an answer under {name} can't be continued from its tokens; replay it", name)
