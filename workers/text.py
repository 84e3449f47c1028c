"""Text of an answer, decoded and cut at stop strings over the whole answer, wherever its tokens were produced.

An answer may be continued from tokens that another replica produced. Three things break when each part is decoded by itself: a
character whose bytes lie on both sides of the seam, a stop string that does, and text held back because it might become one.
So the speaker always walks the whole answer: resumed tokens first, silently, then the new ones. What it has emitted after k
tokens depends on those k tokens alone, not on how they arrived; that is what makes a seam invisible.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

from workers.engine import Delta, Sampling


class TokenDecoder(Protocol):
    """Turns token ids into text one by one; one decoder per answer."""

    def step(self, token_id: int) -> str:
        """Returns the text that this token completed: empty while a character lacks bytes, or for a special token."""
        ...


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a few tokens added. `tokens` of them belong to the answer; the rest came after the stop string."""

    text: str
    tokens: int
    stop: str | None = None


class Speaker:
    """The text state of one answer.

    stop           strings that end the answer
    include_stop   keep the stop string in the text
    min_tokens     a stop string that is complete before this many tokens does not count
    """

    def __init__(
        self, decoder: TokenDecoder, stop: Sequence[str] = (), include_stop: bool = False, min_tokens: int = 0
    ) -> None:
        self._decoder = decoder
        self._stop = tuple(stop)
        self._include_stop = include_stop
        self._min_tokens = min_tokens
        self._longest = max(map(len, self._stop), default=0)
        self._tokens = 0
        self._held = ""  # decoded, not emitted: it may be the beginning of a stop string
        self._searched = 0  # this much of it has been searched: a stop string must end behind it

    def feed(self, token_ids: Sequence[int]) -> Spoken:
        """Takes the answer's next tokens; after a stop nothing more may be fed."""
        out: list[str] = []
        for used, token_id in enumerate(token_ids, start=1):
            self._tokens += 1
            new = self._decoder.step(token_id)
            if not new:
                continue
            self._held += new
            if found := self._match():
                at, stop = found
                out.append(self._held[: at + (len(stop) if self._include_stop else 0)])
                self._held = ""
                return Spoken("".join(out), used, stop)
            out.append(self._release())
            self._searched = len(self._held)
        return Spoken("".join(out), len(token_ids))

    def flush(self) -> str:
        """The answer ended for another reason: what was held back is text after all."""
        held, self._held = self._held, ""
        return held

    def _match(self) -> tuple[int, str] | None:
        """The stop string that begins first in the held text and ends in what the last token added, and where it begins."""
        if self._tokens <= self._min_tokens:
            return None
        found = ((self._held.find(stop, max(self._searched - len(stop) + 1, 0)), stop) for stop in self._stop)
        return min(((at, stop) for at, stop in found if at >= 0), default=None)

    def _release(self) -> str:
        """Emits all but the longest tail that could grow into a stop string."""
        for size in range(min(self._longest - 1, len(self._held)), 0, -1):
            tail = self._held[-size:]
            if any(stop.startswith(tail) for stop in self._stop):
                said, self._held = self._held[:-size], tail
                return said
        said, self._held = self._held, ""
        return said


async def speak(
    steps: AsyncGenerator[Delta, None], decoder: TokenDecoder, sampling: Sampling, resumed: Sequence[int] = ()
) -> AsyncGenerator[Delta, None]:
    """Gives each step of an id-only engine its text, and ends the answer at a stop string.

    `resumed` are the answer's tokens from before this engine took over: decoded, never emitted. A step whose
    `stop_reason` is set ended on a stop token: that token counts, its text does not unless the caller asked for it.
    """
    speaker = Speaker(decoder, sampling.stop, sampling.include_stop_in_output, sampling.min_tokens or 0)
    before = speaker.feed(resumed).stop
    async with aclosing(steps):
        async for step in steps:
            if before is not None:  # it had ended already; the step is taken for the prompt's token counts
                yield replace(step, token_ids=(), logprobs=(), text="", finish_reason="stop", stop_reason=before)
                return
            on_stop_token = step.finish_reason == "stop" and step.stop_reason and not sampling.include_stop_in_output
            said = speaker.feed(step.token_ids[:-1] if on_stop_token else step.token_ids)
            if said.stop is not None:
                ids = step.token_ids[: said.tokens]
                logprobs = step.logprobs[: said.tokens]
                yield replace(
                    step, token_ids=ids, logprobs=logprobs, text=said.text, finish_reason="stop", stop_reason=said.stop
                )
                return
            text = said.text + speaker.flush() if step.finish_reason else said.text
            yield replace(step, text=text)
