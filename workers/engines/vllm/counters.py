"""vLLM's load and counters, taken from the objects its engine sends beside each step: no scrape, no text to parse."""

from dataclasses import replace
from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase

from workers.engine import EngineStats


class Counters(StatLoggerBase):  # type: ignore[misc]
    """The last scheduler state and what has been counted since the engine started. Called by vLLM after every step."""

    def __init__(self, vllm_config: Any = None, engine_index: int = 0) -> None:
        self.latest = EngineStats()

    def record(self, scheduler_stats: Any, iteration_stats: Any, mm_cache_stats: Any = None, engine_idx: int = 0) -> None:
        stats = self.latest
        if scheduler_stats is not None:
            stats = _with_scheduler(stats, scheduler_stats)
        if iteration_stats is not None:
            stats = replace(
                stats,
                prompt_tokens_total=stats.prompt_tokens_total + iteration_stats.num_prompt_tokens,
                output_tokens_total=stats.output_tokens_total + iteration_stats.num_generation_tokens,
                preemptions_total=stats.preemptions_total + iteration_stats.num_preempted_reqs,
            )
        self.latest = stats

    def log_engine_initialized(self) -> None:
        """vLLM asks for it; there is nothing to say."""

    def seen_from_outside(self, unfinished: int) -> EngineStats:
        """`unfinished` requests were handed over and not ended: those that no step has shown yet are waiting."""
        stats = self.latest
        return replace(stats, waiting=max(stats.waiting, unfinished - stats.running))


def _with_scheduler(stats: EngineStats, seen: Any) -> EngineStats:
    prefix, speculation = seen.prefix_cache_stats, seen.spec_decoding_stats
    return replace(
        stats,
        running=seen.num_running_reqs,
        waiting=seen.num_waiting_reqs + seen.num_skipped_waiting_reqs,
        kv_used=seen.kv_cache_usage,
        prefix_query_tokens_total=stats.prefix_query_tokens_total + prefix.queries,
        prefix_hit_tokens_total=stats.prefix_hit_tokens_total + prefix.hits,
        cache_clears_total=stats.cache_clears_total + int(prefix.reset),
        draft_tokens_total=stats.draft_tokens_total + (speculation.num_draft_tokens if speculation else 0),
        accepted_tokens_total=stats.accepted_tokens_total + (speculation.num_accepted_tokens if speculation else 0),
    )
