"""Cascades through the real dispatcher, on a virtual clock, with a scripted wire; the runner alone where that is clearer."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import router.cascading
from router.cascading import Course, Judge, run_stages
from router.choosing.cascade import Now, plan_stages
from router.choosing.evidence.sample import Sample
from router.choosing.evidence.weighing import Judgement
from router.choosing.stage import Stage
from router.continuation import Call, Part
from router.errors import AnswerLost, BudgetExhausted, DeadlineExceeded, HeadgateError, InvalidRequest, NoReplica, ReplicaLost
from router.fleet.specs import CascadeSpec, PolicySpec, PoolSpec, ReplicaSpec
from router.request import ChatPrompt, Constraint, Event, Finished, Piece, Sampling, Started, TokenLogprob
from router.snapshot import Prices, Tenant
from router.verifiers import Verifiers
from tests.router.choosing.cascades import ASKED, SPEC, a_choice, three
from tests.router.dispatching import World, now, request, text

pytestmark = pytest.mark.looptime

TENANT = Tenant("payer", policy="thrifty")
SMALL_USD, LARGE_USD = Prices(1.0, 0.1, 10.0), Prices(10.0, 1.0, 100.0)
LARGE = PoolSpec(
    "large", "large", ("big",), LARGE_USD, (ReplicaSpec("l0", "127.0.0.1:8000"), ReplicaSpec("l1", "127.0.0.1:8001"))
)
Say = Callable[[Call], tuple[str, float]]


def says(small: str = "5 ", small_p: float = 0.4, large: str = "7 ", finish: str = "stop") -> Callable[..., object]:
    """Each pool says its word ten times, a token a tenth of a second; `small_p` is the probability of each token of small."""

    async def script(address: str, call: Call) -> AsyncGenerator[Part, None]:
        yield Part(prompt_tokens=100, cached_tokens=40)
        word, probability = (small, small_p) if call.model == "smol" else (large, 0.9)
        logprob = (TokenLogprob(1, word, word.encode(), math.log(probability)),) if call.sampling.logprobs is not None else ()
        done = len(call.resume_token_ids)
        for token in range(done, 10):
            await asyncio.sleep(0.1)
            yield Part((token,), word, logprob, finish_reason=finish if token == 9 else None)

    return script


def world(script: Callable[..., object], judge: Judge | None = None, **spec: object) -> World:
    cascade = CascadeSpec(**{"pools": ("small", "large"), "min_confidence": 0.55, **spec})
    policies = {"thrifty": PolicySpec("thrifty", cascade=cascade)}
    return World(script, more_pools=[LARGE], policies=policies, judge=judge, failover={"tries": 2})


async def ask(at: World, **changes: object) -> list[Event]:
    return await at.ask(TENANT, **{"model": "auto", "sampling": Sampling(max_tokens=50), **changes})


def models(at: World) -> list[str]:
    return [call.model for _, call in at.calls]


# One answer is passed on, the other is paid.


@pytest.mark.parametrize("stream", [True, False])
async def test_a_confident_answer_of_the_small_pool_is_passed_on(stream: bool) -> None:
    at = world(says(small_p=0.8))
    started, *pieces, finished = await ask(at, stream=stream)
    assert isinstance(started, Started)
    assert text(pieces) == "5 " * 10
    assert models(at) == ["smol"]
    assert finished.escalated == 0
    assert finished.decision.pool == "small"
    assert finished.decision.reason.startswith("asked small first: its mean token probability was 0.80 ≥ 0.55; ")
    assert at.is_idle()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_weak_answer_is_dropped_and_the_large_pool_asked(stream: bool) -> None:
    at = world(says(small_p=0.41))
    started, *pieces, finished = await ask(at, stream=stream)
    assert text(pieces) == "7 " * 10
    assert models(at) == ["smol", "big"]
    assert started.decision.pool == finished.decision.pool == "large"
    assert "asked small first: its mean token probability was 0.41 < 0.55, so large" in started.decision.reason
    assert finished.escalated == 1
    assert at.is_idle()


async def test_what_was_dropped_is_counted_and_paid() -> None:
    finished = (await ask(world(says())))[-1]
    assert isinstance(finished, Finished)
    usage = finished.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (200, 80, 20)
    expected = SMALL_USD.cost_usd(60, 40, 10) + LARGE_USD.cost_usd(60, 40, 10)
    assert finished.cost_usd == pytest.approx(expected)


async def test_the_caller_hears_nothing_before_the_winner_is_known() -> None:
    at = world(says())
    heard = []
    async with aclosing(at.dispatcher.generate(request(model="auto", sampling=Sampling(max_tokens=50)), TENANT)) as events:
        async for event in events:
            heard.append((round(now(), 3), type(event).__name__))
    assert heard[0] == (1.1, "Started")  # one second of the small pool, then large's first token
    assert heard[1] == (1.1, "Piece")
    assert heard[-2] == (2.0, "Piece")


async def test_a_pool_that_is_named_is_not_second_guessed() -> None:
    at = world(says())
    finished = (await ask(at, model="small"))[-1]
    assert models(at) == ["smol"]
    assert finished.escalated == 0


async def test_the_callers_request_reaches_the_large_pool_as_it_came() -> None:
    at = world(says())
    await ask(at, sampling=Sampling(max_tokens=50, temperature=0.3))
    small, large = (call.sampling for _, call in at.calls)
    assert (small.logprobs, large.logprobs) == (0, None)
    assert replace(small, logprobs=None) == large == Sampling(max_tokens=50, temperature=0.3)


# Log-probabilities are asked for by us, and shown only to who asked for them.


@pytest.mark.parametrize("asked", [None, 0, 3])
async def test_log_probabilities_are_seen_only_if_asked_for(asked: int | None) -> None:
    at = world(says(small_p=0.8))
    events = await ask(at, sampling=Sampling(max_tokens=50, logprobs=asked))
    assert at.calls[0][1].sampling.logprobs == (asked or 0)
    assert all(bool(piece.logprobs) == (asked is not None) for piece in events if isinstance(piece, Piece))


# Several samples.


def samples_say(*answers: str) -> Callable[..., object]:
    async def script(address: str, call: Call) -> AsyncGenerator[Part, None]:
        yield Part(prompt_tokens=100, cached_tokens=40)
        await asyncio.sleep(0.1 * (len(answers) - call.index))
        yield Part((1,), answers[call.index] if call.model == "smol" else "large", finish_reason="stop")

    return script


async def test_the_first_sample_of_the_majority_is_passed_on_as_the_only_choice() -> None:
    at = world(samples_say("it is 7", "so 18", "= 18"), evidence="agreement")
    events = await ask(at)
    pieces = [event for event in events if isinstance(event, Piece)]
    assert [(piece.index, piece.text) for piece in pieces] == [(0, "so 18")]
    assert models(at) == ["smol"] * 3
    assert events[-1].usage.completion_tokens == 3
    assert "the share of its 3 samples that agree was 0.67 ≥ 0.55" in events[-1].decision.reason


async def test_samples_that_differ_go_on_to_the_large_pool() -> None:
    at = world(samples_say("1", "2", "3"), evidence="agreement")
    assert text(await ask(at)) == "large"
    assert sorted(models(at)) == ["big", "smol", "smol", "smol"]


async def test_who_asks_for_the_likeliest_answer_gets_it_and_the_others_only_vote() -> None:
    at = world(samples_say("it is 18", "7", "so 18"), evidence="agreement")
    assert text(await ask(at, sampling=Sampling(max_tokens=50, temperature=0))) == "it is 18"
    assert sorted((call.index, call.sampling.temperature) for _, call in at.calls) == [(0, 0), (1, 0.7), (2, 0.7)]


@pytest.mark.parametrize(("small", "mid", "by"), [("so 18", "= 18", "mid"), ("17", "18", "large")])
async def test_with_one_sample_of_each_pool_two_pools_must_say_the_same(small: str, mid: str, by: str) -> None:
    says_what = {"small": small, "mid": mid, "large": "19"}
    asked = []

    async def answer(stage: Stage) -> AsyncGenerator[Piece, None]:
        asked.append(stage.pool)
        yield Piece(0, says_what[stage.pool], finish_reason="stop")

    course = stages(evidence="agreement", samples=1)
    assert [piece.text async for piece in run_stages(course, answer, Judge(Verifiers({})))] == [says_what[by]]
    assert asked == ["small", "mid", "large"][: 2 + (by == "large")]
    assert course.reason.startswith(
        "asked small first: its agreement with no other pool was 0.00 < 0.55; then mid: the share of 2"
    )


async def test_a_caller_of_several_choices_gets_all_of_them_from_one_pool() -> None:
    at = world(says(small_p=0.8), evidence="agreement")
    events = await ask(at, n=2)
    pieces = [event for event in events if isinstance(event, Piece)]
    assert {piece.index for piece in pieces} == {0, 1}
    assert models(at) == ["smol"] * 2
    assert all(not piece.logprobs for piece in pieces)


# Form.


@pytest.mark.parametrize(("said", "by"), [('{"n": 1}', "small"), ('{"n": "1"}', "large"), ("sorry", "large")])
async def test_an_answer_that_breaks_its_schema_is_weak_however_sure_it_is(said: str, by: str) -> None:
    async def script(address: str, call: Call) -> AsyncGenerator[Part, None]:
        yield Part(prompt_tokens=10)
        probabilities = (TokenLogprob(1, "x", b"x", -0.01),) if call.sampling.logprobs is not None else ()
        yield Part((1,), said if call.model == "smol" else '{"n": 2}', probabilities, finish_reason="stop")

    schema = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}})
    sampling = Sampling(max_tokens=50, constraint=Constraint("json_schema", schema))
    finished = (await ask(world(script), sampling=sampling))[-1]
    assert finished.decision.pool == by


async def test_tool_calls_with_arguments_that_break_their_schema_are_weak() -> None:
    async def script(address: str, call: Call) -> AsyncGenerator[Part, None]:
        yield Part(prompt_tokens=10)
        arguments = '{"what": 3}' if call.model == "smol" else '{"what": "x"}'
        delta = json.dumps([{"index": 0, "id": "c", "function": {"name": "find", "arguments": arguments}}]).encode()
        yield Part((1,), "", (TokenLogprob(1, "x", b"x", -0.01),), tool_calls_json=delta)
        yield Part((2,), "", (TokenLogprob(1, "x", b"x", -0.01),), finish_reason="tool_calls")

    parameters = {"type": "object", "properties": {"what": {"type": "string"}}}
    tools = json.dumps([{"type": "function", "function": {"name": "find", "parameters": parameters}}]).encode()
    at = world(script)
    for spec in (*at.pool.replicas, *LARGE.replicas):
        at.report(spec.id, models=("smol", "big"), parses_tool_calls=True)
    events = await ask(at, prompt=ChatPrompt(b'[{"role":"user","content":"find x"}]', tools))
    assert events[-1].decision.pool == "large"
    assert [json.loads(e.tool_calls_json)[0]["function"]["arguments"] for e in events[1:-1] if e.tool_calls_json] == [
        '{"what": "x"}'
    ]


# Faults.


def losing(model: str, times: int, after: int, fault: HeadgateError | None = None) -> Callable[..., object]:
    """Loses the first calls of one model after so many parts."""
    lost: list[str] = []

    async def script(address: str, call: Call) -> AsyncGenerator[Part, None]:
        lose = call.model == model and len(lost) < times
        if lose:
            lost.append(address)
        given = 0
        async with aclosing(says()(address, call)) as parts:
            async for part in parts:
                if lose and given == after:
                    raise fault or ReplicaLost("gone")
                given += 1
                yield part

    return script


@pytest.mark.parametrize("model", ["smol", "big"])
@pytest.mark.parametrize("after", [0, 1, 5])
async def test_a_replica_lost_in_a_stage_is_replaced_within_it(model: str, after: int) -> None:
    at = world(losing(model, 1, after))
    events = await ask(at)
    assert text(events) == "7 " * 10
    assert events[-1].resumed == 1
    assert events[-1].usage.completion_tokens == 20
    assert sorted(models(at)) == sorted(["smol", "big", model])
    assert at.is_idle()


@pytest.mark.parametrize("after", [0, 5])
async def test_a_small_pool_that_fails_for_good_goes_on_to_the_large_one(after: int) -> None:
    at = world(losing("smol", 99, after))
    events = await ask(at)
    assert text(events) == "7 " * 10
    assert "asked small first: it failed" in events[-1].decision.reason
    assert events[-1].escalated == 1
    assert events[-1].usage.completion_tokens >= 10 + max(0, after - 1)
    assert at.is_idle()


async def test_a_request_that_only_the_small_pool_refuses_is_served() -> None:
    at = world(losing("smol", 99, 0, InvalidRequest("the prompt is too long", param="prompt")))
    assert text(await ask(at)) == "7 " * 10


async def test_a_large_pool_that_can_not_begin_leaves_the_weak_answer() -> None:
    at = world(losing("big", 99, 1))
    events = await ask(at)
    assert text(events) == "5 " * 10
    assert events[-1].decision.pool == "small"
    assert "then large: it failed (no_replica), so the answer of small stands" in events[-1].decision.reason
    assert at.is_idle()


async def test_a_large_pool_that_breaks_off_in_mid_answer_is_an_error_and_never_a_mixture() -> None:
    at = world(losing("big", 99, 3))
    heard = []

    async def listen() -> None:
        async for event in at.dispatcher.generate(request(model="auto", sampling=Sampling(max_tokens=50)), TENANT):
            heard.append(event)

    with pytest.raises(AnswerLost):
        await listen()
    assert set(text(heard).split()) == {"7"}
    assert at.is_idle()


async def test_a_fault_of_ours_is_not_taken_for_a_weak_answer() -> None:
    async def script(address: str, call: Call) -> AsyncGenerator[Part, None]:
        yield Part(prompt_tokens=1)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ask(world(script))


@pytest.mark.parametrize("at_s", [0.05, 0.55, 1.55], ids=["before a token", "in the small stage", "in the large stage"])
async def test_a_caller_who_leaves_frees_the_engine(at_s: float) -> None:
    at = world(says())
    task = asyncio.create_task(ask(at))
    await asyncio.sleep(at_s)
    assert at.open_calls == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert at.is_idle()
    assert at.ledger.codes == ["cancelled"]


# Time and money.


async def test_a_small_pool_that_takes_too_long_leaves_the_large_one_half_the_time() -> None:
    async def script(address: str, call: Call) -> AsyncGenerator[Part, None]:
        yield Part(prompt_tokens=1)
        try:
            async with asyncio.timeout_at(call.request.deadline):
                await asyncio.sleep(0.5 if call.model == "big" else 99)
        except TimeoutError:
            raise DeadlineExceeded("the request's time is up") from None
        yield Part((1,), "large", finish_reason="stop")

    at = world(script)
    events = await ask(at, deadline=now() + 4)
    assert text(events) == "large"
    assert round(now(), 3) == 2.5
    assert "it failed (deadline_exceeded), so large" in events[-1].decision.reason


async def test_a_deadline_in_the_large_stage_leaves_the_weak_answer() -> None:
    async def script(address: str, call: Call) -> AsyncGenerator[Part, None]:
        if call.model == "big":
            await asyncio.sleep(call.request.deadline - now())
            raise DeadlineExceeded("the request's time is up")
        async with aclosing(says()(address, call)) as parts:
            async for part in parts:
                yield part

    at = world(script)
    events = await ask(at, deadline=now() + 4)
    assert text(events) == "5 " * 10
    assert at.is_idle()


async def test_what_the_small_answer_left_of_the_cap_must_pay_for_the_large_one() -> None:
    # At most 600 + 256 tokens of prompt and 50 of answer: $0.01356 for large. Small has used $0.000164 by then.
    free = world(says(), max_cost_usd=0.0138)
    assert (await ask(free))[-1].decision.pool == "large"
    tight = world(says(), max_cost_usd=0.0137)
    finished = (await ask(tight))[-1]
    assert finished.decision.pool == "small"
    assert "what is left of the money is too little for large, so the answer of small stands" in finished.decision.reason
    assert finished.cost_usd <= 0.0137


# Verifiers.


class Fixed:
    def __init__(self, score: object, wait_s: float = 0.0) -> None:
        self.score, self.wait_s = score, wait_s
        self.asked: list[tuple[str, str]] = []

    async def judge(self, question: str, answer: str) -> float:
        self.asked.append((question, answer))
        await asyncio.sleep(self.wait_s)
        if isinstance(self.score, Exception):
            raise self.score
        return self.score


@pytest.mark.parametrize(
    ("score", "wait_s", "by"),
    [
        (0.9, 0.0, "small"),
        (0.2, 0.0, "large"),
        (1, 0.0, "small"),
        (0.9, 60.0, "large"),
        (math.nan, 0.0, "large"),
        (7.0, 0.0, "large"),
        (-1.0, 0.0, "large"),
        (None, 0.0, "large"),
        (True, 0.0, "small"),
        (RuntimeError("no"), 0.0, "large"),
    ],
    ids=["good", "bad", "whole", "late", "nan", "too much", "too little", "nothing", "yes", "raises"],
)
async def test_a_verifier_decides_and_its_failure_is_no_evidence(score: object, wait_s: float, by: str) -> None:
    verifier = Fixed(score, wait_s)
    at = world(says(), Judge(Verifiers({"small": verifier})), evidence="verifier")
    finished = (await ask(at))[-1]
    assert finished.decision.pool == by
    assert [answer for _, answer in verifier.asked] == ["5 " * 10]
    assert now() < 10
    assert at.is_idle()


# The runner alone.


def stages(**spec: object) -> Course:
    return Course(plan_stages(replace(SPEC, **spec), ASKED, three(), Now()))


async def says_its_name(stage: Stage) -> AsyncGenerator[Piece, None]:
    for index in range(stage.request.n):
        yield Piece(index, stage.pool, finish_reason="stop")


async def test_of_weak_answers_the_surest_stands() -> None:
    confidences = {"small": 0.5, "mid": 0.3}

    async def judge(stage: Stage, samples: object, earlier: object) -> Judgement:
        return Judgement(False, "weak", confidences[stage.pool])

    async def failing_last(stage: Stage) -> AsyncGenerator[Piece, None]:
        if stage.final:
            raise NoReplica("none")
        yield Piece(0, stage.pool, finish_reason="stop")

    course = stages()
    assert [piece.text async for piece in run_stages(course, failing_last, judge)] == ["small"]
    assert course.reason == (
        "asked small first: weak; then mid: weak; then large: it failed (no_replica), so the answer of small stands"
    )
    assert (course.shown.pool, course.escalated) == ("small", 2)


async def test_an_answer_that_is_too_long_to_hold_goes_to_the_next_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router.cascading, "MOST_HELD_CHARS", 10)
    closed = []

    async def endless(stage: Stage) -> AsyncGenerator[Piece, None]:
        try:
            while True:
                yield Piece(0, "word ", finish_reason="stop" if stage.final else None)
                if stage.final:
                    return
        finally:
            closed.append(stage.pool)

    async def judge(stage: Stage, samples: object, earlier: object) -> Judgement:
        raise AssertionError("nothing to judge")

    course = stages()
    assert [piece.text async for piece in run_stages(course, endless, judge)] == ["word "]
    assert closed == ["small", "mid", "large"]
    assert "asked small first: it was too long to be held back" in course.reason


async def test_a_pool_that_alone_may_serve_says_so() -> None:
    course = Course(plan_stages(SPEC, ASKED, [a_choice("small", 1.0)], Now()))
    assert [piece.text async for piece in run_stages(course, says_its_name, Judge(Verifiers({})))] == ["small"]
    assert (course.reason, course.escalated) == ("small alone of its cascade may serve this", 0)


async def test_where_all_fail_the_last_fault_is_told() -> None:
    async def failing(stage: Stage) -> AsyncGenerator[Piece, None]:
        raise NoReplica(f"{stage.pool} is away")
        yield

    with pytest.raises(NoReplica, match="large is away"):
        [_ async for _ in run_stages(stages(), failing, Judge(Verifiers({})))]


async def test_a_middle_pool_whose_time_is_up_is_not_asked() -> None:
    asked = []

    async def slow(stage: Stage) -> AsyncGenerator[Piece, None]:
        asked.append(stage.pool)
        await asyncio.sleep(6)
        yield Piece(0, "18", finish_reason="stop")

    async def judge(stage: Stage, samples: object, earlier: object) -> Judgement:
        return Judgement(False, "weak", 0.1)

    course = Course(plan_stages(SPEC, replace(ASKED, deadline=now() + 10), three(), Now(now())))
    assert [piece.text async for piece in run_stages(course, slow, judge)] == ["18"]
    assert asked == ["small", "large"]
    assert course.reason == "asked small first: weak; no time is left for mid, so large"


async def test_when_the_callers_time_is_up_nothing_more_is_asked() -> None:
    asked = []

    async def too_slow(stage: Stage) -> AsyncGenerator[Piece, None]:
        asked.append(stage.pool)
        await asyncio.sleep(20)
        raise DeadlineExceeded("the request's time is up")
        yield

    course = Course(plan_stages(SPEC, replace(ASKED, deadline=now() + 10), three(), Now(now())))
    with pytest.raises(DeadlineExceeded):
        [_ async for _ in run_stages(course, too_slow, Judge(Verifiers({})))]
    assert asked == ["small"]


@settings(max_examples=200, deadline=None)
@given(st.floats(1e-5, 0.01), st.one_of(st.none(), st.floats(1e-5, 0.01)), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_whatever_is_used_the_reservation_and_the_cap_are_never_exceeded(
    held_usd: float, cap_usd: float | None, parts: list[float]
) -> None:
    """Each stage uses some part of its bound, and none is good enough."""
    spent = [0.0]

    async def answer(stage: Stage) -> AsyncGenerator[Piece, None]:
        spent[0] += stage.bound_usd * parts[("small", "mid", "large").index(stage.pool)]
        yield Piece(0, "18", finish_reason="stop")

    async def judge(stage: Stage, samples: object, earlier: object) -> Judgement:
        return Judgement(False, "weak", 0.1)

    async def run() -> None:
        asked = replace(ASKED, sampling=Sampling())
        staged = plan_stages(replace(SPEC, max_cost_usd=cap_usd), asked, three(1.0, 1.0, 1.0), Now())
        if staged.stages:
            [_ async for _ in run_stages(Course(staged, held_usd, lambda: spent[0]), answer, judge)]

    with suppress(BudgetExhausted):  # not even the first fits
        asyncio.run(run())
    assert spent[0] <= min(held_usd, cap_usd or math.inf) * (1 + 1e-9)


FATES = st.sampled_from(["accepted", "weak", "lost before", "lost within", "unsure"])


@settings(max_examples=150, deadline=None)
@given(st.tuples(FATES, FATES, FATES), st.integers(1, 3), st.sampled_from(["logprob", "agreement"]))
def test_the_caller_sees_the_pieces_of_exactly_one_stage(fates: tuple[str, str, str], n: int, evidence: str) -> None:
    fate = dict(zip(("small", "mid", "large"), fates, strict=True))
    spec = replace(SPEC, evidence=evidence)

    async def answer(stage: Stage) -> AsyncGenerator[Piece, None]:
        for step in range(3):
            if fate[stage.pool].startswith("lost") and step == ("lost before", "", "lost within").index(fate[stage.pool]):
                raise ReplicaLost("gone")
            for index in range(stage.request.n):
                yield Piece(index, f"{stage.pool}{step} ", finish_reason="stop" if step == 2 else None)

    async def judge(stage: Stage, samples: list[Sample], earlier: object) -> Judgement:
        assert [sample.text for sample in samples] == [f"{stage.pool}0 {stage.pool}1 {stage.pool}2 "] * stage.request.n
        confidence = {"accepted": 0.9, "weak": 0.2, "unsure": None}[fate[stage.pool]]
        return Judgement(fate[stage.pool] == "accepted", "judged", confidence, len(samples) - 1 if stage.votes else None)

    async def heard() -> tuple[list[Piece], HeadgateError | None, Course]:
        course = Course(plan_stages(spec, replace(ASKED, n=n), three(1.0, 1.0, 1.0, n=n), Now()))
        pieces: list[Piece] = []
        try:
            async for piece in run_stages(course, answer, judge):
                pieces.append(piece)
        except HeadgateError as fault:
            return pieces, fault, course
        return pieces, None, course

    pieces, fault, course = asyncio.run(heard())
    pools = {piece.text.rstrip("012 ") for piece in pieces}
    assert pools == ({course.shown.pool} if course.shown else set())
    if fault is None:
        each = ["".join(piece.text for piece in pieces if piece.index == index) for index in range(n)]
        assert each == [f"{course.shown.pool}0 {course.shown.pool}1 {course.shown.pool}2 "] * n
        assert {piece.index for piece in pieces} == set(range(n))
    else:  # nothing was held, or the last one was being shown
        assert fate["large"].startswith("lost")
        assert course.shown is None or fate["large"] == "lost within"
