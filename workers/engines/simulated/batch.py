"""Continuous batching as engines do it: what one step computes, who waits, who loses its KV blocks. Pure: no clock, no asyncio.

First come, first served. A step first gives every running request that decodes its tokens, then spends what is left of
`step_tokens` on prompts, in chunks. When no block is free, the request that came last loses its own and
starts over (recompute).
"""

import random
from collections import deque
from dataclasses import dataclass, field

from workers.engine import TokenLogprob
from workers.engines.simulated.kv import KvPool, block_hash
from workers.engines.simulated.text import EOS
from workers.engines.simulated.voice import Chooser


@dataclass(eq=False, slots=True)
class Job:
    """One request in the engine. `tokens` are all of it so far, prompt first; `computed` of them have their KV."""

    tokens: list[int]
    chooser: Chooser
    salt: str
    room: int  # tokens it may still produce
    stop_tokens: frozenset[int] = frozenset()  # they end it, once `tokens` is longer than
    stops_after: int = 0
    computed: int = 0
    cached: int = -1  # tokens its first admission found in the prefix cache; -1: not admitted yet
    blocks: list[int] = field(default_factory=list)
    named: int = 0  # leading blocks that are full and have their content's name
    parent: int = 0
    fresh: list[int] = field(default_factory=list)  # produced, not yet handed out
    fresh_logprobs: list[TokenLogprob] = field(default_factory=list)
    drafted: int = 0
    accepted: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class Speculation:
    tokens: int
    acceptance: float


@dataclass(frozen=True, slots=True)
class Work:
    """One step: how many tokens of each request it computes, and what that amounts to."""

    parts: list[tuple[Job, int]]
    prefill_tokens: int
    decode_tokens: int
    kv_tokens: int


@dataclass(slots=True)
class Counters:
    output_tokens: int = 0
    prompt_tokens: int = 0
    prefix_query_tokens: int = 0
    prefix_hit_tokens: int = 0
    draft_tokens: int = 0
    accepted_tokens: int = 0
    preemptions: int = 0


class Batch:
    """The one owner of the engine's queue, running set and KV pool."""

    def __init__(self, kv: KvPool, max_running: int, step_tokens: int, speculation: Speculation | None = None) -> None:
        self.kv = kv
        self.counters = Counters()
        self.running: list[Job] = []
        self.waiting: deque[Job] = deque()
        self._max_running = max_running
        self._step_tokens = step_tokens
        self._speculation = speculation
        self._verified = 1 + (speculation.tokens if speculation else 0)

    def add(self, job: Job) -> None:
        self.waiting.append(job)

    def remove(self, job: Job) -> None:
        """Takes the request out, wherever it is; its slot and blocks are free on return."""
        if job in self.running:
            self.running.remove(job)
            self._release(job)
        elif job in self.waiting:
            self.waiting.remove(job)

    def plan(self) -> Work:
        """What the next step computes; reserves the blocks it needs. No parts: nothing to do."""
        parts: list[tuple[Job, int]] = []
        preempted = self.counters.preemptions
        prefill = decode = 0
        for job in list(self.running):
            missing = len(job.tokens) - job.computed
            size = min(missing, self._step_tokens - prefill - decode)
            ahead = min(self._verified, job.room) - 1 if missing == 1 else 0
            if size <= 0 or not job.blocks or not self._reserve(job, job.computed + size + ahead):
                continue
            parts.append((job, size))
            if missing == 1:
                decode += 1 + ahead
            else:
                prefill += size
        if self.counters.preemptions == preempted:  # who just lost its blocks must not take them back in the same step
            prefill += self._admit(parts, self._step_tokens - prefill - decode)
        else:
            parts = [(job, size) for job, size in parts if job.blocks]
        return Work(parts, prefill, decode, sum(job.computed + size for job, size in parts))

    def commit(self, work: Work) -> list[Job]:
        """The step is over: its tokens exist. Returns the requests that have something new."""
        spoke: list[Job] = []
        for job, size in work.parts:
            if not job.blocks:
                continue  # removed while the step ran
            job.computed += size
            self._name_full_blocks(job)
            if job.computed == len(job.tokens):
                self._produce(job, decoding=size == 1)
                spoke.append(job)
                if job.done:
                    self.remove(job)
        return spoke

    def _admit(self, parts: list[tuple[Job, int]], budget: int) -> int:
        spent = 0
        while self.waiting and len(self.running) < self._max_running and spent < budget:
            job = self.waiting[0]
            job.blocks = self.kv.hold_prefix(job.tokens, job.salt)
            job.computed = len(job.blocks) * self.kv.block_tokens
            size = min(len(job.tokens) - job.computed, budget - spent)
            if self._blocks_missing(job, job.computed + size) > self.kv.free_blocks:
                self.kv.drop(job.blocks)
                job.blocks, job.computed = [], 0
                break
            self.waiting.popleft()
            self.running.append(job)
            self._note_admission(job)
            self._reserve(job, job.computed + size)
            parts.append((job, size))
            spent += size
        return spent

    def _note_admission(self, job: Job) -> None:
        job.named = len(job.blocks)
        job.parent = self.kv.seed(job.salt)
        for start in range(0, job.computed, self.kv.block_tokens):
            job.parent = block_hash(job.parent, job.tokens[start : start + self.kv.block_tokens])
        if job.cached < 0:
            job.cached = job.computed
            self.counters.prompt_tokens += len(job.tokens)
            self.counters.prefix_query_tokens += len(job.tokens)
            self.counters.prefix_hit_tokens += job.computed

    def _blocks_missing(self, job: Job, tokens: int) -> int:
        return -(-tokens // self.kv.block_tokens) - len(job.blocks)

    def _reserve(self, job: Job, tokens: int) -> bool:
        """Gives the request blocks for this many tokens, taking those of whoever came last where it must."""
        for _ in range(self._blocks_missing(job, tokens)):
            block = self.kv.take()
            while block is None:
                victim = self.running[-1]
                self._preempt(victim)
                if victim is job:
                    return False
                block = self.kv.take()
            job.blocks.append(block)
        return True

    def _preempt(self, job: Job) -> None:
        self.running.remove(job)
        self._release(job)
        self.waiting.appendleft(job)
        self.counters.preemptions += 1

    def _release(self, job: Job) -> None:
        self.kv.drop(job.blocks)
        job.blocks, job.computed, job.named = [], 0, 0

    def _name_full_blocks(self, job: Job) -> None:
        size = self.kv.block_tokens
        while (job.named + 1) * size <= job.computed:
            start = job.named * size
            job.parent = block_hash(job.parent, job.tokens[start : start + size])
            self.kv.name(job.blocks[job.named], job.parent)
            job.named += 1

    def _produce(self, job: Job, decoding: bool) -> None:
        wanted = 1
        if self._speculation and decoding:
            drafted = min(self._speculation.tokens, job.room - 1)
            accepted = _accepted(drafted, self._speculation.acceptance, job.chooser.state)
            job.drafted += drafted
            job.accepted += accepted
            self.counters.draft_tokens += drafted
            self.counters.accepted_tokens += accepted
            wanted += accepted
        for _ in range(wanted):
            token = job.chooser.draw()
            job.tokens.append(token)
            job.fresh.append(token)
            if job.chooser.described is not None:
                job.fresh_logprobs.append(job.chooser.described)
            job.room -= 1
            self.counters.output_tokens += 1
            stopped = token == EOS or (token in job.stop_tokens and len(job.tokens) > job.stops_after)
            job.done = stopped or job.room == 0
            if job.done:
                break
        job.computed = len(job.tokens) - 1  # accepted drafts were computed in this very step


def _accepted(drafted: int, acceptance: float, seed: int) -> int:
    """How many drafted tokens in a row are accepted: each with the same probability, up to the first that is not."""
    rng = random.Random(seed)
    for accepted in range(drafted):
        if rng.random() >= acceptance:
            return accepted
    return drafted
