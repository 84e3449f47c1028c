"""vLLM's exceptions as the engine seam's: who is at fault, and which field. The texts never hold a prompt."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields

from vllm.exceptions import GracefulHTTPError, VLLMClientError
from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

from workers.engine import EngineBusy, EngineError, EngineFailed, InvalidGeneration, Sampling
from workers.engines.vllm_parameters import FIELDS

# vLLM's name for a parameter → ours; "" is the prompt, whatever the caller sent it as.
PARAMS = {"input_text": "", "input_tokens": "", "include_stop_str_in_output": "include_stop_in_output"}
KNOWN = frozenset(field.name for field in fields(Sampling)) | FIELDS
DIED = "vLLM's engine process died; its own log says why. The worker has to be started again"


@contextmanager
def translated(prompt_param: str, constraint: str = "") -> Iterator[None]:
    """Raises InvalidGeneration, EngineBusy or EngineFailed in place of vLLM's errors.

    `prompt_param` names the field that held the prompt; `constraint` the one that held the answer's form, if any.
    """
    try:
        yield
    except EngineError:
        raise
    except EngineDeadError as fault:
        raise EngineFailed(DIED) from fault
    except GracefulHTTPError as fault:
        raise EngineBusy(fault.message) from fault
    except VLLMClientError as fault:
        raise _refusal(fault, prompt_param, constraint) from fault
    except EngineGenerateError as fault:
        # Raised for anything unforeseen. Python's own complaints about a value mean that this request, not the engine, is bad:
        # calling it a broken engine would send the request on to break the next replica.
        if isinstance(fault.__cause__, (ValueError, TypeError, OverflowError)):
            raise InvalidGeneration(f"vLLM refused the request: {fault.__cause__}") from fault
        raise EngineFailed(f"vLLM failed on the request ({type(fault.__cause__).__name__})") from fault


def _refusal(fault: VLLMClientError, prompt_param: str, constraint: str) -> InvalidGeneration:
    # str(fault) would append the rejected value, which may be the prompt.
    message = str(fault.args[0]) if fault.args else type(fault).__name__
    named = getattr(fault, "parameter", None)
    param = PARAMS.get(named, named) if named else _named_in(message, constraint)
    return InvalidGeneration(message, param or prompt_param)


def _named_in(message: str, constraint: str) -> str:
    """Many of vLLM's checks name the field in the text alone."""
    for word in re.findall(r"\w+", message):
        if word in KNOWN:
            return str(PARAMS.get(word, word))
    return "" if "prompt" in message else constraint
