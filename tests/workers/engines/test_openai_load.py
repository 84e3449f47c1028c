"""Load read from metrics pages."""

import pytest

from workers.engines.openai_http.load import Load, read_load

VLLM = b"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a b{c} d"} 3.0
vllm:num_requests_running{engine="1",model_name="x"} 1.0
vllm:num_requests_waiting{engine="0"} 2.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.75
vllm:prompt_tokens_total{engine="0"} 1200.0 1763700000000
vllm:prompt_tokens_created{engine="0"} 1.7e9
vllm:generation_tokens_total 34
vllm:time_to_first_token_seconds_bucket{le="0.001"} 5.0
"""
SGLANG = b"""sglang:num_running_reqs{model_name="m"} 4.0
sglang:num_queue_reqs{model_name="m"} 1.0
sglang:token_usage{model_name="m"} 0.5
sglang:cached_tokens_total{model_name="m"} 64.0
"""


@pytest.mark.parametrize(
    ("dialect", "page", "load"),
    [
        ("vllm", VLLM, Load(running=4, waiting=2, kv_used=0.75, prompt_tokens_total=1200, output_tokens_total=34)),
        ("sglang", SGLANG, Load(running=4, waiting=1, kv_used=0.5, prefix_hit_tokens_total=64)),
        ("tgi", b"tgi_batch_current_size 2\ntgi_queue_size 5\n", Load(running=2, waiting=5)),
        ("vllm", b"vllm:gpu_cache_usage_perc 0.5\n", Load(kv_used=0.5)),
        ("vllm", b"", Load()),
        (
            "vllm",
            b"vllm:num_requests_running\nvllm:num_requests_waiting nonsense\nvllm:kv_cache_usage_perc NaN\n\xff\n",
            Load(),
        ),
        ("openai", VLLM, Load()),
    ],
)
def test_pages(dialect: str, page: bytes, load: Load) -> None:
    assert read_load(page, dialect) == load
