"""How an answer goes on when its replica is lost. Pure: no clock, no wire.

Three ways, in this order of preference:

fresh    nothing was delivered: the request is simply sent again.
append   the new replica is given the tokens so far as `resume_token_ids` and continues after them. Exact where the next token
         depends on nothing but the tokens before it: greedy, and sampling without a seed (any continuation is a fair draw).
replay   the request runs again from its start, and what was delivered before is swallowed token by token. For everything that
         keeps state in the engine which a continued prompt does not rebuild: a grammar (it would restart), frequency and
         presence penalties (delivered tokens would count as prompt), a seeded generator (it would restart), and engines that
         report no token ids. If the second run differs from what the caller already has, the answer fails with AnswerLost:
         it is never continued wrong. So that a replay of sampled text can be equal, such a request gets a seed of our own.

What was measured on vLLM behind each line: docs/failover.md.
"""

from dataclasses import dataclass, replace
from zlib import crc32

import orjson

from router.errors import AnswerLost
from router.request import FinishReason, Piece, Request, Sampling, TokenLogprob

# Parameters beyond `Sampling`'s own fields under which a continued prompt still yields the same next token. Any other
# passes too, but its answers are replayed: slower, and checked.
APPENDABLE_EXTRAS = frozenset(
    {
        "add_generation_prompt",
        "add_special_tokens",
        "allowed_token_ids",
        "chat_template_kwargs",
        "continue_final_message",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "truncate_prompt_tokens",
    }
)


@dataclass(frozen=True, slots=True)
class Part:
    """One message from a worker, for one choice."""

    token_ids: tuple[int, ...] = ()
    text: str = ""
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    finish_reason: FinishReason | None = None
    stop_reason: str = ""
    completion_tokens: int = 0
    tool_calls_json: bytes = b""


@dataclass(frozen=True, slots=True)
class Call:
    """One choice of a request, as one worker is asked for it. `cache_salt` is the caller's under that of its tenant."""

    request: Request
    index: int
    model: str
    sampling: Sampling
    resume_token_ids: tuple[int, ...] = ()
    cache_salt: str = ""


def must_replay(request: Request, reports_token_ids: bool) -> bool:
    """True where a continued prompt would not continue the answer exactly."""
    sampling = request.sampling
    return (
        not reports_token_ids
        or sampling.constraint is not None
        or bool(sampling.frequency_penalty)
        or bool(sampling.presence_penalty)
        or (sampling.seed is not None and not sampling.greedy)
        or bool(getattr(request.prompt, "tools_json", b""))
        or (bool(sampling.extra_json) and not APPENDABLE_EXTRAS.issuperset(orjson.loads(sampling.extra_json)))
    )


def sampling_for(request: Request, index: int, replayed: bool) -> Sampling:
    """Sampling of choice `index`: choices of a seeded request get distinct seeds, a replay of sampled text one of ours."""
    sampling = request.sampling
    if sampling.seed is not None:
        return sampling if index == 0 else replace(sampling, seed=sampling.seed + index)
    if replayed and not sampling.greedy:
        return replace(sampling, seed=crc32(f"{request.id}/{index}".encode()) >> 1)
    return sampling


class Answer:
    """What one choice has delivered to its caller, across all replicas that worked on it."""

    def __init__(self, index: int, request: Request) -> None:
        self.index = index
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.completion_tokens = 0
        self.finish_reason: FinishReason | None = None
        self._request = request
        self._sampling = request.sampling
        self._replayed = False
        self._ids: list[int] = []
        self._text: list[str] = []
        self._called_tools = False
        self._counts_prompt = True
        self._swallow: _Swallow | None = None

    @property
    def begun(self) -> bool:
        """True once the caller has any of it."""
        return bool(self._ids) or bool(self._text) or self._called_tools

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def tokens(self) -> int:
        """Tokens of the answer so far. Of an engine that reports no ids they are known only at its end."""
        return self.completion_tokens or len(self._ids)

    def next_try(self, reports_token_ids: bool) -> tuple[Sampling, tuple[int, ...]]:
        """What the next replica is asked: how to sample, and the tokens to continue after.

        Raises AnswerLost where no second run could be exact.
        """
        if self._called_tools:  # two runs may cut the same call into different deltas, so they can't be compared
            raise AnswerLost("the replica was lost in the middle of a tool call; send the request again")
        if not self.begun:
            self._replayed = must_replay(self._request, reports_token_ids)
            self._sampling = sampling_for(self._request, self.index, self._replayed)
            return self._sampling, ()
        self._counts_prompt = not self.prompt_tokens  # the prompt is charged as the first replica read it
        if self._replayed or not reports_token_ids:
            self._swallow = _Swallow(tuple(self._ids), "".join(self._text))
            return self._sampling, ()
        return self._sampling, tuple(self._ids)

    def accept(self, part: Part) -> Piece | None:
        """Takes a worker's message; returns what is new to the caller. Raises AnswerLost if a replay turns out different."""
        if part.prompt_tokens is not None and self._counts_prompt:
            # Some engines know what was cached only at the end, and tell again.
            self.prompt_tokens, self.cached_tokens = part.prompt_tokens, part.cached_tokens
        if self._swallow is not None:
            rest = self._swallow.rest_of(part)
            if rest is None:
                return None
            part, self._swallow = rest, None
        self._ids += part.token_ids
        if part.text:
            self._text.append(part.text)
        self._called_tools |= bool(part.tool_calls_json)
        if part.finish_reason is not None:
            self.finish_reason = part.finish_reason
            self.completion_tokens = len(self._ids) or part.completion_tokens
        elif not (part.text or part.token_ids or part.tool_calls_json):
            return None
        return Piece(
            self.index,
            part.text,
            part.token_ids,
            part.logprobs,
            part.finish_reason,
            part.stop_reason,
            part.tool_calls_json,
        )


class _Swallow:
    """Compares a second run with what was delivered by the first, and lets through only what is new."""

    def __init__(self, ids: tuple[int, ...], text: str) -> None:
        self._ids, self._text = ids, text
        self._seen_ids: list[int] = []
        self._seen_text = ""

    def rest_of(self, part: Part) -> Part | None:
        """The part of this message that lies behind the seam; None while all of it was delivered before."""
        had = len(self._seen_ids)
        self._seen_ids += part.token_ids
        self._seen_text += part.text
        self._check(done=part.finish_reason is not None)
        past = len(self._seen_ids) > len(self._ids) or len(self._seen_text) > len(self._text)
        if part.finish_reason is None and not past:
            return None
        known = max(len(self._ids) - had, 0)
        return replace(
            part,
            token_ids=part.token_ids[known:],
            logprobs=part.logprobs[known:],
            text=self._seen_text[len(self._text) :],
        )

    def _check(self, done: bool) -> None:
        ids, seen = self._ids, self._seen_ids
        same = seen[: len(ids)] == list(ids[: len(seen)])
        shorter, longer = sorted((self._text, self._seen_text), key=len)
        same = same and longer.startswith(shorter)
        if not same or (done and (len(seen) < len(ids) or len(self._seen_text) < len(self._text))):
            raise AnswerLost("the replica was lost, and a second run of this request came out different; send it again")
