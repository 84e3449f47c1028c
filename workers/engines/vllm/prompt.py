"""Turns a request's prompt into vLLM's engine input: chat template, tokens, truncation, all by vLLM's own renderer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vllm.exceptions import VLLMClientError
from vllm.renderers import ChatParams, TokenizeParams
from vllm.renderers.chat_utils import load_chat_template
from vllm.utils.mistral import is_mistral_tokenizer

from workers.engine import Chat, Generation, InvalidGeneration
from workers.engines.vllm_parameters import Extras

# Template arguments that would change what is rendered rather than how: a client's own template is code that we would run.
OURS_ALONE = frozenset({"chat_template", "tokenize", "tools", "documents", "return_dict", "return_tensors"})


@dataclass(frozen=True, slots=True)
class Rendered:
    """`engine_input` is vLLM's, and holds the prompt's ids followed by the resumed ones."""

    engine_input: Any
    prompt_ids: tuple[int, ...]


class PromptRenderer:
    """One per engine. `renderer` is vLLM's `BaseRenderer`; `chat_template` a file or a template, None for the model's own."""

    def __init__(self, renderer: Any, max_model_len: int, chat_template: str | None) -> None:
        self._renderer = renderer
        self._max_model_len = max_model_len
        self._chat_template = load_chat_template(chat_template)

    async def render(self, generation: Generation, extras: Extras) -> Rendered:
        """Raises vLLM's validation errors, and InvalidGeneration for what it would choke on."""
        limits = self._limits(generation, extras)
        if isinstance(generation.prompt, Chat):
            engine_input = await self._chat(generation.prompt, extras, limits)
        else:
            engine_input = await self._plain(generation.prompt, limits)
        prompt_ids = engine_input.get("prompt_token_ids")
        if prompt_ids is None:
            raise InvalidGeneration("models that take anything but one list of tokens are not supported", "model")
        engine_input.pop("prompt", None)
        engine_input["prompt_token_ids"] = [*prompt_ids, *generation.resume_token_ids]
        if generation.cache_salt:
            engine_input["cache_salt"] = generation.cache_salt
        return Rendered(engine_input, tuple(prompt_ids))

    def _limits(self, generation: Generation, extras: Extras) -> TokenizeParams:
        special = extras.add_special_tokens
        return TokenizeParams(
            max_total_tokens=self._max_model_len,
            # vLLM keeps room for one token when it truncates to "what fits", but only if it is told that there will be output.
            max_output_tokens=min(generation.sampling.max_tokens or 1, self._max_model_len),
            truncate_prompt_tokens=extras.truncate_prompt_tokens,
            truncation_side=extras.truncation_side,
            add_special_tokens=special if special is not None else not isinstance(generation.prompt, Chat),
            max_total_tokens_param="max_model_len",
            max_output_tokens_param="max_tokens",
        )

    async def _plain(self, prompt: str | tuple[int, ...], limits: TokenizeParams) -> Any:
        given = {"prompt": prompt} if isinstance(prompt, str) else {"prompt_token_ids": list(prompt)}
        (engine_input,) = await self._renderer.render_cmpl_async([given], limits)
        return engine_input

    async def _chat(self, chat: Chat, extras: Extras, limits: TokenizeParams) -> Any:
        params = ChatParams(
            chat_template=self._chat_template,
            chat_template_kwargs=self._template_arguments(chat, extras),
            tool_choice=extras.tool_choice if chat.tools else None,
        )
        try:
            _, (engine_input,) = await self._renderer.render_chat_async([chat.messages], params, limits)
        except VLLMClientError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError, NotImplementedError, TimeoutError) as fault:
            # vLLM's own server checks the shape of messages before it renders them; here the rendering itself finds out. The
            # text of the fault may quote a message, so it is not passed on.
            raise InvalidGeneration(
                f"the messages can't be rendered by this model's chat template ({type(fault).__name__})", "messages"
            ) from fault
        return engine_input

    def _template_arguments(self, chat: Chat, extras: Extras) -> Mapping[str, Any]:
        if taken := OURS_ALONE & chat.template_kwargs.keys():
            raise InvalidGeneration(f"chat_template_kwargs may not set {sorted(taken)[0]!r}", "chat_template_kwargs")
        if extras.continue_final_message and extras.add_generation_prompt:
            raise InvalidGeneration("continue_final_message needs add_generation_prompt to be false", "continue_final_message")
        forced = extras.tool_choice == "required" or isinstance(extras.tool_choice, dict)
        if chat.tools and forced:
            raise InvalidGeneration("this engine parses no tool calls, so it can't be made to call one", "tool_choice")
        ours = {
            "add_generation_prompt": extras.add_generation_prompt,
            "continue_final_message": extras.continue_final_message,
            "documents": extras.documents,
            "reasoning_effort": extras.reasoning_effort,
            "tools": list(chat.tools) or None,
            "tokenize": is_mistral_tokenizer(self._renderer.tokenizer),
        }
        return {**chat.template_kwargs, **ours}
