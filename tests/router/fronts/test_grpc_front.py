"""headgate.v1.Inference over real gRPC: answers, errors, deadlines, cancellation, health, drain."""

import asyncio
import logging

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from headgate.v1 import generation_pb2, inference_pb2, inference_pb2_grpc
from router.errors import (
    AnswerLost,
    BudgetExhausted,
    DeadlineExceeded,
    Forbidden,
    HeadgateError,
    InvalidRequest,
    NoReplica,
    NotFound,
    Rejected,
    ReplicaLost,
)
from router.fronts.grpc_front import GrpcFront
from router.request import Alternative, Piece, TextPrompt, TokenLogprob
from router.verdict import Verdict
from tests.router.fronts.grpc_fakes import (
    ANSWER,
    DECISION,
    RICH,
    FakeDispatcher,
    refusal,
    serving,
    settings,
    trailers,
    until,
)

HELLO = inference_pb2.GenerateRequest(model="auto", text="hello")
Serving = health_pb2.HealthCheckResponse


async def test_an_answer_is_streamed_as_it_is_made() -> None:
    logprob = TokenLogprob(5, "é", "é".encode(), -0.5, (Alternative(6, "è", b"\xc3", -1.5),))
    tools = Piece(index=1, text="x", logprobs=(logprob,), finish_reason="tool_calls", tool_calls_json=b"[]")
    fake = FakeDispatcher(events=(*ANSWER[:-1], tools, ANSWER[-1]))
    async with serving(fake) as channel:
        call = inference_pb2_grpc.InferenceStub(channel).Generate(HELLO)
        started, first, last, other, finished = [message async for message in call]
    assert started.started.request_id == "r"
    assert started.started.decision.reason == DECISION.reason
    assert started.started.decision.simulated
    assert (first.delta.text, list(first.delta.token_ids), first.delta.finish_reason) == ("Grüße", [1, 2], 0)
    assert (last.delta.text, last.delta.finish_reason, last.delta.stop_reason) == (" 👋", 1, "\n")
    assert (other.delta.index, other.delta.finish_reason, other.delta.tool_calls_json) == (1, 4, "[]")
    assert other.delta.logprobs[0].token_bytes == "é".encode()
    assert other.delta.logprobs[0].top[0].logprob == -1.5
    end = finished.finished
    assert (end.usage.prompt_tokens, end.usage.completion_tokens, end.usage.cached_tokens) == (7, 3, 2)
    assert (end.cost_usd, end.resumed, end.ttft_s, end.total_s) == (0.000012, 1, 0.5, 1.25)
    assert end.decision.replica == "small-0"
    assert fake.asked[0].prompt == TextPrompt("hello")
    assert (fake.open, fake.closed) == (0, 1)


async def test_every_answer_tells_its_request_id() -> None:
    async with serving(fake := FakeDispatcher()) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        call = stub.Generate(HELLO, metadata=(("x-request-id", "mine-1"), ("x-session-id", "s-1")))
        assert [message async for message in call]
        assert dict(await call.trailing_metadata())["x-headgate-request-id"] == "mine-1"
        assert [message async for message in stub.Generate(HELLO)]
    assert (fake.asked[0].id, fake.asked[0].session) == ("mine-1", "s-1")
    assert fake.asked[1].id not in ("", "mine-1")


async def test_quote_models_and_feedback() -> None:
    async with serving(fake := FakeDispatcher()) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        quote = await stub.Quote(HELLO)
        models = await stub.ListModels(inference_pb2.ListModelsRequest())
        verdict = await stub.Feedback(inference_pb2.FeedbackRequest(request_id="r", score=1.0, label="good"))
        unknown = await refusal(stub.Feedback(inference_pb2.FeedbackRequest(request_id="never-asked", score=0)))
    assert [option.cost_usd for option in quote.options] == [0.5, 0.75]
    assert (quote.options[0].decision.pool, quote.options[0].output_tokens) == ("small", 128)
    assert [(model.name, model.ready_replicas) for model in models.models] == [("small", 1), ("m-1", 1), ("asleep", 0)]
    assert models.models[0].prices.cached_input_usd_per_mtok == 0.5
    assert (verdict.pool, fake.judged) == ("small", [Verdict("r", 1.0, "good")])
    assert unknown.code() == grpc.StatusCode.NOT_FOUND


FOOTPRINT = inference_pb2.Footprint(energy_wh=0.5, carbon_g=0.25, water_ml=2.0)
BUDGETS = [
    inference_pb2.BudgetState(
        tenant="red",
        limit_usd=10.0,
        spent_usd=2.5,
        remaining_usd=7.5,
        window="day",
        resets_at_s=1_800_000_000,
        hard=True,
    ),
    inference_pb2.BudgetState(
        tenant="colours", limit_usd=100.0, spent_usd=125.0, remaining_usd=0.0, window="month", resets_at_s=1_802_000_000
    ),
]
CHOSEN = inference_pb2.Decision(
    pool="small", model="m-1", replica="small-0", reason="good enough", quality=0.75, policy="thrifty", exploring=True
)


async def test_the_end_of_an_answer_tells_all_of_its_choice_and_money() -> None:
    async with serving(FakeDispatcher(events=(*ANSWER[:-1], RICH))) as channel:
        call = inference_pb2_grpc.InferenceStub(channel).Generate(HELLO)
        *_, rich = [message.finished async for message in call]
    assert (rich.decision, rich.escalated, rich.footprint) == (CHOSEN, 1, FOOTPRINT)
    assert list(rich.budgets) == BUDGETS
    async with serving(FakeDispatcher()) as channel:
        *_, plain = [message.finished async for message in inference_pb2_grpc.InferenceStub(channel).Generate(HELLO)]
    assert not plain.decision.HasField("quality")
    assert not plain.HasField("footprint")
    assert (plain.escalated, list(plain.budgets)) == (0, [])


async def test_a_quote_tells_of_every_option_and_of_the_money() -> None:
    async with serving(FakeDispatcher()) as channel:
        offer = await inference_pb2_grpc.InferenceStub(channel).Quote(HELLO)
    assert offer.options[0] == inference_pb2.QuoteResponse.Option(
        decision=CHOSEN,
        cost_usd=0.5,
        prompt_tokens=7,
        cached_tokens=2,
        output_tokens=128,
        max_cost_usd=0.625,
        uncertainty=0.125,
        footprint=FOOTPRINT,
        utility=0.375,
        ttft_s=0.0625,
    )
    assert not offer.options[1].HasField("uncertainty")
    assert not offer.options[1].HasField("footprint")
    assert (list(offer.budgets), offer.refusal) == (BUDGETS, "red has spent its 10 USD of the day")


async def test_budgets_are_the_callers_own() -> None:
    request, key = inference_pb2.BudgetRequest(), (("authorization", "Bearer k"),)
    async with serving(FakeDispatcher(key="k")) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        assert list((await stub.Budget(request, metadata=key)).budgets) == BUDGETS
        assert (await refusal(stub.Budget(request))).code() == grpc.StatusCode.UNAUTHENTICATED
    async with serving(FakeDispatcher()) as channel:
        assert list((await inference_pb2_grpc.InferenceStub(channel).Budget(request)).budgets) == []


async def test_a_preference_needs_no_score_and_both_answers_must_be_known() -> None:
    async with serving(fake := FakeDispatcher()) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        await stub.Feedback(inference_pb2.FeedbackRequest(request_id="r", better_than="s"))
        await stub.Feedback(inference_pb2.FeedbackRequest(request_id="r", score=0.0))
        unknown = await refusal(stub.Feedback(inference_pb2.FeedbackRequest(request_id="r", better_than="never-asked")))
    assert fake.judged == [Verdict("r", better_than="s"), Verdict("r", 0.0)]
    assert (unknown.code(), trailers(unknown)["x-headgate-param"]) == (grpc.StatusCode.NOT_FOUND, "better_than")


@pytest.mark.parametrize(
    ("fault", "status", "expected"),
    [
        (InvalidRequest("too long", param="max_tokens"), "INVALID_ARGUMENT", {"x-headgate-param": "max_tokens"}),
        (Forbidden("not yours"), "PERMISSION_DENIED", {"x-headgate-error": "pool_not_allowed"}),
        (NotFound("no such model", param="model"), "NOT_FOUND", {"x-headgate-param": "model"}),
        (Rejected("full", retry_after_s=1.5), "RESOURCE_EXHAUSTED", {"retry-after-ms": "1500"}),
        (BudgetExhausted("spent", retry_after_s=1.5), "RESOURCE_EXHAUSTED", {"x-headgate-error": "budget_exceeded"}),
        (BudgetExhausted("spent for ever"), "RESOURCE_EXHAUSTED", {"x-headgate-error": "budget_exceeded"}),
        (NoReplica("none ready", retry_after_s=2), "UNAVAILABLE", {"retry-after-ms": "2000"}),
        (ReplicaLost("gone"), "UNAVAILABLE", {}),
        (DeadlineExceeded("late"), "DEADLINE_EXCEEDED", {}),
        (AnswerLost("broke off"), "ABORTED", {"x-headgate-error": "answer_lost"}),
        (HeadgateError("odd"), "INTERNAL", {"x-headgate-error": "internal"}),
        (InvalidRequest("bad", param="pärt\n" + "x" * 9000), "INVALID_ARGUMENT", {"x-headgate-param": "p?rt?" + "x" * 123}),
    ],
)
@pytest.mark.parametrize("begun", [False, True])
async def test_each_error_has_its_status(fault: HeadgateError, status: str, expected: dict[str, str], begun: bool) -> None:
    fake = FakeDispatcher(events=ANSWER[:2] if begun else (), fault=fault)
    async with serving(fake) as channel:
        error = await refusal(inference_pb2_grpc.InferenceStub(channel).Generate(HELLO))
    assert error.code().name == status
    assert fault.message in (error.details() or "")
    assert (fault.param or "")[:100] in (error.details() or "")
    assert expected.items() <= trailers(error).items()
    assert trailers(error)["x-headgate-error"] == fault.code
    details = status_pb2.Status.FromString(trailers(error)["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert details.code == error.code().value[0]
    assert details.details[0].Unpack(info)
    assert (info.reason, info.domain) == (fault.code.upper(), "headgate.dev")
    if fault.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        assert details.details[1].Unpack(retry)
        assert retry.retry_delay.ToTimedelta().total_seconds() == fault.retry_after_s


async def test_what_nobody_foresaw_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeDispatcher(events=ANSWER[:2], fault=KeyError("the secret prompt"))
    async with serving(fake) as channel:
        error = await refusal(inference_pb2_grpc.InferenceStub(channel).Generate(HELLO))
    assert error.code() == grpc.StatusCode.INTERNAL
    assert fake.asked[0].id in (error.details() or "")
    assert "KeyError" not in (error.details() or "")
    assert fake.asked[0].id in caplog.text
    assert "KeyError" in caplog.text
    assert "grpc_fakes.py" in caplog.text
    assert "secret" not in caplog.text + (error.details() or "")


async def test_nothing_of_quotes_verdicts_and_budgets_is_logged_or_shown_either(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(FakeDispatcher(fault=KeyError("the secret prompt"))) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        for call in (
            stub.Quote(HELLO),
            stub.Feedback(inference_pb2.FeedbackRequest(request_id="r", label="secret")),
            stub.Budget(inference_pb2.BudgetRequest()),
        ):
            error = await refusal(call)
            assert error.code() == grpc.StatusCode.INTERNAL
            assert "secret" not in (error.details() or "") + str(trailers(error))
        error = await refusal(stub.Feedback(inference_pb2.FeedbackRequest(request_id="never-asked", label="secret")))
        assert "secret" not in (error.details() or "")
    assert "KeyError" in caplog.text
    assert "secret" not in caplog.text


async def test_quotes_and_budgets_have_the_errors_of_answers() -> None:
    fault = BudgetExhausted("the store of budgets is away", retry_after_s=2.5)
    async with serving(FakeDispatcher(fault=fault)) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        for call in (stub.Quote(HELLO), stub.Budget(inference_pb2.BudgetRequest())):
            error = await refusal(call)
            assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            assert trailers(error)["retry-after-ms"] == "2500"


async def test_keys() -> None:
    async with serving(fake := FakeDispatcher(key="k-1")) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)

        async def models(*authorizations: str) -> grpc.StatusCode:
            metadata = tuple(("authorization", text) for text in authorizations)
            call = stub.ListModels(inference_pb2.ListModelsRequest(), metadata=metadata)
            assert "k-" not in (await call.details() or "")
            return await call.code()

        for good in ("Bearer k-1", "bearer k-1", "BEARER  k-1"):
            assert await models(good) == grpc.StatusCode.OK
        for bad in ((), ("Bearer k-2",), ("Basic k-1",), ("k-1",), ("Bearer k-1", "Bearer k-1")):
            assert await models(*bad) == grpc.StatusCode.UNAUTHENTICATED
        # A stranger does not even learn what is wrong with the request.
        error = await refusal(stub.Generate(inference_pb2.GenerateRequest()))
    assert error.code() == grpc.StatusCode.UNAUTHENTICATED
    assert not fake.asked


async def test_the_callers_deadline_becomes_the_requests() -> None:
    async with serving(fake := FakeDispatcher(), settings(default_timeout_s=50, max_timeout_s=100)) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        before = asyncio.get_running_loop().time()
        for timeout_s in (None, 20, 10_000):
            assert [message async for message in stub.Generate(HELLO, timeout=timeout_s)]
        after = asyncio.get_running_loop().time()
    for request, left_s in zip(fake.asked, (50, 20, 100), strict=True):
        assert before + left_s - 0.1 <= request.deadline <= after + left_s + 1.0  # gRPC rounds up


async def test_a_deadline_that_passes_ends_the_request_in_the_engine() -> None:
    fake = FakeDispatcher(events=ANSWER[:2], hold=asyncio.Event())
    async with serving(fake) as channel:
        error = await refusal(inference_pb2_grpc.InferenceStub(channel).Generate(HELLO, timeout=0.3))
        await until(lambda: fake.closed == 1)
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert fake.open == 0


async def test_a_caller_that_leaves_ends_the_request_in_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeDispatcher(events=ANSWER[:2], hold=asyncio.Event())
    async with serving(fake) as channel:
        call = inference_pb2_grpc.InferenceStub(channel).Generate(HELLO)
        assert (await call.read()).started.request_id == "r"
        call.cancel()
        await until(lambda: fake.closed == 1)
    assert fake.open == 0
    assert not caplog.records


async def test_a_slow_caller_that_leaves_frees_its_request_too() -> None:
    """The server waits for room to send, not in the dispatcher: the frame is closed there."""
    flood = (*ANSWER[:1], *(Piece(text="x" * 60_000) for _ in range(500)))
    async with serving(fake := FakeDispatcher(events=flood)) as channel:
        call = inference_pb2_grpc.InferenceStub(channel).Generate(HELLO)
        await call.read()
        await until(lambda: fake.open == 1)
        call.cancel()
        await until(lambda: fake.closed == 1)
    assert fake.open == 0


async def test_health_is_the_state_at_the_moment_of_asking() -> None:
    async with serving(fake := FakeDispatcher()) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def status(name: str) -> int:
            return (await stub.Check(health_pb2.HealthCheckRequest(service=name))).status

        names = ("", "headgate.v1.Inference", "inference.GRPCInferenceService", "readiness")
        assert {await status(name) for name in names} == {Serving.SERVING}
        fake.is_ready = False
        assert {await status(name) for name in names} == {Serving.NOT_SERVING}
        assert await status("liveness") == Serving.SERVING
        listed = await stub.List(health_pb2.HealthListRequest())
        assert {name: each.status for name, each in listed.statuses.items()}["readiness"] == Serving.NOT_SERVING
        error = await refusal(stub.Check(health_pb2.HealthCheckRequest(service="nobody")))
        assert error.code() == grpc.StatusCode.NOT_FOUND


async def test_a_watcher_of_health_hears_each_change_and_the_drain_ends_it() -> None:
    front = GrpcFront(fake := FakeDispatcher(), settings())
    host, port = await front.start()
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        unknown = stub.Watch(health_pb2.HealthCheckRequest(service="nobody"))
        assert (await watch.read()).status == Serving.SERVING
        assert (await unknown.read()).status == Serving.SERVICE_UNKNOWN
        fake.is_ready = False
        assert (await watch.read()).status == Serving.NOT_SERVING
        fake.is_ready = True
        assert (await watch.read()).status == Serving.SERVING
        async with asyncio.timeout(20):
            await front.drain(600)
        assert (await watch.read()).status == Serving.NOT_SERVING
    await front.close()


async def test_a_drain_lets_running_answers_end_and_takes_no_new_ones() -> None:
    fake = FakeDispatcher(events=ANSWER[:2], hold=asyncio.Event())
    front = GrpcFront(fake, settings())
    host, port = await front.start()
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        call = stub.Generate(HELLO)
        await call.read()
        fake.draining = True
        drained = asyncio.create_task(front.drain(600))
        late = await refusal(stub.Generate(HELLO))
        assert late.code() == grpc.StatusCode.UNAVAILABLE
        assert not drained.done()
        fake.hold.set()
        assert (await call.read()).delta.text == "Grüße"
        assert await call.read() is grpc.aio.EOF
        async with asyncio.timeout(20):
            await drained
    assert len(fake.asked) == 1
    await front.close()


async def test_a_drain_ends_what_outlives_its_grace() -> None:
    fake = FakeDispatcher(events=ANSWER[:2], hold=asyncio.Event())
    front = GrpcFront(fake, settings())
    host, port = await front.start()
    async with grpc.aio.insecure_channel(f"{host}:{port}") as channel:
        call = inference_pb2_grpc.InferenceStub(channel).Generate(HELLO)
        assert (await call.read()).started
        assert (await call.read()).delta.text == "Grüße"
        async with asyncio.timeout(20):
            await front.drain(0.05)
        await until(lambda: fake.closed == 1)
        assert await call.code() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
    await front.close()


async def test_a_message_beyond_the_limit_is_refused_before_it_is_read() -> None:
    async with serving(fake := FakeDispatcher(), settings(max_body_bytes=2048)) as channel:
        stub = inference_pb2_grpc.InferenceStub(channel)
        error = await refusal(stub.Generate(inference_pb2.GenerateRequest(model="auto", text="x" * 4096)))
        assert [message async for message in stub.Generate(HELLO)]
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(fake.asked) == 1


async def test_a_taken_port_is_an_error_that_names_it() -> None:
    fake = FakeDispatcher()
    async with serving(fake):
        taken = int(fake.address.rpartition(":")[2])
        config = settings().model_copy(update={"grpc": settings().grpc.model_copy(update={"port": taken})})
        with pytest.raises(OSError, match=str(taken)):
            await GrpcFront(FakeDispatcher(), config).start()


async def test_logs_stay_quiet_on_ordinary_answers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(FakeDispatcher()) as channel:
        sampling = generation_pb2.Sampling(temperature=0)
        wire = inference_pb2.GenerateRequest(model="auto", text="a secret", sampling=sampling)
        assert [message async for message in inference_pb2_grpc.InferenceStub(channel).Generate(wire)]
    assert "secret" not in caplog.text
