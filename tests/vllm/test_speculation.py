"""Speculative decoding changes how fast an answer comes, never what it says."""

from pathlib import Path

import pytest

from tests.vllm.engines import running, settings_for
from tests.workers.engine_contract import said
from workers.engine import Chat, Generation, Sampling
from workers.engines.vllm.engine import Vllm

PROMPT = Chat([{"role": "user", "content": "Repeat ten times: the quick brown fox jumps over the lazy dog."}])
GREEDY = Sampling(max_tokens=60, temperature=0.0, ignore_eos=True)


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.asyncio(loop_scope="session")
async def test_ngram_says_the_same_in_fewer_steps(engine: Vllm, smollm2: Path) -> None:
    plain = await said(engine, Generation("plain", PROMPT, GREEDY))
    speculation = {"method": "ngram", "num_speculative_tokens": 4}
    async with running(settings_for(smollm2, speculation=speculation)) as speculating:
        answer = await said(speculating, Generation("ngram", PROMPT, GREEDY))
        stats = speculating.stats()
        again = Generation("rest", PROMPT, GREEDY, resume_token_ids=answer.ids[:25])
        rest = await said(speculating, again)
    assert answer.text == plain.text
    assert answer.ids == plain.ids
    assert len(answer.deltas) < len(plain.deltas)
    assert answer.ids[25:] == rest.ids
    drafted, accepted = (sum(getattr(d, f"{what}_tokens") for d in answer.deltas) for what in ("draft", "accepted"))
    assert 0 < accepted <= drafted
    assert (stats.draft_tokens_total, stats.accepted_tokens_total) == (drafted, accepted)
