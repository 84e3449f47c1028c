"""A server's load: our own requests, and what its /metrics page says where we know its names."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from workers.engine import Delta, EngineError, EngineStats

log = logging.getLogger(__name__)

# Metric name → field of Load. Older names beside newer ones: a page has one of them.
METRICS: Mapping[str, Mapping[bytes, str]] = {
    "vllm": {
        b"vllm:num_requests_running": "running",
        b"vllm:num_requests_waiting": "waiting",
        b"vllm:kv_cache_usage_perc": "kv_used",
        b"vllm:gpu_cache_usage_perc": "kv_used",
        b"vllm:prompt_tokens_total": "prompt_tokens_total",
        b"vllm:generation_tokens_total": "output_tokens_total",
        b"vllm:prefix_cache_queries_total": "prefix_query_tokens_total",
        b"vllm:prefix_cache_hits_total": "prefix_hit_tokens_total",
        b"vllm:spec_decode_num_draft_tokens_total": "draft_tokens_total",
        b"vllm:spec_decode_num_accepted_tokens_total": "accepted_tokens_total",
        b"vllm:num_preemptions_total": "preemptions_total",
    },
    "sglang": {
        b"sglang:num_running_reqs": "running",
        b"sglang:num_queue_reqs": "waiting",
        b"sglang:token_usage": "kv_used",
        b"sglang:prompt_tokens_total": "prompt_tokens_total",
        b"sglang:generation_tokens_total": "output_tokens_total",
        b"sglang:cached_tokens_total": "prefix_hit_tokens_total",
    },
    "tgi": {b"tgi_batch_current_size": "running", b"tgi_queue_size": "waiting"},
    "openai": {},
}


@dataclass(frozen=True, slots=True)
class Load:
    """Sums over the page's label sets; `kv_used` is the fullest."""

    running: float = 0
    waiting: float = 0
    kv_used: float = 0
    prompt_tokens_total: float = 0
    output_tokens_total: float = 0
    prefix_query_tokens_total: float = 0
    prefix_hit_tokens_total: float = 0
    draft_tokens_total: float = 0
    accepted_tokens_total: float = 0
    preemptions_total: float = 0


def read_load(page: bytes, dialect: str) -> Load:
    """Looks at the names only: a page is mostly histograms, and a full parser spends its time on those."""
    wanted = METRICS[dialect]
    seen: dict[str, float] = {}
    for line in page.splitlines():
        name = line[: line.find(b"{")] if b"{" in line else line.split(b" ", 1)[0]
        field = wanted.get(name)
        if field is None:
            continue
        value = _value(line)
        seen[field] = max(seen.get(field, 0.0), value) if field == "kv_used" else seen.get(field, 0.0) + value
    return Load(**seen)


def _value(line: bytes) -> float:
    """The number behind the labels; a time stamp may follow it. Not a number counts as 0."""
    words = line[line.rfind(b"}") + 1 :].split() if b"}" in line else line.split()[1:]
    try:
        value = float(words[0])
    except (ValueError, IndexError):
        return 0.0
    return value if math.isfinite(value) else 0.0


class LoadWatch:
    """Counts our own requests exactly, and reads the page every `every_s` for everything else.

    Between two readings our share is known and others' is taken as unchanged: a slot freed here shows at once.
    """

    def __init__(self, fetch: Callable[[str], Awaitable[bytes]], dialect: str, every_s: float) -> None:
        self._fetch = fetch
        self._dialect = dialect
        self._every_s = every_s
        self._task: asyncio.Task[None] | None = None
        self._ours = self._others = 0
        self._prompt_tokens = self._output_tokens = 0
        self._load: Load | None = None
        self._reachable = True

    def start(self) -> None:
        """Begins to read, once, if this kind of server has a page. Needs the event loop."""
        if self._task is None and METRICS[self._dialect]:
            self._task = asyncio.create_task(self._read_on(), name="openai-http-load")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    @contextmanager
    def request(self) -> Iterator[None]:
        self._ours += 1
        try:
            yield
        finally:
            self._ours -= 1

    def count(self, delta: Delta) -> None:
        """For servers without a page: what passed through here."""
        self._prompt_tokens += delta.prompt_tokens or 0
        self._output_tokens += len(delta.token_ids) or (delta.completion_tokens or 0)

    def stats(self) -> EngineStats:
        load, busy = self._load, self._ours + self._others
        if load is None:
            return EngineStats(running=busy, prompt_tokens_total=self._prompt_tokens, output_tokens_total=self._output_tokens)
        waiting = min(int(load.waiting), busy)
        return EngineStats(
            running=busy - waiting,
            waiting=waiting,
            kv_used=min(load.kv_used, 1.0),
            prompt_tokens_total=int(load.prompt_tokens_total),
            output_tokens_total=int(load.output_tokens_total),
            prefix_query_tokens_total=int(load.prefix_query_tokens_total),
            prefix_hit_tokens_total=int(load.prefix_hit_tokens_total),
            draft_tokens_total=int(load.draft_tokens_total),
            accepted_tokens_total=int(load.accepted_tokens_total),
            preemptions_total=int(load.preemptions_total),
        )

    async def _read_on(self) -> None:
        while True:
            ours = self._ours
            try:
                self._load = read_load(await self._fetch("/metrics"), self._dialect)
                # What we had in it at either end of the reading is ours, so that a request that came or went is nobody else's.
                self._others = max(0, int(self._load.running + self._load.waiting) - max(ours, self._ours))
                self._say(reachable=True)
            except EngineError:
                self._others = 0
                self._say(reachable=False)
            await asyncio.sleep(self._every_s)

    def _say(self, reachable: bool) -> None:
        if reachable != self._reachable:
            log.warning(
                "the server's /metrics page %s", "answers again" if reachable else "can't be read: only our own load is known"
            )
        self._reachable = reachable
