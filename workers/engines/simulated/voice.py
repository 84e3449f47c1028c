"""What the simulated engine says: the next token as a function of every token so far, and how one is drawn. Pure.

It reproduces what makes real engines hard to move between replicas, on purpose, so that tests of moving mean something:
- the next token depends on the whole sequence, so one wrong token at a seam changes everything behind it;
- a seeded generator begins anew with each engine call (vLLM's V1 runner);
- frequency and presence penalties count the tokens of this call alone;
- a constraint begins anew with each call: resumed by appending, the JSON document starts again.
"""

import random
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import exp, inf, log

from workers.engine import Alternative, Sampling, TokenLogprob
from workers.engines.simulated.text import (
    EOS,
    FULL_STOP,
    SIMULATED,
    TOKEN_BYTES,
    followers,
    unfinished_after,
    verb_spoken_after,
)

_MASK = (1 << 64) - 1
_RANK_LOGIT = 0.7  # each rank is half as likely as the one before it
_SHOWN_RANKS = 24  # how many tokens have a log-probability, at least


@dataclass(frozen=True, slots=True)
class Script:
    """Tokens that come whatever the hash says. `binding`: a constraint's, counted within this call; else the answer's own."""

    tokens: tuple[int, ...]
    binding: bool = False


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long an answer gets by itself, in tokens."""

    shortest: int
    longest: int


class Voice:
    """One answer being spoken. `resumed` are its tokens from before this engine call."""

    def __init__(self, prompt: Sequence[int], sampling: Sampling, lengths: Lengths, resumed: Sequence[int] = ()) -> None:
        self._state = int.from_bytes(blake2b(array("I", prompt).tobytes(), digest_size=8).digest(), "big")
        natural = lengths.shortest + self._state % (lengths.longest - lengths.shortest + 1)
        self._least: float = inf if sampling.ignore_eos else sampling.min_tokens or 0
        self._end = max(natural, self._least)
        self._script: Script | None = None
        self._last = SIMULATED
        self._unfinished = b""
        self._verb_spoken = False
        self.spoken = 0
        for token in resumed:
            self.push(token)
        self._call_began = self.spoken

    def follow(self, script: Script) -> None:
        """Says these tokens from here on."""
        self._script = script

    @property
    def state(self) -> int:
        """64 bits that depend on every token so far."""
        return self._state

    def push(self, token: int) -> None:
        """Takes the token that came."""
        self._state = (self._state * 6364136223846793005 + token + 1442695040888963407) & _MASK
        self._unfinished = unfinished_after(self._unfinished, token) if token < 256 else b""
        self._verb_spoken = verb_spoken_after(self._verb_spoken, token)
        self._last = token
        self.spoken += 1

    def options(self) -> tuple[int, ...]:
        """What may come next, unranked; one alone is forced."""
        if self._script is not None and (scripted := self._scripted(self._script)) is not None:
            return (scripted,)
        if not self.spoken:
            return (SIMULATED,)
        if self._unfinished or self.spoken < self._end:
            return followers(self._last, self._unfinished, self._verb_spoken)
        return (EOS,) if self._last == FULL_STOP else (FULL_STOP,)

    def likeliest(self) -> int:
        """The next greedy token."""
        options = self.options()
        return options[(self._state >> 33) % len(options)]

    def ranked(self) -> tuple[int, ...]:
        """What may come next, the likeliest first."""
        options = self.options()
        first = (self._state >> 33) % len(options)
        return tuple(dict.fromkeys(options[first:] + options[:first]))

    @property
    def within_character(self) -> bool:
        return bool(self._unfinished)

    def _scripted(self, script: Script) -> int | None:
        at = self.spoken - self._call_began if script.binding else self.spoken
        if at < len(script.tokens):
            return script.tokens[at]
        if script.binding or self.spoken >= self._least:
            return EOS
        return None


class Chooser:
    """Draws one answer's tokens within one engine call: it owns the call's random stream and the call's token counts."""

    def __init__(self, voice: Voice, sampling: Sampling, before: Sequence[int], rng: random.Random) -> None:
        self._voice = voice
        self._sampling = sampling
        self._rng = random.Random(sampling.seed) if sampling.seed is not None else rng
        self._counts: Counter[int] = Counter()
        self._repeats = set(before) if self._repetition != 1.0 else set()
        self._plain = self._greedy and not self._adjusts and sampling.logprobs is None
        self.described: TokenLogprob | None = None  # the log-probability of the last token, where asked for

    @property
    def state(self) -> int:
        return self._voice.state

    def document_seed(self) -> int:
        """What a constraint's document is drawn by: the tokens so far, and the random stream where sampling has one."""
        return self._voice.state if self._greedy else self._voice.state ^ self._rng.getrandbits(63)

    def draw(self) -> int:
        """The next token; the voice has taken it on return."""
        if self._plain:
            token = self._voice.likeliest()
            self._voice.push(token)
            return token
        ranked = self._voice.ranked()
        logits = [-_RANK_LOGIT * rank for rank in range(len(ranked))]
        forced = len(ranked) == 1 or self._voice.within_character
        tokens, adjusted = (ranked, logits) if forced or not self._adjusts else self._adjust(ranked, logits)
        token = tokens[self._pick(adjusted)]
        self._voice.push(token)
        self._counts[token] += 1
        if self._sampling.logprobs is not None:
            self.described = _describe(token, ranked, self._sampling.logprobs)
        return token

    @property
    def _greedy(self) -> bool:
        return self._sampling.temperature is not None and self._sampling.temperature < 1e-5

    @property
    def _repetition(self) -> float:
        return self._sampling.repetition_penalty or 1.0

    @property
    def _adjusts(self) -> bool:
        s = self._sampling
        return bool(s.logit_bias or s.presence_penalty or s.frequency_penalty) or self._repetition != 1.0

    def _adjust(self, ranked: tuple[int, ...], logits: list[float]) -> tuple[tuple[int, ...], list[float]]:
        """Applies bias and penalties; a token that only the bias names starts far behind."""
        s, counts = self._sampling, self._counts
        tokens = tuple(dict.fromkeys((*ranked, *(t for t in s.logit_bias if t != EOS))))
        adjusted = []
        for token, raw in zip(tokens, logits + [-20.0] * (len(tokens) - len(ranked)), strict=True):
            logit = raw + s.logit_bias.get(token, 0.0)
            if token in self._repeats or (token in counts and self._repetition != 1.0):
                logit = logit / self._repetition if logit > 0 else logit * self._repetition
            if token in counts:
                logit -= (s.presence_penalty or 0.0) + (s.frequency_penalty or 0.0) * counts[token]
            adjusted.append(logit)
        return tokens, adjusted

    def _pick(self, logits: Sequence[float]) -> int:
        """An index: the likeliest, or a draw within temperature, top_k, min_p and top_p. One draw per token, always."""
        order = sorted(range(len(logits)), key=lambda i: -logits[i])
        if self._greedy:
            return order[0]
        s, u = self._sampling, self._rng.random()
        temperature = 1.0 if s.temperature is None else s.temperature
        weights = [exp((logits[i] - logits[order[0]]) / temperature) for i in order]
        if s.top_k is not None and s.top_k > 0:
            weights = weights[: s.top_k]
        weights = [w for w in weights if w >= (s.min_p or 0.0)]
        return order[_index_at(weights, u, 1.0 if s.top_p is None else s.top_p)]


def _index_at(weights: Sequence[float], u: float, top_p: float) -> int:
    """Which of the descending weights a uniform draw `u` hits, within the smallest head that holds `top_p` of their sum."""
    total, head, kept = sum(weights), 0.0, 0
    while kept < len(weights) and (kept == 0 or head < top_p * total):
        head += weights[kept]
        kept += 1
    target = u * head
    for index in range(kept):
        target -= weights[index]
        if target < 0:
            return index
    return kept - 1


def _describe(token: int, ranked: Sequence[int], alternatives: int) -> TokenLogprob:
    """Log-probabilities before bias and penalties, as vLLM reports them; impossible tokens fill the tail."""
    shown = list(dict.fromkeys((*ranked, token, *range(32, 32 + _SHOWN_RANKS))))
    norm = log(sum(exp(-_RANK_LOGIT * rank) for rank in range(len(shown))))
    found = [
        Alternative(t, TOKEN_BYTES[t].decode(errors="replace"), TOKEN_BYTES[t], -_RANK_LOGIT * rank - norm)
        for rank, t in enumerate(shown)
    ]
    chosen = found[shown.index(token)]
    return TokenLogprob(token, chosen.token, chosen.token_bytes, chosen.logprob, tuple(found[:alternatives]))
