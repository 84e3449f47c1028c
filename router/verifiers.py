"""Classes of the operator's own that judge a cheap answer: the named edge of a cascade's evidence `verifier` (docs/cascade.md).

A verifier is asked on the event loop, so it must await whatever takes long. It is bounded in time, and nothing that it does can
fail a request: a verifier that raises, is late, or says what is no number from 0 to 1 has given no evidence.
"""

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from inspect import iscoroutinefunction
from numbers import Real
from typing import Protocol, cast

import orjson

from router.config import ConfigError
from router.named_classes import made
from router.request import ChatPrompt, Request, TextPrompt

log = logging.getLogger(__name__)

EVERY_POOL = "*"
PATIENCE_S = 2.0


class Verifier(Protocol):
    """One instance serves all requests of a pool, many at a time."""

    async def judge(self, question: str, answer: str) -> float:
        """How probably the answer is good, 0 to 1; True and False will do. `question`: the last user message, or the whole text
        prompt. `answer`: its text, with its tool calls as JSON.
        """
        ...


class Verifiers:
    """By the pool of the cascade whose answers they judge. One per router."""

    def __init__(self, by_pool: Mapping[str, Verifier], patience_s: float = PATIENCE_S) -> None:
        self._by_pool = by_pool
        self._patience_s = patience_s
        self._failing: set[str] = set()

    async def score(self, pool: str, asked: Request, answers: Sequence[str]) -> float | None:
        """The lowest score of these answers; None where there is no evidence. Waits for `patience_s` at most, never beyond the
        request's deadline.
        """
        verifier = self._by_pool.get(pool) or self._by_pool.get(EVERY_POOL)
        question = question_of(asked)
        if verifier is None or not question:
            return None
        until_s = asyncio.get_running_loop().time() + self._patience_s
        if asked.deadline is not None:
            until_s = min(until_s, asked.deadline)
        try:
            async with asyncio.timeout_at(until_s), asyncio.TaskGroup() as group:
                tasks = [group.create_task(_judged(verifier, question, answer)) for answer in answers]
            scores = [score for task in tasks if (score := _probability(task.result())) is not None]
        except TimeoutError:
            self._tell(pool, "was too late")
            return None
        except ExceptionGroup as faults:  # the operator's code may raise anything; no request may fail for it
            self._tell(pool, f"failed: {type(faults.exceptions[0]).__name__}")
            return None
        if len(scores) < len(answers):
            self._tell(pool, "gave a score that is no number from 0 to 1")
            return None
        self._failing.discard(pool)
        return min(scores)

    def _tell(self, pool: str, what: str) -> None:
        """Once until it works again. Neither the question nor the fault's own text is told: it may quote the question."""
        if pool not in self._failing:
            self._failing.add(pool)
            log.warning("the verifier of pool %s %s; its answers count as without evidence", pool, what)


def _probability(said: object) -> float | None:
    value = float(said) if isinstance(said, Real) else math.nan
    return value if 0 <= value <= 1 else None


async def _judged(verifier: Verifier, question: str, answer: str) -> object:
    """A verifier that cancels itself has said nothing; one that is cancelled from outside is."""
    try:
        return await verifier.judge(question, answer)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return None


def load_verifiers(named: Mapping[str, str]) -> Verifiers:
    """Makes one instance of each `package.module:Class`. Raises ConfigError, which names the key: `verifiers.small`."""
    return Verifiers({pool: _load(f"verifiers.{pool}", path) for pool, path in named.items()})


def _load(key: str, path: str) -> Verifier:
    verifier = made(key, path, "judge")
    if not iscoroutinefunction(verifier.judge):
        raise ConfigError(f"{key}: {path} must have `async def judge(self, question, answer)`")
    return cast(Verifier, verifier)


def question_of(asked: Request) -> str:
    """What the answer is to: the last user message, or the text; "" for token ids."""
    prompt = asked.prompt
    if isinstance(prompt, TextPrompt):
        return prompt.text
    if not isinstance(prompt, ChatPrompt):
        return ""
    try:
        messages = orjson.loads(prompt.messages_json)
    except orjson.JSONDecodeError:
        return ""
    turns = messages if isinstance(messages, list) else []
    said = [each.get("content") for each in turns if isinstance(each, dict) and each.get("role") == "user"]
    return _text(said[-1]) if said else ""


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))
