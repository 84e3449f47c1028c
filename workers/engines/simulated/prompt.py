"""From a request to the simulated engine's terms: prompt tokens, script, and everything it has to refuse. Pure.

A last user message `repeat: X` is answered with `[simulated] X`, so that a test can choose what is said.
"""

from collections.abc import Mapping

from workers.engine import Chat, Constraint, Generation, InvalidGeneration
from workers.engines.simulated import json_voice
from workers.engines.simulated.text import LONGEST_TOKEN, SIMULATED, VOCABULARY, encode
from workers.engines.simulated.voice import Script

# What vLLM's OpenAI server takes beyond our own fields and what makes no difference to an engine without a model. Others are
# refused, so that a misspelt parameter is noticed here as it would be there.
IGNORED_EXTRAS = frozenset(
    {
        "add_generation_prompt",
        "add_special_tokens",
        "allowed_token_ids",
        "bad_words",
        "chat_template_kwargs",
        "continue_final_message",
        "documents",
        "echo",
        "include_reasoning",
        "kv_transfer_params",
        "length_penalty",
        "logprob_token_ids",
        "media_io_kwargs",
        "mm_processor_kwargs",
        "parallel_tool_calls",
        "prompt_logprobs",
        "reasoning_effort",
        "repetition_detection",
        "return_token_ids",
        "return_tokens_as_token_ids",
        "session_id",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stream_interval",
        "suffix",
        "thinking_token_budget",
        "truncate_prompt_tokens",
        "truncation_side",
        "user",
        "vllm_xargs",
        "watermarking",
    }
)
_REPEAT = "repeat: "


def prompt_tokens(generation: Generation, most: int) -> tuple[int, ...]:
    """The prompt's tokens, at most so many. Raises InvalidGeneration."""
    prompt = _render(generation.prompt) if isinstance(generation.prompt, Chat) else generation.prompt
    # A text that can't fit is refused unread: reading takes a while, and everybody else would wait.
    readable = not isinstance(prompt, str) or len(prompt) <= most * LONGEST_TOKEN
    ids = tuple(encode(prompt)) if isinstance(prompt, str) and readable else prompt
    if not readable or isinstance(ids, str) or len(ids) > most:
        raise InvalidGeneration(f"the prompt has more than the {most} tokens that fit with an answer", "prompt")
    if not ids:
        raise InvalidGeneration("the prompt is empty", "prompt")
    if max(ids) >= VOCABULARY or min(ids) < 0:
        raise InvalidGeneration(f"token ids must lie between 0 and {VOCABULARY - 1}", "prompt")
    return ids


def check(generation: Generation) -> None:
    """Refuses what the engine can't honour. Raises InvalidGeneration with the parameter's name."""
    sampling = generation.sampling
    for name in sampling.extra:
        if name not in IGNORED_EXTRAS:
            raise InvalidGeneration(f"the simulated engine knows no parameter {name!r}", name)
    if sampling.max_tokens is not None and sampling.max_tokens < 1:
        raise InvalidGeneration("max_tokens must be at least 1", "max_tokens")
    if any(not 0 <= token < VOCABULARY for token in sampling.logit_bias):
        raise InvalidGeneration(f"token ids must lie between 0 and {VOCABULARY - 1}", "logit_bias")
    if any(not 0 <= token < VOCABULARY for token in generation.resume_token_ids):
        raise InvalidGeneration(f"token ids must lie between 0 and {VOCABULARY - 1}", "resume_token_ids")
    if isinstance(generation.prompt, Chat) and generation.prompt.tools:
        raise InvalidGeneration("the simulated engine calls no tools", "tools")


def repeat_script(generation: Generation) -> Script | None:
    """What the prompt asks to be said, if it does."""
    prompt = generation.prompt
    asked = prompt if isinstance(prompt, str) else ""
    if isinstance(prompt, Chat) and prompt.messages[-1].get("role") == "user":
        asked = _text_of(prompt.messages[-1])
    if not asked.startswith(_REPEAT):
        return None
    return Script((SIMULATED, *encode(" " + asked.removeprefix(_REPEAT))))


def constraint_script(constraint: Constraint, seed: int) -> Script:
    """A text that obeys the constraint. Raises InvalidGeneration where the engine can't."""
    value = constraint.value
    if constraint.kind == "choice" and isinstance(value, tuple) and value:
        text = value[(seed >> 33) % len(value)]
    elif constraint.kind == "json_object":
        text = json_voice.any_object(seed)
    elif constraint.kind == "json_schema" and isinstance(value, str):
        text = json_voice.document(value, seed)
    else:
        raise InvalidGeneration(f"the simulated engine has no {constraint.kind} constraint", constraint.kind)
    return Script(tuple(encode(text)), binding=True)


def _render(chat: Chat) -> str:
    if not chat.messages:
        raise InvalidGeneration("there are no messages", "messages")
    lines = (f"{message.get('role')}: {_text_of(message)}\n" for message in chat.messages)
    return "".join(lines) + "assistant:"


def _text_of(message: Mapping[str, object]) -> str:
    content = message.get("content")
    if not isinstance(message.get("role"), str):
        raise InvalidGeneration("each message needs a role", "messages")
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise InvalidGeneration("a message's content must be a text or a list of parts", "messages")
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content]
    if not all(isinstance(text, str) for text in texts):
        raise InvalidGeneration("the simulated engine takes parts of type text alone", "messages")
    return "".join(map(str, texts))
